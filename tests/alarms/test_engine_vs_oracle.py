"""The engine against the oracle, row by row, over random mines and random histories.

`HYPOTHESIS_MAX_EXAMPLES` and `FIREDAMP_HISTORIES` make the runs longer (``make`` takes them from
the environment); a seeded history that differs is shortened before it is shown.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Final, TypeVar

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from alarms.engine import Engine
from alarms.events import Row, State
from alarms.plan import Plan
from sensors.quality import Quality
from tests.oracle import book, judges, points, rules, zones
from tests.oracle.book import Alarm, alarm_book
from tests.oracle.duel import batch_of, command_of, duel, shortened
from tests.oracle.machine import Oracle
from tests.oracle.worlds import SECOND, START, Choices, Event, Seeded, draw_history, draw_plan

EXAMPLES: Final = int(os.environ.get("HYPOTHESIS_MAX_EXAMPLES", "200"))
HISTORIES: Final = int(os.environ.get("FIREDAMP_HISTORIES", "200"))
LIMIT_S: Final = 120 + HISTORIES  # a history takes some 30 ms; this is for busy machines

T = TypeVar("T")


class Drawn:
    """Choices that Hypothesis makes, and shrinks."""

    def __init__(self, draw: Callable[[st.SearchStrategy[int]], int]) -> None:
        self.draw = draw

    def one(self, options: Sequence[T]) -> T:
        return options[self.upto(len(options) - 1)]

    def upto(self, most: int) -> int:
        return self.draw(st.integers(0, most))


def world(c: Choices, steps: int) -> tuple[Plan, list[Event]]:
    plan = draw_plan(c)
    return plan, draw_history(c, plan, [alarm.id for alarm in alarm_book(plan)], steps)


def seeded(seed: int) -> tuple[Plan, list[Event]]:
    c = Seeded(seed)
    return world(c, 5 + c.upto(45))


worlds = st.composite(lambda draw: world(Drawn(draw), draw(st.integers(1, 12))))()
thorough = settings(
    max_examples=EXAMPLES,
    deadline=None,
    database=None,
    derandomize=EXAMPLES == 200,  # the same histories on every machine; long runs look elsewhere
    phases=(Phase.generate, Phase.shrink),
    suppress_health_check=list(HealthCheck),
)


@pytest.mark.timeout(LIMIT_S + EXAMPLES)
@thorough
@given(worlds)
def test_rows_and_outputs_are_those_of_the_oracle(given_world: tuple[Plan, list[Event]]) -> None:
    difference = duel(*given_world)
    assert difference is None, str(difference)


@pytest.mark.timeout(LIMIT_S)
def test_longer_histories_too() -> None:
    for seed in range(HISTORIES):
        plan, history = seeded(seed)
        if duel(plan, history) is not None:
            short = shortened(plan, history, duel)
            pytest.fail(f"seed {seed}: {duel(plan, short)}\n{plan}\n" + "\n".join(map(str, short)))


@pytest.mark.timeout(LIMIT_S)
def test_wider_mines_too() -> None:
    for seed in range(HISTORIES // 20):
        c = Seeded(seed)
        plan = draw_plan(c, scale=5)
        history = draw_history(c, plan, [alarm.id for alarm in alarm_book(plan)], 40)
        difference = duel(plan, history)
        assert difference is None, f"seed {seed}: {difference}"


def ticks_of(seed: int, history: Sequence[Event]) -> Callable[[int], Sequence[int]]:
    """Return up to three instants before each event, that of the event itself among them."""
    c = Seeded(seed)
    instants: list[list[int]] = []
    before = START
    for event in history:
        latest = event.t_ns - 1 if event.restart else event.t_ns
        some = {before + (latest - before) * c.upto(8) // 8 for _ in range(c.upto(3))}
        instants.append(sorted(some))
        before = event.t_ns
    return lambda i: instants[i]


@pytest.mark.timeout(LIMIT_S)
def test_extra_ticks_change_no_row() -> None:
    for seed in range(HISTORIES // 4):
        plan, history = seeded(seed)
        difference = duel(plan, history, ticks_of(seed, history))
        assert difference is None, f"seed {seed}: {difference}"


@pytest.mark.timeout(LIMIT_S)
def test_a_restart_after_any_event_is_that_of_the_oracle() -> None:
    for seed in range(max(3, HISTORIES // 40)):
        plan, history = seeded(seed)
        events = history[:25]
        for i, event in enumerate(events):
            restart = Event(event.t_ns + 1 + (seed % 3) * SECOND // 2, restart=True)
            later = [e for e in events[i + 1 :] if e.t_ns > restart.t_ns]
            difference = duel(plan, [*events[: i + 1], restart, *later])
            assert difference is None, f"seed {seed}, restart after {i}: {difference}"


def rows_after(plan: Plan, blob: bytes, events: Sequence[Event]) -> list[Row]:
    engine, oracle = Engine(plan), Oracle(plan)  # the oracle only names the alarms
    oracle.start(START)
    t = events[0].t_ns
    rows = list(engine.start(t, snapshot=blob).rows)
    for event in events[1:]:
        commands = [command_of(ask, event.t_ns, oracle) for ask in event.asks]
        rows += engine.step(event.t_ns, batch_of(event.samples), commands).rows
    return rows


def test_one_snapshot_gives_one_future() -> None:
    for seed in range(20):
        plan, history = seeded(seed)
        engine = Engine(plan)
        engine.start(START)
        half = len(history) // 2
        for event in history[:half]:
            engine.step(event.t_ns, batch_of(event.samples))
        blob = engine.snapshot()
        assert engine.snapshot() == blob
        assert rows_after(plan, blob, history[half:]) == rows_after(plan, blob, history[half:])


# -- the histories reach what they are meant to reach, and faults are found ---------------------


class Counting(Oracle):
    """An oracle that strikes out the cells of the table that it enters."""

    def __init__(self, plan: Plan, missing: set[tuple[bool, State, book.Event]]) -> None:
        super().__init__(plan)
        self.missing = missing

    def move(
        self,
        alarm: Alarm,
        event: book.Event,
        *,
        condition: bool,
        actor: str = "",
        late_value: float | None = None,
    ) -> None:
        self.missing.discard((alarm.latching, alarm.state, event))
        super().move(alarm, event, condition=condition, actor=actor, late_value=late_value)


@pytest.mark.timeout(LIMIT_S)
def test_the_histories_enter_every_cell_of_the_table() -> None:
    missing = {
        (latching, state, event)
        for latching, table in ((False, book.PLAIN), (True, book.LATCHING))
        for state, after in table.items()
        for event, to_state in zip(book.EVENTS, after, strict=True)
        if to_state is not None
    }
    seed = 0
    while missing and seed < 3000:
        plan, history = seeded(seed)
        oracle = Counting(plan, missing)
        oracle.start(START)
        for event in history:
            if event.restart:
                oracle.restart(event.t_ns, clock_proved=event.clock_proved)
            else:
                commands = [command_of(ask, event.t_ns, oracle) for ask in event.asks]
                oracle.step(event.t_ns, event.samples, commands)
        seed += 1
    assert not missing


def strict_compare(value: float, op: str, limit: float) -> bool:
    return {">": value > limit, ">=": value >= limit, "<": value < limit}.get(op, value <= limit)


def one_step_downwind(
    self: zones.Zones, alarm: Alarm, _demand: object, where: tuple[int, ...]
) -> set[int]:
    scope = set(where) or {alarm.zone}
    return scope | {d for z in scope for d in self.plan.zones[z].downwind}


FAULTS: dict[str, Callable[[pytest.MonkeyPatch], None]] = {
    "a float32 limit is not met": lambda m: m.setattr(rules, "compare", strict_compare),
    "stale a nanosecond late": lambda m: m.setattr(
        points.PointMemory, "max_age_ns", property(lambda s: round(s.spec.max_age_s * 1e9) + 1)
    ),
    "a stuck sensor may clear": lambda m: m.setattr(
        rules, "SET_AND_CLEAR", {Quality.GOOD, Quality.UNCERTAIN, Quality.STUCK}
    ),
    "late says nothing": lambda m: m.setattr(rules.LimitMemory, "late_sets", lambda *_: False),
    "downwind one step": lambda m: m.setattr(zones.Zones, "scope", one_step_downwind),
    "out of service still guards": lambda m: m.setattr(judges, "out_of_service", lambda *_: False),
    "the first stop is forgotten": lambda m: m.setattr(
        rules.LadderMemory, "deadlines", lambda *_, **__: []
    ),
    "over range does not latch": lambda m: m.setattr(points.PointMemory, "_latch", lambda *_: None),
}


@pytest.mark.timeout(LIMIT_S)
@pytest.mark.parametrize("fault", FAULTS)
def test_the_comparison_finds_seeded_faults(fault: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Control: an oracle that is wrong in one sentence of the text must be noticed."""
    FAULTS[fault](monkeypatch)
    assert any(duel(*seeded(seed)) is not None for seed in range(400))
