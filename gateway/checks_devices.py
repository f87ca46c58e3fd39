"""Checks of devices and points: types, keys, quantities, units, places, addresses."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Final

from alarms.places import LOCATIONS, ZONE_CLASSES
from gateway.config import DeviceConfig
from gateway.config_draft import Draft, Row, SitePoint, device_spec, is_mqtt
from gateway.config_errors import Report
from gateway.toml_positions import Path as TomlPath
from sensors.device_decoder import compile_device
from sensors.payloads import PAYLOAD_TYPES
from sensors.quantities import QUANTITIES
from sensors.units import UNITS, conversion

MODBUS_ONLY: Final = ("link", "unit", "base_address", "order")
MQTT_ONLY: Final = ("topic", "paths", "time_path", "units")
OWN_QUANTITIES: Final = ("agreement", "health")
"""Quantities of the points that the gateway makes about itself."""


def check_devices(draft: Draft, report: Report) -> None:
    """Check every ``[[device]]``."""
    known_types = (*draft.types, *PAYLOAD_TYPES)
    for row in draft.devices:
        device = row.it
        before = len(report.errors)
        if device.type not in known_types:
            report.unknown((*row.path, "type"), "device type", device.type, known_types)
        elif is_mqtt(device):
            _mqtt_device(row, draft, report)
        else:
            _modbus_device(row, draft, report)
        if device.zone not in draft.known["zone"]:
            report.unknown((*row.path, "zone"), "zone", device.zone, draft.known["zone"])
        _keys(row, draft, report)
        if device.max_age_s is not None and device.max_age_s <= device.poll_s:
            reason = f"every reading would be STALE: it is read every {device.poll_s:g} s"
            report.wrong((*row.path, "max_age_s"), reason, f"about {3 * device.poll_s:g}")
        if len(report.errors) == before and not is_mqtt(device):
            _compiles(row, draft, report)
    _same_unit(draft, report)
    _same_topic(draft, report)


def _modbus_device(row: Row[DeviceConfig], draft: Draft, report: Report) -> None:
    device = row.it
    if not device.link:
        report.wrong(row.path, f"{device.type} speaks Modbus and has no link", 'add link = "…"')
    elif device.link not in draft.known["link"]:
        report.unknown((*row.path, "link"), "link", device.link, draft.known["link"])
    if not device.unit:
        report.wrong(row.path, f"{device.type} speaks Modbus and has no unit", "add unit = 1 … 247")
    _refuse(row, MQTT_ONLY, "is for MQTT nodes only", report)
    known = draft.types[device.type].points
    for key in device.points:
        if key not in known:
            path = (*row.path, "points", key)
            report.unknown(path, f"point of a {device.type} named", key, known)


def _compiles(row: Row[DeviceConfig], draft: Draft, report: Report) -> None:
    """Let the link's own compiler see a device in which nothing else is wrong."""
    device = row.it
    try:
        compile_device(
            device_spec(device, dict.fromkeys(device.points, 0)), draft.types[device.type]
        )
    except ValueError as error:
        report.wrong(row.path, str(error))


def _mqtt_device(row: Row[DeviceConfig], draft: Draft, report: Report) -> None:
    device = row.it
    if not draft.mqtt_given:
        report.wrong((*row.path, "type"), f"{device.type} needs a broker", "add [mqtt]")
    if not device.topic:
        report.wrong(row.path, f"{device.type} speaks MQTT and has no topic", 'add topic = "…"')
    elif reason := filter_fault(device.topic):
        report.wrong((*row.path, "topic"), f"{device.topic!r}: {reason}")
    _refuse(row, MODBUS_ONLY, "is for Modbus devices only", report)
    if device.type == "plain" and len(device.points) > 1:
        reason = "a plain payload is one number, so there is one point"
        report.wrong((*row.path, "points"), reason, "use json-node")
    for name in ("paths", "units"):
        for key in getattr(device, name):
            if key not in device.points:
                report.unknown((*row.path, name, key), "point of this device", key, device.points)


def _refuse(row: Row[DeviceConfig], keys: tuple[str, ...], reason: str, report: Report) -> None:
    for key in keys:
        if (*row.path, key) in report.lines:
            report.wrong((*row.path, key), reason, "remove it")


def _keys(row: Row[DeviceConfig], draft: Draft, report: Report) -> None:
    device = row.it
    for key, quantity in device.points.items():
        path = (*row.path, "points", key)
        if quantity not in QUANTITIES or quantity in OWN_QUANTITIES:
            names = [q for q in QUANTITIES if q not in OWN_QUANTITIES]
            report.unknown(path, "quantity", quantity, names)
            continue
        if not key or "." in key or "/" in key:
            report.wrong(path, f"{key!r} cannot be part of a point's name", "no dot and no slash")
        unit = device.units.get(key, "")
        where: TomlPath = (*row.path, "units", key) if unit else path
        if unit and unit not in UNITS:
            report.unknown(where, "unit", unit, UNITS)
            continue
        known = draft.types.get(device.type)
        typed = known.points.get(key) if known else None
        if typed is not None and typed.quantity and typed.quantity != quantity:
            reason = f"{key} of a {device.type} measures {typed.quantity}, not {quantity}"
            report.wrong(path, reason, f'{key} = "{typed.quantity}"')
            continue
        try:
            conversion(unit or (typed.unit if typed else ""), quantity, device.lel_pct_vol)
        except ValueError as error:
            report.wrong(where, str(error))
    for key in device.range:
        if key not in device.points:
            report.unknown((*row.path, "range", key), "point of this device", key, device.points)
    if device.catalytic and "CH4" not in device.points.values():
        report.wrong((*row.path, "catalytic"), "only a methane head is catalytic", "remove it")


def check_points(draft: Draft, report: Report) -> None:
    """Check every ``[[point]]``, and the place and range of every point."""
    for row in draft.points:
        point = row.it
        if point.id not in draft.site_points:
            if point.id.split(".")[0] not in draft.broken_devices:
                report.unknown((*row.path, "id"), "point", point.id, draft.site_points)
            continue
        if point.zone and point.zone not in draft.known["zone"]:
            report.unknown((*row.path, "zone"), "zone", point.zone, draft.known["zone"])
        found = draft.site_points[point.id]
        if point.max_age_s is not None and point.max_age_s <= found.device.poll_s:
            reason = f"every reading would be STALE: it is read every {found.device.poll_s:g} s"
            report.wrong((*row.path, "max_age_s"), reason, f"about {3 * found.device.poll_s:g}")
        if point.catalytic and found.quantity != "CH4":
            report.wrong((*row.path, "catalytic"), "only a methane head is catalytic", "remove it")
    own = {row.it.id: row for row in draft.points}
    devices = {row.it.id: row for row in draft.devices}
    for found in draft.site_points.values():
        given = own.get(found.id)
        device = devices[found.device.id]
        at_point = given is not None and bool(given.it.location)
        _place(found, given.path if given and at_point else device.path, draft, report)
        if given is not None and given.it.range is not None:
            _range(found, (*given.path, "range"), report)
        elif found.key in found.device.range:
            _range(found, (*device.path, "range", found.key), report)


def _place(point: SitePoint, path: TomlPath, draft: Draft, report: Report) -> None:
    """Check that the point has a location class, and one that its class of zone can have."""
    zone_class = draft.zone_classes.get(point.zone)
    if zone_class not in ZONE_CLASSES:
        zone_class = None  # reported where the zone stands
    if not point.location:
        if zone_class is not None and zone_class not in LOCATIONS:
            fit = [name for name, place in LOCATIONS.items() if zone_class in place.zones]
            reason = f"{point.id} has no location, and a {zone_class} has several"
            report.wrong(path, reason, f"add location, one of: {', '.join(fit)}")
        return
    where = (*path, "location")
    if point.location not in LOCATIONS:
        report.unknown(where, "location", point.location, LOCATIONS)
    elif zone_class is not None and zone_class not in LOCATIONS[point.location].zones:
        fit = [name for name, place in LOCATIONS.items() if zone_class in place.zones]
        reason = f"{point.id}: a {point.location} does not lie in a zone of class {zone_class}"
        report.wrong(where, reason, f"one of: {', '.join(fit)}" if fit else "another zone")


def _range(point: SitePoint, path: TomlPath, report: Report) -> None:
    low, high = point.range
    quantity = QUANTITIES[point.quantity]
    if not low < high:
        report.wrong(path, f"{low:g} is not below {high:g}", "[low, high]")
    elif low < quantity.plausible_low or high > quantity.plausible_high:
        reason = f"no sensor for {quantity.label} measures from {low:g} to {high:g} {quantity.unit}"
        span = f"{quantity.plausible_low:g} to {quantity.plausible_high:g} {quantity.unit}"
        report.wrong(path, reason, f"within {span}")


def _same_unit(draft: Draft, report: Report) -> None:
    seen: dict[tuple[str, int], str] = {}
    for row in draft.devices:
        device = row.it
        if is_mqtt(device) or not device.link or not device.unit:
            continue
        address = (device.link, device.unit)
        if address in seen:
            reason = f"{seen[address]!r} has the same unit on link {device.link!r}"
            report.wrong((*row.path, "unit"), reason, "give each device its own unit")
        seen.setdefault(address, device.id)


def _same_topic(draft: Draft, report: Report) -> None:
    seen: dict[str, list[tuple[DeviceConfig, str]]] = {}
    for row in draft.devices:
        for key in row.it.points if row.it.topic else ():
            same_path = seen.setdefault(row.it.paths.get(key, key), [])
            twins = [(d, k) for d, k in same_path if covers(d.topic, row.it.topic)]
            if twins:
                reason = f"{twins[0][0].id}.{twins[0][1]} has the same topic and path"
                report.wrong((*row.path, "points", key), reason, "read each value once")
            same_path.append((row.it, key))


def filter_fault(topic: str) -> str:
    """Return what is wrong with an MQTT topic filter; empty if nothing."""
    levels = topic.split("/")
    if any(("+" in level or "#" in level) and len(level) > 1 for level in levels):
        return "+ and # stand alone between slashes"
    if "#" in levels[:-1]:
        return "# stands at the end"
    if "\0" in topic or topic.startswith("$"):
        return "no $ at the start and no zero byte"
    return ""


def covers(one: str, other: str) -> bool:
    """Tell whether some topic fits both MQTT filters."""
    for a, b in _side_by_side(one.split("/"), other.split("/")):
        if "#" in (a, b):
            return True
        if a is None or b is None or (a != b and "+" not in (a, b)):
            return False
    return True


def _side_by_side(one: list[str], other: list[str]) -> Iterator[tuple[str | None, str | None]]:
    for n in range(max(len(one), len(other))):
        yield (one[n] if n < len(one) else None, other[n] if n < len(other) else None)


def reachable(op: str, limit: float, span: tuple[float, float]) -> bool:
    """Tell whether a sensor with that measuring range can ever read beyond the limit."""
    low, high = span
    tolerance = 1e-6 * max(abs(limit), 1e-9)
    if math.isinf(high) and math.isinf(low):
        return True
    return {
        ">=": limit <= high + tolerance,
        ">": limit < high - tolerance,
        "<=": limit >= low - tolerance,
        "<": limit > low + tolerance,
    }[op]
