"""Transport of gas, smoke and heat through the zones: cells in a row, what enters leaves.

Each zone is a row of well-mixed cells along its length. The content of a cell changes by what
the air brings, what it takes away and what is released there, and by nothing else:

    V dc/dt = q (c_upwind - c) + release            [m3/s]

so that the mass of gas in the mine changes exactly by what is released, enters and leaves, and a
change travels through a zone in V / q. (Plain upwind finite volumes; the numerical spreading over
a few cells stands for the turbulent one.)
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from simulators.airflow import AirNetwork, Flow

# Columns of concentration: volume fractions [m3/m3], optical density [1/m], temperature rise [K].
CARRIED: Final = ("CH4", "CO", "CO2", "smoke", "heat")
CH4, CO, CO2, SMOKE, HEAT = range(len(CARRIED))
FRESH_AIR: Final = np.array([0.0001, 1.0e-6, 0.0005, 0.0, 0.0])
CELL_M: Final = 25.0
_COURANT: Final = 0.9  # the part of a cell's air that may leave it in one step


class GasTransport:
    """Concentrations in all cells, shape (cells, 5)."""

    def __init__(
        self, network: AirNetwork, length_m: Sequence[float], volume_m3: Sequence[float]
    ) -> None:
        self._network = network
        cells = [max(2, round(metres / CELL_M)) for metres in length_m]
        self.first: NDArray[np.intp] = np.cumsum([0, *cells[:-1]]).astype(np.intp)
        self.last: NDArray[np.intp] = np.cumsum(cells).astype(np.intp) - 1
        self.zone_of: NDArray[np.intp] = np.repeat(np.arange(len(cells)), cells)
        self.volume: NDArray[np.float64] = (
            np.asarray(volume_m3, dtype=np.float64) / np.asarray(cells)
        )[self.zone_of]
        self.content = np.tile(FRESH_AIR, (len(self.zone_of), 1))
        self.left = np.zeros(len(CARRIED))
        self.entered = np.zeros(len(CARRIED))

    def cell(self, zone: int, fraction: float) -> int:
        """Return the cell at a fraction [0..1] of a zone's length."""
        first, last = int(self.first[zone]), int(self.last[zone])
        return min(first + int(fraction * (last - first + 1)), last)

    def step(self, seconds: float, flow: Flow, release: NDArray[np.float64]) -> None:
        """Move on by `seconds`; `release` (cells, 5) is what comes out per second [m3/s]."""
        through = flow.zone[self.zone_of] / self.volume
        parts = max(1, int(np.ceil(seconds * float(through.max()) / _COURANT)))
        for _ in range(parts):
            self._small_step(seconds / parts, flow, release)

    def _small_step(self, seconds: float, flow: Flow, release: NDArray[np.float64]) -> None:
        leaving = flow.zone[self.zone_of][:, None] * self.content
        arriving = np.empty_like(leaving)
        arriving[1:] = leaving[:-1]
        inlet = flow.fresh[:, None] * FRESH_AIR
        carried = flow.edge[:, None] * self.content[self.last[self._network.edge_from]]
        np.add.at(inlet, self._network.edge_to, carried)
        arriving[self.first] = inlet
        self.content += (seconds / self.volume)[:, None] * (arriving - leaving + release)
        entering = flow.fresh.sum() * FRESH_AIR
        self.entered += seconds * entering
        # What leaves the mine: all that leaves the zones' ends and goes into no other zone.
        self.left += seconds * (leaving[self.last].sum(axis=0) - inlet.sum(axis=0) + entering)

    def settle(self, flow: Flow, release: NDArray[np.float64]) -> None:
        """Start from the steady state of constant flow and release.

        Each cell's content then satisfies ``q (c_upwind - c) + release = 0``; solved zone by
        zone in the order of the air.
        """
        for zone in self._network.order:
            q = float(flow.zone[zone])
            if q <= 0.0:
                continue
            inlet = flow.fresh[zone] * FRESH_AIR
            for e in np.flatnonzero(self._network.edge_to == zone):
                upwind = self.last[self._network.edge_from[e]]
                inlet = inlet + flow.edge[e] * self.content[upwind]
            rows = slice(int(self.first[zone]), int(self.last[zone]) + 1)
            self.content[rows] = inlet / q + np.cumsum(release[rows], axis=0) / q

    def mass(self) -> NDArray[np.float64]:
        """Return what is in the mine now, per column [m3 at 100 %]."""
        return np.asarray((self.volume[:, None] * self.content).sum(axis=0))
