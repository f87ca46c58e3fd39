"""Zones and outputs: sections 5.6 (level, demands) and 5.8 (scope, airflow, outputs)."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from alarms.plan import Demand, Level, Plan
from tests.oracle.book import Alarm, whole_mine
from tests.oracle.points import SET_AND_CLEAR, PointMemory
from tests.oracle.rules import LadderMemory

DEMAND_ORDER = (Demand.SOUND, Demand.CUT_POWER, Demand.WITHDRAW)
ZoneState = tuple[Level, Demand]


class Zones:
    """What every zone carries, and which row of an alarm moved it."""

    def __init__(
        self,
        plan: Plan,
        alarms: Sequence[Alarm],
        points: Sequence[PointMemory],
        ladder: LadderMemory | None,
    ) -> None:
        self.plan, self.alarms, self.points, self.ladder = plan, alarms, points, ladder
        self.airflow_bad = [False for _ in plan.zones]
        self.state: list[ZoneState] = [(Level.NORMAL, Demand.NONE) for _ in plan.zones]
        self.was_in_force = {alarm.id: False for alarm in alarms}
        self.moves: list[tuple[int, str, bool]] = []  # rows since the zones were last looked at

    def judge_airflow(self, t: int, fresh: Collection[int]) -> None:
        for z, zone in enumerate(self.plan.zones):
            verdicts = {self._airflow_verdict(self.points[p], t) for p in zone.airflow_points}
            if "bad" in verdicts:
                self.airflow_bad[z] = True
            elif any(p in fresh for p in zone.airflow_points) and verdicts == {"good"}:
                self.airflow_bad[z] = False

    def _airflow_verdict(self, point: PointMemory, t: int) -> str:
        if not point.seen and t < point.started_ns + point.max_age_ns:
            return "as before"
        if point.quality(t) not in SET_AND_CLEAR:
            return "bad"
        quantity = point.spec.quantity
        backwards = quantity == "air_direction" and point.value < 0.5
        still = quantity in {"air_velocity", "air_quantity"} and point.value <= 0
        return "bad" if backwards or still else "good"

    def scope(self, alarm: Alarm, demand: Demand, zones: tuple[int, ...]) -> set[int]:
        """Return the zones of one demand, WITHDRAW closed under downwind."""
        scope = set(zones) if zones else {alarm.zone}
        if not demand & Demand.WITHDRAW:
            return scope
        if alarm.kind != "ladder":
            fan_stopped = self.ladder is not None and self.ladder.first_stop is not None
            if fan_stopped or any(self.airflow_bad[z] for z in scope):
                return scope | set(whole_mine(self.plan))
        while True:
            more = {d for z in scope for d in self.plan.zones[z].downwind} - scope
            if not more:
                return scope
            scope |= more

    def carried(self, in_force: dict[str, bool]) -> list[ZoneState]:
        """Level and demands of every zone, if these alarms were in force."""
        levels = [Level.NORMAL for _ in self.plan.zones]
        demands = [Demand.NONE for _ in self.plan.zones]
        for alarm in self.alarms:
            if not in_force[alarm.id]:
                continue
            if alarm.zone >= 0:
                levels[alarm.zone] = max(levels[alarm.zone], alarm.level)
            for demand, zones in alarm.demands:
                for z in self.scope(alarm, demand, zones):
                    demands[z] |= demand
        return list(zip(levels, demands, strict=True))

    def moved(self) -> list[tuple[int, Level, int]]:
        """Bring the zones up to date; return (zone, level before, row that moved it)."""
        movers = self._movers()
        in_force = {alarm.id: alarm.in_force for alarm in self.alarms}
        before, self.state = self.state, self.carried(in_force)
        self.was_in_force, self.moves = in_force, []
        return [
            (z, before[z][0], movers[z])
            for z in range(len(self.state))
            if self.state[z] != before[z]
        ]

    def _movers(self) -> list[int]:
        """Return, per zone, the row since the last look that last moved it; 0: none did.

        The rows are played over with the scopes of now: where the air or the main fan changed
        the scopes, no row of an alarm moved the zone.
        """
        in_force = dict(self.was_in_force)
        movers = [0 for _ in self.plan.zones]
        states = self.carried(in_force) if self.moves else []
        for seq, name, now_in_force in self.moves:
            in_force[name] = now_in_force
            after = self.carried(in_force)
            for z, state in enumerate(after):
                if state != states[z]:
                    movers[z] = seq
            states = after
        return movers

    def words(self, z: int) -> tuple[str, ...]:
        return tuple(str(d.name) for d in DEMAND_ORDER if d & self.state[z][1])

    def outputs(self) -> list[bool]:
        """Return the required state of every output."""
        states = []
        for i, output in enumerate(self.plan.outputs):
            asked = any(self.state[z][1] & output.demand for z in output.zones)
            faulty = output.on_fault and any(
                a.in_force and a.level == Level.FAULT and a.zone in output.zones
                for a in self.alarms
            )
            found = any(a.kind == "found" and a.number == i and a.in_force for a in self.alarms)
            states.append(asked or faulty or found)
        return states
