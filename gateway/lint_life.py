"""Life lint of outputs: each function looks for one way in which nobody is told, or nothing cut."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

from alarms.alarm_table import demand_bits, mine_zones
from alarms.demands import downwind_closure
from alarms.plan import Demand
from gateway.config_draft import is_mqtt
from gateway.lint_checker import Checker, Finding
from gateway.toml_positions import Path as TomlPath
from gateway.worst_case import round_s

DANGEROUS: Final = frozenset(
    ("CH4", "CO", "CO2", "O2", "H2S", "NO2", "SO2", "NH3", "smoke", "smoke_density", "call_point")
)
"""Quantities on which somebody must be withdrawn."""

BEAT_S: Final = 1.0
"""A heartbeat is written at least this often."""


def withdraw_rules(c: Checker) -> Iterator[Finding]:
    """Find a dangerous gas, smoke or call point on which nobody is withdrawn."""
    for n, point in enumerate(c.points):
        zone_class = c.site.plan.zones[c.site.plan.points.specs[n].zone].zone_class
        if point.quantity not in DANGEROUS or zone_class == "surface":
            continue
        bits = [demand_bits(rule.demands) for rule in c.rules.get(n, [])]
        if not any(found & Demand.WITHDRAW for found in bits):
            reason = f"{point.id}: no rule withdraws anybody on {point.quantity} here"
            yield c.finding("error", point.path, reason, "add a [[rule]] that demands WITHDRAW")


def withdraw_outputs(c: Checker) -> Iterator[Finding]:
    """Find a zone that people can be ordered to leave without a fail-safe siren to tell them."""
    plan = c.site.plan
    asked = set(mine_zones(plan))
    reach = downwind_closure([zone.downwind for zone in plan.zones])
    for rule in c.all_rules:
        own = int(plan.points.zone[rule.point])
        for demand, scope in rule.demands:
            if demand == Demand.WITHDRAW:
                asked |= {z for s in scope or (own,) for z in reach[s].nonzero()[0].tolist()}
    for zone in sorted(asked & set(range(len(c.site.config.zones)))):
        name = plan.zones[zone].id
        outputs = c.outputs_for.get((name, "WITHDRAW"), [])
        if not outputs:
            reason = f"{name}: people can be ordered to leave, and no output tells them"
            hint = "add an [[output]] with demand WITHDRAW"
            yield c.finding("error", ("zone", zone, "id"), reason, hint)
        elif not any(output.peer for output in outputs):
            reason = f"{name}: no evacuation output here goes on by itself if the gateway dies"
            hint = "hang one on a [[peer]] with a watchdog"
            yield c.finding("error", ("zone", zone, "id"), reason, hint)


def power_off_outputs(c: Checker) -> Iterator[Finding]:
    """Find a power-off range of a rule without an output that cuts there."""
    plan = c.site.plan
    missing: dict[int, list[str]] = {}
    scopes = [(r.id, int(plan.points.zone[r.point]), r.demands) for r in c.all_rules]
    scopes += [
        (f"{z.id}/monitoring", n, z.loss.demands) for n, z in enumerate(plan.zones) if z.loss
    ]
    for name, own, demands in scopes:
        for demand, scope in demands:
            for zone in (scope or (own,)) if demand == Demand.CUT_POWER else ():
                if (plan.zones[zone].id, "CUT_POWER") not in c.outputs_for:
                    missing.setdefault(zone, []).append(name)
    for zone, names in sorted(missing.items()):
        more = f" and {len(names) - 1} more" if len(names) > 1 else ""
        reason = f"{plan.zones[zone].id}: {names[0]}{more} cut power here, and no output does"
        hint = "add an [[output]] with demand CUT_POWER"
        yield c.finding("error", ("zone", zone, "id"), reason, hint)


def sound_outputs(c: Checker) -> Iterator[Finding]:
    """Find a zone in which an alarm is to sound and nothing sounds."""
    plan = c.site.plan
    for zone in sorted({int(plan.points.zone[r.point]) for r in plan.limits if r.demands}):
        name = plan.zones[zone].id
        if (name, "SOUND") not in c.outputs_for:
            reason = f"{name}: alarms are to sound here, and no output sounds"
            yield c.finding("warning", ("zone", zone, "id"), reason, "add an [[output]] with SOUND")


def cuts(c: Checker) -> Iterator[Finding]:
    """Find a power cut that stops ventilation, or that cannot be seen to work."""
    classes = {zone.id: zone.zone_class for zone in c.site.config.zones}
    for n, output in enumerate(c.site.config.outputs):
        if output.demand != "CUT_POWER":
            continue
        fans = [zone for zone in output.zones if classes[zone] == "main_fan"]
        if output.stops_ventilation or fans:
            path: TomlPath = ("output", n, "zones" if fans else "stops_ventilation")
            reason = f"{output.id}: a power cut must not stop a fan"
            yield c.finding("error", path, reason, "feed the fan from a circuit that stays live")
        if not output.feed:
            reason = f"{output.id}: told to cut and still live would not be seen"
            yield c.finding("warning", ("output", n, "id"), reason, "add feed = a load-side point")
        if output.kind == "modbus-coil" and not output.peer:
            reason = f"{output.id}: nothing cuts by itself if the gateway dies"
            yield c.finding("warning", ("output", n, "id"), reason, "hang it on a [[peer]]")


def peers(c: Checker) -> Iterator[Finding]:
    """Find a watchdog that trips for nothing or too late, and outputs on a field link."""
    config = c.site.config
    rounds = {link.id: round_s(config, link, c.types) for link in config.links}
    for n, peer in enumerate(config.peers):
        beat_s = BEAT_S + rounds[peer.link]
        shared = [d.id for d in config.devices if not is_mqtt(d) and d.link == peer.link]
        if peer.watchdog_s < 2 * BEAT_S:
            reason = f"{peer.id}: a heartbeat comes each second, {peer.watchdog_s:g} s is too short"
            yield c.finding("warning", ("peer", n, "watchdog_s"), reason, "at least 2 s")
        if peer.watchdog_s > config.site.sensor_to_alarm_bar_s:
            bar = config.site.sensor_to_alarm_bar_s
            reason = f"{peer.id}: without the gateway it takes longer than the site's {bar:g} s"
            yield c.finding("error", ("peer", n, "watchdog_s"), reason, f"at most {bar:g}")
        if shared:
            reason = (
                f"{peer.id} shares link {peer.link!r} with {', '.join(shared[:3])}: a cut field "
                "cable takes the sirens with it"
            )
            yield c.finding("warning", ("peer", n, "link"), reason, "give outputs their own link")
        if shared and beat_s > peer.watchdog_s:
            reason = (
                f"{peer.id}: link {peer.link!r} can be busy for {beat_s:.1f} s, beyond its watchdog"
            )
            yield c.finding("error", ("peer", n, "link"), reason, "give outputs their own link")


OUTPUT_LINTS: Final[tuple[Callable[[Checker], Iterator[Finding]], ...]] = (
    withdraw_rules,
    withdraw_outputs,
    power_off_outputs,
    sound_outputs,
    cuts,
    peers,
)
