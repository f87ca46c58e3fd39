"""Life lint of sensors: ranges, addresses, gaps in what is watched, slow alarms, exemptions."""

from __future__ import annotations

import stat
from collections.abc import Callable, Iterator
from datetime import date
from typing import Final

from alarms.alarm_table import demand_bits, ruled_points
from alarms.plan import Demand, LimitRule
from gateway.checks_devices import reachable
from gateway.lint_checker import Checker, Finding

SOON_DAYS: Final = 30
LOCAL_HOSTS: Final = ("127.0.0.1", "::1", "localhost")


def ranges(c: Checker) -> Iterator[Finding]:
    """Find a limit that the sensor cannot reach, and a sensor whose range nobody knows."""
    for n, point in enumerate(c.points):
        for rule in c.rules.get(n, []):
            if isinstance(rule, LimitRule) and not reachable(rule.op, rule.set, point.range):
                low, high = point.range
                reason = (
                    f"{rule.id}: {rule.op} {rule.set:g} lies outside its range {low:g} to {high:g}"
                )
                yield c.finding("error", point.path, reason, "another sensor, or correct the range")
        if not point.range_known and n in c.rules:
            reason = f"{point.id}: no measuring range, so over-range cannot be noticed"
            yield c.finding("warning", point.path, reason, "add range = { key = [low, high] }")


def registers(c: Checker) -> Iterator[Finding]:
    """Find two points of one device that read the same register."""
    for n, device in enumerate(c.site.config.devices):
        kind = c.types.get(device.type)
        seen: dict[object, str] = {}
        for key in device.points:
            if kind is None:
                continue
            register = kind.points[key].at
            at = (register.function, register.address, register.bit, register.mask)
            if at in seen:
                reason = f"{device.id}.{key} reads the same address as {device.id}.{seen[at]}"
                yield c.finding("error", ("device", n, "points", key), reason, "keep one of them")
            seen.setdefault(at, key)


def monitoring(c: Checker) -> Iterator[Finding]:
    """Find a zone that nothing watches, and a main fan that nobody sees stop."""
    plan = c.site.plan
    watched = {int(plan.points.zone[p]) for p in ruled_points(plan)}
    for n, zone in enumerate(plan.zones):
        if zone.loss is not None and n not in watched:
            reason = f"{zone.id}: no sensor with a limit watches this zone"
            yield c.finding("warning", ("zone", n, "id"), reason, "add a [[device]]")
    if plan.ladder is None:
        reason = "no zone of class main_fan: nobody is withdrawn when the main fan stops"
        yield c.finding("warning", ("zone",), reason, "add the zone and its fan")
    elif not plan.ladder.fan_rules:
        at = plan.ladder.zone
        reason = f"{plan.zones[at].id}: no point says whether the main fan runs"
        hint = 'a point of quantity fan_run with location = "main_fan"'
        yield c.finding("error", ("zone", at, "id"), reason, hint)


def times(c: Checker) -> Iterator[Finding]:
    """Find a point on which power or people depend and that can alarm too late."""
    bar_s = c.site.config.site.sensor_to_alarm_bar_s
    vital = Demand.CUT_POWER | Demand.WITHDRAW
    for n, point in enumerate(c.points):
        depends = any(demand_bits(rule.demands) & vital for rule in c.rules.get(n, []))
        seconds = c.times.get(point.id, 0.0)
        if depends and seconds > bar_s:
            reason = (
                f"{point.id}: up to {seconds:.1f} s to its alarm, beyond the bar of {bar_s:g} s"
            )
            hint = "poll it more often, or put fewer devices on its link"
            yield c.finding("error", point.path, reason, hint)


def exemptions(c: Checker) -> Iterator[Finding]:
    """Find an exemption that is over, or soon will be."""
    for n, given in enumerate(c.site.config.exemptions):
        days = (date.fromisoformat(given.expires) - c.today).days
        path = ("exemption", n, "expires")
        what = f"{given.point}/{given.step}"
        if days < 0:
            reason = f"{what}: expired {-days} days ago"
            yield c.finding("error", path, reason, "remove it: the profile's limit holds")
        elif days < SOON_DAYS:
            yield c.finding(
                "warning", path, f"{what}: expires in {days} days", "renew or remove it"
            )


def loose_ends(c: Checker) -> Iterator[Finding]:
    """Find links without anything on them, secrets and status open to everybody."""
    config = c.site.config
    used = {d.link for d in config.devices} | {p.link for p in config.peers}
    used |= {o.link for o in config.outputs}
    for n, link in enumerate(config.links):
        if link.id not in used:
            reason = f"nothing hangs on link {link.id!r}"
            yield c.finding("warning", ("link", n, "id"), reason, "remove it")
    secrets = {
        ("mqtt", "password_file"): config.mqtt.password_file if config.mqtt else None,
        ("mqtt", "key_file"): config.mqtt.key_file if config.mqtt else None,
        ("influxdb", "token_file"): config.influxdb.token_file if config.influxdb else None,
    }
    for path, file in secrets.items():
        if file is not None and file.exists() and file.stat().st_mode & stat.S_IROTH:
            yield c.finding("warning", path, f"everybody can read {file}", f"chmod o-r {file}")
    if config.api.host not in LOCAL_HOSTS and config.api.tokens_file is None:
        reason = f"everybody who reaches {config.api.host} may look"
        yield c.finding("warning", ("api", "host"), reason, "add tokens_file")


SENSOR_LINTS: Final[tuple[Callable[[Checker], Iterator[Finding]], ...]] = (
    ranges,
    registers,
    monitoring,
    times,
    exemptions,
    loose_ends,
)
