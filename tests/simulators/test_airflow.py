from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulators.airflow import AirNetwork

# intake 0 splits into face 1 and heading 2, which join in return 3
DOWNWIND = [[1, 2], [3], [3], []]
DEMAND = [1.0, 20.0, 8.0, 1.0]
DUCTED = [False, False, True, False]


def test_what_enters_a_junction_leaves_it() -> None:
    flow = AirNetwork(DOWNWIND, DEMAND, DUCTED).flow(1.0, np.ones(4))
    assert flow.zone[0] == pytest.approx(30.0)
    assert flow.zone[1] + flow.zone[2] == pytest.approx(30.0)
    assert flow.zone[3] == pytest.approx(30.0)


def test_air_splits_by_what_lies_behind() -> None:
    flow = AirNetwork(DOWNWIND, DEMAND, DUCTED).flow(1.0, np.ones(4))
    assert flow.zone[1] / flow.zone[2] == pytest.approx(21.0 / 9.0)


def test_all_quantities_follow_the_main_fan() -> None:
    network = AirNetwork(DOWNWIND, DEMAND, DUCTED)
    full, part = network.flow(1.0, np.ones(4)), network.flow(0.05, np.ones(4))
    assert part.zone == pytest.approx(0.05 * full.zone)


def test_what_a_stopped_duct_does_not_take_passes_its_mouth() -> None:
    network = AirNetwork(DOWNWIND, DEMAND, DUCTED)
    usual = network.flow(1.0, np.ones(4))
    stopped = network.flow(1.0, np.array([1.0, 1.0, 0.03, 1.0]))
    assert stopped.zone[2] == pytest.approx(0.03 * usual.zone[2])
    assert stopped.zone[3] == pytest.approx(usual.zone[3])
    assert stopped.zone[1] == pytest.approx(usual.zone[1])


def test_an_edge_that_closes_a_loop_is_left_out() -> None:
    network = AirNetwork([[1], [2], [0]], [1.0, 1.0, 1.0], [False] * 3)
    flow = network.flow(1.0, np.ones(3))
    assert np.all(np.isfinite(flow.zone))
    assert flow.fresh.sum() > 0.0


@given(st.data())
def test_no_air_is_made_or_lost_in_any_network(data: st.DataObject) -> None:
    size = data.draw(st.integers(1, 7))
    targets = st.lists(st.integers(0, size - 1), max_size=3, unique=True)
    downwind = data.draw(st.lists(targets, min_size=size, max_size=size))
    ducted = data.draw(st.lists(st.booleans(), min_size=size, max_size=size))
    ducts = data.draw(st.lists(st.floats(0.0, 1.0), min_size=size, max_size=size))
    network = AirNetwork(downwind, [5.0] * size, ducted)
    flow = network.flow(1.0, np.array(ducts))
    arriving = flow.fresh.copy()
    np.add.at(arriving, network.edge_to, flow.edge)
    leaving = np.zeros(size)
    np.add.at(leaving, network.edge_from, flow.edge)
    assert arriving == pytest.approx(flow.zone)
    # Air passes the mouth of a ducted zone without having been in it: it counts at its origin.
    assert np.all(leaving <= flow.zone + 1e-9)
