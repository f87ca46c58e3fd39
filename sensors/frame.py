"""Live columns: what arrived (`Batch`) and what is known now (`Frame`)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

from sensors.quality import Quality

NO_SOURCE_TIME: Final = np.iinfo(np.int64).min
"""Source time of a sample that brought none [ns]; its inbox stamp then stands for it."""


@dataclass(frozen=True, slots=True)
class Batch:
    """Samples that arrived together, as columns of equal length (n,).

    A collector builds it; the inbox gives it the stamp.

    Parameters
    ----------
    point : int32 (n,)
        Point indices in the `PointTable`; a point may appear more than once, in order of arrival.
    value : float64 (n,)
        In the point's canonical unit; anything (usually NaN) where the quality forbids its use.
    quality : uint8 (n,)
        `Quality` codes as the device or the decoder found them.
    source_ns : int64 (n,)
        Source time [ns since 1970 UTC], or `NO_SOURCE_TIME`.
    retained : bool (n,)
        True for a message that the broker had kept: never fresh.
    """

    point: NDArray[np.int32]
    value: NDArray[np.float64]
    quality: NDArray[np.uint8]
    source_ns: NDArray[np.int64]
    retained: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.point)

    @staticmethod
    def of(
        point: object,
        value: object,
        quality: object = Quality.GOOD,
        source_ns: object = NO_SOURCE_TIME,
        *,
        retained: object = False,
    ) -> Batch:
        """Build a batch from scalars or sequences; scalars are spread over all points."""
        index = np.atleast_1d(np.asarray(point, dtype=np.int32))
        shape = index.shape
        return Batch(
            index,
            np.broadcast_to(np.asarray(value, dtype=np.float64), shape).copy(),
            np.broadcast_to(np.asarray(quality, dtype=np.uint8), shape).copy(),
            np.broadcast_to(np.asarray(source_ns, dtype=np.int64), shape).copy(),
            np.broadcast_to(np.asarray(retained, dtype=np.bool_), shape).copy(),
        )

    def take(self, which: slice | NDArray[np.intp]) -> Batch:
        """Return the samples at `which`, as a new batch."""
        return Batch(
            self.point[which],
            self.value[which],
            self.quality[which],
            self.source_ns[which],
            self.retained[which],
        )


@dataclass(slots=True)
class Frame:
    """What is known of each point now; columns of shape (N,). Only the engine writes it.

    `quality` is the *effective* quality: with staleness, calibration and latches applied.
    """

    size: int
    value: NDArray[np.float64] = field(init=False)
    quality: NDArray[np.uint8] = field(init=False)
    received_ns: NDArray[np.int64] = field(init=False)
    source_ns: NDArray[np.int64] = field(init=False)

    def __post_init__(self) -> None:
        self.value = np.full(self.size, np.nan)
        self.quality = np.full(self.size, Quality.NO_DATA, dtype=np.uint8)
        self.received_ns = np.full(self.size, NO_SOURCE_TIME, dtype=np.int64)
        self.source_ns = np.full(self.size, NO_SOURCE_TIME, dtype=np.int64)
