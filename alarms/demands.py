"""From alarms in force to levels and demands of zones, and to the state of every output.

Alarms of equal effect (zone, level, demands) share one class, so that a flood of alarms costs
one look at each class.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from alarms.alarm_state import Move
from alarms.alarm_table import AlarmSpec, mine_zones
from alarms.plan import Demand, Level, Plan
from sensors.freshness import Freshness
from sensors.quality import MAY_CLEAR

FORWARD: Final = 0.5
"""An air direction switch says 1 for forward and 0 for reversed; from here on it is forward."""

Bools = NDArray[np.bool_]


def downwind_closure(downwind: list[tuple[int, ...]]) -> Bools:
    """Return reach[a, b]: air of zone a comes to zone b, however far; loops are allowed.

    Every zone reaches itself. Shape (Z, Z).
    """
    n = len(downwind)
    reach = np.eye(n, dtype=np.bool_)
    for start in range(n):
        todo = [start]
        while todo:
            for zone in downwind[todo.pop()]:
                if not reach[start, zone]:
                    reach[start, zone] = True
                    todo.append(zone)
    return reach


class Airflow:
    """Whether the air of each zone goes as planned, as its airflow points say; shape (Z,)."""

    def __init__(self, plan: Plan) -> None:
        self.watched = [
            (z, np.array(zone.airflow_points, dtype=np.intp))
            for z, zone in enumerate(plan.zones)
            if zone.airflow_points
        ]
        self.bad = np.zeros(len(plan.zones), dtype=np.bool_)
        direction = [s.quantity == "air_direction" for s in plan.points.specs]
        self.is_direction = np.array(direction, dtype=np.bool_)

    def evaluate(self, points: Freshness, sampled: Bools) -> Bools:
        """Return the zones whose airflow is unknown or reversed.

        It becomes good again only at a sample. A point not seen since the start is unknown only
        when its fault is due; until then the state before the restart holds.
        """
        if not self.watched:
            return self.bad
        value, known = points.frame.value, MAY_CLEAR[points.frame.quality]
        # A direction switch says 1 as planned, 0 reversed; a velocity or quantity has a sign.
        forward = known & np.where(self.is_direction, value >= FORWARD, value > 0)
        bad = ~forward & ~points.in_grace
        for z, at in self.watched:
            if bad[at].any():
                self.bad[z] = True
            elif sampled[at].any() and forward[at].all():
                self.bad[z] = False
        return self.bad


class _Class:
    """One set of effects: own zone, level, and for each demand its zones before closure."""

    def __init__(self, spec: AlarmSpec, n_zones: int) -> None:
        self.level = int(spec.level)
        self.own = np.zeros(n_zones, dtype=np.bool_)
        if spec.zone >= 0:
            self.own[spec.zone] = True
        self.scopes: list[tuple[Demand, Bools]] = []
        for demand, zones in spec.demands:
            mask = np.zeros(n_zones, dtype=np.bool_)
            mask[list(zones) or [spec.zone]] = True
            self.scopes.append((demand, mask))
        self.exact = spec.kind == "ladder"
        self.fault = spec.kind == "fault"


class Effects:
    """Levels and demands of zones, shape (Z,), and outputs, shape (O,)."""

    def __init__(self, plan: Plan, alarms: tuple[AlarmSpec, ...]) -> None:
        n = len(plan.zones)
        self.plan = plan
        self.reach = downwind_closure([z.downwind for z in plan.zones])
        self.everywhere = np.zeros(n, dtype=np.bool_)
        self.everywhere[list(mine_zones(plan))] = True
        keys: dict[tuple[object, ...], int] = {}
        self.classes: list[_Class] = []
        class_of = []
        for spec in alarms:
            key = (spec.zone, spec.level, spec.demands, spec.kind)
            if key not in keys:
                keys[key] = len(self.classes)
                self.classes.append(_Class(spec, n))
            class_of.append(keys[key])
        self.class_of: Final = np.array(class_of, dtype=np.intp)
        self.found = [i for i, spec in enumerate(alarms) if spec.kind == "found"]
        self.level = np.zeros(n, dtype=np.int64)
        self.demands = np.zeros(n, dtype=np.int64)
        self.fault = np.zeros(n, dtype=np.bool_)
        self.outputs = np.zeros(len(plan.outputs), dtype=np.bool_)
        self._in_force = np.zeros(len(alarms), dtype=np.bool_)
        self._output_zones = np.zeros((len(plan.outputs), n), dtype=np.bool_)
        for o, output in enumerate(plan.outputs):
            self._output_zones[o, list(output.zones)] = True
        self._output_demand = np.array([int(o.demand) for o in plan.outputs], dtype=np.int64)
        self._output_fault = np.array([o.on_fault for o in plan.outputs], dtype=np.bool_)

    def scope(
        self, demand: Demand, zones: Bools, *, exact: bool, air_off: bool, bad: Bools
    ) -> Bools:
        """Return the zones that a demand reaches.

        SOUND and CUT_POWER reach the zones they name. WITHDRAW goes downwind, however far, and
        to every zone while the air of its zones is unknown or reversed or the main fan is down,
        but for the stages of the fan ladder (`exact`).
        """
        if demand != Demand.WITHDRAW:
            return zones
        if not exact and (air_off or bool((zones & bad).any())):
            everyone: Bools = np.logical_or(zones, self.everywhere)
            return everyone
        return np.asarray(self.reach[zones].any(axis=0), dtype=np.bool_)

    def movers(
        self, zones: Sequence[int], moves: Sequence[Move], *, air_off: bool, bad: Bools
    ) -> dict[int, Move | None]:
        """Return for each zone the last row after which its level or demands were different.

        None where no row but the airflow moved it. Only a row with which an effect begins or
        ends can move a zone, so the rows are counted by class.
        """
        found: dict[int, Move | None] = dict.fromkeys(zones)
        changes = [(m, int(self.class_of[m.alarm]), m.now - m.was) for m in moves]
        count = np.bincount(self.class_of[self._in_force], minlength=len(self.classes))
        # Back to before the first row, then forward again, row by row.
        for _, c, step in changes:
            count[c] -= step
        touched = {c for _, c, _ in changes}
        active = [c for c in range(len(count)) if count[c] > 0 or c in touched]
        reached = {c: self._reached(c, air_off=air_off, bad=bad) for c in active}
        # Only classes that touch a zone are looked at for it: when a whole mine falls silent, all
        # zones times all classes times all rows would hold up the sirens for seconds.
        touches = {c: self._touched(c, scopes) for c, scopes in reached.items()}
        near = {zone: {c: reached[c] for c in active if touches[c][zone]} for zone in zones}
        before = {zone: self._of_zone(zone, count, near[zone]) for zone in zones}
        for move, c, step in changes:
            was = count[c] > 0
            count[c] += step
            if was == (count[c] > 0):
                continue
            for zone in zones:
                if c not in near[zone]:
                    continue
                now = self._of_zone(zone, count, near[zone])
                if now != before[zone]:
                    before[zone], found[zone] = now, move
        return found

    def _touched(self, c: int, scopes: list[tuple[Demand, Bools]]) -> list[bool]:
        """Tell for each zone whether a class can change its level or demands."""
        zones = self.classes[c].own.copy()
        for _, scope in scopes:
            zones |= scope
        touched: list[bool] = zones.tolist()
        return touched

    def _of_zone(
        self,
        zone: int,
        count: NDArray[np.intp],
        reached: dict[int, list[tuple[Demand, Bools]]],
    ) -> tuple[int, int]:
        """Return level and demands of one zone from the classes with alarms in force."""
        level = bits = 0
        for c, scopes in reached.items():
            if count[c] > 0:
                if self.classes[c].own[zone]:
                    level = max(level, self.classes[c].level)
                for demand, zones in scopes:
                    if zones[zone]:
                        bits |= int(demand)
        return level, bits

    def _reached(self, c: int, *, air_off: bool, bad: Bools) -> list[tuple[Demand, Bools]]:
        effect = self.classes[c]
        return [
            (demand, self.scope(demand, mask, exact=effect.exact, air_off=air_off, bad=bad))
            for demand, mask in effect.scopes
        ]

    def evaluate(self, in_force: Bools, *, air_off: bool, bad: Bools) -> None:
        """Set `level`, `demands`, `fault` and `outputs` from the alarms in force, shape (A,)."""
        self._in_force = in_force
        self.level.fill(Level.NORMAL)
        self.demands.fill(0)
        self.fault.fill(False)
        for c in np.unique(self.class_of[in_force]).tolist():
            effect = self.classes[c]
            for demand, zones in self._reached(c, air_off=air_off, bad=bad):
                self.demands[zones] |= int(demand)
            np.maximum(self.level, effect.level, out=self.level, where=effect.own)
            if effect.fault:
                self.fault |= effect.own
        wanted = (self.demands[None, :] & self._output_demand[:, None]) != 0
        wanted |= self.fault[None, :] & self._output_fault[:, None]
        self.outputs = (wanted & self._output_zones).any(axis=1)
        if self.found:
            self.outputs |= in_force[self.found]


def shown_level(level: int, demands: int, *, unusable: bool) -> Level:
    """Return the level at which a zone is shown to people.

    Its own level, but never calmer than what is demanded of it, and never NORMAL while one of its
    points cannot be used.
    """
    floor = Level.NORMAL
    if demands & Demand.WITHDRAW:
        floor = Level.DANGER
    elif demands & Demand.CUT_POWER:
        floor = Level.ALARM
    elif demands & Demand.SOUND:
        floor = Level.ALERT
    elif unusable:
        floor = Level.FAULT
    return max(Level(level), floor)
