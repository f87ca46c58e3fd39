"""How the air of the main fan spreads over the zones, from their downwind lists alone.

Air enters the zones that are downwind of none, splits where a zone has several downwind, joins
where several lead into one, and leaves where the lists end. What enters a zone leaves it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Flow:
    """Air quantities now [m3/s].

    `zone` (Z,): through each zone. `fresh` (Z,): entering from the surface. `edge` (E,): along each
    edge of the network, in its order.
    """

    zone: NDArray[np.float64]
    fresh: NDArray[np.float64]
    edge: NDArray[np.float64]


class AirNetwork:
    """Zones joined by downwind edges.

    An edge that closes a loop is left out: recirculated air would never leave. A zone with a
    local fan takes what its duct brings; the rest of its share passes its mouth and goes on to
    what lies downwind of it (a *bypass* edge).

    Parameters
    ----------
    downwind : sequence of zone indices per zone
    demand_m3_s : sequence of float
        Air each zone is meant to have for itself; decides the splits.
    ducted : sequence of bool
        Zones ventilated by a local fan.
    """

    def __init__(
        self,
        downwind: Sequence[Sequence[int]],
        demand_m3_s: Sequence[float],
        ducted: Sequence[bool],
    ) -> None:
        self.size = len(downwind)
        self.order, self.downwind = _without_loops(downwind)
        self._ducted = tuple(ducted)
        reach = self._reachable_demand(demand_m3_s)
        self._share = [
            [reach[v] / sum(reach[w] for w in self.downwind[u]) for v in self.downwind[u]]
            for u in range(self.size)
        ]
        entered = {v for targets in self.downwind for v in targets}
        self._fresh = np.array([0.0 if z in entered else reach[z] for z in range(self.size)])
        self._edge_index: dict[tuple[int, int], int] = {}
        self._index_edges()
        pairs = np.array(list(self._edge_index), dtype=np.intp).reshape(-1, 2)
        self.edge_from: NDArray[np.intp] = pairs[:, 0]
        self.edge_to: NDArray[np.intp] = pairs[:, 1]

    def _reachable_demand(self, demand_m3_s: Sequence[float]) -> list[float]:
        """Return, per zone, the demand of itself and everything downwind of it [m3/s]."""
        reach: list[set[int]] = [set() for _ in range(self.size)]
        for z in reversed(self.order):
            reach[z] = {z}.union(*(reach[v] for v in self.downwind[z]))
        return [sum(max(demand_m3_s[v], 0.1) for v in zones) for zones in reach]

    def _index_edges(self) -> None:
        for u in self.order:
            for v in self.downwind[u]:
                self._edge_index.setdefault((u, v), len(self._edge_index))
                if self._ducted[v]:
                    for w in self.downwind[v]:
                        self._edge_index.setdefault((u, w), len(self._edge_index))

    def flow(self, main: float, ducts: NDArray[np.float64]) -> Flow:
        """Return the quantities with the main fan at `main` and the ducts at `ducts` (Z,), 0..1."""
        fresh = self._fresh * main
        zone = fresh.copy()
        edge = np.zeros(len(self._edge_index))
        for u in self.order:
            for v, share in zip(self.downwind[u], self._share[u], strict=True):
                offered = zone[u] * share
                taken = offered * ducts[v] if self._ducted[v] else offered
                self._send(u, v, taken, zone, edge)
                for w, onward in zip(self.downwind[v], self._share[v], strict=True):
                    if offered > taken:
                        self._send(u, w, (offered - taken) * onward, zone, edge)
        return Flow(zone, fresh, edge)

    def _send(
        self, u: int, v: int, m3_s: float, zone: NDArray[np.float64], edge: NDArray[np.float64]
    ) -> None:
        edge[self._edge_index[u, v]] += m3_s
        zone[v] += m3_s


def _without_loops(downwind: Sequence[Sequence[int]]) -> tuple[tuple[int, ...], list[list[int]]]:
    """Return zones in the order of the air, and the edges without those that close a loop."""
    size = len(downwind)
    kept: list[list[int]] = [[] for _ in range(size)]
    done: list[int] = []
    state = [0] * size  # 0 not seen, 1 on the way down, 2 done
    entered = {v for targets in downwind for v in targets}
    starts = [z for z in range(size) if z not in entered] + list(range(size))

    def visit(z: int) -> None:
        state[z] = 1
        for v in downwind[z]:
            if state[v] != 1:
                kept[z].append(v)
            if state[v] == 0:
                visit(v)
        state[z] = 2
        done.append(z)

    for start in starts:
        if state[start] == 0:
            visit(start)
    return tuple(reversed(done)), kept
