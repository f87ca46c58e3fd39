"""What a site's names, limits and alarms look like to a reader; built once, changes never."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np

from alarms.alarm_state import demand_words
from alarms.alarm_table import AlarmSpec, alarm_table, mine_zones
from alarms.plan import Demand, Demands, Level, LimitRule, Plan, Source, TrendRule
from gateway.api.answers import DemandAnswer, ExemptionAnswer, LimitAnswer, SourceAnswer
from gateway.config import Config
from sensors.quantities import QUANTITIES


@dataclass(frozen=True, slots=True)
class Catalogue:
    """Static tables by index, and the limits as they are shown.

    Parameters
    ----------
    config, plan : Config, Plan
        What the site was built from and compiled to.
    alarms : tuple of AlarmSpec
        By alarm index.
    limits : dict
        Rule, trend, vote, loss and ladder by alarm id, as shown.
    demands : tuple of list of DemandAnswer
        What each alarm demands and where, by alarm index.
    limits_of_point : tuple of tuple of str
        Ids in `limits`, by point index.
    alarms_of_point, alarms_of_zone : tuple of tuple of int
        Alarm indices, by point and by zone index.
    points_of_zone : tuple of tuple of int
        Point indices, by zone index.
    """

    config: Config
    plan: Plan
    alarms: tuple[AlarmSpec, ...]
    limits: dict[str, LimitAnswer]
    demands: tuple[list[DemandAnswer], ...]
    limits_of_point: tuple[tuple[str, ...], ...]
    alarms_of_point: tuple[tuple[int, ...], ...]
    alarms_of_zone: tuple[tuple[int, ...], ...]
    points_of_zone: tuple[tuple[int, ...], ...]

    @classmethod
    def of(cls, config: Config, plan: Plan) -> Self:
        """Lay out the tables of a site."""
        alarms = alarm_table(plan)
        limits = {
            alarm.id: _limit(config, plan, alarm)
            for alarm in alarms
            if alarm.kind in ("limit", "trend", "vote", "lost", "ladder")
        }
        of_point: list[list[int]] = [[] for _ in plan.points.specs]
        of_zone: list[list[int]] = [[] for _ in plan.zones]
        for a, alarm in enumerate(alarms):
            for point in alarm.points:
                of_point[point].append(a)
            for z in range(len(plan.zones)) if alarm.zone < 0 else (alarm.zone,):
                of_zone[z].append(a)
        ruled = ("limit", "trend", "vote", "ladder")
        return cls(
            config,
            plan,
            alarms,
            limits,
            tuple(_demands(plan, alarm.demands, alarm.zone) for alarm in alarms),
            tuple(
                tuple(alarms[a].id for a in rows if alarms[a].kind in ruled) for rows in of_point
            ),
            tuple(map(tuple, of_point)),
            tuple(map(tuple, of_zone)),
            tuple(
                tuple(int(p) for p in np.flatnonzero(plan.points.zone == z))
                for z in range(len(plan.zones))
            ),
        )

    def zone_ids(self, indices: tuple[int, ...]) -> list[str]:
        """Return the ids of zones."""
        return [self.plan.zones[z].id for z in indices]


def _source(source: Source) -> SourceAnswer:
    return {
        "profile": source.profile,
        "edition": source.edition,
        "clause": source.clause,
        "source": source.source,
        "verified": source.verified,
    }


def _demands(plan: Plan, demands: Demands, zone: int) -> list[DemandAnswer]:
    own = mine_zones(plan) if zone < 0 else (zone,)
    return [
        {"demand": word, "zones": [plan.zones[z].id for z in scope or own]}
        for demand, scope in demands
        for word in demand_words(demand)
    ]


def _exemption(config: Config, name: str) -> ExemptionAnswer | None:
    for row in config.exemptions:
        if f"{row.point}/{row.step}" == name:
            return {
                "limit": row.limit,
                "authority": row.authority,
                "document": row.document,
                "persons": list(row.persons),
                "reason": row.reason,
                "expires": row.expires,
            }
    return None


def _limit(config: Config, plan: Plan, alarm: AlarmSpec) -> LimitAnswer:
    rule = plan.limits[alarm.index_in_kind] if alarm.kind == "limit" else None
    point = plan.points.specs[alarm.points[0]] if alarm.kind in ("limit", "trend") else None
    unit = QUANTITIES[point.quantity].unit if point else ""
    return {
        "id": alarm.id,
        "kind": alarm.kind,
        "zone": plan.zones[alarm.zone].id if alarm.zone >= 0 else "all",
        "point": point.id if point else None,
        "unit": unit,
        "condition": _condition(plan, alarm, unit),
        "op": rule.op if rule else None,
        "limit": rule.set if rule else None,
        "reset_op": rule.reset_op if rule else None,
        "reset": rule.reset if rule else None,
        "on_delay_s": rule.on_delay_s if rule else 0.0,
        "off_delay_s": rule.off_delay_s if rule else 0.0,
        "level": alarm.level.name,
        "demands": _demands(plan, alarm.demands, alarm.zone),
        "latching": alarm.latching,
        "source": _source(alarm.source),
        "guidance": alarm.guidance,
        "exemption": _exemption(config, alarm.id) if rule else None,
    }


def _limit_words(rule: LimitRule, unit: str) -> str:
    return f"{rule.op} {rule.set:g} {unit}, clears {rule.reset_op} {rule.reset:g} {unit}"


def _trend_words(rule: TrendRule, unit: str) -> str:
    return (
        f"rises >= {rule.rise_per_min:g} {unit}/min over {rule.window_s:g} s, "
        f"clears < {rule.reset_per_min:g} {unit}/min"
    )


def _condition(plan: Plan, alarm: AlarmSpec, unit: str) -> str:
    index = alarm.index_in_kind
    if alarm.kind == "limit":
        return _limit_words(plan.limits[index], unit)
    if alarm.kind == "trend":
        return _trend_words(plan.trends[index], unit)
    if alarm.kind == "vote":
        vote = plan.votes[index]
        members = ", ".join(plan.limits[m].id for m in vote.members)
        return f"at least {vote.m} of: {members}"
    if alarm.kind == "lost":
        loss = plan.zones[index].loss
        return f"a guarding point lost for {loss.lost_after_s:g} s" if loss else ""
    ladder = plan.ladder
    minutes = ladder.mine_after_s / 60 if ladder else 0.0
    return "main fan stopped" if index == 0 else f"main fan stopped for {minutes:g} min"


def priority(level: int, demands: int) -> str:
    """Return how urgent: "1" leave, "2" cut power or ALARM, "3" ALERT, "F" fault, "" nothing."""
    if demands & Demand.WITHDRAW or level >= Level.DANGER:
        return "1"
    if demands & Demand.CUT_POWER or level >= Level.ALARM:
        return "2"
    return {Level.ALERT: "3", Level.FAULT: "F"}.get(Level(level), "")
