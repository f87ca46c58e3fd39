"""Abnormal emission: the Theil-Sen slope of recent good samples.

The slope is the median of the slopes of all pairs of samples in the window (Theil 1950, Sen
1968, J. Am. Stat. Assoc. 63:1379): up to 29 % of the samples may be wild without moving it far,
so that one spike cannot order an evacuation. Irregular sampling and gaps are allowed.
"""

from __future__ import annotations

from collections import deque

import numpy as np
from numpy.typing import NDArray

from alarms.limits import EQUAL_WITHIN
from alarms.plan import TrendRule
from sensors.freshness import Freshness
from sensors.quality import MAY_CLEAR

_NS_PER_MIN = 60e9


def theil_sen_per_min(t_ns: NDArray[np.int64], value: NDArray[np.float64]) -> float:
    """Return the median of pairwise slopes [value unit/min]; NaN without two distinct times.

    Parameters
    ----------
    t_ns : int64 (n,)
        Times, not decreasing [ns]. Pairs at one instant have no slope and are left out.
    value : float64 (n,)
        Finite values.
    """
    first, second = np.triu_indices(len(t_ns), k=1)
    dt = t_ns[second] - t_ns[first]
    apart = dt > 0
    if not apart.any():
        return float("nan")
    rise = value[second][apart] - value[first][apart]
    return float(np.median(rise / (dt[apart] / _NS_PER_MIN)))


class TrendState:
    """Windows and conditions of all trend rules; work is done only where a sample came."""

    def __init__(self, rules: tuple[TrendRule, ...]) -> None:
        self.rules = rules
        self.condition = np.zeros(len(rules), dtype=np.bool_)
        self.slope = np.full(len(rules), np.nan)
        self.window: tuple[deque[tuple[int, float]], ...] = tuple(deque() for _ in rules)
        self.rules_of: dict[int, list[int]] = {}
        for i, rule in enumerate(rules):
            self.rules_of.setdefault(rule.point, []).append(i)

    def evaluate(self, points: Freshness, fresh: NDArray[np.intp]) -> NDArray[np.bool_]:
        """Take the fresh samples in and return the conditions, shape (R,)."""
        if self.rules_of:
            for point in fresh.tolist():
                if point in self.rules_of and MAY_CLEAR[points.frame.quality[point]]:
                    t = int(points.age_from[point])
                    for i in self.rules_of[point]:
                        self._sample(i, t, float(points.frame.value[point]))
        return self.condition

    def _sample(self, i: int, t_ns: int, value: float) -> None:
        rule, window = self.rules[i], self.window[i]
        window.append((t_ns, value))
        oldest = t_ns - round(rule.window_s * 1e9)
        while window[0][0] <= oldest:
            window.popleft()
        self.slope[i] = np.nan
        spans = (t_ns - window[0][0]) * 2 >= t_ns - oldest
        if len(window) < rule.min_samples or not spans:
            return
        times, values = zip(*window, strict=True)
        slope = theil_sen_per_min(np.array(times, dtype=np.int64), np.array(values))
        self.slope[i] = slope
        # NaN compares false both ways: an unknown slope changes nothing.
        if slope >= rule.rise_per_min - EQUAL_WITHIN * abs(rule.rise_per_min):
            self.condition[i] = True
        elif slope < rule.reset_per_min:
            self.condition[i] = False
