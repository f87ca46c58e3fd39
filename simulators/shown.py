"""What a sensor of each quantity shows of the pretend mine: one row per quantity."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from simulators.gas import CH4, CO, CO2, HEAT, SMOKE

if TYPE_CHECKING:
    from simulators.mine import Mine

Show = Callable[["Mine", int], float]

_PEOPLE: Final = {"face": 14.0, "heading": 6.0}
_SMOKE_SEEN: Final = 0.022  # optical density at which a smoke switch closes [1/m]
_DUCT_SPEED: Final = 0.3  # part of the usual duct air at which the duct switch opens


def _methane(mine: Mine, index: int) -> float:
    return 100.0 * min(1.0, float(mine.content(index)[CH4]) * mine.layering[index])


def _oxygen(mine: Mine, index: int) -> float:
    """Return what the other gases leave of the air; a fire eats what it gives off as CO2."""
    content = mine.content(index)
    gases = float(content[CH4] + content[CO] + content[CO2])
    return max(0.0, 20.93 * (1.0 - gases) - 100.0 * max(0.0, float(content[CO2]) - 5.0e-4))


def _smoke(mine: Mine, index: int) -> float:
    return float(mine.content(index)[SMOKE] >= _SMOKE_SEEN)


def _temperature(mine: Mine, index: int) -> float:
    place = mine.places[mine.points[index].zone]
    return place.temperature_degc + float(mine.content(index)[HEAT])


def _velocity(mine: Mine, index: int) -> float:
    return mine.velocity_m_s(mine.points[index].zone)


def _quantity(mine: Mine, index: int) -> float:
    return float(mine.flow.zone[mine.points[index].zone])


def _pressure(mine: Mine, index: int) -> float:
    """Return the pressure across a fan: it goes with the square of the speed [Pa]."""
    return 2200.0 * mine.fan_speed(index) ** 2


def _fan_run(mine: Mine, index: int) -> float:
    return float(mine.fan_told.get(mine.points[index].device, True))


def _air_duct(mine: Mine, index: int) -> float:
    zone = mine.points[index].zone
    return float(mine.flow.zone[zone] >= _DUCT_SPEED * mine.usual.zone[zone])


def _people(mine: Mine, index: int) -> float:
    return _PEOPLE.get(mine.kinds[mine.points[index].zone], 3.0)


def _switch(usual: float) -> Show:
    return lambda mine, index: mine.switched.get(mine.points[index].id, usual)


def _steady(value: float) -> Show:
    return lambda _mine, _index: value


# quantity: (what it shows in the canonical unit, standard deviation of the noise of a good sensor)
_SHOW: Final[dict[str, tuple[Show, float]]] = {
    "CH4": (_methane, 0.006),
    "CO": (lambda mine, index: 1.0e6 * float(mine.content(index)[CO]), 0.3),
    "CO2": (lambda mine, index: 100.0 * float(mine.content(index)[CO2]), 0.002),
    "O2": (_oxygen, 0.02),
    "H2": (_steady(0.0), 0.0),
    "H2S": (_steady(0.3), 0.05),
    "NO2": (_steady(0.2), 0.03),
    "SO2": (_steady(0.2), 0.03),
    "NH3": (_steady(1.0), 0.1),
    "smoke": (_smoke, 0.0),
    "smoke_density": (lambda mine, index: float(mine.content(index)[SMOKE]), 0.0003),
    "temperature": (_temperature, 0.08),
    "humidity": (_steady(86.0), 0.4),
    "air_velocity": (_velocity, 0.012),
    "air_quantity": (_quantity, 0.1),
    "air_direction": (_steady(1.0), 0.0),
    "pressure": (_pressure, 6.0),
    "barometer": (lambda mine, _index: mine.barometer_hpa, 0.03),
    "fan_run": (_fan_run, 0.0),
    "fan_speed": (lambda mine, index: 85.0 * mine.fan_speed(index), 0.05),
    "fan_current": (lambda mine, index: 120.0 * mine.fan_speed(index) ** 2, 0.3),
    "bearing_temperature": (lambda mine, index: 20.0 + 34.0 * mine.fan_speed(index), 0.1),
    "vibration": (lambda mine, index: 2.1 * mine.fan_speed(index), 0.05),
    "air_duct": (_air_duct, 0.0),
    "door": (_switch(0.0), 0.0),
    "feed": (_switch(1.0), 0.0),
    "call_point": (_switch(0.0), 0.0),
    "people": (_people, 0.0),
    "water_level": (_steady(0.8), 0.004),
    "dust": (_steady(1.6), 0.1),
}
SHOWN: Final = frozenset(_SHOW)


def shown(mine: Mine, index: int) -> float:
    """Return what point `index` shows now, with noise, not below the sensor's range.

    A sensor at the lower end of its range shows that end; beyond the upper end it shows what
    there is, and what becomes of it is a matter of its register.

    Raises
    ------
    KeyError
        For a quantity that the pretend mine does not have.
    """
    show, noise = _SHOW[mine.points[index].quantity]
    value = show(mine, index) + noise * float(mine.noise[index])
    return float(max(value, mine.points[index].low))
