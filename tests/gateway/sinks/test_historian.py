from __future__ import annotations

import asyncio
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path

import duckdb
import pytest

from gateway.config import HistorianConfig, JournalConfig
from gateway.journal import JournalWriter
from gateway.sinks import historian as module
from gateway.sinks.historian import Historian
from gateway.sinks.historian_cursor import Cursor
from gateway.sinks.parquet_files import ParquetFiles
from sensors.frame import NO_SOURCE_TIME, Batch
from tests.gateway.sinks.historian_twin import (
    DAY,
    HOUR,
    POINTS,
    START,
    Mine,
    S,
    as_samples,
    compare,
    twin_history,
)


class Site:
    """A mine's journal and its historian, which can be taken down and put up again."""

    def __init__(self, folder: Path, seed: int = 1, keep_days: int = 800) -> None:
        self.mine = Mine(folder / "journal", seed)
        self.folder = folder / "history"
        self._keep_days = keep_days
        self.historian = self._up()

    def _up(self) -> Historian:
        return Historian(HistorianConfig(self.folder, self._keep_days), self.mine.folder)

    def restart(self) -> None:
        self.historian.close()
        self.historian = self._up()

    def files(self) -> list[str]:
        found = sorted(self.folder.glob("*/*.parquet"))
        return [f"{path.parent.name}/{path.name}" for path in found]


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    made = Site(tmp_path)
    yield made
    made.historian.close()


@pytest.fixture(autouse=True)
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PART_READINGS", 60)


@pytest.mark.parametrize("seed", range(3))
def test_history_equals_the_slow_twin_at_every_stage(tmp_path: Path, seed: int) -> None:
    site = Site(tmp_path, seed)
    for stage in range(4):
        site.mine.run(60)
        if stage == 1:
            site.restart()
        if stage != 2:  # with what is not yet taken from the journal
            compare(site.historian, site.mine, seed)
        site.historian.advance()
        compare(site.historian, site.mine, seed + stage)
    assert len(site.files()) > 10
    status = site.historian.status
    assert (status.ok, status.missed_commits, status.damaged_files) == (True, 0, 0)
    site.historian.close()


def test_empty_journal_gives_empty_history(site: Site) -> None:
    site.historian.advance()
    assert len(site.historian.history("a", 0, 2**62)) == 0
    assert len(site.historian.envelope("a", 0, 2**62, S)) == 0


def put(folder: Path, *batches: tuple[int, Batch]) -> None:
    writer = JournalWriter(
        JournalConfig(folder, readings_commit_s=0.0),
        on_commit=lambda _: None,
        on_state=lambda _: None,
    )
    writer.start()
    writer.put_record("config", batches[0][0], {"points": ["a", "b"]})
    for t_ns, batch in batches:
        writer.put_readings(t_ns, batch)
    assert writer.close(30.0)


def test_an_hour_becomes_a_file_when_it_is_over(site: Site) -> None:
    hour = START // HOUR * HOUR
    put(site.mine.folder, (hour, Batch.of([0], [1.0])), (hour + HOUR - 1, Batch.of([0], [2.0])))
    site.historian.advance()
    assert site.files() == []
    put(site.mine.folder, (hour + HOUR, Batch.of([0, 1], [3.0, 4.0])))
    site.historian.advance()
    (name,) = site.files()
    assert name.startswith("2026-11-23/00_0_1_")
    assert site.historian.status.waiting == 2
    assert site.historian.history("a", 0, 2**62).value.tolist() == [1.0, 2.0, 3.0]


def test_late_readings_of_a_written_hour_make_a_further_file_of_it(site: Site) -> None:
    hour = START // HOUR * HOUR
    put(site.mine.folder, (hour + 5, Batch.of([0], [1.0])))
    put(site.mine.folder, (hour + HOUR, Batch.of([0, 1], [2.0, 3.0], source_ns=[hour + 7, hour])))
    put(site.mine.folder, (hour + 2 * HOUR, Batch.of([0], [4.0])))
    site.historian.advance()
    assert [name.split("_")[0] for name in site.files()] == ["2026-11-23/00", "2026-11-23/00"]
    assert site.historian.history("a", hour, hour + HOUR).value.tolist() == [1.0, 2.0]


def test_anyone_can_open_the_files(site: Site) -> None:
    hour = START // HOUR * HOUR
    sources = [hour + 3, NO_SOURCE_TIME]
    put(site.mine.folder, (hour + 5, Batch.of([1, 0], [1.5, 2.5], [0, 4], sources)))
    put(site.mine.folder, (hour + HOUR, Batch.of([0], [4.0])))
    site.historian.advance()
    with duckdb.connect() as duck:
        rows = duck.execute(
            "SELECT time::VARCHAR, point, value, quality, source_ns, delay_ns, retained "
            "FROM read_parquet(?)",
            [str(site.folder / "*" / "*.parquet")],
        ).fetchall()
    assert rows == [
        ("2026-11-23 00:00:00.000000005", "a", 2.5, 4, None, 0, False),
        ("2026-11-23 00:00:00.000000003", "b", 1.5, 0, hour + 3, 2, False),
    ]


class CrashError(Exception):
    """The process ended here."""


@pytest.mark.parametrize("survived", [0, 1, 2, 3, 5, 8, 11])
def test_crash_anywhere_in_sealing_neither_loses_nor_doubles(
    site: Site, monkeypatch: pytest.MonkeyPatch, survived: int
) -> None:
    """`survived` disk operations of the sealing happen; the process ends before the next."""
    site.mine.run(80)
    left = [survived]

    def counted(real: Callable[..., None]) -> Callable[..., None]:
        def operation(*values: object) -> None:
            if not left[0]:
                raise CrashError
            left[0] -= 1
            real(*values)

        return operation

    monkeypatch.setattr(ParquetFiles, "write", counted(ParquetFiles.write))
    monkeypatch.setattr(Cursor, "save", counted(Cursor.save))
    with pytest.raises(CrashError):
        site.historian.advance()
    monkeypatch.undo()
    monkeypatch.setattr(module, "PART_READINGS", 60)
    site.restart()
    compare(site.historian, site.mine)
    site.historian.advance()
    site.mine.run(20)
    site.historian.advance()
    compare(site.historian, site.mine)


def test_half_written_file_is_removed(site: Site) -> None:
    site.mine.run(80)
    site.historian.advance()
    half = site.folder / "2026-11-23" / "05_0_9_10.tmp"
    half.write_bytes(b"PAR1")
    site.restart()
    site.historian.advance()
    assert not half.exists()
    compare(site.historian, site.mine)


@pytest.mark.parametrize("content", [None, "", "{}", '{"epoch": 0, "seq": null, "sealing": 3}'])
def test_lost_cursor_costs_nothing_while_the_journal_is_there(
    site: Site, content: str | None
) -> None:
    site.mine.run(80)
    site.historian.advance()
    cursor = site.folder / "cursor.json"
    cursor.unlink()
    if content is not None:
        cursor.write_text(content)
    site.restart()
    site.historian.advance()
    compare(site.historian, site.mine)


def test_files_can_be_made_anew_from_the_journal(site: Site) -> None:
    site.mine.run(120)
    site.historian.advance()
    before = site.files()
    shutil.rmtree(site.folder / before[len(before) // 2].split("/")[0])
    site.historian.rebuild()
    assert site.files() == before
    compare(site.historian, site.mine)


def test_rebuilding_keeps_what_the_journal_no_longer_holds(site: Site) -> None:
    site.mine.run(120)
    site.historian.advance()
    with sqlite3.connect(site.mine.folder / "readings.db") as readings:
        readings.execute("DELETE FROM readings WHERE seq < (SELECT max(seq) / 2 FROM readings)")
    readings.close()
    site.historian.rebuild()
    compare(site.historian, site.mine)


def test_damaged_file_is_left_out_counted_and_made_anew(site: Site) -> None:
    site.mine.run(120)
    site.historian.advance()
    path = site.folder / site.files()[0]
    path.write_bytes(path.read_bytes()[:40])
    for point in POINTS:
        found = as_samples(point, site.historian.history(point, 0, 2**62))
        every = twin_history(site.mine.samples, point, 0, 2**62)
        assert [s for s in every if repr(s) in {repr(f) for f in found}] != []
        assert len(found) <= len(every)
    status = site.historian.status
    assert not status.ok
    assert status.damaged_files == 1
    site.historian.rebuild()
    assert site.historian.status.ok
    compare(site.historian, site.mine)


def test_journal_that_began_anew_is_followed_and_old_files_stay(site: Site) -> None:
    site.mine.run(120)
    site.historian.advance()
    old = site.files()
    waiting = site.historian.status.waiting
    shutil.rmtree(site.mine.folder)
    anew = Mine(site.mine.folder, 99)
    anew.t_ns = site.mine.t_ns + 2 * DAY
    anew.run(30)
    site.historian.advance()
    assert set(site.files()) > set(old)
    start = anew.t_ns - DAY
    for point in POINTS:
        recent = as_samples(point, site.historian.history(point, start, 2**62))
        assert repr(recent) == repr(twin_history(anew.samples, point, start, 2**62))
    total = sum(len(site.historian.history(point, 0, 2**62)) for point in POINTS)
    assert total == len(site.mine.samples) - waiting + len(anew.samples)


def test_commits_that_left_the_journal_first_are_counted(site: Site) -> None:
    site.mine.run(50)
    with sqlite3.connect(site.mine.folder / "readings.db") as readings:
        readings.execute("DELETE FROM readings WHERE seq BETWEEN 5 AND 9")
    readings.close()
    site.historian.advance()
    assert site.historian.status.missed_commits == 5


def test_old_files_are_dropped(tmp_path: Path) -> None:
    site = Site(tmp_path, keep_days=2)
    for day in range(5):
        put(site.mine.folder, (START + day * DAY, Batch.of([0], [float(day)])))
    site.historian.advance()
    days = {name.split("/")[0] for name in site.files()}
    assert days == {"2026-11-24", "2026-11-25", "2026-11-26"}
    assert sorted(path.name for path in site.folder.iterdir() if path.is_dir()) == sorted(days)
    assert site.historian.history("a", 0, 2**62).value.tolist() == [1.0, 2.0, 3.0, 4.0]
    site.historian.close()


async def turned(historian: Historian, *, ok: bool) -> None:
    while historian.status.ok != ok:  # noqa: ASYNC110 - its thread tells nobody
        await asyncio.sleep(0.01)


async def test_run_follows_the_journal_and_says_what_is_wrong(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_FOLLOW_EVERY_S", 0.01)
    site.folder.write_text("in the way")
    task = asyncio.ensure_future(site.historian.run())  # noqa: TID251
    try:
        async with asyncio.timeout(30):
            await turned(site.historian, ok=False)
            site.folder.unlink()
            await asyncio.to_thread(site.mine.run, 80)
            await turned(site.historian, ok=True)
            while not site.files():  # noqa: ASYNC110 - a thread of its own makes them
                await asyncio.sleep(0.01)
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    compare(site.historian, site.mine)
