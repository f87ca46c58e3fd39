"""What the engine is told once, at start: rules, zones, alarms' levels and demands, outputs.

Everything is an index into a table; names live in the tables and at the edges. The gateway
compiles the site's configuration and regulatory profile into a `Plan`; replay and tests build
one by hand.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum, IntFlag
from typing import Literal

from sensors.points import PointTable

Op = Literal[">", ">=", "<", "<="]


class Level(IntEnum):
    """How bad. FAULT stands beside the others; it ranks just above NORMAL only for display."""

    NORMAL = 0
    FAULT = 1
    ALERT = 2
    ALARM = 3
    DANGER = 4


class Demand(IntFlag):
    """What must be done."""

    NONE = 0
    SOUND = 1
    CUT_POWER = 2
    WITHDRAW = 4


LATCHING = Demand.CUT_POWER | Demand.WITHDRAW

Demands = tuple[tuple[Demand, tuple[int, ...]], ...]
"""Pairs of one demand and the zone indices of its scope; an empty scope is the alarm's own zone."""


@dataclass(frozen=True, slots=True)
class Source:
    """Where a limit comes from: shown wherever the limit is shown.

    `verified` is ``"yes"``, ``"partly"`` or ``"no"``: how far the value was checked against the
    legal text itself. Empty strings: a rule of the site's own.
    """

    profile: str = ""
    edition: str = ""
    clause: str = ""
    source: str = ""
    verified: str = "no"


OWN_RULE = Source()
"""A rule of the site's own, or of the gateway's."""


@dataclass(frozen=True, slots=True)
class LimitRule:
    """``value op set`` raises, ``value reset_op reset`` clears. Values in the point's unit."""

    id: str
    point: int
    op: Op
    set: float
    reset_op: Op
    reset: float
    level: Level
    demands: Demands = ()
    on_delay_s: float = 0.0
    off_delay_s: float = 0.0
    source: Source = OWN_RULE
    guidance: str = ""


@dataclass(frozen=True, slots=True)
class TrendRule:
    """Abnormal emission: the Theil-Sen slope of the good samples in a window reaches a rise.

    True when the median of pairwise slopes of the good samples with age < `window_s` is
    ``>= rise_per_min`` [unit/min] (equal within 1e-6 relative), from at least `min_samples`
    samples that span at least half the window; false again at a good sample whose slope is
    ``< reset_per_min``. Good: may set and clear. A sample's time is the earlier of its source
    time and its stamp; the window is (t - window, t], t the time of the newest good sample. Pairs
    of samples at one instant have no slope. More than 512 samples (or twice `min_samples`) in
    the window are thinned (`alarms.trends.thinned`).
    """

    id: str
    point: int
    rise_per_min: float
    reset_per_min: float
    window_s: float
    min_samples: int
    level: Level
    demands: Demands = ()
    source: Source = OWN_RULE
    guidance: str = ""


@dataclass(frozen=True, slots=True)
class VoteRule:
    """At least `m` of the member rules; lost members lower the bar, to no less than one."""

    id: str
    zone: int
    members: tuple[int, ...]
    m: int
    level: Level
    demands: Demands = ()
    source: Source = OWN_RULE
    guidance: str = ""


@dataclass(frozen=True, slots=True)
class LossRule:
    """Loss of monitoring of one zone."""

    lost_after_s: float
    back_after_s: float
    level: Level
    demands: Demands = ()
    source: Source = OWN_RULE


@dataclass(frozen=True, slots=True)
class LadderRule:
    """Main-fan ladder: sections at once, the mine after `mine_after_s` of standstill."""

    zone: int
    fan_rules: tuple[int, ...]
    sections: tuple[int, ...]
    mine_after_s: float
    source: Source = OWN_RULE


@dataclass(frozen=True, slots=True)
class ZoneSpec:
    """A part of the mine in which people are warned together."""

    id: str
    zone_class: str
    name: str = ""
    downwind: tuple[int, ...] = ()
    airflow_points: tuple[int, ...] = ()
    loss: LossRule | None = None


@dataclass(frozen=True, slots=True)
class OutputSpec:
    """One siren, beacon or power cut; on while one of its zones has its demand (or FAULT)."""

    id: str
    zones: tuple[int, ...]
    demand: Demand
    on_fault: bool = False
    agreement_point: int = -1
    feed_point: int = -1
    name: str = ""


@dataclass(frozen=True, slots=True)
class Plan:
    """Everything the engine decides by. Order of rules is the configuration's order."""

    points: PointTable
    zones: tuple[ZoneSpec, ...]
    limits: tuple[LimitRule, ...] = ()
    trends: tuple[TrendRule, ...] = ()
    votes: tuple[VoteRule, ...] = ()
    ladder: LadderRule | None = None
    outputs: tuple[OutputSpec, ...] = ()
    realarm_s: float = 0.0
    all_zones: tuple[int, ...] = field(default=())
