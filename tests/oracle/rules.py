"""The clocks and conditions of sections 5.3, 5.4, 5.6 and 5.7, one small memory per rule."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from alarms.plan import LadderRule, LimitRule, LossRule, Op, TrendRule
from sensors.quality import Quality
from tests.oracle.points import SET_AND_CLEAR, SET_ONLY


def ns(seconds: float) -> int:
    """Seconds to nanoseconds."""
    return round(seconds * 1e9)


def compare(value: float, op: Op, limit: float) -> bool:
    """``value op limit``, where a value within 1e-6 (relative) of the limit equals it."""
    if math.isclose(value, limit, rel_tol=0.0, abs_tol=1e-6 * abs(limit)):
        return op in {">=", "<="}
    return value > limit if op in {">", ">="} else value < limit


def is_over(rule: LimitRule, quality: Quality, value: float) -> bool:
    """*Over:* the value may set and ``value op set``; or its range says so."""
    if quality == Quality.OVER_RANGE:
        return rule.op in {">", ">="}
    if quality == Quality.UNDER_RANGE:
        return rule.op in {"<", "<="}
    return quality in SET_AND_CLEAR | SET_ONLY and compare(value, rule.op, rule.set)


def range_counts_as_over(rule: LimitRule, quality: Quality) -> bool:
    """Whether a range quality stands for a value over the limit of `rule`."""
    upward = rule.op in {">", ">="}
    return quality == (Quality.OVER_RANGE if upward else Quality.UNDER_RANGE)


@dataclass
class LimitMemory:
    """One limit rule (5.3)."""

    rule: LimitRule
    on_since: int | None = None
    off_since: int | None = None

    def late_sets(self, quality: Quality, value: float) -> bool:
        """A LATE sample may set a rule without on-delay, and nothing else (5.1)."""
        return self.rule.on_delay_s == 0 and is_over(self.rule, quality, value)

    def judge(
        self, t: int, quality: Quality, value: float, *, fresh: bool, condition: bool
    ) -> bool:
        """Return the condition at `t`; `fresh`: a fresh sample of the point is what is judged."""
        rule = self.rule
        over = is_over(rule, quality, value)
        if over and self.on_since is None:
            self.on_since = t
        if fresh and quality in SET_AND_CLEAR and not over:
            self.on_since = None
        if not condition:
            self.off_since = None
            return self.on_since is not None and t - self.on_since >= ns(rule.on_delay_s)
        safe = quality in SET_AND_CLEAR and compare(value, rule.reset_op, rule.reset)
        if over or not safe:
            self.off_since = None
            return True
        if not fresh:
            return True
        if self.off_since is None:
            self.off_since = t
        if t - self.off_since < ns(rule.off_delay_s):
            return True
        self.off_since = None
        return False

    def deadlines(self, *, condition: bool) -> list[int]:
        if condition or self.on_since is None:
            return []
        return [self.on_since + ns(self.rule.on_delay_s)]


@dataclass
class TrendMemory:
    """One Theil-Sen rule (5.4): the good samples, as (time, value)."""

    rule: TrendRule
    samples: list[tuple[int, float]] = field(default_factory=list)

    def slope_per_min(self) -> float | None:
        """Median of the slopes of every pair of samples in the window; None: too few."""
        window = ns(self.rule.window_s)
        newest = max(at for at, _ in self.samples)
        inside = sorted((at, v) for at, v in self.samples if newest - window < at)
        if len(inside) < self.rule.min_samples:
            return None
        if 2 * (inside[-1][0] - inside[0][0]) < window:
            return None
        slopes = sorted(
            (inside[j][1] - inside[i][1]) / ((inside[j][0] - inside[i][0]) / 60e9)
            for i in range(len(inside))
            for j in range(i + 1, len(inside))
            if inside[j][0] > inside[i][0]
        )
        if not slopes:
            return None
        middle = len(slopes) // 2
        if len(slopes) % 2:
            return slopes[middle]
        return (slopes[middle - 1] + slopes[middle]) / 2

    def judge(self, at: int, value: float, *, condition: bool) -> bool:
        """Take a fresh, good sample of time `at` and return the condition."""
        self.samples.append((at, value))
        slope = self.slope_per_min()
        if slope is None:
            return condition
        if compare(slope, ">=", self.rule.rise_per_min):
            return True
        if compare(slope, "<", self.rule.reset_per_min):
            return False
        return condition


@dataclass
class LossMemory:
    """Loss of monitoring of one zone (5.6)."""

    rule: LossRule
    since: int | None = None
    none_lost_since: int | None = None

    def judge(self, t: int, *, any_lost: bool, fresh: bool, condition: bool) -> bool:
        """Return the condition; `fresh`: a fresh sample of a point of the zone came."""
        if any_lost:
            self.none_lost_since = None
            if self.since is None:
                self.since = t
        elif self.none_lost_since is None:
            self.none_lost_since = t
        seen_since = t if self.none_lost_since is None else self.none_lost_since
        if fresh and not any_lost and t - seen_since >= ns(self.rule.back_after_s):
            self.since = None
            return False
        if self.since is None:
            return condition
        return condition or t - self.since >= ns(self.rule.lost_after_s)

    def deadlines(self, *, condition: bool) -> list[int]:
        if condition or self.since is None:
            return []
        return [self.since + ns(self.rule.lost_after_s)]


@dataclass
class LadderMemory:
    """The main-fan ladder (5.7)."""

    rule: LadderRule
    first_stop: int | None = None
    time_is_over: bool = False  # a stop whose downtime could not be proved

    def judge(self, t: int, *, stopped: bool) -> tuple[bool, bool]:
        """Return the conditions of the sections' and of the mine's stage."""
        if stopped and self.first_stop is None:
            self.first_stop = t
        if self.first_stop is None:
            return stopped, False
        due = self.time_is_over or t - self.first_stop >= ns(self.rule.mine_after_s)
        return stopped, stopped and due

    def forget(self) -> None:
        """The sections' alarm was reset with the fan running."""
        self.first_stop = None
        self.time_is_over = False

    def deadlines(self, *, condition: bool) -> list[int]:
        if condition or self.first_stop is None:
            return []
        return [self.first_stop + ns(self.rule.mine_after_s)]
