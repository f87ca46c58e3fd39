"""The axis of time: monotonic, never behind what the journal already holds."""

from __future__ import annotations

import time
from typing import Protocol


class Clock(Protocol):
    """A source of stamps [ns since 1970, on the engine's axis]."""

    def now_ns(self) -> int:
        """Return the time now; never goes backwards."""
        ...


class WallClock:
    """Starts at max(wall, last journalled stamp + 1) and then follows the monotonic clock.

    Attributes
    ----------
    proved : bool
        False where the wall clock stood behind the journal: how long the gateway was down is then
        not known.
    offset_ns : int
        Wall time minus the axis, as last anchored; source times are moved by it.
    """

    def __init__(self, last_journalled_ns: int | None) -> None:
        wall = time.time_ns()
        self.proved = last_journalled_ns is None or wall > last_journalled_ns
        start = wall if last_journalled_ns is None else max(wall, last_journalled_ns + 1)
        self._zero_ns = start - time.monotonic_ns()
        self.offset_ns = wall - start

    def now_ns(self) -> int:
        """Return the time now on the axis [ns]."""
        return self._zero_ns + time.monotonic_ns()

    def step_ns(self) -> int:
        """Return how far the wall clock has moved against the axis since it was anchored [ns]."""
        return time.time_ns() - self.now_ns() - self.offset_ns

    def anchor(self) -> None:
        """Take the wall clock's present offset as the right one."""
        self.offset_ns = time.time_ns() - self.now_ns()

    @staticmethod
    def monotonic_ns() -> int:
        """Return CLOCK_MONOTONIC, which every process of this machine shares [ns]."""
        return time.monotonic_ns()

    @staticmethod
    def wall_ns() -> int:
        """Return the wall clock, for what people read; decisions use the axis [ns since 1970]."""
        return time.time_ns()
