"""Small mines and short histories, drawn from any source of choices.

`Choices` is all that is needed: Hypothesis fills it in the tests, a seeded generator in long
runs. A history is data: it can be printed, shortened and played again.
"""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol, TypeVar

import numpy as np

from alarms.plan import (
    Demand,
    Demands,
    LadderRule,
    Level,
    LimitRule,
    LossRule,
    Op,
    OutputSpec,
    Plan,
    TrendRule,
    VoteRule,
    ZoneSpec,
)
from sensors.frame import NO_SOURCE_TIME
from sensors.points import PointSpec, PointTable
from sensors.quality import Quality
from tests.oracle.points import Sample

T = TypeVar("T")
SECOND = 1_000_000_000
START = 1_000 * SECOND


class Choices(Protocol):
    """Where randomness comes from."""

    def one(self, options: Sequence[T]) -> T: ...

    def upto(self, most: int) -> int: ...


class Seeded:
    """Choices from a seed."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)

    def one(self, options: Sequence[T]) -> T:
        return self.random.choice(options)

    def upto(self, most: int) -> int:
        return self.random.randint(0, most)


def maybe(c: Choices, percent: int) -> bool:
    return c.upto(99) < percent


# -- plans ------------------------------------------------------------------------------------

QUANTITIES = ("CH4", "CH4", "CO", "air_velocity", "air_direction", "air_quantity", "fan_run")
LEVELS = (Level.ALERT, Level.ALARM, Level.DANGER)
HEAVY = (Demand.CUT_POWER, Demand.WITHDRAW)


def draw_demands(c: Choices, zones: int, *, heavy: int = 50) -> Demands:
    demands: list[tuple[Demand, tuple[int, ...]]] = []
    kinds = [Demand.SOUND] if maybe(c, 40) else []
    if maybe(c, heavy):
        kinds.append(c.one(HEAVY))
    for kind in kinds:
        scope = () if maybe(c, 60) else tuple({c.upto(zones - 1) for _ in range(1 + c.upto(1))})
        demands.append((kind, scope))
    return tuple(demands)


def draw_point(c: Choices, i: int, zones: int) -> PointSpec:
    catalytic = maybe(c, 30)
    quantity = "CH4" if catalytic else c.one(QUANTITIES)
    return PointSpec(
        id=f"p{i}.x",
        quantity=quantity,
        zone=c.upto(zones - 1),
        range_low=c.one((-math.inf, -1.0, 0.0)),
        range_high=c.one((4.0, 4.0, math.inf)),
        max_age_s=c.one((2.0, 3.0, 5.0, 0.0) if maybe(c, 10) else (2.0, 3.0, 5.0)),
        catalytic=catalytic,
        guards=maybe(c, 85),
    )


def draw_limit(c: Choices, i: int, points: int, zones: int) -> LimitRule:
    op: Op = c.one((">", ">=", ">=", "<", "<="))
    limit = c.one((1.0, 1.5, 0.0))
    upward = op.startswith(">")
    reset_op: Op = c.one(("<", "<=")) if upward else c.one((">", ">="))
    gap = c.one((0.0, 0.5, -0.5 if maybe(c, 20) else 0.5))
    return LimitRule(
        id=f"limit{i}",
        point=c.upto(points - 1),
        op=op,
        set=limit,
        reset_op=reset_op,
        reset=limit - gap if upward else limit + gap,
        level=c.one(LEVELS),
        demands=draw_demands(c, zones),
        on_delay_s=c.one((0.0, 0.0, 1.0, 4.0)),
        off_delay_s=c.one((0.0, 0.0, 1.0, 3.0)),
    )


def draw_trend(c: Choices, i: int, points: int, zones: int) -> TrendRule:
    rise = c.one((6.1357, 20.147))
    return TrendRule(
        id=f"trend{i}",
        point=c.upto(points - 1),
        rise_per_min=rise,
        reset_per_min=c.one((rise, rise / 3)),
        window_s=c.one((3.0, 6.0)),
        min_samples=c.one((2, 3, 4)),
        level=c.one(LEVELS),
        demands=draw_demands(c, zones),
    )


def draw_zone(c: Choices, i: int, zones: int, specs: Sequence[PointSpec]) -> ZoneSpec:
    loss = None
    if maybe(c, 60):
        loss = LossRule(
            lost_after_s=c.one((0.0, 2.0, 4.0)),
            back_after_s=c.one((0.0, 1.0, 3.0)),
            level=c.one(LEVELS),
            demands=draw_demands(c, zones),
        )
    airflow: tuple[int, ...] = ()
    air = [p for p, spec in enumerate(specs) if spec.quantity.startswith("air_")]
    if air and maybe(c, 50):
        airflow = tuple(dict.fromkeys(c.one(air) for _ in range(1 + c.upto(1))))
    downwind = tuple(sorted({c.upto(zones - 1) for _ in range(c.upto(2))} - {i}))
    return ZoneSpec(f"z{i}", "heading", "", downwind, airflow, loss)


def draw_output(c: Choices, i: int, zones: int) -> OutputSpec:
    demand = c.one((Demand.SOUND, Demand.CUT_POWER, Demand.WITHDRAW, Demand.NONE))
    return OutputSpec(
        id=f"out{i}",
        zones=tuple(sorted({c.upto(zones - 1) for _ in range(1 + c.upto(1))})),
        demand=demand,
        on_fault=demand == Demand.NONE or maybe(c, 15),
    )


def draw_plan(c: Choices, scale: int = 1) -> Plan:
    """One to four zones, one to six points (times `scale`), and whatever rules fit on them."""
    zones, points = 1 + c.upto(3 * scale), 1 + c.upto(6 * scale - 1)
    limits = tuple(draw_limit(c, i, points, zones) for i in range(c.upto(6 * scale)))
    votes: list[VoteRule] = []
    if len(limits) > 1:
        for i in range(c.upto(2 * scale)):
            members = tuple({c.upto(len(limits) - 1) for _ in range(2 + c.upto(1))})
            m = 1 + c.upto(len(members) - 1)
            demands = draw_demands(c, zones)
            votes.append(
                VoteRule(f"vote{i}", c.upto(zones - 1), members, m, c.one(LEVELS), demands)
            )
    ladder = None
    if maybe(c, 40):
        fan_rules = tuple({c.upto(len(limits) - 1) for _ in range(1 + c.upto(1))} if limits else ())
        sections = tuple(sorted({c.upto(zones - 1) for _ in range(1 + c.upto(1))}))
        ladder = LadderRule(c.upto(zones - 1), fan_rules, sections, c.one((0.0, 3.0, 10.0)))
    specs = tuple(draw_point(c, i, zones) for i in range(points))
    return Plan(
        points=PointTable.of(specs),
        zones=tuple(draw_zone(c, i, zones, specs) for i in range(zones)),
        limits=limits,
        trends=tuple(draw_trend(c, i, points, zones) for i in range(c.upto(2 * scale))),
        votes=tuple(votes),
        ladder=ladder,
        outputs=tuple(draw_output(c, i, zones) for i in range(c.upto(3 * scale))),
        realarm_s=c.one((0.0, 0.0, 2.0)),
        all_zones=() if maybe(c, 60) else tuple(range(zones - 1 if zones > 1 else 1)),
    )


# -- histories --------------------------------------------------------------------------------


@dataclass(frozen=True)
class Ask:
    """A command whose end and seen seq are resolved when it is played."""

    kind: str
    target: str
    actor: str = "Ann"
    second: str = ""
    reason: str = "r"
    measure: str = "m"
    until_s: float = 5.0  # from the command's stamp
    stale: bool = False  # its author saw nothing of the alarm's last row


@dataclass
class Event:
    """One step, or a restart."""

    t_ns: int
    samples: list[Sample] = field(default_factory=list)
    asks: list[Ask] = field(default_factory=list)
    restart: bool = False
    clock_proved: bool = True


# Values around the limits; float32(1.0) decoded badly is 0.99999994.
VALUES = (
    0.0, 0.5, 0.5, 0.99999994, 1.0, 1.0000001, 1.2, 1.5, 2.0, 3.0, 4.0, 4.5, -0.5, -2.0,
    math.nan, math.inf, float(np.float32(1.1)),
)  # fmt: skip
CALM = (0.2, 0.3, 0.5, 0.99999994, 1.0, 1.2, 2.0, 2.5)
GAPS_NS = (
    1, SECOND // 2, SECOND // 2, SECOND, SECOND, SECOND, 2 * SECOND, 2 * SECOND + 1, 3 * SECOND,
    5 * SECOND, 8 * SECOND,
)  # fmt: skip
QUICK_NS = (1, SECOND // 4, SECOND // 2, SECOND // 2, SECOND // 2, SECOND, SECOND, 3 * SECOND)
QUALITIES = tuple(q for q in Quality if q != Quality.LATE)
KINDS = (
    "evacuate", "ack", "ack", "ack", "ack", "ack", "shelve", "shelve", "unshelve", "reset",
    "reset", "reset", "reset", "calibrate", "recalibrated", "out", "out", "in", "found",
)  # fmt: skip


def draw_sample(c: Choices, plan: Plan, t: int, last_source: dict[int, int]) -> Sample:
    p = c.upto(len(plan.points) - 1)
    calm = maybe(c, 60)
    value = c.one(CALM if calm else VALUES)
    quality = Quality.GOOD if calm or maybe(c, 40) else c.one(QUALITIES)
    max_age = round(plan.points.specs[p].max_age_s * 1e9)
    # Each point either has source times or has none, with exceptions.
    source = NO_SOURCE_TIME
    if maybe(c, 60 if p % 2 else 10):
        source = t + c.one(
            (0, 0, -SECOND // 2, -SECOND, SECOND, -max_age, -max_age - 1, max_age, max_age + 1)
        )
        if p in last_source and maybe(c, 25):
            source = last_source[p] + c.one((0, 0, -1, 1))
        last_source[p] = source
    if maybe(c, 1):
        source = c.one((0, 2**63 - 1, 1 - 2**63))  # a clock that has lost its mind
    return Sample(p, value, quality, source, retained=maybe(c, 4))


def draw_ask(c: Choices, plan: Plan, alarm_ids: Sequence[str]) -> Ask:
    kind = c.one(KINDS)
    if kind == "evacuate":
        target = c.one([*(z.id for z in plan.zones), "all"])
    elif kind in {"calibrate", "recalibrated"}:
        target = c.one(plan.points.ids)
    elif kind == "found":
        target = c.one([o.id for o in plan.outputs] or ["nothing"])
    elif maybe(c, 75):
        # One of the alarms that a command of this kind will suit then.
        target = f"@{c.one((0, 0, 0, 1, 1, 2, 3, 5, 7, 9))}"
    else:
        target = c.one(alarm_ids)
    if maybe(c, 2):
        target = "nothing"
    return Ask(
        kind,
        target,
        actor=c.one(("", " ")) if maybe(c, 2) else "Ann",
        second=c.one(("Bob", "Bob", "Bob", "Bob ", "Ann", "ann ", "", " ")),
        reason="" if maybe(c, 5) else "r",
        measure="" if maybe(c, 5) else "m",
        until_s=c.one((5.0, 2.0, 1.0, 9.0, 0.0, -1.0) if maybe(c, 30) else (5.0, 2.0, 9.0)),
        stale=maybe(c, 15),
    )


def draw_history(c: Choices, plan: Plan, alarm_ids: Sequence[str], steps: int) -> list[Event]:
    """Draw `steps` events with samples, gaps, commands and a few restarts."""
    events: list[Event] = []
    t = START
    last_source: dict[int, int] = {}
    gaps = c.one((GAPS_NS, QUICK_NS))
    for _ in range(steps):
        t += c.one(gaps)
        if maybe(c, 4):
            events.append(Event(t, restart=True, clock_proved=maybe(c, 70)))
            continue
        if maybe(c, 25):  # a sweep: every point reads well
            samples = [Sample(p, c.one(CALM), Quality.GOOD) for p in range(len(plan.points))]
        else:
            most = max(4, len(plan.points) // 2)
            samples = [draw_sample(c, plan, t, last_source) for _ in range(c.upto(most))]
        asks = [draw_ask(c, plan, alarm_ids) for _ in range(c.upto(3))] if maybe(c, 45) else []
        events.append(Event(t, samples, asks))
    return events
