"""The configuration as the pretend mine needs it: which point shows what, where, by which fan."""

from __future__ import annotations

from dataclasses import dataclass

from gateway.config import Config, DeviceConfig
from sensors.quantities import QUANTITIES
from simulators.places import kind_of

_FAN_QUANTITIES = ("fan_run", "fan_speed", "fan_current")


@dataclass(frozen=True, slots=True)
class MinePoint:
    """One point as configured, overrides applied. `low` and `high`: its measuring range."""

    id: str
    device: str
    key: str
    quantity: str
    zone: int
    location: str
    low: float
    high: float
    poll_s: float


@dataclass(frozen=True, slots=True)
class Fan:
    """A device that drives a fan.

    `main`: it moves the air of the whole mine; else the air in the ducts of `zones`.
    `standby`: it stands still unless told to run.
    """

    device: str
    zone: int
    zones: tuple[int, ...]
    main: bool
    standby: bool


def points_of(config: Config) -> tuple[MinePoint, ...]:
    """Return every point of every device, in the order of the configuration."""
    zones = {zone.id: index for index, zone in enumerate(config.zones)}
    own = {point.id: point for point in config.points}
    points = []
    for device in config.devices:
        for key, quantity in device.points.items():
            name = f"{device.id}.{key}"
            special = own.get(name)
            zone = special.zone if special and special.zone else device.zone
            place = special.location if special and special.location else device.location
            span = (special.range if special else None) or device.range.get(key)
            low, high = span or (
                QUANTITIES[quantity].plausible_low,
                QUANTITIES[quantity].plausible_high,
            )
            points.append(
                MinePoint(
                    name, device.id, key, quantity, zones[zone], place, low, high, device.poll_s
                )
            )
    return tuple(points)


def fans_of(config: Config) -> tuple[Fan, ...]:
    """Return the fans: main fans stand in a zone of class main fan, all others are local ones."""
    zones = {zone.id: index for index, zone in enumerate(config.zones)}
    return tuple(
        _fan(config, device, zones)
        for device in config.devices
        if any(quantity in _FAN_QUANTITIES for quantity in device.points.values())
    )


def _fan(config: Config, device: DeviceConfig, zones: dict[str, int]) -> Fan:
    here = zones[device.zone]
    kinds = [kind_of(zone.zone_class) for zone in config.zones]
    if kinds[here] == "main_fan" or "main_fan" in device.location:
        return Fan(device.id, here, (), main=True, standby="standby" in device.location)
    ahead = [here] if kinds[here] == "heading" else [zones[z] for z in config.zones[here].downwind]
    blown = tuple(zone for zone in ahead if kinds[zone] == "heading")
    return Fan(device.id, here, blown, main=False, standby="standby" in device.location)
