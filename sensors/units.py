"""Units that devices and payloads state, and how they become the canonical unit of a quantity.

Every conversion is ``canonical = stated * scale + offset``. A conversion that is not in the table
is refused when the configuration is read, never guessed: mg/m3 and ppm, for one, need the gas, the
temperature and the pressure.
"""

from __future__ import annotations

from typing import Final

from sensors.quantities import QUANTITIES

LEL: Final = "%LEL"

# canonical: {stated: (scale, offset)}. Gas fractions are by volume. Pressures of columns are of
# water at 4 degC and mercury at 0 degC under standard gravity (9.80665 m/s2), as ISO 80000 has them.
_STATED: Final[dict[str, dict[str, tuple[float, float]]]] = {
    "%vol": {"ppm": (1e-4, 0.0), LEL: (0.01, 0.0)},
    "ppm": {"%vol": (1e4, 0.0), "ppb": (1e-3, 0.0), LEL: (100.0, 0.0)},
    "degC": {"degF": (5 / 9, -160 / 9), "K": (1.0, -273.15)},
    "%": {"fraction": (100.0, 0.0)},
    "m/s": {"m/min": (1 / 60, 0.0), "km/h": (1 / 3.6, 0.0), "ft/min": (0.00508, 0.0)},
    "m3/s": {"m3/min": (1 / 60, 0.0), "m3/h": (1 / 3600, 0.0), "ft3/min": (4.719474432e-4, 0.0)},
    "Pa": {
        "kPa": (1e3, 0.0),
        "hPa": (1e2, 0.0),
        "mbar": (1e2, 0.0),
        "mmH2O": (9.80665, 0.0),
        "inH2O": (249.08891, 0.0),
    },
    "hPa": {
        "Pa": (1e-2, 0.0),
        "kPa": (10.0, 0.0),
        "mbar": (1.0, 0.0),
        "bar": (1e3, 0.0),
        "mmHg": (1.333223874, 0.0),
        "inHg": (33.86388667, 0.0),
    },
    "A": {"mA": (1e-3, 0.0)},
    "mm/s": {"in/s": (25.4, 0.0)},
    "m": {"mm": (1e-3, 0.0), "cm": (1e-2, 0.0), "ft": (0.3048, 0.0)},
}

UNITS: Final = tuple(
    dict.fromkeys(
        [
            *(q.unit for q in QUANTITIES.values()),
            *(unit for row in _STATED.values() for unit in row),
        ]
    )
)
"""All unit names, canonical ones first."""


class UnitError(ValueError):
    """A stated unit that cannot become the wanted one, with the remedy."""


def stated_units(canonical: str) -> tuple[str, ...]:
    """Return the units that can be stated for a canonical one; itself first."""
    return (canonical, *_STATED.get(canonical, ()))


def conversion(
    stated: str, canonical: str, lel_pct_vol: float | None = None
) -> tuple[float, float]:
    """Return ``(scale, offset)`` from the stated unit to the canonical one.

    Parameters
    ----------
    stated : str
        Unit of the device or payload; empty means the canonical one.
    canonical : str
        Unit of a quantity in `sensors.quantities`.
    lel_pct_vol : float, optional
        Lower explosive limit [%vol] on which a stated %LEL is based. Methane: 4.4 by
        IEC 60079-20-1, 5.0 in North American practice; the device's certificate decides.

    Raises
    ------
    UnitError
        If there is no such conversion, or the LEL it needs is not given.
    """
    if stated in ("", canonical):
        return 1.0, 0.0
    found = _STATED.get(canonical, {}).get(stated)
    if found is None:
        raise UnitError(
            f"{stated!r} cannot become {canonical!r}; use {', '.join(stated_units(canonical))}"
        )
    if stated != LEL:
        return found
    if lel_pct_vol is None:
        raise UnitError(
            f"{LEL} becomes {canonical} only with the LEL the device is set to: "
            "give lel_pct_vol (for methane 4.4 or 5.0, see the device's certificate)"
        )
    if not 0.0 < lel_pct_vol < 100.0:  # noqa: PLR2004
        raise UnitError(f"lel_pct_vol = {lel_pct_vol} is not between 0 and 100 %vol")
    return found[0] * lel_pct_vol, found[1]
