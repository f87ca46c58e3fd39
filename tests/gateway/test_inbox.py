"""The inbox stamps in order, is bounded, and never hides the most dangerous sample."""

from __future__ import annotations

import numpy as np

from alarms.events import Command
from gateway.inbox import WAITING_COMMANDS, WAITING_SAMPLES_A_POINT, Entry, Inbox
from sensors.frame import NO_SOURCE_TIME, Batch
from sensors.quality import RAISES_FAULT, Quality


class StandingClock:
    """A clock that stands still: every input comes at the same instant."""

    def __init__(self, t_ns: int = 100) -> None:
        self.t_ns = t_ns

    def now_ns(self) -> int:
        return self.t_ns


def inbox_of(n: int = 3, *, low: int | None = None) -> tuple[Inbox, StandingClock, list[None]]:
    clock = StandingClock()
    wakes: list[None] = []
    dangerous_low = np.zeros(n, dtype=np.bool_)
    if low is not None:
        dangerous_low[low] = True
    return Inbox(clock, n, dangerous_low, lambda: wakes.append(None)), clock, wakes


def samples(entries: list[Entry], point: int) -> list[tuple[float, int]]:
    return [
        (float(v), int(q))
        for e in entries
        if e.batch is not None
        for p, v, q in zip(e.batch.point, e.batch.value, e.batch.quality, strict=True)
        if p == point
    ]


def test_stamps_are_unique_and_in_order_of_arrival() -> None:
    inbox, clock, wakes = inbox_of()
    inbox.put(Batch.of(0, 1.0))
    inbox.order(Command("ack", "a", "joe"), 7)
    inbox.put(Batch.of(1, 2.0))
    clock.t_ns = 50  # a clock that goes backwards does not take the stamps with it
    inbox.put(Batch.of(2, 3.0))
    entries = inbox.drain()
    assert [e.t_ns for e in entries] == [100, 101, 102, 103]
    assert [e.ticket for e in entries] == [0, 7, 0, 0]
    assert len(wakes) == 4
    assert inbox.drain() == []


def test_an_empty_batch_is_nothing() -> None:
    inbox, _, wakes = inbox_of()
    inbox.put(Batch.of([], []))
    assert inbox.drain() == []
    assert wakes == []


def test_a_crowd_folds_to_the_most_dangerous_and_the_newest_with_a_fault() -> None:
    inbox, _, _ = inbox_of()
    for i in range(WAITING_SAMPLES_A_POINT):
        inbox.put(Batch.of(0, 0.1, source_ns=i))
    for value in (0.2, 1.7, 0.3):
        inbox.put(Batch.of(0, value))
    inbox.put(Batch.of(1, 0.5))
    seen = samples(inbox.drain(), 0)
    assert len(seen) == WAITING_SAMPLES_A_POINT + 2
    assert seen[-2:] == [(1.7, Quality.BAD_CLOCK), (0.3, Quality.BAD_CLOCK)]
    assert RAISES_FAULT[Quality.BAD_CLOCK]
    assert inbox.folded == 3
    # The crowd has gone: the next sample is an ordinary one again.
    inbox.put(Batch.of(0, 0.4))
    assert samples(inbox.drain(), 0) == [(0.4, Quality.GOOD)]


def test_low_oxygen_is_the_dangerous_side_of_oxygen() -> None:
    inbox, _, _ = inbox_of(low=0)
    for _ in range(WAITING_SAMPLES_A_POINT):
        inbox.put(Batch.of(0, 20.9))
    for value in (20.0, 12.0, 21.0):
        inbox.put(Batch.of(0, value))
    assert [v for v, _ in samples(inbox.drain(), 0)[-2:]] == [12.0, 21.0]


def test_out_of_range_outranks_every_value_and_nan_outranks_none() -> None:
    inbox, _, _ = inbox_of()
    for _ in range(WAITING_SAMPLES_A_POINT):
        inbox.put(Batch.of(0, 0.1))
    inbox.put(Batch.of(0, float("nan")))
    inbox.put(Batch.of(0, 3.9))
    inbox.put(Batch.of(0, 0.0, Quality.OVER_RANGE))
    inbox.put(Batch.of(0, 0.2, Quality.COMMS_LOST))
    assert samples(inbox.drain(), 0)[-2:] == [
        (0.0, Quality.OVER_RANGE),
        (0.2, Quality.COMMS_LOST),
    ]


def test_commands_are_bounded() -> None:
    inbox, _, _ = inbox_of()
    command = Command("ack", "a", "joe")
    assert all(inbox.order(command, i) for i in range(WAITING_COMMANDS))
    assert not inbox.order(command, 999)
    inbox.drain()
    assert inbox.order(command, 1000)


def test_source_times_move_to_the_axis_of_the_engine() -> None:
    inbox, _, _ = inbox_of()
    inbox.offset_ns = 1_000
    inbox.put(Batch.of([0, 1], [1.0, 2.0], source_ns=[5_000, NO_SOURCE_TIME]))
    (entry,) = inbox.drain()
    assert entry.batch is not None
    assert entry.batch.source_ns.tolist() == [4_000, NO_SOURCE_TIME]


def test_a_far_future_stays_one_on_an_axis_that_is_far_ahead_of_the_wall_clock() -> None:
    """A dead clock battery here, and a device that says 2250: doubtful, not history."""
    inbox, _, _ = inbox_of()
    inbox.offset_ns = -1_800_000_000 * 10**9
    inbox.put(Batch.of([0, 1], [1.0, 2.0], source_ns=[8_900_000_000 * 10**9, 10**9]))
    (entry,) = inbox.drain()
    assert entry.batch is not None
    assert entry.batch.source_ns[0] > 4_000_000_000 * 10**9
    assert entry.batch.source_ns[1] == 1_800_000_001 * 10**9


def test_a_crowd_of_retained_messages_does_not_become_fresh() -> None:
    inbox, _, _ = inbox_of()
    for _ in range(WAITING_SAMPLES_A_POINT + 5):
        inbox.put(Batch.of(0, 3.0, retained=True))
    entries = inbox.drain()
    assert len(entries) == WAITING_SAMPLES_A_POINT
    assert all(e.batch is not None and e.batch.retained.all() for e in entries)
    assert inbox.folded == 5
