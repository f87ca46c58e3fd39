"""A start over damaged journal files: the alarm path comes up, and keeps what can be kept."""

from __future__ import annotations

import random
import sqlite3
from pathlib import Path

import pytest

from alarms.engine import Engine
from gateway.journal_files import GENERATION_STEP
from gateway.journal_reader import JournalReader
from gateway.recovery import recover
from tests.gateway.test_recovery import ALARM, HandClock, Running, _in_alarm, recorded, small_site


def in_alarm(folder: Path) -> tuple[HandClock, int]:
    """Leave a journal behind in the middle of an alarm; return its clock and the alarm's state."""
    run = Running(small_site(folder), HandClock())
    _in_alarm(run)
    run.stop()
    return run.clock, run.state()


def test_latch_and_ack_survive_a_damaged_page_of_events(tmp_path: Path) -> None:
    clock, before = in_alarm(tmp_path)
    whole = recorded(tmp_path)
    path = tmp_path / "journal" / "events.db"
    content = bytearray(path.read_bytes())
    page = content.index(b"T1.gas/withdraw") // 4096 * 4096
    content[page : page + 8] = b"\xff" * 8
    path.write_bytes(content)
    again = Running(small_site(tmp_path), clock)
    assert "damaged" in again.recovered.note
    assert again.state() == before
    assert again.engine.effects.outputs.tolist() == [True]
    again.stop()
    # What was lost was redone; new events are numbered behind all that anybody can have seen.
    assert recorded(tmp_path)[: len(whole)] == whole
    fresh = JournalReader(tmp_path / "journal").events_after(GENERATION_STEP)
    assert len(fresh) == len(again.rows)


@pytest.mark.parametrize("names", [["readings.db"], ["events.db"], ["events.db", "readings.db"]])
def test_start_over_noise_says_so_and_runs(tmp_path: Path, names: list[str]) -> None:
    clock, before = in_alarm(tmp_path)
    for name in names:
        (tmp_path / "journal" / name).write_bytes(random.Random(1).randbytes(50_000))
    again = Running(small_site(tmp_path), clock)
    assert all(name in again.recovered.note for name in names)
    if names == ["readings.db"]:  # what is in force is never forgotten for lost readings
        assert again.state() == before
        assert again.engine.effects.outputs.tolist() == [True]
    again.sample("T1.gas", 2.5)
    assert again.engine.effects.outputs.tolist() == [True]
    again.stop()
    newest = recorded(tmp_path)[-1]
    assert newest.seq == again.engine.states.seq


def test_readings_dropped_before_an_event_do_not_lose_its_latch(tmp_path: Path) -> None:
    """What a full disk does: the event is there, the readings that caused it are a gap."""
    clock, before = in_alarm(tmp_path)
    with sqlite3.connect(tmp_path / "journal" / "readings.db") as database:
        database.execute("DELETE FROM readings")
    database.close()
    again = Running(small_site(tmp_path), clock)
    assert "alarms stand as their last events say" in again.recovered.note
    assert again.state() == before
    assert again.engine.effects.outputs.tolist() == [True]
    again.stop()


def test_start_over_a_folder_that_cannot_be_read_says_so_and_runs(tmp_path: Path) -> None:
    today = small_site(tmp_path)
    (tmp_path / "journal").write_text("in the way")
    recovered = recover(today.config, today)
    assert "cannot be read" in recovered.note
    assert recovered.snapshot is None


def test_what_is_in_force_survives_readings_that_the_disk_does_not_give(tmp_path: Path) -> None:
    clock, before = in_alarm(tmp_path)
    file = tmp_path / "journal" / "readings.db"
    file.unlink()
    for rest in ("-wal", "-shm"):
        file.with_name(file.name + rest).unlink(missing_ok=True)
    file.mkdir()
    today = small_site(tmp_path)
    recovered = recover(today.config, today)
    assert "alarms stand as their last events say" in recovered.note
    engine = Engine(today.plan)
    engine.start(clock.t_ns + 1, recovered.snapshot)
    assert engine.states.state[engine.states.index[ALARM]] == before
    assert engine.effects.outputs.tolist() == [True]
