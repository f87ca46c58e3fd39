"""What the journal's reader hands out."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from gateway.readings_codec import Readings
from sensors.frame import NO_SOURCE_TIME, Batch

# A device that answers with what it kept while it was cut off may go back this far.
OLDEST_SOURCE_NS: Final = 30 * 24 * 3_600_000_000_000


@dataclass(frozen=True, slots=True)
class Record:
    """A record: configuration, start, command, gap, clock step, output, note."""

    n: int
    t_ns: int
    kind: str
    data: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The engine's state after everything with stamps up to `t_ns`."""

    n: int
    t_ns: int
    data: bytes


@dataclass(frozen=True, slots=True)
class ReadingsCommit:
    """Readings that were committed together, as columns of shape (n,); see `Readings`.

    `point` are indices into ``config_points(config_n)``.
    """

    seq: int
    config_n: int
    readings: Readings

    @property
    def point(self) -> NDArray[np.int32]:
        """Point indices."""
        return self.readings.point

    @property
    def t_ns(self) -> NDArray[np.int64]:
        """Inbox stamps [ns]."""
        return self.readings.t_ns

    @property
    def value(self) -> NDArray[np.float64]:
        """Values in the point's unit."""
        return self.readings.value

    @property
    def quality(self) -> NDArray[np.uint8]:
        """Quality codes."""
        return self.readings.quality

    @property
    def source_ns(self) -> NDArray[np.int64]:
        """Source times [ns], or `NO_SOURCE_TIME`."""
        return self.readings.source_ns

    @property
    def retained(self) -> NDArray[np.bool_]:
        """True for what the broker had kept."""
        return self.readings.retained


@dataclass(frozen=True, slots=True)
class CommitHead:
    """What is known of a commit of readings without unpacking it."""

    seq: int
    config_n: int
    t_first: int
    t_last: int
    n: int


@dataclass(frozen=True, slots=True)
class Input:
    """Everything that came in under one stamp: readings, then records in their order."""

    t_ns: int
    config_n: int
    batch: Batch | None
    records: tuple[Record, ...]


@dataclass(frozen=True, slots=True)
class History:
    """Readings under the time at which they were measured, as columns of shape (n,).

    Parameters
    ----------
    time_ns : int64 (n,)
        The source time where it can be true, else the stamp [ns]; see `measured_ns`.
    value, quality : float64 (n,), uint8 (n,)
        As they arrived.
    source_ns : int64 (n,)
        The time that the device sent [ns], or `sensors.frame.NO_SOURCE_TIME`.
    received_ns : int64 (n,)
        The inbox stamp [ns].
    retained : bool (n,)
        True for a message that the broker had kept.
    """

    time_ns: NDArray[np.int64]
    value: NDArray[np.float64]
    quality: NDArray[np.uint8]
    source_ns: NDArray[np.int64]
    received_ns: NDArray[np.int64]
    retained: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.time_ns)

    def take(self, which: NDArray[np.intp] | NDArray[np.bool_]) -> History:
        """Return the readings at `which`."""
        return History(*(getattr(self, field.name)[which] for field in fields(History)))


def measured_ns(t_ns: NDArray[np.int64], source_ns: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return when each reading was measured [ns]: its source time, if that can be true.

    A source time after the stamp, or more than `OLDEST_SOURCE_NS` before it, comes from a clock
    that is wrong; the stamp stands for it. The same for a reading without one.
    """
    with np.errstate(over="ignore"):
        believable = (source_ns <= t_ns) & (source_ns > t_ns - OLDEST_SOURCE_NS)
    believable &= source_ns != NO_SOURCE_TIME
    return np.where(believable, source_ns, t_ns)


@dataclass(frozen=True, slots=True)
class WallOffsets:
    """Wall time minus the journal's axis [ns], piece by piece; columns of shape (m,).

    Stamps and source times in the journal are on the gateway's own monotonic axis; the wall clock
    may be stepped against it, and each step is on record.
    """

    from_ns: NDArray[np.int64]
    offset_ns: NDArray[np.int64]

    @staticmethod
    def of(records: list[Record]) -> WallOffsets:
        """Take them from the records that carry an ``offset_ns``."""
        pieces = sorted(
            (record.t_ns, int(record.data.get("offset_ns", 0)))
            for record in records
            if record.kind in OFFSET_KINDS
        )
        table = np.array(pieces, dtype=np.int64).reshape(-1, 2)
        return WallOffsets(table[:, 0], table[:, 1])

    def at(self, t_ns: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the offset at each stamp [ns]; 0 before the first record."""
        piece = np.searchsorted(self.from_ns, t_ns, side="right")
        return np.concatenate([np.zeros(1, dtype=np.int64), self.offset_ns])[piece]


OFFSET_KINDS: Final = ("start", "clock_step")
