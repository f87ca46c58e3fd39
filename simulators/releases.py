"""What is set free beyond a normal day: bursts of methane, fires, heatings."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

# What a fire sets free per megawatt [m3/s; smoke 1/m * m3/s; heat K * m3/s]: a poor, smoking burn.
# Heat: 1 MW / (1.2 kg/m3 * 1005 J/(kg K)) = 830 K m3/s, most of which the rock takes.
_FIRE_PER_MW: Final = np.array([0.0, 0.010, 0.06, 12.0, 200.0])
# A heating of coal smoulders: carbon monoxide without flame, smoke or much heat.
_HEATING_PER_MW: Final = np.array([0.0, 0.020, 0.02, 0.0, 5.0])
SOURCES: Final = {"fire": _FIRE_PER_MW, "heating": _HEATING_PER_MW}


@dataclass(slots=True)
class Release:
    """Something set free in one cell, growing in a straight line over `over_s`.

    `rate` (5,): per second when full grown [m3/s]; ended after `for_s`.
    """

    zone: int
    cell: int
    rate: NDArray[np.float64]
    start_s: float
    over_s: float
    for_s: float

    def now(self, t_s: float) -> NDArray[np.float64] | None:
        """Return the rates at `t_s`, or None once it is over."""
        age = t_s - self.start_s
        if age >= self.for_s:
            return None
        return self.rate * (min(1.0, age / self.over_s) if self.over_s > 0.0 else 1.0)
