"""The gateway's own health as readings: a stepped clock, a late clock, silent parts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from gateway.clock import WallClock
from gateway.inbox import Inbox
from gateway.journal import JournalState
from gateway.publish import Health
from gateway.watch import CLOCK_FAULT_S, SERVICES_SILENT_S, Watch

S = 1_000_000_000
POINTS = {"gateway.clock": 0, "gateway.journal": 1, "gateway.sink": 2}


class SteppedClock(WallClock):
    """The real clock, whose wall a test can move."""

    def __init__(self, last_ns: int | None = None) -> None:
        super().__init__(last_ns)
        self.moved_ns = 0

    def step_ns(self) -> int:
        return self.moved_ns

    def anchor(self) -> None:
        self.offset_ns += self.moved_ns
        self.moved_ns = 0


class Journal:
    def __init__(self) -> None:
        self.records: list[tuple[str, Mapping[str, Any]]] = []

    def state(self) -> JournalState:
        return JournalState(
            ok=True, reason="", queued=0, dropped_readings=0, committed_seq=0, dropped_other=0
        )

    def put_record(self, kind: str, _t_ns: int, data: Mapping[str, Any]) -> int:
        self.records.append((kind, data))
        return 1


def watching(clock: SteppedClock) -> tuple[Watch, Inbox, Journal]:
    journal = Journal()
    inbox = Inbox(clock, len(POINTS), np.zeros(len(POINTS), dtype=np.bool_), lambda: None)
    return Watch(Health(), clock, inbox, journal, (), POINTS), inbox, journal


def readings(watch: Watch, inbox: Inbox, now_s: float) -> dict[int, float]:
    watch.look(now_s)
    batches = [entry.batch for entry in inbox.drain() if entry.batch is not None]
    return dict(zip(batches[-1].point.tolist(), batches[-1].value.tolist(), strict=True))


def test_a_stepped_clock_is_a_fault_for_a_minute_in_either_direction() -> None:
    for step_ns in (3600 * S, -3600 * S):
        clock = SteppedClock()
        watch, inbox, journal = watching(clock)
        assert readings(watch, inbox, 0.0)[0] == 1.0
        clock.moved_ns = step_ns
        assert readings(watch, inbox, 1.0)[0] == 0.0
        assert journal.records == [("clock_step", {"step_ns": step_ns, "offset_ns": step_ns})]
        assert inbox.offset_ns == step_ns
        assert readings(watch, inbox, CLOCK_FAULT_S)[0] == 0.0, "still within the minute"
        assert readings(watch, inbox, 1.0 + CLOCK_FAULT_S)[0] == 1.0


def test_a_clock_behind_the_journal_is_a_fault_until_somebody_sets_it() -> None:
    clock = SteppedClock(WallClock.wall_ns() + 3600 * S)
    watch, inbox, _ = watching(clock)
    assert not clock.proved
    assert readings(watch, inbox, 0.0)[0] == 0.0
    assert readings(watch, inbox, 10 * CLOCK_FAULT_S)[0] == 0.0
    clock.moved_ns = 7200 * S
    assert readings(watch, inbox, 1000.0)[0] == 0.0
    assert readings(watch, inbox, 1000.0 + CLOCK_FAULT_S)[0] == 1.0


def test_what_has_said_nothing_is_unknown_and_what_falls_silent_has_failed() -> None:
    watch, inbox, _ = watching(SteppedClock())
    seen = readings(watch, inbox, 0.0)
    assert seen[1] == 1.0
    assert 2 not in seen, "the services have not spoken yet"
    watch.say_service("sink", 1.0, works=True, reason="")
    assert readings(watch, inbox, 2.0)[2] == 1.0
    assert readings(watch, inbox, 2.0 + SERVICES_SILENT_S)[2] == 0.0
