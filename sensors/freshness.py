"""Which samples are fresh, late, duplicate or history, and how good each point is now.

All columns have shape (N,). Times are ns on the engine's axis. `NEVER` is far in the future, so
that `since + delay <= t` is false for a clock that does not run.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Final

import numpy as np
from numpy.typing import NDArray

from sensors.frame import NO_SOURCE_TIME, Batch, Frame
from sensors.points import PointTable
from sensors.quality import GATEWAY_FOUND, MAY_SET, Quality

NEVER: Final = 2**62
# Plain numbers: looking a member up in an enum class costs more than a small numpy operation.
_BAD_CLOCK: Final = int(Quality.BAD_CLOCK)
_DECODE_ERROR: Final = int(Quality.DECODE_ERROR)
_OVER_RANGE: Final = int(Quality.OVER_RANGE)
_UNDER_RANGE: Final = int(Quality.UNDER_RANGE)
_CALIBRATION: Final = int(Quality.CALIBRATION)
_STALE: Final = int(Quality.STALE)
_LATE: Final = int(Quality.LATE)
_SMALL_BATCH: Final = 64

Points = NDArray[np.intp]


@dataclass(frozen=True, slots=True)
class Accepted:
    """What a group of samples changed: `fresh` points, and `late` ones with value and quality."""

    fresh: Points
    late: Points
    late_value: NDArray[np.float64]
    late_quality: NDArray[np.uint8]


class Freshness:
    """The state of all points; `frame` holds value and effective quality for everyone else."""

    PERSIST: Final = (
        "base",
        "seen",
        "age_from",
        "grace_until",
        "newest_s",
        "last_value",
        "last_quality",
        "can_repeat",
        "latched",
        "recalibrated",
        "calibration_until",
        "calibrating",
    )

    def __init__(self, points: PointTable) -> None:
        n = len(points)
        self.table = points
        self.frame = Frame(n)
        self.base = np.full(n, Quality.NO_DATA, dtype=np.uint8)
        self.seen = np.zeros(n, dtype=np.bool_)
        self.stale = np.zeros(n, dtype=np.bool_)
        self.age_from = np.full(n, NEVER, dtype=np.int64)
        self.grace_until = np.full(n, NEVER, dtype=np.int64)
        self.newest_s = np.full(n, NO_SOURCE_TIME, dtype=np.int64)
        self.last_value = np.full(n, np.nan)
        self.last_quality = np.zeros(n, dtype=np.uint8)
        self.can_repeat = np.zeros(n, dtype=np.bool_)
        self.latched = np.zeros(n, dtype=np.bool_)
        self.recalibrated = np.zeros(n, dtype=np.bool_)
        self.calibration_until = np.full(n, NEVER, dtype=np.int64)
        self.calibrating = np.zeros(n, dtype=np.bool_)
        self.in_grace = np.zeros(n, dtype=np.bool_)
        """Points not seen since the start, and that need not have been yet."""

    def start(self, t_ns: int) -> None:
        """Forget freshness: after a (re)start no point has been seen."""
        self.frame.value.fill(np.nan)
        self.frame.received_ns.fill(NO_SOURCE_TIME)
        self.frame.source_ns.fill(NO_SOURCE_TIME)
        self.base.fill(Quality.NO_DATA)
        self.seen.fill(False)
        self.stale.fill(False)
        self.can_repeat.fill(False)
        self.age_from.fill(NEVER)
        self.grace_until = t_ns + self.table.max_age_ns
        self.calibrating = self.calibration_until != NEVER
        self.advance(t_ns)

    def advance(self, t_ns: int) -> None:
        """Bring the effective qualities to `t_ns`.

        Precedence: catalytic latch, announced calibration, STALE, the sample's own quality.
        """
        ended = self.calibrating & (self.calibration_until <= t_ns)
        self.calibration_until[ended] = NEVER
        self.calibrating &= ~ended
        self.stale = self.seen & (t_ns > self.age_from + self.table.max_age_ns)
        quality = self.frame.quality
        quality[:] = self.base
        quality[self.stale] = _STALE
        quality[self.calibrating] = _CALIBRATION
        quality[self.latched] = _OVER_RANGE
        self.in_grace = ~self.seen & (t_ns < self.grace_until)

    def next_deadline(self, t_ns: int) -> int:
        """Return the next instant after `t_ns` at which time alone changes a quality [ns]."""
        waiting = np.where(self.seen, self.age_from + self.table.max_age_ns + 1, self.grace_until)
        ahead = np.where(waiting > t_ns, waiting, NEVER)
        return int(min(ahead.min(initial=NEVER), self.calibration_until.min(initial=NEVER)))

    def _judge(
        self, batch: Batch, *, future: NDArray[np.bool_]
    ) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        """Return (quality as brought, with NaN as DECODE_ERROR; quality with clock and range)."""
        # A code that no sample can have says that nothing is known of the sample.
        brought = np.where(batch.quality < _LATE, batch.quality, np.uint8(_DECODE_ERROR))
        unusable = MAY_SET[brought] & ~np.isfinite(batch.value)
        brought[unusable] = _DECODE_ERROR
        quality = brought.copy()
        doubtful = future & MAY_SET[quality]
        quality[doubtful] = np.maximum(quality[doubtful], _BAD_CLOCK)
        usable = MAY_SET[quality]
        high = self.table.range_high[batch.point]
        at_top = self.table.catalytic[batch.point] & (batch.value >= high)
        quality[usable & (at_top | (batch.value > high))] = _OVER_RANGE
        quality[usable & (batch.value < self.table.range_low[batch.point])] = _UNDER_RANGE
        return brought, quality

    def accept(self, t_ns: int, batch: Batch) -> Accepted:
        """Take one group of samples, in which no point appears twice, stamped `t_ns`."""
        p = batch.point
        no_source = batch.source_ns == NO_SOURCE_TIME
        s = np.where(no_source, t_ns, batch.source_ns)
        max_age = self.table.max_age_ns[p]
        live = ~batch.retained & (s >= t_ns - max_age)
        future = live & (s > t_ns + max_age)
        brought, quality = self._judge(batch, future=future)
        found_here = GATEWAY_FOUND[brought]
        newest = self.newest_s[p]
        late = live & ~future & ~found_here & (s < newest)
        same_value = (batch.value == self.last_value[p]) | (
            np.isnan(batch.value) & np.isnan(self.last_value[p])
        )
        repeat = self.can_repeat[p] & same_value & (brought == self.last_quality[p])
        duplicate = live & ~future & (s == newest) & repeat
        fresh = live & ~late & ~duplicate
        self._show_retained(batch, batch.retained & ~self.seen[p])
        # What the gateway finds has no source time of its own; were its stamp remembered, the
        # next sample of a device whose clock runs a little behind would be LATE.
        remember = fresh & ~future & (s >= newest) & ~(found_here & no_source)
        self.newest_s[p[remember]] = s[remember]
        self.last_value[p[remember]] = batch.value[remember]
        self.last_quality[p[remember]] = brought[remember]
        self.can_repeat[p[remember]] = True
        self._latch(p, quality, fresh=fresh, late=late)
        at = p[fresh]
        self.frame.value[at] = batch.value[fresh]
        self.frame.received_ns[at] = t_ns
        self.frame.source_ns[at] = batch.source_ns[fresh]
        self.base[at] = quality[fresh]
        self.seen[at] = True
        self.age_from[at] = np.minimum(s[fresh], t_ns)
        self.advance(t_ns)
        late_quality = quality[late]
        late_quality[self.calibrating[p[late]]] = _CALIBRATION
        late_quality[self.latched[p[late]]] = _OVER_RANGE
        return Accepted(
            at.astype(np.intp), p[late].astype(np.intp), batch.value[late], late_quality
        )

    def _show_retained(self, batch: Batch, show: NDArray[np.bool_]) -> None:
        at = batch.point[show]
        self.frame.value[at] = batch.value[show]
        self.frame.source_ns[at] = batch.source_ns[show]
        self.base[at] = Quality.RETAINED

    def _latch(
        self,
        p: NDArray[np.int32],
        quality: NDArray[np.uint8],
        *,
        fresh: NDArray[np.bool_],
        late: NDArray[np.bool_],
    ) -> None:
        """Latch a catalytic head that went over its range; release one that was recalibrated."""
        released = p[fresh & self.recalibrated[p]]
        self.latched[released] = False
        self.recalibrated[released] = False
        hit = (fresh | late) & self.table.catalytic[p] & (quality == _OVER_RANGE)
        self.latched[p[hit & ~self.calibrating[p]]] = True


def groups(batch: Batch) -> list[Batch]:
    """Cut the samples of one stamp before each that repeats a point of its group."""
    n = len(batch)
    if n == 0:
        return []
    if n <= _SMALL_BATCH:
        repeats = len(set(batch.point.tolist())) < n
    else:
        repeats = bool(np.bincount(batch.point).max() > 1)
    if not repeats:
        return [batch]
    cuts = [0]
    inside: set[int] = set()
    for i, point in enumerate(batch.point.tolist()):
        if point in inside:
            cuts.append(i)
            inside.clear()
        inside.add(point)
    cuts.append(len(batch))
    return [batch.take(slice(a, b)) for a, b in pairwise(cuts)]
