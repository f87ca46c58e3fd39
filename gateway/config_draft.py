"""The tables of a file that are right by themselves, before they are checked against each other.

A table with an error is left out, but its id stays known: one mistake shall not be reported again
at every place that names it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Generic, TypeVar

from alarms.places import LOCATIONS
from alarms.profile import Profile
from gateway.config import (
    ApiConfig,
    BrokerConfig,
    CommandsConfig,
    DeviceConfig,
    ExemptionConfig,
    HistorianConfig,
    InfluxConfig,
    JournalConfig,
    LinkConfig,
    OutputConfig,
    PeerConfig,
    PointConfig,
    RuleConfig,
    SiteConfig,
    ZoneConfig,
)
from gateway.toml_positions import Path as TomlPath
from sensors.device_types import DeviceType
from sensors.payloads import PAYLOAD_TYPES
from sensors.quantities import QUANTITIES
from sensors.reading_plan import ModbusDeviceSpec
from sensors.units import conversion

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Row(Generic[T]):
    """One table of the file: where it stands, and what it says."""

    path: TomlPath
    it: T


@dataclass(frozen=True, slots=True)
class SitePoint:
    """One point with its device's and its own settings merged.

    `range_known` is False where neither the file nor the device type gives a measuring range; the
    plausible span of the quantity then stands for it.
    """

    id: str
    path: TomlPath
    device: DeviceConfig
    key: str
    quantity: str
    zone: str
    location: str
    range: tuple[float, float]
    range_known: bool
    max_age_s: float
    catalytic: bool
    name: str
    limits: Mapping[str, float]


@dataclass(slots=True)
class Draft:
    """What could be read of a file. `known` maps a kind of table to the ids that it gives."""

    file: Path
    types: Mapping[str, DeviceType]
    profile: Profile | None = None
    site: Row[SiteConfig] | None = None
    journal: Row[JournalConfig] | None = None
    commands: Row[CommandsConfig] | None = None
    api: Row[ApiConfig] | None = None
    mqtt: Row[BrokerConfig] | None = None
    influxdb: Row[InfluxConfig] | None = None
    historian: Row[HistorianConfig] | None = None
    zones: list[Row[ZoneConfig]] = field(default_factory=list)
    links: list[Row[LinkConfig]] = field(default_factory=list)
    devices: list[Row[DeviceConfig]] = field(default_factory=list)
    points: list[Row[PointConfig]] = field(default_factory=list)
    rules: list[Row[RuleConfig]] = field(default_factory=list)
    peers: list[Row[PeerConfig]] = field(default_factory=list)
    outputs: list[Row[OutputConfig]] = field(default_factory=list)
    exemptions: list[Row[ExemptionConfig]] = field(default_factory=list)
    known: dict[str, set[str]] = field(default_factory=dict)
    site_points: dict[str, SitePoint] = field(default_factory=dict)
    mqtt_given: bool = False

    @property
    def broken_devices(self) -> set[str]:
        """Ids of devices whose table is wrong: nothing can be said about their points."""
        return self.known.get("device", set()) - {row.it.id for row in self.devices}

    @property
    def zone_classes(self) -> dict[str, str]:
        """Class of each zone that could be read."""
        return {row.it.id: row.it.zone_class for row in self.zones}


def default_max_age_s(poll_s: float) -> float:
    """Return the age [s] beyond which a reading is STALE: three lost polls, at least 5 s."""
    return max(3.0 * poll_s, 5.0)


def merge_points(
    devices: Iterable[Row[DeviceConfig]],
    overrides: Iterable[Row[PointConfig]],
    types: Mapping[str, DeviceType],
    zone_classes: Mapping[str, str],
) -> dict[str, SitePoint]:
    """Return every point by id, in order of the file; a wrong quantity leaves its point out.

    Without a location, a point has that of its zone's class, if the class is one.
    """
    own = {row.it.id: row.it for row in overrides}
    found: dict[str, SitePoint] = {}
    for row in devices:
        device = row.it
        for key, quantity in device.points.items():
            if quantity not in QUANTITIES:
                continue
            point_id = f"{device.id}.{key}"
            given = own.get(point_id, PointConfig(point_id))
            span = given.range or device.range.get(key) or type_range(device, key, types)
            plausible = QUANTITIES[quantity]
            catalytic = device.catalytic and quantity == "CH4"
            zone = given.zone or device.zone
            of_zone = zone_classes.get(zone, "")
            found[point_id] = SitePoint(
                id=point_id,
                path=(*row.path, "points", key),
                device=device,
                key=key,
                quantity=quantity,
                zone=zone,
                location=given.location
                or device.location
                or (of_zone if of_zone in LOCATIONS else ""),
                range=span or (plausible.plausible_low, plausible.plausible_high),
                range_known=span is not None,
                max_age_s=given.max_age_s or device.max_age_s or default_max_age_s(device.poll_s),
                catalytic=catalytic if given.catalytic is None else given.catalytic,
                name=given.name or device.name or device.id,
                limits=given.limits,
            )
    return found


def type_range(
    device: DeviceConfig, key: str, types: Mapping[str, DeviceType]
) -> tuple[float, float] | None:
    """Return the measuring range of the device type in the canonical unit, if it has one.

    A quantity that can only be 0 or 1 needs none.
    """
    quantity = QUANTITIES[device.points[key]]
    known = types.get(device.type)
    row = known.points.get(key) if known else None
    if row is None or row.range is None:
        return (0.0, 1.0) if quantity.unit == "0/1" else None
    try:
        factor, offset = conversion(row.unit, quantity.key, device.lel_pct_vol)
    except ValueError:  # reported where the units are checked
        return None
    low, high = sorted(factor * end + offset for end in row.range)
    return low, high


def is_mqtt(device: DeviceConfig) -> bool:
    """Tell whether a device speaks MQTT."""
    return device.type in PAYLOAD_TYPES


def device_spec(device: DeviceConfig, points: Mapping[str, int]) -> ModbusDeviceSpec:
    """Return what a link is told about a device."""
    return ModbusDeviceSpec(
        id=device.id,
        type=device.type,
        unit=device.unit,
        points=points,
        poll_s=device.poll_s,
        base_address=device.base_address,
        order=device.order,
        lel_pct_vol=device.lel_pct_vol,
        quantities=dict(device.points),
    )
