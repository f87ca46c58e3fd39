from __future__ import annotations

import numpy as np
import pytest

from simulators.airflow import AirNetwork
from simulators.gas import CARRIED, CELL_M, CH4, CO, FRESH_AIR, GasTransport

AREA_M2 = 10.0
LENGTH_M = 500.0
Q_M3_S = 20.0


def road(zones: int = 1) -> tuple[AirNetwork, GasTransport]:
    """Zones in a row, 500 m of 10 m2 each, with 20 m3/s of air."""
    downwind = [[z + 1] if z + 1 < zones else [] for z in range(zones)]
    network = AirNetwork(downwind, [Q_M3_S / zones] * zones, [False] * zones)
    return network, GasTransport(network, [LENGTH_M] * zones, [AREA_M2 * LENGTH_M] * zones)


def nothing(gas: GasTransport) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    return np.zeros((len(gas.zone_of), len(CARRIED)))


def test_gas_in_the_mine_is_what_was_released_and_entered_less_what_left() -> None:
    network, gas = road(zones=3)
    flow = network.flow(1.0, np.ones(3))
    release = nothing(gas)
    release[5, CH4], release[30, CO] = 0.4, 0.002
    before = gas.mass()
    for _ in range(4000):
        gas.step(0.25, flow, release)
    expected = before + gas.entered - gas.left + 1000.0 * release.sum(axis=0)
    assert gas.mass() == pytest.approx(expected, rel=1e-9, abs=1e-12)
    assert gas.left[CH4] > 100.0


def test_mass_is_kept_while_a_duct_bypasses() -> None:
    network = AirNetwork([[1, 2], [3], [3], []], [1.0, 20.0, 8.0, 1.0], [False, False, True, False])
    gas = GasTransport(network, [100.0] * 4, [1000.0] * 4)
    release = nothing(gas)
    release[int(gas.first[2]), CH4] = 0.1
    before = gas.mass()
    for step in range(2000):
        ducts = np.array([1.0, 1.0, 0.03 if step > 500 else 1.0, 1.0])
        gas.step(0.25, network.flow(1.0, ducts), release)
    expected = before + gas.entered - gas.left + 500.0 * release.sum(axis=0)
    assert gas.mass() == pytest.approx(expected, rel=1e-9, abs=1e-12)


def test_steady_methane_is_emission_over_air_quantity() -> None:
    network, gas = road()
    flow = network.flow(1.0, np.ones(1))
    release = nothing(gas)
    release[0, CH4] = 0.2
    for _ in range(8000):
        gas.step(0.25, flow, release)
    assert gas.content[-1, CH4] - FRESH_AIR[CH4] == pytest.approx(0.2 / Q_M3_S, rel=1e-6)


def test_settling_gives_the_same_as_waiting() -> None:
    network, gas = road(zones=2)
    _, waited = road(zones=2)
    flow = network.flow(1.0, np.ones(2))
    release = nothing(gas)
    release[3, CH4], release[20, CO] = 0.3, 0.001
    gas.settle(flow, release)
    for _ in range(12_000):
        waited.step(0.25, flow, release)
    assert gas.content == pytest.approx(waited.content, rel=1e-6, abs=1e-12)


def test_gas_travels_with_the_air() -> None:
    """A puff passes the end of the road when its air does: length over velocity."""
    network, gas = road()
    flow = network.flow(1.0, np.ones(1))
    gas.content[0, CH4] = 0.05
    moments, weights = [], []
    for step in range(6000):
        gas.step(0.1, flow, nothing(gas))
        moments.append(0.1 * step)
        weights.append(gas.content[-1, CH4] - FRESH_AIR[CH4])
    mean_s = float(np.average(moments, weights=weights))
    # from the middle of the first cell to the end of the last
    assert mean_s == pytest.approx((LENGTH_M - CELL_M / 2) / (Q_M3_S / AREA_M2), rel=0.05)


def test_with_less_air_gas_accumulates() -> None:
    network, gas = road()
    release = nothing(gas)
    release[10, CH4] = 0.05
    gas.settle(network.flow(1.0, np.ones(1)), release)
    usual = float(gas.content[10, CH4])
    weak = network.flow(0.05, np.ones(1))
    for _ in range(1200):
        gas.step(0.25, weak, release)
    assert gas.content[10, CH4] > 5.0 * usual


def test_a_long_step_is_cut_into_stable_ones() -> None:
    network, gas = road()
    flow = network.flow(1.0, np.ones(1))
    release = nothing(gas)
    release[0, CH4] = 0.2
    gas.step(3600.0, flow, release)
    assert np.all(gas.content >= 0.0)
    assert gas.content[-1, CH4] - FRESH_AIR[CH4] == pytest.approx(0.01, rel=1e-6)
