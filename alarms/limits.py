"""Limit rules, all at once: ``value op set`` raises, ``value reset_op reset`` clears.

Columns have shape (R,), one entry a rule. A rule may rise at any evaluation; it may fall only at
a fresh sample of its point that may clear and that finds the off delay reached.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from alarms.plan import LimitRule
from sensors.freshness import NEVER, Accepted, Freshness
from sensors.quality import MAY_CLEAR, MAY_SET, Quality

EQUAL_WITHIN: Final = 1e-6
"""Relative distance at which a value counts as equal to a limit: a float32 register of exactly
the limit must not miss it."""

_OVER_RANGE: Final = int(Quality.OVER_RANGE)
_UNDER_RANGE: Final = int(Quality.UNDER_RANGE)

Bools = NDArray[np.bool_]


def compare(
    value: NDArray[np.float64],
    limit: NDArray[np.float64],
    *,
    high: Bools,
    strict: Bools,
) -> Bools:
    """Compare element by element; NaN compares false.

    Parameters
    ----------
    value, limit : float64 (R,)
        In the same unit.
    high : bool (R,)
        True for ``>`` and ``>=``, false for ``<`` and ``<=``.
    strict : bool (R,)
        True for ``>`` and ``<``.
    """
    distance = value - limit
    equal = np.abs(distance) <= EQUAL_WITHIN * np.abs(limit)
    beyond = np.where(high, distance > 0, distance < 0)
    return (beyond & ~equal) | (equal & ~strict)


class LimitState:
    """Clocks and conditions of all limit rules."""

    PERSIST: Final = ("condition", "on_since", "off_since")

    def __init__(self, rules: tuple[LimitRule, ...]) -> None:
        n = len(rules)
        self.point = np.array([r.point for r in rules], dtype=np.intp)
        self.set = np.array([r.set for r in rules], dtype=np.float64)
        self.reset = np.array([r.reset for r in rules], dtype=np.float64)
        self.high = np.array([r.op in (">", ">=") for r in rules], dtype=np.bool_)
        self.strict = np.array([r.op in (">", "<") for r in rules], dtype=np.bool_)
        self.reset_high = np.array([r.reset_op in (">", ">=") for r in rules], dtype=np.bool_)
        self.reset_strict = np.array([r.reset_op in (">", "<") for r in rules], dtype=np.bool_)
        self.on_delay = np.array([round(r.on_delay_s * 1e9) for r in rules], dtype=np.int64)
        self.off_delay = np.array([round(r.off_delay_s * 1e9) for r in rules], dtype=np.int64)
        self.condition = np.zeros(n, dtype=np.bool_)
        self.on_since = np.full(n, NEVER, dtype=np.int64)
        self.off_since = np.full(n, NEVER, dtype=np.int64)

    def start(self) -> None:
        """Forget the off clocks; conditions and on clocks survive a restart."""
        self.off_since.fill(NEVER)

    def over(self, value: NDArray[np.float64], quality: NDArray[np.uint8]) -> Bools:
        """Tell which rules are over their limit; `value` and `quality` have shape (R,)."""
        beyond = compare(value, self.set, high=self.high, strict=self.strict)
        out_of_range = np.where(self.high, quality == _OVER_RANGE, quality == _UNDER_RANGE)
        over: Bools = (MAY_SET[quality] & beyond) | out_of_range
        return over

    def evaluate(self, t_ns: int, points: Freshness, sampled: Bools) -> Bools:
        """Move all clocks to `t_ns` and return the conditions.

        Parameters
        ----------
        t_ns : int
            Instant of this evaluation [ns].
        points : Freshness
            Values and effective qualities.
        sampled : bool (N,)
            Points with a fresh sample in this evaluation.
        """
        value = points.frame.value[self.point]
        quality = points.frame.quality[self.point]
        over = self.over(value, quality)
        may_clear = MAY_CLEAR[quality]
        has_sample = sampled[self.point]
        settled = may_clear & has_sample & ~over
        idle = self.on_since == NEVER
        self.on_since[over & idle] = t_ns
        self.on_since[settled] = NEVER
        back = settled & compare(value, self.reset, high=self.reset_high, strict=self.reset_strict)
        self.condition |= self.on_since + self.on_delay <= t_ns
        # Only what is true can be on its way back: safe time before a raise does not count.
        start_off = back & self.condition & (self.off_since == NEVER)
        self.off_since[start_off] = t_ns
        self.off_since[np.where(has_sample, ~back, ~may_clear)] = NEVER
        returned = back & (self.off_since + self.off_delay <= t_ns)
        self.condition[returned] = False
        self.off_since[returned] = NEVER
        return self.condition

    def late(self, accepted: Accepted) -> list[tuple[int, int]]:
        """Let late samples set rules without delay; return (rule, index in the late columns)."""
        hits: list[tuple[int, int]] = []
        for i, point in enumerate(accepted.late.tolist()):
            value = np.full(len(self.point), accepted.late_value[i])
            quality = np.full(len(self.point), accepted.late_quality[i], dtype=np.uint8)
            mine = (self.point == point) & (self.on_delay == 0) & ~self.condition
            rules = np.flatnonzero(mine & self.over(value, quality))
            self.condition[rules] = True
            self.off_since[rules] = NEVER
            hits += [(int(rule), i) for rule in rules]
        return hits

    def next_deadline(self) -> int:
        """Return the next instant at which an on delay is reached [ns]."""
        due = self.on_since[~self.condition] + self.on_delay[~self.condition]
        return int(due.min(initial=NEVER))
