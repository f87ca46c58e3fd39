"""Units that devices and payloads speak, and how they become the canonical unit of a quantity.

Every conversion is ``canonical = value * factor + offset``. A conversion that is not in the table
is refused when the configuration is read, never guessed: mg/m3 to ppm, for one, needs the gas, the
temperature and the pressure.
"""

from __future__ import annotations

from typing import Final

from sensors.quantities import QUANTITIES

LEL: Final = "%LEL"

# (from, to): (factor, offset). Gas fractions are by volume. Columns of water at 4 degC and mercury
# at 0 degC, under standard gravity of 9.80665 m/s2.
_AFFINE: Final[dict[tuple[str, str], tuple[float, float]]] = {
    ("ppm", "%vol"): (1e-4, 0.0),
    ("%vol", "ppm"): (1e4, 0.0),
    ("ppb", "ppm"): (1e-3, 0.0),
    ("degF", "degC"): (5 / 9, -160 / 9),
    ("K", "degC"): (1.0, -273.15),
    ("fraction", "%"): (100.0, 0.0),
    ("m/min", "m/s"): (1 / 60, 0.0),
    ("km/h", "m/s"): (1 / 3.6, 0.0),
    ("ft/min", "m/s"): (0.00508, 0.0),
    ("m3/min", "m3/s"): (1 / 60, 0.0),
    ("m3/h", "m3/s"): (1 / 3600, 0.0),
    ("ft3/min", "m3/s"): (4.719474432e-4, 0.0),
    ("kPa", "Pa"): (1e3, 0.0),
    ("hPa", "Pa"): (1e2, 0.0),
    ("mbar", "Pa"): (1e2, 0.0),
    ("mmH2O", "Pa"): (9.80665, 0.0),
    ("inH2O", "Pa"): (249.08891, 0.0),
    ("Pa", "hPa"): (1e-2, 0.0),
    ("kPa", "hPa"): (10.0, 0.0),
    ("mbar", "hPa"): (1.0, 0.0),
    ("bar", "hPa"): (1e3, 0.0),
    ("mmHg", "hPa"): (1.333223874, 0.0),
    ("inHg", "hPa"): (33.86388667, 0.0),
    ("mA", "A"): (1e-3, 0.0),
    ("in/s", "mm/s"): (25.4, 0.0),
    ("mm", "m"): (1e-3, 0.0),
    ("cm", "m"): (1e-2, 0.0),
    ("ft", "m"): (0.3048, 0.0),
}

UNITS: Final = tuple(
    dict.fromkeys(
        [*(q.unit for q in QUANTITIES.values()), *(u for pair in _AFFINE for u in pair), LEL]
    )
)
"""All unit names, canonical ones first."""


def conversion(unit: str, quantity: str, lel_pct_vol: float | None = None) -> tuple[float, float]:
    """Return ``(factor, offset)`` from `unit` to the canonical unit of `quantity`.

    Parameters
    ----------
    unit : str
        Unit of the device or payload; empty means the canonical one.
    quantity : str
        Key of `QUANTITIES`.
    lel_pct_vol : float, optional
        Lower explosive limit [%vol] on which the device's %LEL is based. Methane: 4.4 by
        IEC 60079-20-1, 5.0 in North American practice; the device's certificate decides.

    Raises
    ------
    ValueError
        With the reason and what to do about it.
    """
    target = QUANTITIES[quantity].unit
    if unit in ("", target):
        return 1.0, 0.0
    if unit != LEL:
        try:
            return _AFFINE[unit, target]
        except KeyError:
            known = ", ".join([target, *(a for a, b in _AFFINE if b == target)])
            raise ValueError(
                f"no conversion from {unit} to {target}, the unit of {quantity}; use {known}"
            ) from None
    if lel_pct_vol is None:
        raise ValueError(
            f"{unit} becomes {target} only with the LEL that the device is set to; "
            "give lel_pct_vol (for methane 4.4 or 5.0, see the device's certificate)"
        )
    if not 0.0 < lel_pct_vol < 100.0:  # noqa: PLR2004
        raise ValueError(f"lel_pct_vol = {lel_pct_vol} is not between 0 and 100 %vol")
    factor, offset = conversion("%vol", quantity)
    return lel_pct_vol / 100.0 * factor, offset
