from __future__ import annotations

import asyncio
import random
import shutil
import sqlite3
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import duckdb
import numpy as np
import pytest

from gateway.config import HistorianConfig, JournalConfig
from gateway.history import Envelope
from gateway.journal import JournalWriter
from gateway.journal_rows import History
from gateway.sinks import historian as module
from gateway.sinks.historian import Historian
from gateway.sinks.historian_cursor import Cursor
from gateway.sinks.parquet_files import ParquetFiles
from sensors.frame import NO_SOURCE_TIME, Batch
from sensors.quality import MAY_CLEAR, Quality

S = 1_000_000_000
MINUTE = 60 * S
HOUR = 60 * MINUTE
DAY = 24 * HOUR
START = 1_795_392_000 * S + 20 * MINUTE  # 2026-11-23 00:20 UTC
OLD = (("a", "b", "c"), ("c", "new", "a", "b"))  # the points of two configurations
POINTS = ("a", "b", "c", "new")


@dataclass(frozen=True)
class Sample:
    """One reading as the slow twin knows it, in wall time."""

    point: str
    time: int
    value: float
    quality: int
    source: int
    received: int
    retained: bool


def twin_history(samples: list[Sample], point: str, start: int, end: int) -> list[Sample]:
    mine = [s for s in samples if s.point == point and start <= s.time < end]
    return sorted(mine, key=lambda s: s.time)


def twin_envelope(
    samples: list[Sample], point: str, start: int, end: int, step: int
) -> list[tuple[float, ...]]:
    rows: dict[int, list[Sample]] = {}
    for sample in twin_history(samples, point, start, end):
        rows.setdefault((sample.time - start) // step, []).append(sample)
    return [
        (
            start + k * step,
            min(finite, default=np.nan),
            max(finite, default=np.nan),
            sum(finite) / len(finite) if finite else np.nan,
            group[-1].value,
            max(s.quality for s in group),
            len(group),
            sum(bool(MAY_CLEAR[s.quality]) for s in group),
        )
        for k, group in sorted(rows.items())
        for finite in [[s.value for s in group if np.isfinite(s.value)]]
    ]


def as_samples(point: str, history: History) -> list[Sample]:
    columns = (
        history.time_ns,
        history.value,
        history.quality,
        history.source_ns,
        history.received_ns,
        history.retained,
    )
    return [Sample(point, *row) for row in zip(*(c.tolist() for c in columns), strict=True)]


def as_rows(found: Envelope) -> list[tuple[float, ...]]:
    columns = (
        found.time_ns,
        found.low,
        found.high,
        found.mean,
        found.last,
        found.worst,
        found.samples,
        found.usable,
    )
    return list(zip(*(c.tolist() for c in columns), strict=True))


class Mine:
    """A journal that grows by random readings, and the twin's list of them."""

    def __init__(self, folder: Path, seed: int) -> None:
        self.folder = folder
        self.samples: list[Sample] = []
        self.t_ns = START
        self._seeded = random.Random(seed)
        self._config = 0
        self._offset = 0
        self._times: set[tuple[str, int]] = set()

    def run(self, batches: int, *, step_ns: int = 4 * MINUTE) -> None:
        """Let some time pass, with a new configuration and a stepped wall clock on the way."""
        journal = JournalConfig(self.folder, readings_commit_s=0.0)
        committed = threading.Semaphore(0)
        writer = JournalWriter(
            journal, on_commit=lambda _: committed.release(), on_state=lambda _: None
        )
        writer.start()
        writer.put_record("config", self.t_ns, {"points": OLD[self._config]})
        for number in range(batches):
            self.t_ns += self._seeded.randrange(1, step_ns)
            if number == batches // 2:
                self._config = 1 - self._config
                writer.put_record("config", self.t_ns, {"points": OLD[self._config]})
                self._offset += self._seeded.choice((-90, 90)) * S
                writer.put_record("clock_step", self.t_ns, {"offset_ns": self._offset})
            writer.put_readings(self.t_ns, self._batch())
            if number % 3 == 0:  # so that there are many commits
                writer.put_record("note", self.t_ns, {})
                assert committed.acquire(timeout=30)
        assert writer.close(30.0)

    def _batch(self) -> Batch:
        names = OLD[self._config]
        chosen = self._seeded.sample(range(len(names)), self._seeded.randrange(1, len(names) + 1))
        values = [self._value() for _ in chosen]
        qualities = [self._seeded.randrange(len(Quality) - 1) for _ in chosen]
        sources = [self._source(names[i]) for i in chosen]
        retained = [self._seeded.random() < 0.1 for _ in chosen]
        for i, value, quality, source, kept in zip(
            chosen, values, qualities, sources, retained, strict=True
        ):
            true = source != NO_SOURCE_TIME and self.t_ns - 30 * DAY < source <= self.t_ns
            time = (source if true else self.t_ns) + self._offset
            wall = source if source == NO_SOURCE_TIME else source + self._offset
            received = self.t_ns + self._offset
            self.samples.append(Sample(names[i], time, value, quality, wall, received, kept))
        return Batch.of(chosen, values, qualities, sources, retained=retained)

    def _value(self) -> float:
        odd = (float("nan"), float("inf"), -float("inf"), 0.0, -0.0)
        return self._seeded.choice((*odd, *(self._seeded.gauss(1, 1) for _ in range(15))))

    def _source(self, point: str) -> int:
        """None, shortly before, hours before, in the future, or long ago; once for each point."""
        lag = self._seeded.choice((None, 0, 5 * MINUTE, 9 * HOUR, -2 * HOUR, 400 * DAY))
        if lag is None:
            return NO_SOURCE_TIME
        source = self.t_ns - self._seeded.randrange(lag + 1) if lag >= 0 else self.t_ns - lag
        unique = (point, source + self._offset) not in self._times
        self._times.add((point, source + self._offset))
        return source if unique else NO_SOURCE_TIME


def compare(historian: Historian, mine: Mine, seed: int = 0) -> None:
    """Compare everything, and random cuts of it, with the slow twin."""
    seeded = random.Random(seed)
    first = min(s.time for s in mine.samples) - HOUR
    last = max(s.time for s in mine.samples) + HOUR
    spans = [(first, last)]
    for _ in range(2):
        start, end = sorted((seeded.randrange(first, last), seeded.randrange(first, last)))
        spans.append((start, end))
    for point in (*POINTS, "unknown"):
        for start, end in spans:
            found = as_samples(point, historian.history(point, start, end))
            assert repr(found) == repr(twin_history(mine.samples, point, start, end))
            step = seeded.choice((S, 7 * MINUTE, HOUR, DAY, 1000 * DAY))
            rows = as_rows(historian.envelope(point, start, end, step))
            np.testing.assert_allclose(
                np.array(rows).reshape(-1, 8),
                np.array(twin_envelope(mine.samples, point, start, end, step)).reshape(-1, 8),
                rtol=1e-12,
                atol=1e-12,
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
    status = site.historian.status()
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
    assert site.historian.status().waiting == 2
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
    status = site.historian.status()
    assert not status.ok
    assert status.damaged_files == 1
    site.historian.rebuild()
    assert site.historian.status().ok
    compare(site.historian, site.mine)


def test_journal_that_began_anew_is_followed_and_old_files_stay(site: Site) -> None:
    site.mine.run(120)
    site.historian.advance()
    old = site.files()
    waiting = site.historian.status().waiting
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
    assert site.historian.status().missed_commits == 5


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


async def test_run_follows_the_journal_and_says_what_is_wrong(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_FOLLOW_EVERY_S", 0.01)
    site.folder.write_text("in the way")
    task = asyncio.ensure_future(site.historian.run())  # noqa: TID251
    try:
        async with asyncio.timeout(30):
            while site.historian.status().ok:  # noqa: ASYNC110 - its thread tells nobody
                await asyncio.sleep(0.01)
            site.folder.unlink()
            await asyncio.to_thread(site.mine.run, 80)
            while not site.historian.status().ok or not site.files():  # noqa: ASYNC110
                await asyncio.sleep(0.01)
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    compare(site.historian, site.mine)
