"""The longest time from a change at a sensor to its alarm, computed from the configuration.

For a Modbus point, all of these in a row:

* the value changed just after it was read: one poll period until it is due;
* units with nearer deadlines go first, for at most another period (earliest deadline first);
* then one round of the link: every read of every unit on it is answered, each just before its
  time limit, and each followed by the configured pause; outputs on the same link go before reads;
* the delay of the rule, and one tick of the gateway.

For an MQTT point a lost message shows only when the value is too old: its `max_age_s`, the delay
of the rule, one tick. The sensor's own response time (t90) and the siren's are not in it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from alarms.alarm_table import demand_bits
from alarms.plan import LATCHING, LimitRule
from gateway.config import Config, DeviceConfig, LinkConfig
from gateway.config_draft import SitePoint, device_spec, is_mqtt
from gateway.site import Site
from sensors.device_decoder import compile_device
from sensors.device_types import DeviceType
from sensors.reading_plan import plan_device

TICK_S: Final = 0.1
"""The gateway evaluates at least this often."""

CONTROLLER_REQUESTS: Final = 6
"""Requests that one output controller takes at most in a row: coils, heartbeat and permissive,
each written and read back."""


def worst_case_s(site: Site, types: Mapping[str, DeviceType]) -> dict[str, float]:
    """Return the worst case of every point that a limit rule watches [s], by point id.

    The delay counted is that of the rules on which power or people depend; if there is none of
    these, the shortest.
    """
    rounds = {link.id: round_s(site.config, link, types) for link in site.config.links}
    rules: dict[int, list[LimitRule]] = {}
    for rule in site.plan.limits:
        rules.setdefault(rule.point, []).append(rule)
    return {
        point.id: _until_read_s(point, rounds) + _delay_s(rules[n]) + TICK_S
        for n, point in enumerate(site.compiled.site_points)
        if n in rules
    }


def round_s(config: Config, link: LinkConfig, types: Mapping[str, DeviceType]) -> float:
    """Return how long everything on a link takes if each reply comes just in time [s]."""
    requests = sum(
        reads_of(device, types)
        for device in config.devices
        if device.link == link.id and not is_mqtt(device)
    )
    controllers = {(p.link, p.unit) for p in config.peers}
    controllers |= {(o.link, o.unit) for o in config.outputs if o.link}
    requests += CONTROLLER_REQUESTS * sum(name == link.id for name, _ in controllers)
    return requests * (link.timeout_s + link.spacing_ms / 1e3)


def reads_of(device: DeviceConfig, types: Mapping[str, DeviceType]) -> int:
    """Return the read requests that one poll of a Modbus device takes."""
    spec = device_spec(device, {key: n for n, key in enumerate(device.points)})
    kind = types[device.type]
    return len(plan_device(compile_device(spec, kind).spans, kind))


def _until_read_s(point: SitePoint, rounds: Mapping[str, float]) -> float:
    if is_mqtt(point.device):
        return point.max_age_s
    return 2.0 * point.device.poll_s + rounds[point.device.link]


def _delay_s(rules: list[LimitRule]) -> float:
    vital = [r.on_delay_s for r in rules if demand_bits(r.demands) & LATCHING]
    return max(vital) if vital else min(r.on_delay_s for r in rules)
