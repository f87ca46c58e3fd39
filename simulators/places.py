"""What each class of zone is like on a normal day: the figures the pretend mine is built from.

The areas follow from these: a zone carries what the airflow network brings, at its class's usual
velocity. So any mine one can write down as zones and downwind lists starts inside its limits.
The figures are plausible ones of our own choosing, not taken from a mine.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Place:
    """One class of zone.

    Parameters
    ----------
    velocity_m_s, length_m : float
        Usual air velocity, and length along the air's way; their ratio is the travel time.
    demand_m3_s : float
        Air that ventilation planning sends there for its own sake.
    methane_rise_pct : float
        Methane the zone itself adds to its air at the usual quantity [%vol].
    face_share : float
        Part of that methane that comes out at `release_at`; the rest seeps out everywhere.
    release_at : float
        Where things happen, as a fraction of the length.
    temperature_degc : float
        Usual air temperature.
    """

    velocity_m_s: float
    length_m: float
    demand_m3_s: float
    methane_rise_pct: float
    face_share: float
    release_at: float
    temperature_degc: float


_OTHER: Final = Place(2.0, 150.0, 4.0, 0.01, 0.0, 0.9, 19.0)

_PLACES: Final[dict[str, Place]] = {
    "surface": Place(3.0, 50.0, 1.0, 0.0, 0.0, 0.5, 15.0),
    "intake": Place(3.0, 200.0, 2.0, 0.01, 0.0, 0.9, 16.0),
    "belt": Place(2.0, 200.0, 12.0, 0.02, 0.0, 0.5, 18.0),
    "face": Place(1.8, 200.0, 25.0, 0.28, 0.5, 0.9, 22.0),
    "face_return": Place(2.5, 200.0, 1.0, 0.02, 0.0, 0.5, 21.0),
    "heading": Place(1.0, 100.0, 9.0, 0.22, 0.7, 0.0, 21.0),
    "return": Place(4.0, 200.0, 1.0, 0.02, 0.0, 0.5, 20.0),
    "main_fan": Place(6.0, 100.0, 1.0, 0.0, 0.0, 0.5, 18.0),
}

# A class is recognised by the words in its name, the first row that fits; names differ between
# jurisdictions. Order matters: "face_return" before "return" and "face".
_WORDS: Final[tuple[tuple[tuple[str, ...], str], ...]] = (
    (("surface",), "surface"),
    (("main", "fan"), "main_fan"),
    (("fan", "drift"), "main_fan"),
    (("belt",), "belt"),
    (("conveyor",), "belt"),
    (("heading",), "heading"),
    (("face", "return"), "face_return"),
    (("longwall", "return"), "face_return"),
    (("return",), "return"),
    (("intake",), "intake"),
    (("longwall",), "face"),
    (("face",), "face"),
    (("working",), "face"),
)


def kind_of(zone_class: str) -> str:
    """Return which row of the table a class of zone is like; empty if like none."""
    name = zone_class.lower().replace("-", "_")
    return next((kind for words, kind in _WORDS if all(w in name for w in words)), "")


def place_of(zone_class: str) -> Place:
    """Return the figures for a class of zone."""
    return _PLACES.get(kind_of(zone_class), _OTHER)


# Where along its zone a sensor of a location class hangs, and how much more methane there is than
# in the mixed air of that cross-section: it layers under the roof and gathers in the corner.
_LOCATIONS: Final[dict[str, tuple[float, float]]] = {
    "face_return_corner": (0.9, 1.15),
    "longwall_face": (0.9, 1.0),
    "face_return": (0.95, 1.0),
    "face_intake": (0.0, 1.0),
    "heading_face": (0.0, 1.05),
    "heading_return": (0.95, 1.0),
}


def sensor_position(location: str, place: Place) -> tuple[float, float]:
    """Return (fraction of the zone's length, factor on methane) for a location class.

    A location not in the table hangs where things happen in that class of zone.
    """
    return _LOCATIONS.get(location, (place.release_at, 1.0))
