"""Event rows and commands: what leaves the engine, and what a person may ask of it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Literal


class State(IntEnum):
    """Lifecycle states of one alarm."""

    NORMAL = 0
    UNACKED = 1
    ACKED = 2
    RETURNED_UNACKED = 3
    LATCHED = 4
    SHELVED = 5
    OUT_OF_SERVICE = 6


CommandKind = Literal[
    "evacuate",
    "ack",
    "shelve",
    "unshelve",
    "reset",
    "calibrate",
    "recalibrated",
    "out",
    "in",
    "found",
]


@dataclass(frozen=True, slots=True)
class Command:
    """One request of a person (or, for ``found``, of the read-back at start).

    `target` is an alarm id (ack, shelve, unshelve, reset, out, in), a point id (calibrate,
    recalibrated), a zone id or ``all`` (evacuate), or an output id (found).
    `seen_seq` is the newest event seq its author saw; `until_ns` the end of a shelf, an OUT or a
    calibration [ns]; `second` the second person where two are needed.
    """

    kind: CommandKind
    target: str
    actor: str
    reason: str = ""
    second: str = ""
    measure: str = ""
    until_ns: int = 0
    seen_seq: int = 0


@dataclass(frozen=True, slots=True)
class Row:
    """One event, with the fields of the contract; words only, so that it can be read anywhere.

    Empty `rule`: a row of a zone, or a refused command about a point or an output.
    `cause_seq` 0: no earlier row.
    """

    seq: int
    t_ns: int
    rule: str
    point: str
    zone: str
    from_state: str
    to_state: str
    from_level: str
    to_level: str
    demands: tuple[str, ...]
    reason: str
    value: float | None
    quality: str
    actor: str
    cause_seq: int
