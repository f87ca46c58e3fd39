"""From a valid configuration to the `Plan` of the engine.

Points, zones, rules and outputs stand in the order of the configuration; what the gateway makes
about itself (its health, the agreement of outputs) stands behind all of that.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

from alarms.plan import (
    Demand,
    LadderRule,
    Level,
    LimitRule,
    LossRule,
    OutputSpec,
    Plan,
    ZoneSpec,
)
from alarms.profile import Profile
from alarms.regulations_file import load_profile
from gateway.config import Config
from gateway.config_draft import Row, SitePoint, merge_points
from gateway.site_rules import (
    Airways,
    call_point_rule,
    failure_rule,
    own_limit,
    own_trend,
    profile_rules,
)
from sensors.device_types import DeviceType
from sensors.points import PointSpec, PointTable

GATEWAY_ZONE: Final = "gateway"
HEALTH_PARTS: Final[tuple[tuple[str, Level], ...]] = (
    ("gateway.journal", Level.ALARM),
    ("gateway.sink", Level.ALERT),
    ("gateway.clock", Level.ALARM),
    ("gateway.inbox", Level.ALERT),
)
HEALTH_MAX_AGE_S: Final = 10.0
AGREEMENT_MAX_AGE_S: Final = 5.0
AGREEMENT_DELAY_S: Final = 1.0
"""A write and its read-back take a moment: so long may an output differ from its command."""


@dataclass(frozen=True, slots=True)
class SitePlan:
    """The plan, and where the gateway's own points begin in it."""

    plan: Plan
    site_points: tuple[SitePoint, ...]
    own_limits_from: int
    health_points: dict[str, int]


def points_of(config: Config, types: Mapping[str, DeviceType]) -> dict[str, SitePoint]:
    """Return every point of a valid configuration by id, in its order."""
    return merge_points(
        [Row(("device", n), device) for n, device in enumerate(config.devices)],
        [Row(("point", n), point) for n, point in enumerate(config.points)],
        types,
        {zone.id: zone.zone_class for zone in config.zones},
    )


def compile_plan(config: Config, types: Mapping[str, DeviceType]) -> SitePlan:
    """Compile a valid configuration; opens nothing but the profile that comes with the gateway."""
    profile = load_profile(config.site.profile)
    airways = Airways.of(config.zones)
    points = tuple(points_of(config, types).values())
    zone_at = {zone: n for n, zone in enumerate(airways.ids)}
    specs = [_point_spec(point, zone_at[point.zone]) for point in points]
    index = {spec.id: n for n, spec in enumerate(specs)}
    limits = _site_limits(config, profile, points, airways)
    trends = tuple(
        own_trend(rule, index[rule.point], specs[index[rule.point]].zone, airways)
        for rule in config.rules
        if rule.kind == "abnormal_emission"
    )
    own_limits_from = len(limits)
    outputs = _outputs(config, zone_at, index, specs, limits)
    health = _health(config, len(airways.ids), specs, limits)
    plan = Plan(
        points=PointTable.of(tuple(specs)),
        zones=(*_zones(config, profile, airways, index), ZoneSpec(GATEWAY_ZONE, GATEWAY_ZONE)),
        limits=tuple(limits),
        trends=trends,
        ladder=_ladder(profile, points, airways, limits),
        outputs=outputs,
        realarm_s=config.site.realarm_s,
        all_zones=airways.mine,
    )
    return SitePlan(plan, points, own_limits_from, health)


def without_own_points(compiled: SitePlan) -> Plan:
    """Return the plan without the points that the gateway makes about itself.

    For readings that come from a file: it cannot know how the gateway or its outputs were.
    """
    plan = compiled.plan
    return replace(
        plan,
        points=PointTable.of(plan.points.specs[: len(compiled.site_points)]),
        zones=plan.zones[:-1],
        limits=plan.limits[: compiled.own_limits_from],
        outputs=tuple(replace(output, agreement_point=-1) for output in plan.outputs),
    )


def _point_spec(point: SitePoint, zone: int) -> PointSpec:
    return PointSpec(
        id=point.id,
        quantity=point.quantity,
        zone=zone,
        device=point.device.id,
        location=point.location,
        range_low=point.range[0],
        range_high=point.range[1],
        max_age_s=point.max_age_s,
        poll_s=point.device.poll_s,
        catalytic=point.catalytic,
        description=point.name,
    )


def _site_limits(
    config: Config, profile: Profile, points: tuple[SitePoint, ...], airways: Airways
) -> list[LimitRule]:
    """Return call points and the profile's limits point by point, then the site's own limits."""
    limits: list[LimitRule] = []
    zones = [airways.ids.index(point.zone) for point in points]
    index = {point.id: n for n, point in enumerate(points)}
    for n, point in enumerate(points):
        if point.quantity == "call_point":
            limits.append(call_point_rule(point, n))
        limits.extend(profile_rules(point, n, zones[n], config, profile, airways))
    for rule in config.rules:
        if rule.kind == "limit":
            n = index[rule.point]
            limits.append(own_limit(rule, n, zones[n], airways))
    return limits


def _zones(
    config: Config, profile: Profile, airways: Airways, index: dict[str, int]
) -> tuple[ZoneSpec, ...]:
    return tuple(
        ZoneSpec(
            id=zone.id,
            zone_class=zone.zone_class,
            name=zone.name or zone.id,
            downwind=tuple(airways.ids.index(other) for other in zone.downwind),
            airflow_points=tuple(index[name] for name in zone.airflow),
            loss=_loss(config, profile, airways, n),
        )
        for n, zone in enumerate(config.zones)
    )


def _loss(config: Config, profile: Profile, airways: Airways, zone: int) -> LossRule | None:
    row = profile.loss_for(airways.classes[zone])
    if row is None:
        return None
    site = config.site
    return LossRule(
        lost_after_s=min(row.lost_after_s, site.lost_after_s or row.lost_after_s),
        back_after_s=max(row.back_after_s, site.back_after_s or row.back_after_s),
        level=row.level,
        demands=airways.demands(row.demands, zone),
        source=row.source,
    )


def _ladder(
    profile: Profile, points: tuple[SitePoint, ...], airways: Airways, limits: list[LimitRule]
) -> LadderRule | None:
    row = profile.ladder
    if row.zone_class not in airways.classes:
        return None
    zone = airways.classes.index(row.zone_class)
    fans = {
        f"{point.id}/{row.step}"
        for point in points
        if point.quantity == row.quantity
        and point.location == row.location
        and point.zone == airways.ids[zone]
    }
    return LadderRule(
        zone=zone,
        fan_rules=tuple(n for n, limit in enumerate(limits) if limit.id in fans),
        sections=tuple(n for n, kind in enumerate(airways.classes) if kind in row.sections),
        mine_after_s=row.mine_after_s,
        source=row.source,
    )


def _outputs(
    config: Config,
    zone_at: dict[str, int],
    index: dict[str, int],
    specs: list[PointSpec],
    limits: list[LimitRule],
) -> tuple[OutputSpec, ...]:
    """Return the outputs; append a point and a rule for the agreement of each."""
    outputs: list[OutputSpec] = []
    for output in config.outputs:
        zones = tuple(zone_at[zone] for zone in output.zones)
        name = f"{output.id}.agrees"
        agrees = PointSpec(
            id=name,
            quantity="agreement",
            zone=zones[0],
            range_low=0.0,
            range_high=1.0,
            max_age_s=AGREEMENT_MAX_AGE_S,
            guards=False,
            description=f"{output.name or output.id}: read back as commanded",
        )
        if output.readback:
            limits.append(failure_rule(name, "differs", len(specs), Level.ALARM, AGREEMENT_DELAY_S))
            specs.append(agrees)
        outputs.append(
            OutputSpec(
                id=output.id,
                zones=zones,
                demand=Demand.NONE if output.demand == "FAULT" else Demand[output.demand],
                on_fault=output.demand == "FAULT",
                agreement_point=len(specs) - 1 if output.readback else -1,
                feed_point=index[output.feed] if output.feed else -1,
                name=output.name or output.id,
            )
        )
    return tuple(outputs)


def _health(
    config: Config, zone: int, specs: list[PointSpec], limits: list[LimitRule]
) -> dict[str, int]:
    """Append a point and a rule for each part of the gateway; return the points by name."""
    parts = list(HEALTH_PARTS)
    parts += [(f"link.{link.id}", Level.ALERT) for link in config.links]
    if config.mqtt is not None:
        parts.append(("link.mqtt", Level.ALERT))
    found: dict[str, int] = {}
    for name, level in parts:
        found[name] = len(specs)
        limits.append(failure_rule(name, "failed", len(specs), level, 0.0))
        specs.append(
            PointSpec(
                id=name,
                quantity="health",
                zone=zone,
                range_low=0.0,
                range_high=1.0,
                max_age_s=HEALTH_MAX_AGE_S,
                guards=False,
                description=f"the gateway's own {name.replace('.', ' ')}",
            )
        )
    return found
