"""What the oracle remembers of one point: section 5.1 (freshness) and 5.2 (quality), literally."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from sensors.frame import NO_SOURCE_TIME
from sensors.points import PointSpec
from sensors.quality import Quality

# Typed in from the table of 5.2, not imported.
SET_AND_CLEAR = {Quality.GOOD, Quality.UNCERTAIN}
SET_ONLY = {Quality.JUMP, Quality.STUCK, Quality.BAD_CLOCK, Quality.UNRELIABLE}
NEITHER = {
    Quality.NO_DATA,
    Quality.RETAINED,
    Quality.STALE,
    Quality.COMMS_LOST,
    Quality.DEVICE_FAULT,
    Quality.WARM_UP,
    Quality.CALIBRATION,
    Quality.INHIBITED,
    Quality.DECODE_ERROR,
}
RAISES_FAULT = SET_ONLY | NEITHER | {Quality.OVER_RANGE, Quality.UNDER_RANGE}
FOUND_BY_GATEWAY = {Quality.NO_DATA, Quality.STALE, Quality.COMMS_LOST, Quality.DECODE_ERROR}

Verdict = Literal["journal", "shown", "late", "duplicate", "fresh"]


@dataclass
class Sample:
    """One sample as it came."""

    point: int
    value: float
    quality: Quality
    source_ns: int = NO_SOURCE_TIME
    retained: bool = False


@dataclass
class PointMemory:
    """One point: what was last accepted, and what outlives the last sample."""

    spec: PointSpec
    started_ns: int = 0
    seen: bool = False  # a fresh sample since the start
    value: float = math.nan
    own: Quality = Quality.NO_DATA  # of the last fresh sample
    age_from_ns: int = 0
    newest_s: int | None = None
    newest_sample: tuple[float, Quality] | None = None  # None: whatever comes with that s differs
    latched: bool = False
    recalibrated: bool = False
    calibration_until_ns: int | None = None

    @property
    def max_age_ns(self) -> int:
        return round(self.spec.max_age_s * 1e9)

    def start(self, t: int) -> None:
        """Forget freshness, and nothing else (5.10)."""
        self.started_ns = t
        self.seen = False
        self.value = math.nan
        self.own = Quality.NO_DATA
        self.newest_sample = None

    def own_quality(self, sample: Sample, r: int) -> Quality:
        """What the sample says of itself, once its value and its clock have been looked at."""
        quality = sample.quality
        if quality in SET_AND_CLEAR | SET_ONLY and not math.isfinite(sample.value):
            quality = Quality.DECODE_ERROR
        if sample.source_ns != NO_SOURCE_TIME and sample.source_ns > r + self.max_age_ns:
            quality = max(quality, Quality.BAD_CLOCK)
        if quality in SET_AND_CLEAR | SET_ONLY:
            high, low = self.spec.range_high, self.spec.range_low
            over = sample.value >= high if self.spec.catalytic else sample.value > high
            if over:
                return Quality.OVER_RANGE
            if sample.value < low:
                return Quality.UNDER_RANGE
        return quality

    def take(self, sample: Sample, r: int) -> tuple[Verdict, Quality]:
        """Classify one sample of stamp `r` and remember what may be remembered of it."""
        if sample.retained:
            if self.seen:
                return "journal", Quality.RETAINED
            self.value, self.own = sample.value, Quality.RETAINED
            return "shown", Quality.RETAINED
        s = r if sample.source_ns == NO_SOURCE_TIME else sample.source_ns
        own = self.own_quality(sample, r)
        if s < r - self.max_age_ns:
            return "journal", own
        if s > r + self.max_age_ns:
            self._accept(sample, own, r, r)
            return "fresh", own
        if self.newest_s is not None and s < self.newest_s and own not in FOUND_BY_GATEWAY:
            self._latch(own, r)
            return "late", own
        if self.newest_s is not None and s == self.newest_s and self._is_duplicate(sample):
            return "duplicate", own
        untimed = own in FOUND_BY_GATEWAY and sample.source_ns == NO_SOURCE_TIME
        if not untimed and (self.newest_s is None or s >= self.newest_s):
            self.newest_s, self.newest_sample = s, (sample.value, sample.quality)
        self._accept(sample, own, min(r, s), r)
        return "fresh", own

    def _is_duplicate(self, sample: Sample) -> bool:
        if self.newest_sample is None:
            return False
        value, quality = self.newest_sample
        same = value == sample.value or (math.isnan(value) and math.isnan(sample.value))
        return same and quality == sample.quality

    def _accept(self, sample: Sample, own: Quality, age_from_ns: int, r: int) -> None:
        self.seen = True
        self.value, self.own, self.age_from_ns = sample.value, own, age_from_ns
        if self.recalibrated:
            self.latched = self.recalibrated = False
        self._latch(own, r)

    def _latch(self, own: Quality, r: int) -> None:
        # Test gas of an announced calibration may be over the range: it does not latch.
        if self.spec.catalytic and own == Quality.OVER_RANGE and not self.announced(r):
            self.latched = True

    def announced(self, t: int) -> bool:
        """Tell whether a named person has announced a calibration that has not ended."""
        return self.calibration_until_ns is not None and t < self.calibration_until_ns

    def quality(self, t: int) -> Quality:
        """Return the effective quality at `t`."""
        if self.latched:
            return Quality.OVER_RANGE
        if self.announced(t):
            return Quality.CALIBRATION
        if self.seen and t - self.age_from_ns > self.max_age_ns:
            return Quality.STALE
        return self.own

    def in_grace(self, t: int) -> bool:
        """Not yet seen, and not yet due: NO_DATA and RETAINED right after a start."""
        waiting = self.quality(t) in {Quality.NO_DATA, Quality.RETAINED}
        return not self.seen and waiting and t < self.started_ns + self.max_age_ns

    def deadlines(self) -> list[int]:
        """Every instant at which time alone may change this point."""
        due = []
        if self.seen:
            due.append(self.age_from_ns + self.max_age_ns + 1)
        else:
            due.append(self.started_ns + self.max_age_ns)
        if self.calibration_until_ns is not None:
            due.append(self.calibration_until_ns)
        return due
