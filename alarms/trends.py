"""Abnormal emission: the Theil-Sen slope of recent good samples.

The slope is the median of the slopes of all pairs of samples in the window (Theil 1950, Sen
1968, J. Am. Stat. Assoc. 63:1379): up to 29 % of the samples may be wild without moving it far,
so that one spike cannot order an evacuation. Irregular sampling and gaps are allowed.
"""

from __future__ import annotations

from collections import deque
from typing import Final

import numpy as np
from numpy.typing import NDArray

from alarms.limits import EQUAL_WITHIN
from alarms.plan import TrendRule
from sensors.freshness import Freshness
from sensors.quality import MAY_CLEAR

Sample = tuple[int, float]
"""Time [ns] and value."""

_NS_PER_MIN: Final = 60e9

MOST_SAMPLES: Final = 512
"""Samples in a window; the work for one more grows with their square.

A sensor that sends faster than it should must not stop the alarm path: when there would be more,
they are thinned to even distances in time (see `thinned`)."""


def theil_sen_per_min(t_ns: NDArray[np.int64], value: NDArray[np.float64]) -> float:
    """Return the median of pairwise slopes [value unit/min]; NaN without two distinct times.

    Parameters
    ----------
    t_ns : int64 (n,)
        Times, not decreasing [ns]. Pairs at one instant have no slope and are left out.
    value : float64 (n,)
        Finite values.
    """
    dt = t_ns - t_ns[:, None]
    apart = dt > 0
    if not apart.any():
        return float("nan")
    rise = value - value[:, None]
    return float(np.median(rise[apart] / (dt[apart] / _NS_PER_MIN)))


def thinned(samples: list[Sample], rule: TrendRule, most: int) -> list[Sample]:
    """Return no more than about half of `most` samples, with the oldest and the newest.

    None closer to the one before it than half of `most` are in a whole window; or, where that
    left too few for the rule, every second one.
    """
    apart = round(rule.window_s * 1e9) // (most // 2)
    kept = samples[:1]
    for sample in samples[1:-1]:
        if sample[0] - kept[-1][0] >= apart:
            kept.append(sample)
    if len(kept) + 1 < rule.min_samples:
        kept = samples[:-1:2]
    return [*kept, samples[-1]]


class TrendState:
    """Windows and conditions of all trend rules; work is done only where a sample came."""

    def __init__(self, rules: tuple[TrendRule, ...]) -> None:
        self.rules = rules
        self.condition = np.zeros(len(rules), dtype=np.bool_)
        self.slope = np.full(len(rules), np.nan)
        self.most = [max(MOST_SAMPLES, 2 * rule.min_samples) for rule in rules]
        self.window: tuple[deque[Sample], ...] = tuple(deque() for _ in rules)
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
        if len(window) > self.most[i]:
            kept = thinned(list(window), rule, self.most[i])
            window.clear()
            window.extend(kept)
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
