"""Engine and oracle on the same history: the first difference, and a shorter history with it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from typing import cast

import numpy as np

from alarms.engine import Engine, StepResult
from alarms.events import Command, CommandKind, Row, State
from alarms.plan import Plan
from sensors.frame import Batch
from tests.oracle.machine import Oracle, Result
from tests.oracle.points import Sample
from tests.oracle.worlds import SECOND, START, Ask, Event

FIELDS = tuple(name for name in Row.__dataclass_fields__ if name != "reason")


@dataclass
class Difference:
    """Where the two part."""

    at: int  # index of the event; -1: the start
    what: str
    engine: object
    oracle: object

    def __str__(self) -> str:
        return f"event {self.at}: {self.what}\n  engine: {self.engine}\n  oracle: {self.oracle}"


def batch_of(samples: Sequence[Sample]) -> Batch | None:
    if not samples:
        return None
    return Batch(
        np.array([s.point for s in samples], dtype=np.int32),
        np.array([s.value for s in samples], dtype=np.float64),
        np.array([s.quality for s in samples], dtype=np.uint8),
        np.array([s.source_ns for s in samples], dtype=np.int64),
        np.array([s.retained for s in samples], dtype=np.bool_),
    )


SUITS: dict[str, set[State]] = {
    "ack": {State.UNACKED, State.RETURNED_UNACKED},
    "shelve": {State.NORMAL, State.UNACKED, State.ACKED, State.RETURNED_UNACKED},
    "unshelve": {State.SHELVED},
    "reset": {State.LATCHED},
    "out": set(State) - {State.OUT_OF_SERVICE},
    "in": {State.OUT_OF_SERVICE},
}


def target_of(ask: Ask, oracle: Oracle) -> str:
    """Resolve ``@n`` to one of the alarms that the command suits now."""
    if not ask.target.startswith("@"):
        return ask.target
    suited = [
        a
        for a in oracle.alarms
        if (a.state in SUITS[ask.kind] and not (ask.kind == "shelve" and a.latching))
        or (ask.kind == "reset" and a.kind == "manual" and a.state == State.ACKED)
    ]
    # Those that stand out come first, or the quiet maintenance alarms would hide them.
    suited.sort(
        key=lambda a: (
            a.state == State.NORMAL,
            a.kind in {"fault", "maintenance"},
            a.state != State.LATCHED,
            a.kind not in {"vote", "lost"},
        )
    )
    options = suited or oracle.alarms
    return options[int(ask.target[1:]) % len(options)].id


def command_of(ask: Ask, t: int, oracle: Oracle) -> Command:
    """Resolve what its author saw (the newest row, or none since the alarm last moved)."""
    target = target_of(ask, oracle)
    alarm = oracle.by_id.get(target)
    seen = oracle.seq
    if ask.stale:
        seen = max(0, alarm.last_move - 1) if alarm is not None else 0
    return Command(
        kind=cast("CommandKind", ask.kind),
        target=target,
        actor=ask.actor,
        reason=ask.reason,
        second=ask.second,
        measure=ask.measure,
        until_ns=t + round(ask.until_s * SECOND),
        seen_seq=seen,
    )


def rows_differ(at: int, engine: Sequence[Row], oracle: Sequence[Row]) -> Difference | None:
    """Compare field by field; reasons only by being there at all where a command is refused."""
    for i, (a, b) in enumerate(zip(engine, oracle, strict=False)):
        x, y = asdict(a), asdict(b)
        for name in FIELDS:
            if x[name] != y[name]:
                return Difference(at, f"row {i}, {name}: {x[name]!r} / {y[name]!r}", a, b)
        if a.actor and a.from_state == a.to_state and not a.reason and b.reason:
            return Difference(at, f"row {i}: no reason", a, b)
    if len(engine) > len(oracle):
        return Difference(at, "a row more", engine[len(oracle)], None)
    if len(oracle) > len(engine):
        return Difference(at, "a row less", None, oracle[len(engine)])
    return None


def outputs_differ(at: int, engine: StepResult, oracle: Result) -> Difference | None:
    states = [bool(x) for x in engine.outputs]
    if states != oracle.outputs:
        return Difference(at, "outputs", states, oracle.outputs)
    return None


Ticks = Callable[[int], Sequence[int]]


def duel(plan: Plan, history: Sequence[Event], ticks: Ticks | None = None) -> Difference | None:
    """Play the history on both; `ticks(i)`: extra instants for the engine before event `i`.

    Before a restart the oracle is brought up to the last of them too: time that passes before a
    power cut is another matter than time that passes while down.
    """
    engine, oracle = Engine(plan), Oracle(plan)
    difference = compare(-1, engine.start(START), oracle.start(START))
    for i, event in enumerate(history):
        if difference is not None:
            return difference
        instants = ticks(i) if ticks is not None else ()
        rows = [row for t in instants for row in engine.step(t).rows]
        if event.restart:
            before = oracle.step(instants[-1]).rows if instants else []
            difference = rows_differ(i, rows, before)
            blob = engine.snapshot()
            engine, rows = Engine(plan), []
            got = engine.start(event.t_ns, snapshot=blob, clock_proved=event.clock_proved)
            want = oracle.restart(event.t_ns, clock_proved=event.clock_proved)
        else:
            asks = [command_of(ask, event.t_ns, oracle) for ask in event.asks]
            got = engine.step(event.t_ns, batch_of(event.samples), asks)
            want = oracle.step(event.t_ns, event.samples, asks)
        difference = difference or compare(i, got, want, rows)
    return difference


def compare(
    at: int, engine: StepResult, oracle: Result, before: Sequence[Row] = ()
) -> Difference | None:
    rows = [*before, *engine.rows]
    return rows_differ(at, rows, oracle.rows) or outputs_differ(at, engine, oracle)


def shortened(
    plan: Plan, history: Sequence[Event], differs: Callable[[Plan, Sequence[Event]], object]
) -> list[Event]:
    """Leave out events, samples and commands as long as `differs` stays true."""
    events = list(history)
    changed = True
    while changed:
        changed = False
        for shorter in _shorter(events):
            if differs(plan, shorter):
                events, changed = shorter, True
                break
    return events


def _shorter(events: list[Event]) -> Iterator[list[Event]]:
    """Every history with one event, one sample or one command less, the last ones first."""
    for i in reversed(range(len(events))):
        yield events[:i] + events[i + 1 :]
    for i, e in enumerate(events):
        for k in range(len(e.samples)):
            less = replace(e, samples=e.samples[:k] + e.samples[k + 1 :])
            yield [*events[:i], less, *events[i + 1 :]]
        for k in range(len(e.asks)):
            less = replace(e, asks=e.asks[:k] + e.asks[k + 1 :])
            yield [*events[:i], less, *events[i + 1 :]]
