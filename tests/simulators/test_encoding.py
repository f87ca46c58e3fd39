"""Registers typed in by hand: IEEE 754 worked out on paper, and bytes from manuals."""

from __future__ import annotations

import math

import pytest

from simulators.encoding import encode, to_unit

# 40.0 = 1.25 * 2^5: 0 10000100 0100... = 42 20 00 00. 1.5 = 1.1b * 2^0: 3F C0 00 00.
# 0.1f = 3D CC CC CD; all four bytes of 123456.789f = 47 F1 20 65 differ.


@pytest.mark.parametrize(
    ("wire_type", "order", "raw", "words"),
    [
        ("float32", "ABCD", 40.0, [0x4220, 0x0000]),
        ("float32", "ABCD", 1.5, [0x3FC0, 0x0000]),
        ("float32", "ABCD", -1.5, [0xBFC0, 0x0000]),
        ("float32", "ABCD", 123456.789, [0x47F1, 0x2065]),
        ("float32", "CDAB", 123456.789, [0x2065, 0x47F1]),
        ("float32", "BADC", 123456.789, [0xF147, 0x6520]),
        ("float32", "DCBA", 123456.789, [0x6520, 0xF147]),
        ("float32", "ABCD", math.nan, [0x7FC0, 0x0000]),
        ("float32", "CDAB", math.nan, [0x0000, 0x7FC0]),
        ("uint16", "ABCD", 3048, [0x0BE8]),
        ("uint16", "BADC", 3048, [0xE80B]),
        ("uint16", "DCBA", 3048, [0xE80B]),
        ("uint16", "CDAB", 3048, [0x0BE8]),
        ("int16", "ABCD", -2, [0xFFFE]),
        ("int32", "ABCD", -2, [0xFFFF, 0xFFFE]),
        ("uint32", "ABCD", 305419896, [0x1234, 0x5678]),
        ("uint32", "CDAB", 305419896, [0x5678, 0x1234]),
        ("uint32", "BADC", 305419896, [0x3412, 0x7856]),
        ("uint32", "DCBA", 305419896, [0x7856, 0x3412]),
        ("int16", "ABCD", 1.0e9, [0x7FFF]),
        ("int16", "ABCD", -1.0e9, [0x8000]),
        ("uint16", "ABCD", -5.0, [0x0000]),
        ("uint16", "ABCD", 208.6, [0x00D1]),
    ],
)
def test_numbers_become_the_registers_of_the_book(
    wire_type: str, order: str, raw: float, words: list[int]
) -> None:
    assert encode(wire_type, order, raw) == words


@pytest.mark.parametrize(
    ("value", "quantity", "unit", "shown"),
    [
        (1.0, "CH4", "", 1.0),
        (1.0, "CH4", "%vol", 1.0),
        (1.0, "CH4", "ppm", 10_000.0),
        (24.0, "CO", "%vol", 0.0024),
        (100.0, "temperature", "degF", 212.0),
        (0.0, "temperature", "K", 273.15),
        (2.0, "air_velocity", "m/min", 120.0),
        (2200.0, "pressure", "kPa", 2.2),
        (1013.25, "barometer", "kPa", 101.325),
        (50.0, "air_quantity", "m3/min", 3000.0),
        (1.5, "water_level", "mm", 1500.0),
    ],
)
def test_units_of_devices(value: float, quantity: str, unit: str, shown: float) -> None:
    assert to_unit(value, quantity, unit) == pytest.approx(shown)


def test_percent_of_the_lower_explosive_limit_needs_its_basis() -> None:
    assert to_unit(1.0, "CH4", "%LEL", 5.0) == pytest.approx(20.0)
    assert to_unit(1.0, "CH4", "%LEL", 4.4) == pytest.approx(22.727, abs=1e-3)
    with pytest.raises(ValueError, match="%LEL"):
        to_unit(1.0, "CH4", "%LEL")


def test_an_impossible_unit_is_refused() -> None:
    with pytest.raises(ValueError, match="no degC for CH4"):
        to_unit(1.0, "CH4", "degC")
