from __future__ import annotations

import pytest

from simulators.faults import Faults, OnTheWire


def with_fault(kind: str, size: float = 1.0, for_s: float = 1e9) -> Faults:
    faults = Faults(seed=1)
    faults.add("P", kind, size, 10.0, for_s)
    return faults


def test_without_faults_a_value_passes() -> None:
    assert Faults(1).apply("P", 0.5, 0.0) == OnTheWire(0.5)


def test_noise_scatters_around_the_value() -> None:
    faults = with_fault("noise", 0.1)
    values = [faults.apply("P", 1.0, 10.0).value for _ in range(400)]
    assert sum(values) / 400 == pytest.approx(1.0, abs=0.02)
    assert len(set(values)) == 400


def test_noise_is_the_same_for_the_same_seed() -> None:
    first, second = with_fault("noise"), with_fault("noise")
    assert first.apply("P", 1.0, 10.0) == second.apply("P", 1.0, 10.0)


def test_drift_grows_from_its_beginning() -> None:
    faults = with_fault("drift", 0.01)
    assert faults.apply("P", 1.0, 10.0).value == pytest.approx(1.0)
    assert faults.apply("P", 1.0, 110.0).value == pytest.approx(2.0)


def test_a_poisoned_head_sees_a_part() -> None:
    assert with_fault("gain", 0.2).apply("P", 2.0, 10.0).value == pytest.approx(0.4)


def test_a_stuck_value_stays() -> None:
    faults = with_fault("stuck")
    assert [faults.apply("P", v, 10.0).value for v in (1.0, 2.0, 3.0)] == [1.0, 1.0, 1.0]


def test_drop_late_and_corrupt_are_told_apart() -> None:
    assert with_fault("drop").apply("P", 1.0, 10.0).missing
    assert with_fault("late", 2.5).apply("P", 1.0, 10.0).late_s == 2.5
    assert with_fault("corrupt").apply("P", 1.0, 10.0).corrupt


def test_a_fault_ends_by_itself_or_is_cleared() -> None:
    faults = with_fault("drop", for_s=5.0)
    assert faults.apply("P", 1.0, 14.9).missing
    assert not faults.apply("P", 1.0, 15.0).missing
    faults.add("P", "stuck", 1.0, 20.0, 1e9)
    faults.clear("P")
    assert faults.apply("P", 3.0, 21.0) == OnTheWire(3.0)


def test_faults_of_different_kinds_add_up_and_one_kind_replaces_itself() -> None:
    faults = with_fault("gain", 0.5)
    faults.add("P", "gain", 0.1, 10.0, 1e9)
    faults.add("P", "late", 1.0, 10.0, 1e9)
    assert faults.apply("P", 1.0, 10.0) == OnTheWire(0.1, late_s=1.0)


def test_a_value_set_by_hand_is_shown_exactly_until_it_is_given_back() -> None:
    faults = Faults(1)
    faults.set("P", 1.5)
    assert faults.apply("P", 0.3, 0.0).value == 1.5
    faults.set("P", None)
    assert faults.apply("P", 0.3, 0.0).value == 0.3


def test_an_unknown_kind_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ValueError, match="stuck"):
        with_fault("broken")
