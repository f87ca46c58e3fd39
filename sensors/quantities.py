"""One row per gas or airflow quantity: its canonical unit, plausible span and display format.

A new gas is one new row here. Readings are converted to the canonical unit once, in decode;
nothing is rounded before display.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

Side = Literal["high", "low", "both", "none"]


@dataclass(frozen=True, slots=True)
class Quantity:
    """A quantity that the gateway knows.

    `plausible_low` and `plausible_high` [unit] bound what any sensor of this kind could say: a
    configured range outside them is refused. `dangerous` is the side on which harm lies.
    """

    key: str
    label: str
    unit: str
    plausible_low: float
    plausible_high: float
    dangerous: Side
    decimals: int


_ROWS: Final = (
    Quantity("CH4", "methane", "%vol", -5.0, 100.0, "high", 2),
    Quantity("CO", "carbon monoxide", "ppm", -50.0, 10_000.0, "high", 0),
    Quantity("CO2", "carbon dioxide", "%vol", -1.0, 100.0, "high", 2),
    Quantity("O2", "oxygen", "%vol", -1.0, 30.0, "low", 1),
    Quantity("H2", "hydrogen", "%vol", -1.0, 100.0, "high", 2),
    Quantity("H2S", "hydrogen sulphide", "ppm", -10.0, 1_000.0, "high", 1),
    Quantity("NO2", "nitrogen dioxide", "ppm", -5.0, 500.0, "high", 1),
    Quantity("SO2", "sulphur dioxide", "ppm", -5.0, 500.0, "high", 1),
    Quantity("NH3", "ammonia", "ppm", -10.0, 1_000.0, "high", 0),
    Quantity("smoke", "smoke", "0/1", 0.0, 1.0, "high", 0),
    Quantity("smoke_density", "smoke optical density", "1/m", -0.1, 10.0, "high", 3),
    Quantity("temperature", "temperature", "degC", -60.0, 200.0, "high", 1),
    Quantity("humidity", "relative humidity", "%", 0.0, 100.0, "none", 0),
    Quantity("air_velocity", "air velocity", "m/s", -40.0, 40.0, "both", 2),
    Quantity("air_quantity", "air quantity", "m3/s", -2_000.0, 2_000.0, "low", 1),
    Quantity(
        "air_direction", "air direction (1 as planned, 0 reversed)", "0/1", 0.0, 1.0, "low", 0
    ),
    Quantity("pressure", "differential pressure", "Pa", -20_000.0, 20_000.0, "both", 0),
    Quantity("barometer", "barometric pressure", "hPa", 500.0, 1_300.0, "none", 1),
    Quantity("fan_run", "fan running", "0/1", 0.0, 1.0, "low", 0),
    Quantity("fan_speed", "fan speed", "%", -150.0, 150.0, "low", 1),
    Quantity("fan_current", "fan motor current", "A", -10.0, 5_000.0, "both", 1),
    Quantity("bearing_temperature", "bearing temperature", "degC", -60.0, 300.0, "high", 1),
    Quantity("vibration", "vibration", "mm/s", 0.0, 500.0, "high", 1),
    Quantity("air_duct", "air duct (1 air, 0 none)", "0/1", 0.0, 1.0, "low", 0),
    Quantity("door", "ventilation door (1 open, 0 shut)", "0/1", 0.0, 1.0, "high", 0),
    Quantity("feed", "load-side voltage (1 live, 0 dead)", "0/1", 0.0, 1.0, "none", 0),
    Quantity("call_point", "call point (1 pressed)", "0/1", 0.0, 1.0, "high", 0),
    Quantity("people", "people in the zone", "people", 0.0, 100_000.0, "high", 0),
    Quantity("water_level", "water level", "m", -100.0, 1_000.0, "high", 2),
    Quantity("dust", "dust", "mg/m3", 0.0, 10_000.0, "high", 1),
    Quantity("agreement", "output read back as commanded (1 yes)", "0/1", 0.0, 1.0, "low", 0),
    Quantity("health", "gateway part works (1 yes)", "0/1", 0.0, 1.0, "low", 0),
)

QUANTITIES: Final[dict[str, Quantity]] = {row.key: row for row in _ROWS}
