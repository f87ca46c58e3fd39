"""Numbers to registers, and canonical units to those that a device speaks.

Written a second time, apart from the gateway's decoder: a mistake in one must not hide behind the
same mistake in the other.
"""

from __future__ import annotations

import struct
from typing import Final

from sensors.quantities import QUANTITIES

# Order in which the bytes A B C D of a big-endian number stand in two registers.
_BYTE_ORDERS: Final = {
    "ABCD": (0, 1, 2, 3),
    "CDAB": (2, 3, 0, 1),
    "BADC": (1, 0, 3, 2),
    "DCBA": (3, 2, 1, 0),
}
_FORMATS: Final = {
    "int16": (">h", -0x8000, 0x7FFF),
    "uint16": (">H", 0, 0xFFFF),
    "int32": (">i", -0x8000_0000, 0x7FFF_FFFF),
    "uint32": (">I", 0, 0xFFFF_FFFF),
}
_NOT_A_NUMBER: Final = bytes.fromhex("7fc00000")

# What one canonical unit is in the device's unit: device = canonical * factor + offset.
_FROM_CANONICAL: Final[dict[tuple[str, str], tuple[float, float]]] = {
    ("%vol", "ppm"): (10_000.0, 0.0),
    ("ppm", "%vol"): (0.0001, 0.0),
    ("ppm", "ppb"): (1000.0, 0.0),
    ("degC", "degF"): (1.8, 32.0),
    ("degC", "K"): (1.0, 273.15),
    ("m/s", "m/min"): (60.0, 0.0),
    ("m3/s", "m3/min"): (60.0, 0.0),
    ("m3/s", "m3/h"): (3600.0, 0.0),
    ("Pa", "kPa"): (0.001, 0.0),
    ("Pa", "hPa"): (0.01, 0.0),
    ("Pa", "mbar"): (0.01, 0.0),
    ("hPa", "Pa"): (100.0, 0.0),
    ("hPa", "kPa"): (0.1, 0.0),
    ("hPa", "mbar"): (1.0, 0.0),
    ("A", "mA"): (1000.0, 0.0),
    ("m", "mm"): (1000.0, 0.0),
    ("m", "cm"): (100.0, 0.0),
}


def to_unit(value: float, quantity: str, unit: str, lel_pct_vol: float | None = None) -> float:
    """Return a canonical value in the unit that a device speaks.

    Raises
    ------
    ValueError
        If the pretend device cannot speak it.
    """
    canonical = QUANTITIES[quantity].unit
    if unit in ("", canonical):
        return value
    if unit == "%LEL" and lel_pct_vol and canonical == "%vol":
        return value / lel_pct_vol * 100.0
    try:
        factor, offset = _FROM_CANONICAL[canonical, unit]
    except KeyError:
        raise ValueError(f"the pretend mine has no {unit} for {quantity}") from None
    return value * factor + offset


def encode(wire_type: str, order: str, raw: float) -> list[int]:
    """Return the registers of one number; out of the type's range it stays at its end."""
    if wire_type == "float32":
        data = _NOT_A_NUMBER if raw != raw else struct.pack(">f", raw)  # noqa: PLR0124 - NaN
    else:
        layout, low, high = _FORMATS[wire_type]
        data = struct.pack(layout, min(max(round(raw), low), high))
    if len(data) == 2:  # noqa: PLR2004 - one register
        return [int.from_bytes(data, "little" if order in ("BADC", "DCBA") else "big")]
    moved = bytes(data[i] for i in _BYTE_ORDERS[order])
    return [int.from_bytes(moved[:2], "big"), int.from_bytes(moved[2:], "big")]
