"""The life of one alarm, as one table; every transition of the engine is looked up here."""

from __future__ import annotations

from enum import IntEnum
from typing import Final

from alarms.events import State


class Event(IntEnum):
    """What can happen to an alarm. RAISE, RETURN and CAUSE come from its condition."""

    RAISE = 0
    RETURN = 1
    CAUSE = 2
    ACK = 3
    RESET = 4
    SHELVE = 5
    OUT = 6


# One line a state; columns RAISE RETURN CAUSE ACK RESET SHELVE OUT.
# Letters are states (N U A R L S O); "=" stays; "-" refused under a command, impossible elsewhere.
# "x|y" is x for a plain alarm and y for a latching one.
_TABLE: Final = """
N   U  -    -  -    -    S|-  O
U   -  R    U  A    -    S|-  O
A   -  N|L  U  -    -    S|-  O
R   U  -    -  N|L  -    S|-  O
L   U  -    -  -    -|N  -    O
S   =  =    =  -    -    -    O
O   =  =    =  -    -    -    -
"""
_LETTER: Final = dict(zip("NUARLSO", State, strict=True))


def _parse() -> dict[tuple[bool, State, Event], State | None]:
    table: dict[tuple[bool, State, Event], State | None] = {}
    for line in _TABLE.split("\n")[1:-1]:
        letter, *cells = line.split()
        for event, cell in zip(Event, cells, strict=True):
            plain, _, latching = cell.partition("|")
            for is_latching, mark in ((False, plain), (True, latching or plain)):
                state = _LETTER[letter]
                after = None if mark == "-" else state if mark == "=" else _LETTER[mark]
                table[is_latching, state, event] = after
    return table


TRANSITIONS: Final = _parse()
"""(latching, state, event) -> next state, or None for "-"."""


def after_pause(*, condition: bool) -> State:
    """Return the state after UNSHELVE, IN, or the end of a shelf or of an OUT."""
    return State.UNACKED if condition else State.NORMAL


def in_force(state: State, *, latching: bool, condition: bool) -> bool:
    """Tell whether an alarm has its level and demands.

    A latching alarm by its state, so that only a reset (or OUT) ends it; a plain one while its
    condition is true, so that neither ack nor shelf can end it.
    """
    if latching:
        return state in (State.UNACKED, State.ACKED, State.RETURNED_UNACKED, State.LATCHED)
    return condition and state != State.OUT_OF_SERVICE
