"""Kinds of zone and kinds of place: the words by which a limit finds the points it is for.

The same gas has other limits in another place, and T-numbers do not say which: T1 is one place in
a longwall and another in a heading. So every point has a location class, and every zone a class.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

ZONE_CLASSES: Final[dict[str, str]] = {
    "main_intake": "main intake",
    "district_intake": "intake of a district",
    "belt_road": "conveyor road",
    "trolley_haulage": "haulage with trolley locomotives",
    "face_intake": "intake of a longwall",
    "longwall_face": "longwall face",
    "face_return": "return of a longwall",
    "heading": "heading with auxiliary ventilation",
    "district_return": "return of a district",
    "main_return": "wing or main return",
    "bleeder": "bleeder",
    "shaft": "shaft or drift",
    "machine_room": "machine room, substation, pump room",
    "battery_room": "battery charging room",
    "bunker": "coal bunker, preparation plant, conveyor gallery",
    "drainage_pump_room": "gas drainage pump room",
    "main_fan": "main fan station",
    "surface": "surface",
}


@dataclass(frozen=True, slots=True)
class Location:
    """A kind of place; `zones` are the classes of zone in which it can lie."""

    label: str
    zones: tuple[str, ...]


LOCATIONS: Final[dict[str, Location]] = {
    "longwall_face": Location("longwall face (T1)", ("longwall_face",)),
    "face_return_corner": Location("return corner of a longwall (T0)", ("longwall_face",)),
    "face_return": Location("return of a longwall (T2)", ("face_return",)),
    "face_return_middle": Location("middle of a long longwall return", ("face_return",)),
    "face_intake": Location("intake of a longwall (T3)", ("face_intake",)),
    "series_intake": Location("intake of a longwall ventilated in series (T4)", ("face_intake",)),
    "heading_face": Location("face of a heading (T1)", ("heading",)),
    "heading_return": Location("return of a heading (T2)", ("heading",)),
    "heading_series_fan": Location(
        "before the local fan of a heading ventilated in series (T3)", ("heading",)
    ),
    "heading_intake_split": Location(
        "split of the intake of a heading in an outburst mine (T4)", ("heading",)
    ),
    "twin_heading_return": Location("common return of twin headings", ("heading",)),
    "machine_mounted": Location(
        "on a shearer, roadheader or other face machine", ("longwall_face", "heading")
    ),
    "local_fan": Location("local fan of a heading", ("heading",)),
    "local_fan_standby": Location("standby local fan of a heading", ("heading",)),
    "district_intake": Location("intake of a district", ("district_intake",)),
    "district_return": Location("return of a district", ("district_return",)),
    "main_intake": Location("main intake", ("main_intake",)),
    "main_return": Location("wing or main return", ("main_return",)),
    "belt_road": Location("conveyor road", ("belt_road",)),
    "trolley_haulage": Location(
        "loading point, or downwind of a gassy road, on a trolley haulage", ("trolley_haulage",)
    ),
    "bleeder": Location("bleeder split", ("bleeder",)),
    "shaft": Location("shaft or drift", ("shaft",)),
    "return_conveyor_shaft": Location("return shaft with a conveyor", ("shaft",)),
    "machine_room": Location("machine room, substation, pump room", ("machine_room",)),
    "battery_room": Location("battery charging room", ("battery_room",)),
    "bunker": Location("above a coal bunker, in a closed plant or gallery", ("bunker",)),
    "drainage_pump_room": Location("surface gas drainage pump room", ("drainage_pump_room",)),
    "drainage_pump_downwind": Location(
        "downwind of an underground gas drainage pump",
        ("district_return", "face_return", "main_return"),
    ),
    "main_fan": Location("duty main fan", ("main_fan",)),
    "main_fan_standby": Location("standby main fan", ("main_fan",)),
    "surface": Location("surface", ("surface",)),
}
