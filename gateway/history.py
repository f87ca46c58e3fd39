"""The recorded past of one point, as samples or as the envelope of each step. Pure.

An envelope keeps every spike: each finite value of a step lies between its min and its max,
whatever its quality, because an over-range or jumping value is the exceedance itself.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Final

import numpy as np
from numpy.typing import NDArray

from gateway.journal_rows import History
from sensors.quality import MAY_CLEAR

USABLE_QUALITIES: Final = tuple(int(code) for code in np.flatnonzero(MAY_CLEAR))


@dataclass(frozen=True, slots=True)
class Envelope:
    """What happened in each step that holds a sample; columns of shape (m,), in order of time.

    Parameters
    ----------
    time_ns : int64 (m,)
        Begin of the step [ns]; it holds its begin and not its end.
    low, high, mean : float64 (m,)
        Over the finite values, of any quality; NaN if there is none.
    last : float64 (m,)
        The newest value, finite or not.
    worst : uint8 (m,)
        Greatest quality code.
    samples, usable : int64 (m,)
        How many samples, and how many of them of a quality that may clear an alarm.
    """

    time_ns: NDArray[np.int64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]
    mean: NDArray[np.float64]
    last: NDArray[np.float64]
    worst: NDArray[np.uint8]
    samples: NDArray[np.int64]
    usable: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.time_ns)


@dataclass(frozen=True, slots=True)
class Sums:
    """Parts of envelopes: what can be added up where one step lies in several files.

    Columns of shape (m,); a step may appear more than once. `step` counts from the start of the
    query, `finite` counts finite values, `last_ns` is the time of `last`.
    """

    step: NDArray[np.int64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]
    total: NDArray[np.float64]
    finite: NDArray[np.int64]
    last: NDArray[np.float64]
    last_ns: NDArray[np.int64]
    worst: NDArray[np.uint8]
    samples: NDArray[np.int64]
    usable: NDArray[np.int64]


def joined(parts: list[History]) -> History:
    """Return all samples in order of time; among equal times, in order of `parts`."""
    if not parts:
        parts = [EMPTY]
    columns = [np.concatenate([getattr(p, f.name) for p in parts]) for f in fields(History)]
    order = np.argsort(columns[0], kind="stable")
    return History(*(column[order] for column in columns))


def sums(history: History, start_ns: int, step_ns: int) -> Sums:
    """Add up the samples of each step; `history` is in order of time."""
    step, first = np.unique((history.time_ns - start_ns) // step_ns, return_index=True)
    if not len(step):
        return joined_sums([])
    value = history.value
    known = np.isfinite(value)
    final = np.append(first[1:], len(value)) - 1
    usable = MAY_CLEAR[history.quality]
    return Sums(
        step,
        np.minimum.reduceat(np.where(known, value, np.inf), first),
        np.maximum.reduceat(np.where(known, value, -np.inf), first),
        np.add.reduceat(np.where(known, value, 0.0), first),
        np.add.reduceat(known.astype(np.int64), first),
        value[final],
        history.time_ns[final],
        np.maximum.reduceat(history.quality, first),
        np.diff(np.append(first, len(value))),
        np.add.reduceat(usable.astype(np.int64), first),
    )


def joined_sums(parts: list[Sums]) -> Sums:
    """Return all parts as one, not yet added up."""
    parts = [_NO_SUMS, *parts]
    return Sums(*(np.concatenate([getattr(p, f.name) for p in parts]) for f in fields(Sums)))


def envelope(parts: list[Sums], start_ns: int, step_ns: int) -> Envelope:
    """Add up parts to the envelope of each step that holds a sample; a gap stays a gap."""
    every = joined_sums(parts)
    order = np.lexsort((every.last_ns, every.step))
    every = Sums(*(getattr(every, f.name)[order] for f in fields(Sums)))
    step, first = np.unique(every.step, return_index=True)
    if not len(step):
        return _NO_ENVELOPE
    finite = np.add.reduceat(every.finite, first)
    none = finite == 0
    total = np.add.reduceat(every.total, first)
    return Envelope(
        start_ns + step * step_ns,
        np.where(none, np.nan, np.minimum.reduceat(every.low, first)),
        np.where(none, np.nan, np.maximum.reduceat(every.high, first)),
        np.where(none, np.nan, total / np.maximum(finite, 1)),
        every.last[np.append(first[1:], len(order)) - 1],
        np.maximum.reduceat(every.worst, first),
        np.add.reduceat(every.samples, first),
        np.add.reduceat(every.usable, first),
    )


_INT: Final = np.empty(0, dtype=np.int64)
_FLOAT: Final = np.empty(0, dtype=np.float64)
_CODE: Final = np.empty(0, dtype=np.uint8)
EMPTY: Final = History(_INT, _FLOAT, _CODE, _INT, _INT, np.empty(0, dtype=np.bool_))
_NO_SUMS: Final = Sums(_INT, _FLOAT, _FLOAT, _FLOAT, _INT, _FLOAT, _INT, _CODE, _INT, _INT)
_NO_ENVELOPE: Final = Envelope(_INT, _FLOAT, _FLOAT, _FLOAT, _FLOAT, _CODE, _INT, _INT)
