"""All alarms of a plan, one row each, in the order in which event rows of one instant come."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from alarms.plan import LATCHING, OWN_RULE, Demand, Demands, Level, Plan, Source

AlarmKind = Literal[
    "limit", "trend", "vote", "fault", "maintenance", "lost", "ladder", "manual", "found"
]


@dataclass(frozen=True, slots=True)
class AlarmSpec:
    """One alarm.

    `index_in_kind` points into the table of its kind (rule, point, zone or output index; ladder
    0 sections, 1 mine; manual: zone, or the number of zones for the whole mine). `points` feed
    it. `zone` -1: the whole mine. `two_persons`: a reset needs a second name.
    """

    id: str
    kind: AlarmKind
    index_in_kind: int
    zone: int
    points: tuple[int, ...]
    level: Level
    demands: Demands
    latching: bool
    two_persons: bool
    source: Source = OWN_RULE
    guidance: str = ""


def demand_bits(demands: Demands) -> Demand:
    """Return the demands without their scopes."""
    bits = Demand.NONE
    for demand, _ in demands:
        bits |= demand
    return bits


def mine_zones(plan: Plan) -> tuple[int, ...]:
    """Return the zones in which people can be; without a list, all."""
    return plan.all_zones or tuple(range(len(plan.zones)))


def ruled_points(plan: Plan) -> frozenset[int]:
    """Return the points that a rule uses and that count for loss of monitoring."""
    used = {rule.point for rule in plan.limits} | {rule.point for rule in plan.trends}
    return frozenset(p for p in used if plan.points.guards[p])


def _spec(  # noqa: PLR0913, PLR0917 - one place that derives latching and persons for every kind
    name: str,
    kind: AlarmKind,
    index: int,
    zone: int,
    points: tuple[int, ...],
    level: Level,
    demands: Demands = (),
    source: Source = OWN_RULE,
    guidance: str = "",
) -> AlarmSpec:
    bits = demand_bits(demands)
    return AlarmSpec(
        name,
        kind,
        index,
        zone,
        points,
        level,
        demands,
        latching=bool(bits & LATCHING),
        two_persons=bool(bits & Demand.WITHDRAW),
        source=source,
        guidance=guidance,
    )


def _rules(plan: Plan) -> list[AlarmSpec]:
    zone = plan.points.zone
    rows = [
        _spec(
            r.id,
            "limit",
            i,
            int(zone[r.point]),
            (r.point,),
            r.level,
            r.demands,
            r.source,
            r.guidance,
        )
        for i, r in enumerate(plan.limits)
    ]
    rows += [
        _spec(
            r.id,
            "trend",
            i,
            int(zone[r.point]),
            (r.point,),
            r.level,
            r.demands,
            r.source,
            r.guidance,
        )
        for i, r in enumerate(plan.trends)
    ]
    for i, vote in enumerate(plan.votes):
        points = tuple(dict.fromkeys(plan.limits[m].point for m in vote.members))
        rows.append(
            _spec(
                vote.id,
                "vote",
                i,
                vote.zone,
                points,
                vote.level,
                vote.demands,
                vote.source,
                vote.guidance,
            )
        )
    return rows


def _monitoring(plan: Plan) -> list[AlarmSpec]:
    specs = plan.points.specs
    rows = [
        _spec(f"{p.id}/fault", "fault", i, p.zone, (i,), Level.FAULT) for i, p in enumerate(specs)
    ]
    rows += [
        _spec(f"{p.id}/maintenance", "maintenance", i, p.zone, (i,), Level.ALERT)
        for i, p in enumerate(specs)
    ]
    ruled = ruled_points(plan)
    for z, zone in enumerate(plan.zones):
        if zone.loss is not None:
            points = tuple(p for p in sorted(ruled) if specs[p].zone == z)
            loss = zone.loss
            rows.append(
                _spec(
                    f"{zone.id}/monitoring",
                    "lost",
                    z,
                    z,
                    points,
                    loss.level,
                    loss.demands,
                    loss.source,
                )
            )
    return rows


def _withdrawals(plan: Plan) -> list[AlarmSpec]:
    everyone = mine_zones(plan)
    rows: list[AlarmSpec] = []
    if plan.ladder is not None:
        fan = plan.ladder
        points = {plan.limits[r].point for r in fan.fan_rules}
        points |= {p for p in ruled_points(plan) if plan.points.specs[p].zone == fan.zone}
        feeds = tuple(sorted(points))
        for stage, (name, scope) in enumerate((("sections", fan.sections), ("mine", everyone))):
            # An empty scope means the own zone: a mine without sections still warns the fan's.
            demands: Demands = ((Demand.SOUND, scope), (Demand.WITHDRAW, scope))
            rows.append(
                _spec(
                    f"ladder/{name}",
                    "ladder",
                    stage,
                    fan.zone,
                    feeds,
                    Level.DANGER,
                    demands,
                    fan.source,
                )
            )
    targets: list[tuple[str, int, tuple[int, ...]]] = [
        (zone.id, z, (z,)) for z, zone in enumerate(plan.zones)
    ]
    targets.append(("all", -1, everyone))
    for index, (name, zone_index, scope) in enumerate(targets):
        demands = ((Demand.SOUND, scope), (Demand.WITHDRAW, scope))
        rows.append(_spec(f"manual/{name}", "manual", index, zone_index, (), Level.DANGER, demands))
    return rows


def alarm_table(plan: Plan) -> tuple[AlarmSpec, ...]:
    """Return every alarm: limits, trends, votes, faults, lost zones, ladder, manual, found."""
    rows = _rules(plan) + _monitoring(plan) + _withdrawals(plan)
    for o, output in enumerate(plan.outputs):
        rows.append(
            AlarmSpec(
                f"{output.id}/found",
                "found",
                o,
                output.zones[0] if output.zones else -1,
                (),
                Level.ALARM,
                (),
                latching=True,
                two_persons=bool(output.demand & Demand.WITHDRAW),
            )
        )
    return tuple(rows)
