"""The recorded past of one point: samples, or the envelope of each step. Pure.

An envelope keeps every spike: each finite value of a step lies between its min and its max,
whatever its quality, because an over-range or jumping value is the exceedance itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np

from gateway.api.answers import SampleAnswer, StepAnswer
from gateway.api.picture import finite, iso, iso_ns
from gateway.journal_rows import History
from sensors.frame import NO_SOURCE_TIME
from sensors.quality import MAY_CLEAR, Quality

MAX_SAMPLES: Final = 10_000
MAX_STEPS: Final = 5_000


def samples(part: History) -> list[SampleAnswer]:
    """Return recorded samples."""
    rows = zip(
        part.time_ns.tolist(),
        part.value.tolist(),
        part.quality.tolist(),
        part.source_ns.tolist(),
        part.received_ns.tolist(),
        part.retained.tolist(),
        strict=True,
    )
    return [
        {
            "time": iso_ns(time_ns),
            "value": finite(value),
            "quality": Quality(quality).name,
            "source_time": None if source_ns == NO_SOURCE_TIME else iso_ns(source_ns),
            "receive_time": iso_ns(received_ns),
            "retained": retained,
        }
        for time_ns, value, quality, source_ns, received_ns, retained in rows
    ]


def joined(parts: Sequence[History]) -> History:
    """Return parts that follow each other as one."""
    columns = ([getattr(part, name) for part in parts] for name in History.__slots__)
    return History(*(np.concatenate(column) for column in columns))


def before(part: History, time_ns: int) -> History:
    """Return what is earlier than `time_ns`."""
    n = int(np.searchsorted(part.time_ns, time_ns))
    return History(*(getattr(part, name)[:n] for name in History.__slots__))


def envelope(part: History, start_ns: int, step_ns: int) -> list[StepAnswer]:
    """Return one row per step that holds a sample; a gap stays a gap.

    Steps are counted from `start_ns`; each holds its beginning and not its end.
    """
    if not len(part):
        return []
    value, quality = part.value, part.quality
    steps, first = np.unique((part.time_ns - start_ns) // step_ns, return_index=True)
    known = np.isfinite(value)
    low = np.minimum.reduceat(np.where(known, value, np.inf), first)
    high = np.maximum.reduceat(np.where(known, value, -np.inf), first)
    worst = np.maximum.reduceat(quality, first)
    usable = np.add.reduceat(MAY_CLEAR[quality].astype(np.int64), first)
    ends = np.append(first[1:], len(part))
    return [
        {
            "time": iso(start_ns + int(steps[i]) * step_ns),
            "samples": int(ends[i] - first[i]),
            "usable": int(usable[i]),
            "min": finite(low[i]),
            "max": finite(high[i]),
            "last": finite(value[ends[i] - 1]),
            "worst": Quality(int(worst[i])).name,
        }
        for i in range(len(steps))
    ]
