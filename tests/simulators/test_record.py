from __future__ import annotations

import itertools
import math

import pytest

from simulators import record
from simulators.record import EPOCH_S, csv_line
from tests.simulators.mines import shipped


def test_every_point_is_read_as_often_as_it_is_polled() -> None:
    readings = list(record(shipped(), None, 10.0))
    for device in shipped().devices:
        for key in device.points:
            times = [r.time - EPOCH_S for r in readings if r.point == f"{device.id}.{key}"]
            assert times == pytest.approx([device.poll_s * n for n in range(len(times))])
            assert len(times) == round(10.0 / device.poll_s)


def test_times_never_go_backwards() -> None:
    times = [reading.time for reading in record(shipped(), "belt-fire", 20.0)]
    assert all(a <= b for a, b in itertools.pairwise(times))


def test_the_same_seed_gives_the_same_recording() -> None:
    assert list(record(shipped(), "belt-fire", 20.0, 7)) == list(
        record(shipped(), "belt-fire", 20.0, 7)
    )
    assert list(record(shipped(), None, 5.0, 7)) != list(record(shipped(), None, 5.0, 8))


def test_a_cut_cable_is_a_gap() -> None:
    last = {r.point: r.time - EPOCH_S for r in record(shipped(), "loss-of-monitoring", 20.0)}
    assert last["T1-101.gas"] < 5.0
    assert last["T1-201.gas"] == 19.0


def test_the_disturbance_begins_when_it_is_told_to() -> None:
    def gas(start_s: float) -> float:
        readings = record(shipped(), "methane-limit", 30.0, start_s=start_s)
        return max(r.value for r in readings if r.point == "T1-101.gas")

    assert gas(5.0) > 1.5
    assert gas(60.0) < 0.5


def test_a_line_holds_the_value_exactly() -> None:
    reading = next(record(shipped(), None, 1.0))
    time, point, value = csv_line(reading).strip().split(",")
    assert (time, point) == (f"{EPOCH_S}.000", reading.point)
    assert float(value) == reading.value
    assert not math.isnan(reading.value)


def test_an_unknown_scenario_is_refused() -> None:
    with pytest.raises(ValueError, match="doomsday"):
        next(record(shipped(), "doomsday", 1.0))
