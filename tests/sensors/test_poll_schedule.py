"""Turns on virtual time: fifty units at 1 Hz, some of them dead."""

from __future__ import annotations

from itertools import chain, pairwise

import pytest

from sensors import poll_schedule
from sensors.poll_schedule import PROBE_CAP_S, Backoff, UnitTurn, next_turn

ANSWER_S, TIMEOUT_S = 0.005, 0.5


def periods_s(dead: int, seconds: float) -> tuple[list[float], list[float]]:
    """Return the times between good polls of live units, and between probes of dead ones."""
    turns = [UnitTurn(1.0) for _ in range(50)]
    seen: list[list[float]] = [[] for _ in turns]
    now_s = 0.0
    while now_s < seconds:
        n = next_turn(turns, now_s, TIMEOUT_S)
        now_s = max(now_s, turns[n].due_s)
        seen[n].append(now_s)
        if n < dead:
            now_s += TIMEOUT_S
            turns[n].failed(now_s, TIMEOUT_S)
        else:
            now_s += ANSWER_S
            turns[n].succeeded(now_s)
    settled = [[b - a for a, b in pairwise(times) if a > 30.0] for times in seen]
    return sorted(chain(*settled[dead:])), sorted(chain(*settled[:dead]))


@pytest.mark.parametrize("dead", [0, 1, 5])
def test_live_units_keep_their_period_beside_dead_ones(dead: int) -> None:
    live, probes = periods_s(dead, 300.0)
    assert live[len(live) * 99 // 100] <= 1.10
    assert all(gap <= 2 * PROBE_CAP_S for gap in probes)
    assert len(probes) >= dead * 20  # never blind for minutes


def test_live_units_are_polled_though_half_the_cable_is_dead() -> None:
    live, probes = periods_s(40, 300.0)
    assert live[-1] <= 3.0
    assert all(gap <= 6 * PROBE_CAP_S for gap in probes)
    assert len(probes) >= 40 * 4  # none of them is forgotten


def test_control_without_parking_they_do_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(poll_schedule, "PARKED_AFTER", 10**9)
    live, _ = periods_s(5, 300.0)
    assert live[len(live) // 2] > 1.10


def test_a_unit_that_answers_its_probe_is_polled_at_once() -> None:
    turn = UnitTurn(1.0)
    for _ in range(9):
        turn.failed(turn.due_s)
    assert (turn.parked, turn.probe_s) == (True, PROBE_CAP_S)
    turn.succeeded(100.0)
    assert (turn.parked, turn.due_s) == (False, 100.0)


def test_a_delay_is_not_made_up_for() -> None:
    turn = UnitTurn(1.0, due_s=10.0)
    turn.succeeded(10.4)
    assert turn.due_s == 11.0
    turn.succeeded(15.7)
    assert turn.due_s == 15.7


def test_earliest_deadline_first() -> None:
    fast, slow, waiting = UnitTurn(0.5, 10.0), UnitTurn(5.0, 9.0), UnitTurn(1.0, 20.0)
    assert next_turn([slow, fast, waiting], 11.0, 0.5) == 1
    assert next_turn([slow, fast, waiting], 9.5, 0.5) == 0
    assert next_turn([slow, fast, waiting], 8.0, 0.5) == 0


def test_a_probe_waits_for_a_gap_but_not_for_ever() -> None:
    live, dead = UnitTurn(1.0, 10.4), UnitTurn(1.0, 10.0, failures=3, probe_s=1.0)
    assert next_turn([live, dead], 10.1, 0.5) == 0  # not due yet: wait for it
    assert next_turn([live, dead], 10.5, 0.5) == 0
    live.due_s = 11.4
    assert next_turn([live, dead], 10.5, 0.5) == 1
    live.due_s = 20.1
    assert next_turn([live, dead], 20.1, 0.5) == 1
    assert next_turn([dead], 9.0, 0.5) == 0


def test_backoff_grows_to_its_cap_spreads_and_resets() -> None:
    backoff = Backoff()
    pauses = [backoff.next_s(0.999) for _ in range(40)]
    assert pauses == sorted(pauses)
    assert pauses[0] == pytest.approx(0.2, rel=0.01)
    assert pauses[-1] == pytest.approx(10.0, rel=0.01)
    assert backoff.next_s(0.0) == 5.0
    backoff.reset()
    assert backoff.next_s(0.0) == pytest.approx(0.1)
