"""The live state brought up to the instant of an answer: ages, qualities, is the core alive.

Pure. The core keeps its state right while it lives; after its death time goes on without it, so
ages grow here, and a value whose age exceeds its limit is STALE whatever was published last.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from gateway.api.answers import CoreAnswer, Reading
from gateway.api.catalogue import Catalogue
from gateway.live_state import LiveState
from sensors.frame import NO_SOURCE_TIME
from sensors.freshness import NEVER
from sensors.quality import MAY_CLEAR, MAY_SET, Quality
from sensors.quantities import QUANTITIES

SILENT_AFTER_NS: Final = 3_000_000_000
"""A core that published nothing for so long counts as down."""

# An alarm of these kinds says something about each point that feeds it.
_OF_ITS_POINTS: Final = ("limit", "trend", "vote", "fault", "maintenance")


@dataclass(frozen=True, slots=True)
class Now:
    """The instant of an answer: CLOCK_MONOTONIC [ns] and wall clock [ns since 1970 UTC]."""

    monotonic_ns: int
    wall_ns: int


def iso(wall_ns: int) -> str:
    """Return a wall time as ISO 8601 UTC, to the millisecond."""
    return str(np.datetime_as_string(np.datetime64(wall_ns, "ns"), unit="ms")) + "Z"


def iso_ns(wall_ns: int) -> str:
    """Return a wall time as ISO 8601 UTC, to the nanosecond."""
    return str(np.datetime_as_string(np.datetime64(wall_ns, "ns"), unit="ns")) + "Z"


def finite(value: float) -> float | None:
    """Return a number, or None for NaN and the infinities, which JSON does not have."""
    return float(value) if np.isfinite(value) else None


@dataclass(frozen=True, slots=True)
class Picture:
    """The live state as it stands at one instant.

    `t_ns` is that instant on the core's axis; `age_s`, `quality` and `level` (worst alarm in
    force) are columns of points, shape (N,).
    """

    book: Catalogue
    meta: Mapping[str, Any]
    arrays: Mapping[str, NDArray[Any]]
    core: CoreAnswer
    t_ns: int
    offset_ns: int
    age_s: NDArray[np.float64]
    quality: NDArray[np.uint8]
    level: NDArray[np.uint8]

    @property
    def usable(self) -> NDArray[np.bool_]:
        """Points whose value may lower an alarm."""
        return MAY_CLEAR[self.quality]

    def wall(self, t_ns: int) -> str | None:
        """Return a time of the core's axis as ISO 8601 UTC, or None for none and never."""
        return None if not 0 < t_ns < NEVER else iso(t_ns + self.offset_ns)

    def reading(self, point: int) -> Reading:
        """Return one point's value and what it is worth."""
        quality = Quality(int(self.quality[point]))
        age = finite(self.age_s[point])
        return {
            "value": finite(self.arrays["point_value"][point]),
            "unit": QUANTITIES[self.book.plan.points.specs[point].quantity].unit,
            "quality": quality.name,
            "usable": bool(MAY_CLEAR[quality]),
            "source_time": self.wall(int(self.arrays["point_source_ns"][point])),
            "receive_time": self.wall(int(self.arrays["point_received_ns"][point])),
            "age_s": None if age is None else round(age, 3),
        }


def picture(book: Catalogue, live: LiveState | None, now: Now) -> Picture | CoreAnswer:
    """Return the picture at `now`, or the state of the core if there is none to be had."""
    answer = core(book, live, now)
    if live is None or answer["state"] == "other_configuration":
        return answer
    t_ns = int(live.meta["t_ns"]) + _silent_ns(live.meta, now)
    age_s = _ages(live.arrays, t_ns)
    quality = live.arrays["point_quality"].astype(np.uint8)
    quality[MAY_SET[quality] & (age_s * 1e9 > book.plan.points.max_age_ns)] = Quality.STALE
    offset_ns = int(live.meta["wall_offset_ns"])
    level = _levels(book, live.arrays)
    return Picture(book, live.meta, live.arrays, answer, t_ns, offset_ns, age_s, quality, level)


def core(book: Catalogue, live: LiveState | None, now: Now) -> CoreAnswer:
    """Say whether the core lives, and whether its state is about this configuration."""
    if live is None:
        return _never()
    meta = live.meta
    offset_ns = int(meta["wall_offset_ns"])
    silent_ns = _silent_ns(meta, now)
    down = silent_ns > SILENT_AFTER_NS
    state, reason = "ok", ""
    if meta["digest"] != book.config.digest or not _fits(book, live):
        state = "other_configuration"
        reason = (
            "the core runs another configuration than this process, so values cannot be named: "
            "restart the services process, and the core if its file was changed"
        )
    elif down:
        state = "down"
        reason = f"the core has been silent for {silent_ns / 1e9:.1f} s: its last state is shown"
    return {
        "state": state,
        "core_down": down,
        "reason": reason,
        "silent_s": round(silent_ns / 1e9, 1),
        "started": iso(int(meta["started_t_ns"]) + offset_ns),
        "step": int(meta["step"]),
        "evaluated": iso(int(meta["last_step_ns"]) + offset_ns),
        "digest": str(meta["digest"]),
    }


def _never() -> CoreAnswer:
    return {
        "state": "none",
        "core_down": True,
        "reason": "no live state: the core has not run yet, or keeps its state elsewhere",
        "silent_s": None,
        "started": None,
        "step": None,
        "evaluated": None,
        "digest": None,
    }


def _silent_ns(meta: Mapping[str, Any], now: Now) -> int:
    """Return how long the core has published nothing [ns].

    CLOCK_MONOTONIC begins anew at a boot; the wall clock is the second witness for a state that
    is not fresh, so that an age is never understated.
    """
    elapsed = now.monotonic_ns - int(meta["published_monotonic_ns"])
    if 0 <= elapsed <= SILENT_AFTER_NS:
        return elapsed
    wall = now.wall_ns - int(meta["t_ns"]) - int(meta["wall_offset_ns"])
    return max(elapsed, wall, SILENT_AFTER_NS + 1)


def _fits(book: Catalogue, live: LiveState) -> bool:
    """Tell whether the columns have the lengths of this site's tables."""
    sizes = {
        "point_value": len(book.plan.points),
        "alarm_state": len(book.alarms),
        "zone_level": len(book.plan.zones),
        "output_commanded": len(book.plan.outputs),
    }
    return all(len(live.arrays[name]) == size for name, size in sizes.items())


def _ages(arrays: Mapping[str, NDArray[Any]], t_ns: int) -> NDArray[np.float64]:
    """Return t - min(r, s) [s], with what there is of r and s; NaN for a point not yet seen."""
    never = np.iinfo(np.int64).max
    received = arrays["point_received_ns"]
    source = arrays["point_source_ns"]
    since = np.minimum(
        np.where(received == NO_SOURCE_TIME, never, received),
        np.where(source == NO_SOURCE_TIME, never, source),
    )
    # Subtracted as integers: float64 holds today's ns only to 256 ns.
    age_s = np.maximum(t_ns - since, 0) / 1e9
    return np.where(since == never, np.nan, age_s)


def _levels(book: Catalogue, arrays: Mapping[str, NDArray[Any]]) -> NDArray[np.uint8]:
    """Return the worst level in force of each point's own alarms."""
    levels = np.zeros(len(book.plan.points), dtype=np.uint8)
    for a in np.flatnonzero(arrays["alarm_in_force"]).tolist():
        alarm = book.alarms[a]
        if alarm.kind in _OF_ITS_POINTS:
            for point in alarm.points:
                levels[point] = max(int(levels[point]), alarm.level)
    return levels
