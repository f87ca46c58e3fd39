"""A small mine to try rules on by hand, and rows written so that they can be read."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

from alarms.engine import Engine
from alarms.events import Command, CommandKind, Row
from alarms.plan import (
    Demands,
    LadderRule,
    Level,
    LimitRule,
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
from tests.oracle.duel import batch_of
from tests.oracle.points import Sample

START_NS = 1_000_000_000_000


def ns(seconds: float | str) -> int:
    """Seconds after the start to engine time; a string keeps every nanosecond."""
    return START_NS + int(Decimal(str(seconds)) * 10**9)


def point(name: str = "g", **given: object) -> PointSpec:
    plain: dict[str, object] = {
        "quantity": "CH4", "zone": 0, "range_low": 0.0, "range_high": 100.0, "max_age_s": 10.0,
    }  # fmt: skip
    return PointSpec(id=name, **{**plain, **given})  # type: ignore[arg-type]


def limit(
    name: str = "gas",
    p: int = 0,
    op: Op = ">=",
    at: float = 1.0,
    back_op: Op = "<",
    back: float = 0.8,
    *,
    level: Level = Level.ALARM,
    demands: Demands = (),
    on: float = 0.0,
    off: float = 0.0,
) -> LimitRule:
    return LimitRule(name, p, op, at, back_op, back, level, demands, on, off)


def sample(
    value: float,
    quality: Quality = Quality.GOOD,
    *,
    p: int = 0,
    source: float | str | None = None,
    retained: bool = False,
) -> Sample:
    source_ns = NO_SOURCE_TIME if source is None else ns(source)
    return Sample(p, value, quality, source_ns, retained)


class Mine:
    """An engine that is fed samples and asked questions, second by second."""

    def __init__(
        self,
        points: Sequence[PointSpec] = (),
        limits: Sequence[LimitRule] = (),
        *,
        zones: Sequence[ZoneSpec] = (),
        trends: Sequence[TrendRule] = (),
        votes: Sequence[VoteRule] = (),
        ladder: LadderRule | None = None,
        outputs: Sequence[OutputSpec] = (),
        realarm_s: float = 0.0,
    ) -> None:
        self.plan = Plan(
            points=PointTable.of(tuple(points) or (point(),)),
            zones=tuple(zones) or (ZoneSpec("z", "heading"),),
            limits=tuple(limits),
            trends=tuple(trends),
            votes=tuple(votes),
            ladder=ladder,
            outputs=tuple(outputs),
            realarm_s=realarm_s,
        )
        self.engine = Engine(self.plan)
        self.seq = 0
        result = self.engine.start(START_NS)
        self.outputs = [bool(x) for x in result.outputs]
        self.at_start = self._tell(result.rows)

    def at(self, seconds: float | str, *samples: Sample | float) -> list[str]:
        """Step with samples; a bare number is a good one of the first point."""
        given = [s if isinstance(s, Sample) else sample(s) for s in samples]
        result = self.engine.step(ns(seconds), batch_of(given))
        self.outputs = [bool(x) for x in result.outputs]
        return self._tell(result.rows)

    def ask(
        self,
        seconds: float | str,
        kind: CommandKind,
        target: str,
        actor: str = "Ann",
        *,
        second: str = "",
        until: float = 0.0,
        seen: int | None = None,
        reason: str = "dust",
        measure: str = "handheld",
    ) -> list[str]:
        """Step with one command; `seen` is everything if not given."""
        command = Command(
            kind, target, actor, reason, second, measure, ns(until),
            self.seq if seen is None else seen,
        )  # fmt: skip
        result = self.engine.step(ns(seconds), None, (command,))
        self.outputs = [bool(x) for x in result.outputs]
        return self._tell(result.rows)

    def restart(self, seconds: float | str, *, clock_proved: bool = True) -> list[str]:
        blob = self.engine.snapshot()
        self.engine = Engine(self.plan)
        result = self.engine.start(ns(seconds), snapshot=blob, clock_proved=clock_proved)
        self.outputs = [bool(x) for x in result.outputs]
        return self._tell(result.rows)

    def _tell(self, rows: Sequence[Row]) -> list[str]:
        for row in rows:
            assert row.seq == self.seq + 1
            assert row.reason
            self.seq = row.seq
        return [line(row) for row in rows]


def line(row: Row) -> str:
    """``seq time alarm: states levels [demands] value quality <cause by actor``."""
    seconds = (Decimal(row.t_ns - START_NS) / 10**9).normalize()
    demands = "+".join(row.demands)
    by = f" by {row.actor}" if row.actor else ""
    head = f"{row.seq} {seconds:f}s"
    tail = f"<{row.cause_seq}{by}"
    levels = f"{row.from_level}>{row.to_level}"
    if not row.rule and not row.point and row.zone:
        assert (row.from_state, row.to_state, row.value, row.quality) == ("", "", None, "")
        return f"{head} zone {row.zone}: {levels} [{demands}] {tail}"
    if not row.rule:
        assert (row.from_state, row.to_state, row.value) == ("", "", None)
        return f"{head} refused {row.point} {tail}"
    value = "-" if row.value is None else f"{row.value:.9g}"
    states = f"{row.from_state}>{row.to_state}"
    return f"{head} {row.rule}: {states} {levels} [{demands}] {value} {row.quality or '-'} {tail}"
