from __future__ import annotations

import pytest

from sensors.quantities import QUANTITIES
from sensors.units import UnitError, conversion, stated_units

# Worked by hand or taken from tables, not from the code.
WORKED = [
    ("ppm", "%vol", None, 10_000.0, 1.0),
    ("%vol", "ppm", None, 0.0024, 24.0),
    ("%LEL", "%vol", 4.4, 25.0, 1.1),
    ("%LEL", "%vol", 5.0, 20.0, 1.0),
    ("%LEL", "ppm", 5.0, 1.0, 500.0),
    ("degF", "degC", None, 212.0, 100.0),
    ("degF", "degC", None, -40.0, -40.0),
    ("K", "degC", None, 293.15, 20.0),
    ("kPa", "Pa", None, 2.5, 2_500.0),
    ("mmH2O", "Pa", None, 300.0, 2_941.995),
    ("inH2O", "Pa", None, 4.0, 996.35564),
    ("kPa", "hPa", None, 101.325, 1_013.25),
    ("mmHg", "hPa", None, 760.0, 1_013.25024),
    ("inHg", "hPa", None, 29.92, 1_013.2076),
    ("ft/min", "m/s", None, 60.0, 0.3048),
    ("m3/min", "m3/s", None, 1_200.0, 20.0),
    ("ft3/min", "m3/s", None, 9_000.0, 4.247527),
    ("fraction", "%", None, 0.5, 50.0),
    ("in/s", "mm/s", None, 0.28, 7.112),
]


@pytest.mark.parametrize(("stated", "canonical", "lel", "given", "expected"), WORKED)
def test_worked_examples(
    stated: str, canonical: str, lel: float | None, given: float, expected: float
) -> None:
    scale, offset = conversion(stated, canonical, lel)
    assert given * scale + offset == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("quantity", QUANTITIES)
def test_the_canonical_unit_and_no_unit_change_nothing(quantity: str) -> None:
    unit = QUANTITIES[quantity].unit
    assert conversion(unit, unit) == conversion("", unit) == (1.0, 0.0)


def test_every_offered_unit_converts() -> None:
    for quantity in QUANTITIES.values():
        for stated in stated_units(quantity.unit):
            assert conversion(stated, quantity.unit, 5.0)[0] > 0


def test_refusals_name_the_remedy() -> None:
    with pytest.raises(UnitError, match="use %vol, ppm, %LEL"):
        conversion("mg/m3", "%vol")
    with pytest.raises(UnitError, match="lel_pct_vol"):
        conversion("%LEL", "%vol")
    with pytest.raises(UnitError, match="'%LEL' cannot become 'Pa'"):
        conversion("%LEL", "Pa", 5.0)
