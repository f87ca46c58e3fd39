"""The one door into the engine: stamps what comes, keeps the order, and is bounded."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np

from alarms.events import Command
from gateway.clock import Clock
from sensors.frame import NO_SOURCE_TIME, Batch
from sensors.freshness import NEVER
from sensors.quality import MAY_SET, Quality

WAITING_SAMPLES_A_POINT: Final = 32
WAITING_COMMANDS: Final = 256


@dataclass(frozen=True, slots=True)
class Entry:
    """One stamped input: samples, or one command."""

    t_ns: int
    batch: Batch | None = None
    command: Command | None = None
    ticket: int = 0


class Inbox:
    """Stamps are strictly increasing, so that every input has its own instant.

    At most `WAITING_SAMPLES_A_POINT` samples of a point wait. Beyond that they fold into the most
    dangerous and the newest, are counted, and come out with a quality that raises a fault.
    """

    def __init__(
        self,
        clock: Clock,
        n_points: int,
        low_is_dangerous: np.ndarray[tuple[int], np.dtype[np.bool_]],
        wake: Callable[[], None],
    ) -> None:
        self._clock = clock
        self._wake = wake
        self._last_ns = 0
        self._entries: deque[Entry] = deque()
        self._waiting = np.zeros(n_points, dtype=np.int32)
        self._low = low_is_dangerous
        self._folded: dict[int, tuple[float, int, float, int]] = {}
        self._commands = 0
        self.offset_ns = 0
        self.folded = 0
        self.samples = 0

    def stamp(self) -> int:
        """Return the next stamp: now, or one nanosecond after the last [ns]."""
        self._last_ns = max(self._clock.now_ns(), self._last_ns + 1)
        return self._last_ns

    def put(self, batch: Batch) -> None:
        """Take samples from a collector; never blocks, never raises for what they contain."""
        if not len(batch):
            return
        self.samples += len(batch)
        crowded = self._waiting[batch.point] >= WAITING_SAMPLES_A_POINT
        if crowded.any():
            self._fold(batch.take(np.flatnonzero(crowded)))
            batch = batch.take(np.flatnonzero(~crowded))
        if len(batch):
            np.add.at(self._waiting, batch.point, 1)
            self._entries.append(Entry(self.stamp(), self._on_axis(batch)))
        self._wake()

    def _on_axis(self, batch: Batch) -> Batch:
        """Move source times from wall time to the engine's axis."""
        if not self.offset_ns:
            return batch
        has_time = batch.source_ns != NO_SOURCE_TIME
        # Bounded first: a far future that ran over would come out as a far past, and be ignored.
        source_ns = np.clip(batch.source_ns, -NEVER, NEVER + min(0, self.offset_ns))
        moved = np.where(has_time, source_ns - self.offset_ns, NO_SOURCE_TIME)
        return Batch(batch.point, batch.value, batch.quality, moved, batch.retained)

    def _fold(self, batch: Batch) -> None:
        """Keep of a crowded point the most dangerous sample and the newest, in that order."""
        self.folded += len(batch)
        batch = batch.take(np.flatnonzero(~batch.retained))  # never fresh: nothing to fold
        rows = zip(batch.point.tolist(), batch.value.tolist(), batch.quality.tolist(), strict=True)
        for point, value, quality in rows:
            worst, worst_quality, _, _ = self._folded.get(point, (value, quality, value, quality))
            if self._rank(point, value, quality) > self._rank(point, worst, worst_quality):
                worst, worst_quality = value, quality
            self._folded[point] = (worst, worst_quality, value, quality)

    def _rank(self, point: int, value: float, quality: int) -> float:
        """Order samples by danger: out of range first, then the value on its dangerous side."""
        if quality in (Quality.OVER_RANGE, Quality.UNDER_RANGE):
            return np.inf
        if not MAY_SET[quality] or value != value:  # noqa: PLR0124 - NaN
            return -np.inf
        return -value if self._low[point] else value

    def order(self, command: Command, ticket: int) -> bool:
        """Take a command; return False when too many wait."""
        if self._commands >= WAITING_COMMANDS:
            return False
        self._commands += 1
        self._entries.append(Entry(self.stamp(), command=command, ticket=ticket))
        self._wake()
        return True

    def drain(self) -> list[Entry]:
        """Return what waits, in order of stamps, folded samples last."""
        entries = list(self._entries)
        self._entries.clear()
        self._waiting.fill(0)
        self._commands = 0
        if self._folded:
            folded, self._folded = self._folded, {}
            for half in (0, 2):
                quality = np.array([f[half + 1] for f in folded.values()], dtype=np.uint8)
                doubtful = MAY_SET[quality]
                quality[doubtful] = np.maximum(quality[doubtful], Quality.BAD_CLOCK)
                values = [f[half] for f in folded.values()]
                entries.append(Entry(self.stamp(), Batch.of(list(folded), values, quality)))
        return entries
