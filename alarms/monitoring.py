"""Faults of points, points that need maintenance, and zones that have lost their monitoring."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from alarms.alarm_table import ruled_points
from alarms.plan import Plan
from sensors.freshness import NEVER, Freshness
from sensors.quality import MAY_CLEAR, RAISES_FAULT, Quality

# Plain numbers: looking a member up in an enum class costs more than a small numpy operation.
_GOOD: Final = int(Quality.GOOD)
_UNCERTAIN: Final = int(Quality.UNCERTAIN)
_NO_DATA: Final = int(Quality.NO_DATA)
_RETAINED: Final = int(Quality.RETAINED)
_CALIBRATION: Final = int(Quality.CALIBRATION)
_OVER_RANGE: Final = int(Quality.OVER_RANGE)
_UNDER_RANGE: Final = int(Quality.UNDER_RANGE)
_UNDEFINED: Final = int(Quality.UNDEFINED)

Bools = NDArray[np.bool_]


class FaultState:
    """One fault and one maintenance condition a point, shape (N,)."""

    PERSIST: Final = ("condition", "maintenance")

    def __init__(self, n_points: int) -> None:
        self.condition = np.zeros(n_points, dtype=np.bool_)
        self.maintenance = np.zeros(n_points, dtype=np.bool_)

    def evaluate(self, points: Freshness, sampled: Bools) -> None:
        """Raise where the quality is bad; lower only where a fresh sample is good."""
        quality = points.frame.quality
        faulty = RAISES_FAULT[quality]
        unseen = (quality == _NO_DATA) | (quality == _RETAINED)
        self.condition |= faulty & ~(unseen & points.in_grace)
        self.condition &= ~(sampled & ~faulty)
        self.maintenance |= quality == _UNCERTAIN
        self.maintenance &= ~(sampled & (quality == _GOOD))


class LossState:
    """Loss of monitoring, one clock a zone, shape (Z,)."""

    PERSIST: Final = ("condition", "lost_since", "none_since")

    def __init__(self, plan: Plan) -> None:
        zones, rules = plan.zones, plan.limits
        self.watched = np.array([z.loss is not None for z in zones], dtype=np.bool_)
        losses = [z.loss for z in zones]
        self.lost_after = np.array(
            [round(x.lost_after_s * 1e9) if x else 0 for x in losses], dtype=np.int64
        )
        self.back_after = np.array(
            [round(x.back_after_s * 1e9) if x else 0 for x in losses], dtype=np.int64
        )
        n = len(plan.points)
        self.zone = plan.points.zone
        self.ruled = np.zeros(n, dtype=np.bool_)
        self.ruled[list(ruled_points(plan))] = True
        self.high = np.zeros(n, dtype=np.bool_)
        self.high[[r.point for r in rules if r.op in (">", ">=")]] = True
        self.low = np.zeros(n, dtype=np.bool_)
        self.low[[r.point for r in rules if r.op in ("<", "<=")]] = True
        names: dict[tuple[int, str], int] = {}
        self.guard_group = np.array(
            [names.setdefault((s.zone, s.quantity), len(names)) for s in plan.points.specs],
            dtype=np.intp,
        )
        self.n_groups = max(1, len(names))
        self.condition = np.zeros(len(zones), dtype=np.bool_)
        self.lost_since = np.full(len(zones), NEVER, dtype=np.int64)
        self.none_since = np.full(len(zones), NEVER, dtype=np.int64)
        self.counted = np.zeros(n, dtype=np.bool_)
        self.lost = np.zeros(n, dtype=np.bool_)

    def lost_points(self, points: Freshness, out: Bools) -> Bools:
        """Tell which points are lost: they have a rule and may not clear, or are OUT.

        Not lost: a range that counts as over a limit; UNDEFINED; a calibration that a named
        person announced while another usable point of that quantity guards the zone.
        """
        quality = points.frame.quality
        usable = self.ruled & MAY_CLEAR[quality] & ~out
        counts_as_over = ((quality == _OVER_RANGE) & self.high) | (
            (quality == _UNDER_RANGE) & self.low
        )
        guards = np.bincount(self.guard_group[usable], minlength=self.n_groups)
        covered = (quality == _CALIBRATION) & points.calibrating
        covered &= guards[self.guard_group] > 0
        bad = ~MAY_CLEAR[quality] & (quality != _UNDEFINED) & ~counts_as_over & ~covered
        lost: Bools = self.ruled & (bad | out)
        return lost

    def evaluate(
        self, t_ns: int, points: Freshness, *, sampled: Bools, out: Bools
    ) -> tuple[Bools, Bools]:
        """Return (conditions, zones with a further lost point while already true), shape (Z,)."""
        n_zones = len(self.watched)
        self.lost = self.lost_points(points, out)
        any_lost = self._zones_with(self.lost, n_zones) & self.watched
        self.lost_since[any_lost & (self.lost_since == NEVER)] = t_ns
        self.none_since[any_lost] = NEVER
        self.none_since[~any_lost & (self.none_since == NEVER)] = t_ns
        back = (
            ~any_lost
            & self._zones_with(sampled, n_zones)
            & (self.none_since + self.back_after <= t_ns)
        )
        self.lost_since[back] = NEVER
        before = self.condition.copy()
        self.condition |= self.lost_since + self.lost_after <= t_ns
        self.condition &= ~back
        new_points = self.lost & ~self.counted
        further = before & self.condition & self._zones_with(new_points, n_zones)
        # Remember which points have been a cause since the alarm was raised.
        self.counted = (self.counted | self.lost) & self.condition[self.zone]
        return self.condition, further

    def _zones_with(self, points: Bools, n_zones: int) -> Bools:
        return np.bincount(self.zone[points], minlength=n_zones).astype(np.bool_)

    def next_deadline(self) -> int:
        """Return the next instant at which a zone counts as lost [ns]."""
        due = self.lost_since[~self.condition] + self.lost_after[~self.condition]
        return int(due.min(initial=NEVER))
