"""Limits, trends and scopes of a site: its configuration and its profile, compiled to rules."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Final, cast

from alarms.plan import Demand, Demands, Level, LimitRule, Op, Source, TrendRule
from alarms.profile import ALL, OWN, Profile, ProfileLimit, ScopedDemands
from gateway.checks_rules import reset_of
from gateway.config import Config, ExemptionConfig, RuleConfig, ZoneConfig
from gateway.config_draft import SitePoint

NOT_MINE: Final = frozenset({"surface"})
"""Classes of zone that are left out of "the whole mine"."""


@dataclass(frozen=True, slots=True)
class Airways:
    """Zones by index, and which of them share air: one lies up- or downwind of the other."""

    ids: tuple[str, ...]
    classes: tuple[str, ...]
    shares_air: tuple[frozenset[int], ...]

    @classmethod
    def of(cls, zones: tuple[ZoneConfig, ...]) -> Airways:
        """Follow the air through the configured zones; loops are allowed."""
        index = {zone.id: n for n, zone in enumerate(zones)}
        down = [tuple(index[other] for other in zone.downwind) for zone in zones]
        reach = [_reach(start, down) for start in range(len(zones))]
        shares = tuple(
            reach[n] | {m for m, found in enumerate(reach) if n in found} for n in range(len(zones))
        )
        return cls(
            tuple(zone.id for zone in zones),
            tuple(zone.zone_class for zone in zones),
            tuple(frozenset(found) for found in shares),
        )

    @property
    def mine(self) -> tuple[int, ...]:
        """Every zone that a withdrawal of the mine is for."""
        return tuple(n for n, kind in enumerate(self.classes) if kind not in NOT_MINE)

    def scope(self, words: Iterable[str], own: int) -> tuple[int, ...]:
        """Return the zones that scope words of a profile mean for a zone, sorted."""
        found: set[int] = set()
        for word in words:
            if word == OWN:
                found.add(own)
            elif word == ALL:
                found.update(self.mine)
            elif word.startswith("all:"):
                kind = word.removeprefix("all:")
                found.update(n for n, k in enumerate(self.classes) if k == kind)
            else:
                found.update(n for n in self.shares_air[own] if self.classes[n] == word)
        return tuple(sorted(found))

    def demands(self, scoped: ScopedDemands, own: int) -> Demands:
        """Return demands with their zones; one whose scope holds no zone here falls away."""
        found: list[tuple[Demand, tuple[int, ...]]] = []
        for demand, words in scoped:
            zones = self.scope(words, own)
            if zones:
                # An empty scope means the alarm's own zone.
                found.append((demand, () if zones == (own,) else zones))
        return tuple(found)


def _reach(start: int, down: list[tuple[int, ...]]) -> set[int]:
    found, todo = {start}, [start]
    while todo:
        for zone in down[todo.pop()]:
            if zone not in found:
                found.add(zone)
                todo.append(zone)
    return found


def call_point_rule(point: SitePoint, index: int) -> LimitRule:
    """Return the rule of a call point: whoever presses it orders a withdrawal."""
    return LimitRule(
        id=f"{point.id}/call",
        point=index,
        op=">=",
        set=1.0,
        reset_op="<",
        reset=1.0,
        level=Level.DANGER,
        demands=((Demand.SOUND, ()), (Demand.WITHDRAW, ())),
        guidance="Somebody pressed the call point: withdraw, then find out why.",
    )


def profile_rules(
    point: SitePoint, index: int, zone: int, config: Config, profile: Profile, airways: Airways
) -> Iterator[LimitRule]:
    """Yield the profile's limits for a point, made stricter or exempted as the site says."""
    exempted = {e.step: e for e in config.exemptions if e.point == point.id}
    category = config.site.gas_category
    for row in profile.limits_for(point.quantity, point.location, category):
        limit, source = row.value, row.source
        if row.step in point.limits:
            limit = point.limits[row.step]
        elif row.step in exempted:
            limit = exempted[row.step].limit
            source = replace(source, source=exempted_source(row, exempted[row.step]))
        yield LimitRule(
            id=f"{point.id}/{row.step}",
            point=index,
            op=row.op,
            set=limit,
            reset_op=row.reset_op,
            reset=safe_reset(row, limit),
            level=row.level,
            demands=airways.demands(row.demands, zone),
            on_delay_s=row.on_delay_s,
            off_delay_s=row.off_delay_s,
            source=source,
            guidance=row.guidance,
        )


def safe_reset(row: ProfileLimit, limit: float) -> float:
    """Return the reset for a limit that differs from the row's: never on the wrong side of it."""
    return min(row.reset, limit) if row.op.startswith(">") else max(row.reset, limit)


def exempted_source(row: ProfileLimit, given: ExemptionConfig) -> str:
    """Return the source of a loosened limit: who allowed what, until when."""
    return (
        f"EXEMPTION from {row.op} {row.value:g} until {given.expires}: {given.authority}, "
        f"{given.document}; {' and '.join(given.persons)}; {given.reason}. {row.source.source}"
    )


def own_limit(rule: RuleConfig, point: int, zone: int, airways: Airways) -> LimitRule:
    """Return a limit of the site's own."""
    if rule.limit is None:
        raise AssertionError("a checked limit rule has a limit")
    reset_op, reset = reset_of(rule)
    return LimitRule(
        id=rule.id,
        point=point,
        op=rule.op,
        set=rule.limit,
        reset_op=cast("Op", reset_op),
        reset=reset,
        level=Level[rule.level],
        demands=_own_demands(rule, zone, airways),
        on_delay_s=rule.on_delay_s,
        off_delay_s=rule.off_delay_s,
        guidance=rule.guidance,
    )


def own_trend(rule: RuleConfig, point: int, zone: int, airways: Airways) -> TrendRule:
    """Return an abnormal-emission rule of the site's own."""
    if rule.rise_per_min is None or rule.reset_per_min is None:
        raise AssertionError("a checked emission rule has both rises")
    return TrendRule(
        id=rule.id,
        point=point,
        rise_per_min=rule.rise_per_min,
        reset_per_min=rule.reset_per_min,
        window_s=rule.window_s,
        min_samples=rule.min_samples,
        level=Level[rule.level],
        demands=_own_demands(rule, zone, airways),
        guidance=rule.guidance,
    )


def _own_demands(rule: RuleConfig, zone: int, airways: Airways) -> Demands:
    if rule.scope == (ALL,):
        zones = airways.mine
    else:
        zones = tuple(sorted(airways.ids.index(name) for name in rule.scope))
    if zones == (zone,):
        zones = ()
    return tuple((Demand[word], zones) for word in rule.demands)


def failure_rule(
    point_id: str, step: str, point: int, level: Level, on_delay_s: float
) -> LimitRule:
    """Return the rule of a point that the gateway makes about itself: 1 is well, less is not."""
    return LimitRule(
        id=f"{point_id}/{step}",
        point=point,
        op="<",
        set=1.0,
        reset_op=">=",
        reset=1.0,
        level=level,
        on_delay_s=on_delay_s,
        source=Source(),
    )
