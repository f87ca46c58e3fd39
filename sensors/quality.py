"""What a reading is worth, as codes, and the table of what each quality may do.

The rule behind the table: a quality may turn a safe-looking value into unknown, never a
dangerous-looking one into silence. The order of the codes is the order of badness.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Final

import numpy as np
from numpy.typing import NDArray


class Quality(IntEnum):
    """Codes in order of badness; ``LATE`` appears in event rows only, never in a frame."""

    GOOD = 0
    UNCERTAIN = 1
    JUMP = 2
    STUCK = 3
    BAD_CLOCK = 4
    UNRELIABLE = 5
    NO_DATA = 6
    RETAINED = 7
    STALE = 8
    COMMS_LOST = 9
    DEVICE_FAULT = 10
    WARM_UP = 11
    CALIBRATION = 12
    INHIBITED = 13
    DECODE_ERROR = 14
    OVER_RANGE = 15
    UNDER_RANGE = 16
    UNDEFINED = 17
    LATE = 18


def _mask(*codes: Quality) -> NDArray[np.bool_]:
    table = np.zeros(len(Quality), dtype=np.bool_)
    table[list(codes)] = True
    table.flags.writeable = False
    return table


_SET_ONLY: Final = (Quality.JUMP, Quality.STUCK, Quality.BAD_CLOCK, Quality.UNRELIABLE)
_NEITHER: Final = (
    Quality.NO_DATA,
    Quality.RETAINED,
    Quality.STALE,
    Quality.COMMS_LOST,
    Quality.DEVICE_FAULT,
    Quality.WARM_UP,
    Quality.CALIBRATION,
    Quality.INHIBITED,
    Quality.DECODE_ERROR,
)

# Indexed by quality code, shape (19,).
MAY_CLEAR: Final = _mask(Quality.GOOD, Quality.UNCERTAIN)
MAY_SET: Final = _mask(Quality.GOOD, Quality.UNCERTAIN, *_SET_ONLY)
RAISES_FAULT: Final = _mask(*_SET_ONLY, *_NEITHER, Quality.OVER_RANGE, Quality.UNDER_RANGE)
# What the gateway itself finds is about now, whatever a source time says: it is never LATE.
GATEWAY_FOUND: Final = _mask(
    Quality.NO_DATA, Quality.STALE, Quality.COMMS_LOST, Quality.DECODE_ERROR
)
