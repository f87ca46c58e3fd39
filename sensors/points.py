"""The static columns of all points, and the specification of one point."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class PointSpec:
    """One measured quantity at one place.

    Parameters
    ----------
    id : str
        ``<device>.<key>``, unique at the site.
    quantity : str
        Key of `sensors.quantities.QUANTITIES`; its unit is the point's unit.
    zone : int
        Zone index.
    device : str
        Device id; empty for a point the gateway makes about itself.
    location : str
        Location class that decides which limits apply, for example ``longwall_face``.
    range_low, range_high : float
        Measuring range [canonical unit]; beyond it the reading is UNDER_RANGE or OVER_RANGE.
    max_age_s : float
        Longest age before the point is STALE [s].
    poll_s : float
        Period at which a fresh value is expected [s].
    catalytic : bool
        Catalytic methane head: over-range latches the point, because the bead reads low above
        the explosive range.
    guards : bool
        Counts for loss of monitoring of its zone if a rule uses it. False for points that the
        gateway makes about itself.
    description : str
        Shown to people.
    """

    id: str
    quantity: str
    zone: int
    device: str = ""
    location: str = ""
    range_low: float = -np.inf
    range_high: float = np.inf
    max_age_s: float = 10.0
    poll_s: float = 1.0
    catalytic: bool = False
    guards: bool = True
    description: str = ""


@dataclass(frozen=True, slots=True)
class PointTable:
    """Columns of shape (N,), in configuration order."""

    specs: tuple[PointSpec, ...]
    ids: tuple[str, ...]
    index: dict[str, int]
    zone: NDArray[np.int32]
    range_low: NDArray[np.float64]
    range_high: NDArray[np.float64]
    catalytic: NDArray[np.bool_]
    guards: NDArray[np.bool_]
    max_age_ns: NDArray[np.int64]

    @classmethod
    def of(cls, specs: tuple[PointSpec, ...]) -> Self:
        """Lay the specifications out as columns."""
        return cls(
            specs,
            tuple(s.id for s in specs),
            {s.id: i for i, s in enumerate(specs)},
            np.array([s.zone for s in specs], dtype=np.int32),
            np.array([s.range_low for s in specs], dtype=np.float64),
            np.array([s.range_high for s in specs], dtype=np.float64),
            np.array([s.catalytic for s in specs], dtype=np.bool_),
            np.array([s.guards for s in specs], dtype=np.bool_),
            np.array([round(s.max_age_s * 1e9) for s in specs], dtype=np.int64),
        )

    def __len__(self) -> int:
        return len(self.specs)
