"""The oracle: section 5 of the design, played through slowly with dicts and loops.

It shares the specification types and the row with the engine, and no table and no code. Where
the text leaves room, AMBIGUITIES.md says which reading is played here.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from alarms.events import Command, Row, State
from alarms.plan import Level, Plan
from sensors.quality import Quality
from tests.oracle.book import Alarm, Event, alarm_book
from tests.oracle.judges import JUDGES, Look
from tests.oracle.people import obey
from tests.oracle.points import PointMemory, Sample
from tests.oracle.rules import LadderMemory, LimitMemory, LossMemory, TrendMemory, ns
from tests.oracle.zones import Zones


@dataclass
class Result:
    """What one step returns."""

    rows: list[Row]
    outputs: list[bool]


class Oracle:
    """One mine, evaluated literally."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.points = [PointMemory(spec) for spec in plan.points.specs]
        self.limits = [LimitMemory(rule) for rule in plan.limits]
        self.trends = [TrendMemory(rule) for rule in plan.trends]
        self.losses = {
            z: LossMemory(zone.loss) for z, zone in enumerate(plan.zones) if zone.loss is not None
        }
        self.ladder = LadderMemory(plan.ladder) if plan.ladder is not None else None
        self.alarms = alarm_book(plan)
        self.by_id = {alarm.id: alarm for alarm in self.alarms}
        self.zones = Zones(plan, self.alarms, self.points, self.ladder)
        self.seq = 0
        self.now = 0
        self.rows: list[Row] = []

    # -- time (5.0, 5.10) ---------------------------------------------------------------------

    def start(self, t: int) -> Result:
        """Start for the first time."""
        self.rows = []
        for point in self.points:
            point.start(t)
        self.evaluate(t, Look())
        return self.result()

    def restart(self, t: int, *, clock_proved: bool = True) -> Result:
        """Start over with all but off clocks and freshness."""
        for limit in self.limits:
            limit.off_since = None
        for loss in self.losses.values():
            loss.none_lost_since = None
        if self.ladder is not None and self.ladder.first_stop is not None and not clock_proved:
            self.ladder.time_is_over = True
        return self.start(t)

    def step(
        self, t: int, samples: Sequence[Sample] = (), commands: Iterable[Command] = ()
    ) -> Result:
        """Deadlines up to `t` first, in order; then the samples of `t`; then the commands."""
        self.rows = []
        while due := [d for d in self.deadlines() if self.now < d <= t]:
            self.evaluate(min(due), Look())
        for group in groups_of(samples):
            self.evaluate(t, self.look_at(t, group))
        for command in commands:
            self.now = t
            obey(self, command)
            self.evaluate(t, Look())
        return self.result()

    def result(self) -> Result:
        return Result(self.rows, self.zones.outputs())

    def deadlines(self) -> list[int]:
        """Every instant, past or future, at which some timer says something."""
        due = [d for point in self.points for d in point.deadlines()]
        for alarm in self.alarms:
            if alarm.kind == "limit":
                due += self.limits[alarm.number].deadlines(condition=alarm.condition)
            if alarm.kind == "lost":
                due += self.losses[alarm.number].deadlines(condition=alarm.condition)
            if alarm.id == "ladder/mine" and self.ladder is not None:
                due += self.ladder.deadlines(condition=alarm.condition)
            due += [d for d in (alarm.until_ns, self.realarm_ns(alarm)) if d is not None]
        return due

    def realarm_ns(self, alarm: Alarm) -> int | None:
        """When an acknowledged alarm speaks up again."""
        if self.plan.realarm_s <= 0 or alarm.state != State.ACKED or alarm.acked_ns is None:
            return None
        return alarm.acked_ns + ns(self.plan.realarm_s)

    # -- one evaluation -----------------------------------------------------------------------

    def look_at(self, t: int, group: Sequence[Sample]) -> Look:
        """Classify the samples of one group."""
        look = Look()
        for sample in group:
            point = self.points[sample.point]
            verdict, own = point.take(sample, t)
            if verdict == "fresh":
                look.fresh[sample.point] = point.age_from_ns
            if verdict == "late":
                if point.latched:
                    own = Quality.OVER_RANGE
                elif point.announced(t):
                    own = Quality.CALIBRATION
                look.late[sample.point] = (sample.value, own)
        return look

    def evaluate(self, t: int, look: Look) -> None:
        """Judge everything at `t`, in the order of the rows."""
        self.now = t
        for alarm in self.alarms:
            JUDGES[alarm.kind](self, alarm, look)
        for alarm in self.alarms:
            if alarm.until_ns is not None and alarm.until_ns <= t:
                self.bring_back(alarm, reason="its end has come")
        self.zones.judge_airflow(t, look.fresh)
        for z, from_level, mover in self.zones.moved():
            self.rows.append(self.zone_row(z, from_level, mover))

    # -- lifecycle (5.9) ----------------------------------------------------------------------

    def settle(
        self,
        alarm: Alarm,
        *,
        condition: bool,
        causes: Iterable[int] = (),
        late_value: float | None = None,
    ) -> None:
        """Bring a judged condition to the alarm: RAISE, RETURN, CAUSE or nothing."""
        if condition and not alarm.condition:
            alarm.causes = set(causes)
            self.move(alarm, "RAISE", condition=True, late_value=late_value)
        elif alarm.condition and not condition:
            self.move(alarm, "RETURN", condition=False)
        elif condition:
            realarm = self.realarm_ns(alarm)
            again = realarm is not None and self.now >= realarm
            if again or set(causes) - alarm.causes:
                alarm.causes |= set(causes)
                self.move(alarm, "CAUSE", condition=True)

    def move(
        self,
        alarm: Alarm,
        event: Event,
        *,
        condition: bool,
        actor: str = "",
        late_value: float | None = None,
    ) -> None:
        """Apply one event of the table and write its row."""
        to_state = alarm.after(event)
        if to_state is None:
            raise AssertionError(f"{event} cannot occur in {alarm.state.name} of {alarm.id}")
        row = self.put(alarm, to_state, condition=condition, actor=actor, reason=event)
        if event in {"RAISE", "RETURN", "CAUSE"}:
            row = self.measured(alarm, row)
        if late_value is not None:
            row = replace(row, value=finite(late_value), quality=Quality.LATE.name)
        self.rows.append(row)

    def bring_back(self, alarm: Alarm, *, reason: str, actor: str = "") -> None:
        """UNSHELVE, IN, or the end of either."""
        to_state = State.UNACKED if alarm.condition else State.NORMAL
        alarm.until_ns = None
        self.rows.append(
            self.put(alarm, to_state, condition=alarm.condition, actor=actor, reason=reason)
        )

    def put(
        self, alarm: Alarm, to_state: State, *, condition: bool, actor: str, reason: str
    ) -> Row:
        """Let the alarm stand in `to_state` and return the row of that."""
        from_state, from_level = alarm.state, alarm.level_in_force
        alarm.state, alarm.condition = to_state, condition
        if to_state == State.ACKED:
            alarm.acked_ns = self.now
        row = self.alarm_row(alarm, from_state, from_level, actor, reason)
        alarm.last_move = row.seq
        self.zones.moves.append((row.seq, alarm.id, alarm.in_force))
        return row

    # -- rows (5.12) --------------------------------------------------------------------------

    def alarm_row(
        self, alarm: Alarm, from_state: State, from_level: Level, actor: str, reason: str
    ) -> Row:
        """One row of an alarm as it stands now; its next row names this one as its cause."""
        self.seq += 1
        cause_seq, alarm.last_row = alarm.last_row, self.seq
        single = alarm.kind in {"limit", "trend", "fault", "maintenance"}
        return Row(
            seq=self.seq,
            t_ns=self.now,
            rule=alarm.id,
            point=self.points[alarm.points[0]].spec.id if single else "",
            zone=self.plan.zones[alarm.zone].id if alarm.zone >= 0 else "",
            from_state=from_state.name,
            to_state=alarm.state.name,
            from_level=from_level.name,
            to_level=alarm.level_in_force.name,
            demands=alarm.words_in_force(),
            reason=reason,
            value=None,
            quality="",
            actor=actor,
            cause_seq=cause_seq,
        )

    def measured(self, alarm: Alarm, row: Row) -> Row:
        """Add what is measured at the alarm's point, if it has just one."""
        if not row.point:
            return row
        point = self.points[alarm.points[0]]
        return replace(row, value=finite(point.value), quality=point.quality(self.now).name)

    def zone_row(self, z: int, from_level: Level, cause_seq: int) -> Row:
        self.seq += 1
        return Row(
            seq=self.seq,
            t_ns=self.now,
            rule="",
            point="",
            zone=self.plan.zones[z].id,
            from_state="",
            to_state="",
            from_level=from_level.name,
            to_level=self.zones.state[z][0].name,
            demands=self.zones.words(z),
            reason="zone",
            value=None,
            quality="",
            actor="",
            cause_seq=cause_seq,
        )


def finite(value: float) -> float | None:
    """Null if not finite."""
    return value if math.isfinite(value) else None


def groups_of(samples: Sequence[Sample]) -> list[list[Sample]]:
    """Cut the samples of one stamp before each that repeats a point of its group (5.0)."""
    groups: list[list[Sample]] = []
    for sample in samples:
        if not groups or any(sample.point == other.point for other in groups[-1]):
            groups.append([])
        groups[-1].append(sample)
    return groups
