"""Journal files that are altered, torn, locked or foreign: started anyway, never a wrong value."""

from __future__ import annotations

import random
import shutil
import sqlite3
import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from alarms.events import Row
from gateway.config import JournalConfig
from gateway.journal import JournalState, JournalWriter
from gateway.journal_files import GENERATION_STEP, repair
from gateway.journal_reader import JournalReader
from sensors.frame import Batch

WAIT_S = 30.0
EVENTS = 400
FILES = ("events.db", "readings.db")


def row(seq: int) -> Row:
    words = ("r", "p", "z", "NORMAL", "UNACKED", "NORMAL", "DANGER")
    return Row(seq, seq, *words, ("WITHDRAW",), f"because of {seq}", float(seq), "GOOD", "", 0)


def values(seq: int) -> list[float]:
    return [float(value) for value in np.random.default_rng(seq).normal(size=30)]


class Writing:
    """A writer, and a way to wait for what it reports."""

    def __init__(self, folder: Path) -> None:
        self.states: list[JournalState] = []
        self._turn = threading.Condition()
        self.writer = JournalWriter(
            JournalConfig(folder, readings_commit_s=0.0),
            on_commit=lambda _seq: self._wake(),
            on_state=self._told,
        )
        self.writer.start()

    def _told(self, state: JournalState) -> None:
        self.states.append(state)
        self._wake()

    def _wake(self) -> None:
        with self._turn:
            self._turn.notify_all()

    def wait(self, done: Callable[[], bool]) -> None:
        with self._turn:
            assert self._turn.wait_for(done, WAIT_S), self.writer.state()

    def put(self, seq: int) -> None:
        """Put readings and their event, and wait until both are on the disk."""
        self.writer.put_readings(seq, Batch.of(range(30), values(seq)))
        ticket = self.writer.put_rows([row(seq)])
        self.wait(lambda: self.writer.durable_ticket >= ticket)

    def close(self) -> None:
        assert self.writer.close(WAIT_S)


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A closed journal of 400 events, each after its readings."""
    folder = tmp_path_factory.mktemp("journal")
    writing = Writing(folder)
    writing.writer.put_record("config", 0, {"points": [f"p{n}" for n in range(30)]})
    for seq in range(1, EVENTS + 1):
        writing.put(seq)
        if seq % 100 == 0:
            writing.writer.put_snapshot(seq, str(seq).encode() * 100)
    writing.close()
    return folder


def flip_a_bit(content: bytearray, seeded: random.Random) -> None:
    content[seeded.randrange(len(content))] ^= 1 << seeded.randrange(8)


def zero_a_page(content: bytearray, seeded: random.Random) -> None:
    at = seeded.randrange(len(content) // 4096) * 4096
    content[at : at + 4096] = bytes(4096)


def cut_the_end(content: bytearray, seeded: random.Random) -> None:
    del content[seeded.randrange(len(content)) :]


def fill_with_noise(content: bytearray, seeded: random.Random) -> None:
    at = seeded.randrange(len(content))
    content[at : at + 600] = seeded.randbytes(600)


DAMAGES = (flip_a_bit, zero_a_page, cut_the_end, fill_with_noise)


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("damage", DAMAGES)
def test_damaged_file_never_stops_the_start_and_never_gives_a_wrong_value(
    written: Path, tmp_path: Path, name: str, damage: Callable[[bytearray, random.Random], None]
) -> None:
    seeded = random.Random(f"{name} {damage.__name__}")
    lost = 0
    for turn in range(8):
        folder = tmp_path / str(turn)
        shutil.copytree(written, folder)
        content = bytearray((folder / name).read_bytes())
        damage(content, seeded)
        (folder / name).write_bytes(content)

        repair(folder)
        reader = JournalReader(folder)
        next_seq = reader.last_event_seq() + 1
        writing = Writing(folder)
        writing.put(next_seq)
        writing.close()

        events = reader.events_after(0)
        assert events[-1] == row(next_seq)
        assert all(event == row(event.seq) for event in events)
        commits = reader.readings_after(0)
        assert commits[-1].value.tolist() == values(next_seq)
        assert all(c.value.tolist() == values(int(c.t_ns[0])) for c in commits)
        snapshot = reader.last_snapshot()
        assert snapshot is None or snapshot.data == str(snapshot.t_ns).encode() * 100
        lost += (len(events) < EVENTS + 1) + (len(commits) < EVENTS + 1)
        reader.close()
    assert lost  # otherwise nothing was tested


def test_intact_ends_of_a_damaged_events_file_are_kept_and_numbers_go_on(
    written: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "journal"
    shutil.copytree(written, folder)
    content = bytearray((folder / "events.db").read_bytes())
    middle = content.index(b"because of 200")
    content[middle - middle % 4096 : middle - middle % 4096 + 4096] = bytes(4096)
    (folder / "events.db").write_bytes(content)
    done = repair(folder)
    assert len(done) == 1
    assert "kept as events.db.corrupt-1" in done[0]
    reader = JournalReader(folder)
    seqs = [event.seq for event in reader.events_after(0)]
    assert seqs[0] == 1
    assert seqs[-1] == EVENTS
    assert EVENTS - 100 < len(seqs) < EVENTS
    snapshot = reader.last_snapshot()
    assert snapshot is not None
    assert snapshot.t_ns == 400
    assert reader.last_event_seq() == GENERATION_STEP
    assert (folder / "events.db.corrupt-1").exists()
    assert repair(folder) == ()
    reader.close()


def test_file_replaced_by_noise_while_running_is_set_aside_and_nothing_put_is_lost(
    tmp_path: Path,
) -> None:
    folder = tmp_path / "journal"
    writing = Writing(folder)
    writing.writer.put_record("config", 0, {"points": ["a"], "text": "t"})
    writing.put(1)
    writing.close()
    writing = Writing(folder)
    writing.writer.put_record("config", 2, {"points": ["b"], "text": "t"})
    writing.put(2)
    locker = sqlite3.connect(folder / "readings.db", isolation_level=None)
    locker.execute("BEGIN IMMEDIATE")  # so that the writer lets go of its files
    writing.writer.put_rows([row(3)])
    writing.wait(lambda: bool(writing.states) and not writing.states[-1].ok)
    for name in FILES:
        (folder / name).write_bytes(random.Random(1).randbytes(20_000))
    locker.close()
    for seq in (4, 5, 6):
        writing.put(seq)
    writing.close()
    assert any(not state.ok and "damaged" in state.reason for state in writing.states)
    reader = JournalReader(folder)
    assert {event.seq for event in reader.events_after(0)} >= {3, 4, 5, 6}
    commits = reader.readings_after(0)
    assert {int(commit.t_ns[0]) for commit in commits} >= {4, 5, 6}
    # The readings still have their names, and what was done is on record.
    assert {reader.config_points(commit.config_n) for commit in commits} == {("b",)}
    assert [r.data["points"] for r in reader.records("config")] == [["b"]]
    assert any("damaged" in str(r.data) for r in reader.records("note"))
    reader.close()


def test_damaged_middle_of_a_large_readings_file_costs_its_page_only(
    written: Path, tmp_path: Path
) -> None:
    """A file too large to be checked at start: the reader goes around what it cannot read."""
    folder = tmp_path / "journal"
    shutil.copytree(written, folder)
    content = bytearray((folder / "readings.db").read_bytes())
    middle = len(content) // 4096 // 2 * 4096
    content[middle : middle + 2 * 4096] = bytes(2 * 4096)
    (folder / "readings.db").write_bytes(content)
    reader = JournalReader(folder)
    seqs: list[int] = []
    while page := reader.readings_after(seqs[-1] if seqs else 0, limit=7):
        assert all(c.value.tolist() == values(int(c.t_ns[0])) for c in page)
        seqs += [commit.seq for commit in page]
    assert seqs[0] == 1
    assert seqs[-1] == EVENTS
    assert EVENTS - 60 < len(seqs) < EVENTS
    assert reader.corrupt_rows >= EVENTS - len(seqs)
    reader.close()


def test_locked_journal_is_told_and_waited_for(tmp_path: Path) -> None:
    writing = Writing(tmp_path)
    writing.put(1)
    locker = sqlite3.connect(tmp_path / "events.db", isolation_level=None)
    locker.execute("BEGIN IMMEDIATE")
    ticket = writing.writer.put_rows([row(2)])
    writing.wait(lambda: bool(writing.states) and not writing.states[-1].ok)
    assert "locked" in writing.states[-1].reason
    locker.execute("ROLLBACK")
    locker.close()
    writing.wait(lambda: writing.writer.durable_ticket >= ticket)
    writing.close()
    assert writing.states[-1].ok


def test_readings_that_cannot_be_stored_do_not_hold_events_back_for_ever(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.journal._PATIENCE_S", 0.2)
    writing = Writing(tmp_path)
    writing.put(1)
    locker = sqlite3.connect(tmp_path / "readings.db", isolation_level=None)
    locker.execute("BEGIN IMMEDIATE")
    writing.put(2)
    locker.execute("ROLLBACK")
    locker.close()
    writing.put(3)
    writing.close()
    reader = JournalReader(tmp_path)
    assert [event.seq for event in reader.events_after(0)] == [1, 2, 3]
    assert [int(c.t_ns[0]) for c in reader.readings_after(0)] == [1, 3]
    (gap,) = reader.records("gap")
    assert (gap.data["n"], gap.data["t_first"], gap.data["t_last"]) == (30, 2, 2)
    assert writing.writer.state().dropped_readings == 30
    reader.close()


def test_journal_of_another_schema_is_neither_written_nor_set_aside(
    written: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "journal"
    shutil.copytree(written, folder)
    with sqlite3.connect(folder / "events.db") as events:
        events.execute("UPDATE meta SET value = 99 WHERE key = 'schema'")
    events.close()
    assert repair(folder) == ()
    writing = Writing(folder)
    writing.writer.put_rows([row(EVENTS + 1)])
    writing.wait(lambda: bool(writing.states))
    assert "has journal schema 99" in writing.states[-1].reason
    assert not writing.writer.close(0.5)
    reader = JournalReader(folder)
    assert reader.last_event_seq() == EVENTS
    reader.close()


def test_folder_that_cannot_be_made_is_told_in_words(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    writing = Writing(tmp_path / "file" / "journal")
    writing.writer.put_rows([row(1)])
    writing.wait(lambda: bool(writing.states) and not writing.states[-1].ok)
    assert "Not a directory" in writing.states[-1].reason
    assert not writing.writer.close(0.5)
