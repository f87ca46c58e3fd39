from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from alarms.events import Row
from gateway import journal_files
from gateway.config import JournalConfig
from gateway.journal import JournalState, JournalWriter
from gateway.journal_reader import JournalReader
from sensors.frame import NO_SOURCE_TIME, Batch
from sensors.quality import Quality

S = 1_000_000_000
HOUR = 3_600 * S
WAIT_S = 30.0


def row(seq: int, t_ns: int = 0, **fields: object) -> Row:
    plain = Row(
        seq,
        t_ns or seq * S,
        "T1.gas/alarm",
        "T1.gas",
        "LW101",
        "NORMAL",
        "UNACKED",
        "NORMAL",
        "DANGER",
        ("SOUND", "WITHDRAW"),
        "1.6 >= 1.5",
        1.6,
        "GOOD",
        "",
        0,
    )
    return replace(plain, **fields)  # type: ignore[arg-type]


class Bench:
    """A writer on a folder, and a way to wait for its commits."""

    def __init__(self, folder: Path, *, commit_s: float = 0.02, max_mb: int = 100) -> None:
        self.committed: list[int] = []
        self.states: list[JournalState] = []
        self._turn = threading.Condition()
        config = JournalConfig(folder, max_readings_mb=max_mb, readings_commit_s=commit_s)
        self.writer = JournalWriter(config, on_commit=self._on_commit, on_state=self._on_state)
        self.reader = JournalReader(folder)
        self.writer.start()

    def _on_commit(self, seq: int) -> None:
        with self._turn:
            self.committed.append(seq)
            self._turn.notify_all()

    def _on_state(self, state: JournalState) -> None:
        with self._turn:
            self.states.append(state)
            self._turn.notify_all()

    def wait(self, ticket: int) -> None:
        """Wait until a ticket is durable; any event or record after it wakes us."""
        with self._turn:
            assert self._turn.wait_for(lambda: self.writer.durable_ticket >= ticket, WAIT_S)

    def wait_state(self, *, ok: bool) -> JournalState:
        with self._turn:
            assert self._turn.wait_for(lambda: self.states and self.states[-1].ok == ok, WAIT_S)
            return self.states[-1]

    def close(self) -> None:
        assert self.writer.close(WAIT_S)
        self.reader.close()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "journal"


@pytest.fixture
def bench(folder: Path) -> Iterator[Bench]:
    made = Bench(folder)
    yield made
    made.close()


def test_an_empty_journal_reads_as_empty(folder: Path) -> None:
    reader = JournalReader(folder)
    assert reader.events_after(0) == []
    assert reader.readings_after(0) == []
    assert reader.records() == []
    assert reader.last_snapshot() is None
    assert reader.last_event_seq() == 0
    assert reader.last_t_ns() == 0
    assert reader.config_points(1) == ()
    assert list(reader.inputs_after(0)) == []
    assert len(reader.history("a", 0, S)) == 0


def test_events_come_back_as_they_were_put(bench: Bench) -> None:
    rows = [row(1), row(2, value=None, demands=(), actor="Li Wei 李伟"), row(3, value=np.inf)]
    bench.wait(bench.writer.put_rows(rows))
    assert bench.reader.events_after(0) == [rows[0], rows[1], replace(rows[2], value=None)]
    assert bench.reader.events_after(1, limit=1) == [rows[1]]
    assert bench.reader.last_event_seq() == 3
    assert bench.committed[-1] == 3
    assert bench.writer.state() == JournalState(
        ok=True, reason="", queued=0, dropped_readings=0, committed_seq=3
    )


def test_readings_come_back_bit_for_bit_under_their_configuration(bench: Bench) -> None:
    bench.writer.put_record("config", 1, {"digest": "x", "points": ["a", "b"], "text": "…"})
    bench.writer.put_readings(2, Batch.of([0, 1], [0.5, np.nan], [Quality.GOOD, Quality.STUCK]))
    bench.writer.put_readings(3, Batch.of([1], [0.1], source_ns=1, retained=True))
    bench.wait(bench.writer.put_record("config", 4, {"points": ["c"]}))
    bench.wait(
        bench.writer.put_readings(5, Batch.of([0], [7.0]))
        and bench.writer.put_record("note", 5, {})
    )
    first, second = bench.reader.readings_after(0)
    assert first.point.tolist() == [0, 1, 1]
    assert first.t_ns.tolist() == [2, 2, 3]
    assert np.array_equal(first.value, [0.5, np.nan, 0.1], equal_nan=True)
    assert first.quality.tolist() == [Quality.GOOD, Quality.STUCK, Quality.GOOD]
    assert first.source_ns.tolist() == [NO_SOURCE_TIME, NO_SOURCE_TIME, 1]
    assert first.retained.tolist() == [False, False, True]
    assert bench.reader.config_points(first.config_n) == ("a", "b")
    assert bench.reader.config_points(second.config_n) == ("c",)
    assert second.value.tolist() == [7.0]
    assert [r.data["points"] for r in bench.reader.records("config")] == [["a", "b"], ["c"]]


def test_readings_are_committed_in_time_without_any_event(bench: Bench) -> None:
    bench.writer.put_readings(1, Batch.of([0], [1.0]))
    deadline = threading.Event()
    for _ in range(3_000):
        if bench.reader.readings_after(0):
            break
        deadline.wait(0.01)
    assert bench.reader.readings_after(0)[0].value.tolist() == [1.0]


def test_records_by_kind_and_by_page(bench: Bench) -> None:
    for n in range(5):
        bench.writer.put_record("command" if n % 2 else "start", n, {"n": n, "who": "\ud800"})
    bench.wait(bench.writer.put_record("note", 9, {"nan": float("nan")}))
    assert [r.data["n"] for r in bench.reader.records("command")] == [1, 3]
    assert [r.t_ns for r in bench.reader.records(after_n=1, limit=2)] == [1, 2]
    assert bench.reader.records("start")[0].data["who"] == "\ud800"
    newest = bench.reader.last_record("start")
    assert newest is not None
    assert newest.t_ns == 4


def test_text_that_no_encoding_holds_does_not_stop_the_writer(bench: Bench) -> None:
    bench.wait(bench.writer.put_rows([row(1, reason="bad \ud800 name")]))
    assert bench.reader.events_after(0)[0].reason == "bad ? name"


def test_snapshot_and_redo_inputs_in_order_of_their_stamps(bench: Bench) -> None:
    writer = bench.writer
    writer.put_record("start", 1, {})
    writer.put_readings(2, Batch.of([0], [1.0]))
    writer.put_snapshot(2, b"state at 2")
    writer.put_readings(3, Batch.of([1], [2.0]))
    writer.put_readings(3, Batch.of([0], [3.0]))
    writer.put_record("command", 3, {"kind": "ack"})
    writer.put_record("output", 3, {"not": "an input"})
    writer.put_readings(5, Batch.of([0], [4.0]))
    bench.wait(writer.put_record("command", 6, {"kind": "reset"}))
    snapshot = bench.reader.last_snapshot()
    assert snapshot is not None
    assert (snapshot.t_ns, snapshot.data) == (2, b"state at 2")
    assert bench.reader.last_snapshot(before_t_ns=2) is None
    inputs = list(bench.reader.inputs_after(snapshot.t_ns))
    assert [i.t_ns for i in inputs] == [3, 5, 6]
    assert inputs[0].batch is not None
    assert inputs[0].batch.value.tolist() == [2.0, 3.0]
    assert [r.data["kind"] for r in inputs[0].records] == ["ack"]
    assert inputs[2].batch is None
    assert bench.reader.last_t_ns() == 6


def test_redo_finds_its_place_among_many_commits(folder: Path) -> None:
    bench = Bench(folder, commit_s=0.0)
    for t in range(1, 300):
        bench.wait(
            bench.writer.put_readings(t, Batch.of([0], [float(t)]))
            and bench.writer.put_record("note", t, {})
        )
    assert len(bench.reader.commit_heads(0)) == 299
    for start in (0, 1, 57, 150, 298, 299, 1_000):
        stamps = [i.t_ns for i in bench.reader.inputs_after(start)]
        assert stamps == list(range(start + 1, 300))
    bench.close()


def test_old_snapshots_are_thinned_to_one_a_day(bench: Bench) -> None:
    day = 24 * HOUR
    for n in range(60):
        bench.writer.put_snapshot(n * day // 10, str(n).encode())
    bench.wait(bench.writer.put_record("note", 6 * day, {}))
    bench.writer.put_snapshot(6 * day, b"60")
    bench.wait(bench.writer.put_record("note", 6 * day, {}))
    newest = bench.reader.last_snapshot()
    assert newest is not None
    assert newest.data == b"60"
    kept = []
    before = 7 * day
    while (snapshot := bench.reader.last_snapshot(before)) is not None:
        kept.append(int(snapshot.data))
        before = snapshot.t_ns
    assert kept == [*range(60, 44, -1), 39, 29, 19, 9]


def test_commits_are_cut_at_full_hours(bench: Bench) -> None:
    for t_ns in (HOUR - 2, HOUR - 1, HOUR, HOUR + 1, 3 * HOUR):
        bench.writer.put_readings(t_ns, Batch.of([0], [0.0]))
    bench.wait(bench.writer.put_record("note", 3 * HOUR, {}))
    heads = bench.reader.commit_heads(0)
    assert [(h.t_first // HOUR, h.t_last // HOUR, h.n) for h in heads] == [
        (0, 0, 2),
        (1, 1, 2),
        (3, 3, 1),
    ]


def test_the_same_event_twice_is_one_and_another_of_its_seq_is_noted(bench: Bench) -> None:
    bench.writer.put_rows([row(1), row(2)])
    bench.wait(bench.writer.put_rows([row(2), row(2, reason="other"), row(3)]))
    assert bench.reader.events_after(0) == [row(1), row(2), row(3)]
    notes = bench.reader.records("note")
    assert ["other" in str(n.data) for n in notes] == [True]


def test_numbers_go_on_after_a_restart(folder: Path) -> None:
    for turn in range(3):
        bench = Bench(folder)
        bench.writer.put_record("config", turn, {"points": [f"p{turn}"]})
        bench.writer.put_readings(turn, Batch.of([0], [float(turn)]))
        bench.wait(bench.writer.put_rows([row(turn + 1)]))
        bench.close()
    reader = JournalReader(folder)
    commits = reader.readings_after(0)
    assert [c.seq for c in commits] == [1, 2, 3]
    assert [reader.config_points(c.config_n) for c in commits] == [("p0",), ("p1",), ("p2",)]
    assert [r.n for r in reader.records()] == [1, 2, 3]
    assert reader.last_event_seq() == 3
    reader.close()


def test_without_a_configuration_readings_are_kept_under_no_names(bench: Bench) -> None:
    bench.writer.put_readings(1, Batch.of([0], [1.0]))
    bench.wait(bench.writer.put_record("note", 1, {}))
    assert bench.reader.readings_after(0)[0].config_n == 0
    assert bench.reader.config_points(0) == ()


def test_an_altered_row_is_left_out_and_counted_never_served(bench: Bench, folder: Path) -> None:
    bench.writer.put_readings(1, Batch.of([0], [1.0]))
    bench.writer.put_snapshot(1, b"one")
    bench.wait(bench.writer.put_rows([row(1), row(2), row(3)]))
    bench.writer.put_readings(2, Batch.of([0], [2.0]))
    bench.writer.put_snapshot(2, b"two")
    bench.wait(bench.writer.put_record("note", 2, {}))
    with sqlite3.connect(folder / "events.db") as events:
        events.execute("UPDATE events SET value = 0.1 WHERE seq = 2")
        events.execute("UPDATE snapshots SET data = x'00' WHERE t_ns = 2")
    with sqlite3.connect(folder / "readings.db") as readings:
        readings.execute("UPDATE readings SET config_n = 9 WHERE seq = 1")
    assert [r.seq for r in bench.reader.events_after(0)] == [1, 3]
    assert [r.seq for r in bench.reader.events_after(1, limit=1)] == [3]
    assert [c.seq for c in bench.reader.readings_after(0, limit=1)] == [2]
    snapshot = bench.reader.last_snapshot()
    assert snapshot is not None
    assert snapshot.data == b"one"
    assert bench.reader.corrupt_rows == 4
    events.close()
    readings.close()


def test_control_without_the_digest_check_the_altered_row_is_served(
    bench: Bench, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.wait(bench.writer.put_rows([row(1)]))
    with sqlite3.connect(folder / "events.db") as events:
        events.execute("UPDATE events SET value = 0.1 WHERE seq = 1")
    events.close()
    assert bench.reader.events_after(0) == []
    monkeypatch.setattr(journal_files, "is_intact", lambda _table, _row: True)
    assert bench.reader.events_after(0)[0].value == 0.1


def test_window_drops_the_oldest_readings_as_a_recorded_gap(folder: Path) -> None:
    bench = Bench(folder, commit_s=0.0, max_mb=1)
    seeded = np.random.default_rng(5)
    put = 0
    for t in range(1, 401):
        bench.writer.put_readings(t, Batch.of(range(600), seeded.normal(size=600)))
        put += 600
        bench.wait(bench.writer.put_record("note", t, {}))
    gaps = bench.reader.records("gap")
    heads = bench.reader.commit_heads(0)
    assert gaps
    assert heads[-1].t_last == 400
    last_recorded = max(g.data["last_seq"] for g in gaps)
    # A gap is recorded before its readings go: what is not recorded is there.
    there = {h.seq for h in heads}
    assert there >= set(range(last_recorded + 1, 401))
    gone = [g for g in gaps if g.data["last_seq"] < heads[0].seq]
    assert sum(g.data["n"] for g in gone) + sum(h.n for h in heads) <= put
    assert {g.data["reason"] for g in gaps} == {"window"}
    assert "window" in bench.writer.state().reason
    assert bench.writer.state().ok
    bench.close()
    assert (folder / "readings.db").stat().st_size < 1_500_000
