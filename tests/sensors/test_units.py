from __future__ import annotations

import pytest

from sensors.quantities import QUANTITIES
from sensors.units import conversion

# Worked by hand or taken from tables, not from the code.
WORKED = [
    ("ppm", "CH4", None, 10_000.0, 1.0),
    ("%vol", "CO", None, 0.0024, 24.0),
    ("ppb", "NO2", None, 500.0, 0.5),
    ("%LEL", "CH4", 4.4, 25.0, 1.1),
    ("%LEL", "CH4", 5.0, 20.0, 1.0),
    ("%LEL", "H2S", 4.0, 1.0, 400.0),
    ("degF", "temperature", None, 212.0, 100.0),
    ("degF", "temperature", None, -40.0, -40.0),
    ("K", "temperature", None, 293.15, 20.0),
    ("kPa", "pressure", None, 2.5, 2_500.0),
    ("mmH2O", "pressure", None, 300.0, 2_941.995),
    ("inH2O", "pressure", None, 4.0, 996.35564),
    ("kPa", "barometer", None, 101.325, 1_013.25),
    ("Pa", "barometer", None, 98_000.0, 980.0),
    ("mmHg", "barometer", None, 760.0, 1_013.25024),
    ("inHg", "barometer", None, 29.92, 1_013.2076),
    ("ft/min", "air_velocity", None, 60.0, 0.3048),
    ("m3/min", "air_quantity", None, 1_200.0, 20.0),
    ("ft3/min", "air_quantity", None, 9_000.0, 4.247527),
    ("fraction", "humidity", None, 0.5, 50.0),
    ("in/s", "vibration", None, 0.28, 7.112),
    ("cm", "water_level", None, 125.0, 1.25),
]


@pytest.mark.parametrize(("unit", "quantity", "lel", "given", "expected"), WORKED)
def test_worked_examples(
    unit: str, quantity: str, lel: float | None, given: float, expected: float
) -> None:
    factor, offset = conversion(unit, quantity, lel)
    assert given * factor + offset == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("quantity", QUANTITIES)
def test_the_canonical_unit_and_no_unit_change_nothing(quantity: str) -> None:
    assert conversion(QUANTITIES[quantity].unit, quantity) == (1.0, 0.0)
    assert conversion("", quantity) == (1.0, 0.0)


@pytest.mark.parametrize(
    ("unit", "quantity", "lel", "reason"),
    [
        ("mg/m3", "CH4", None, "no conversion from mg/m3 to %vol, the unit of CH4"),
        ("%LEL", "CH4", None, "lel_pct_vol"),
        ("%LEL", "CH4", 0.0, "not between 0 and 100"),
        ("%LEL", "pressure", 5.0, "no conversion from %vol to Pa"),
    ],
)
def test_refusals_name_the_reason(unit: str, quantity: str, lel: float | None, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        conversion(unit, quantity, lel)
