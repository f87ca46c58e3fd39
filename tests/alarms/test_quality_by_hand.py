"""What each quality may do, and the qualities the gateway finds itself, case by case.

Rows read as in tests/alarms/hand.py: seq, seconds after the start, alarm, states, levels,
[demands in force], value, quality, <cause_seq, actor.
"""

from __future__ import annotations

import math

import pytest

from alarms.plan import (
    Demand,
)
from sensors.quality import Quality
from tests.alarms.hand import Mine, limit, point, sample

WITHDRAW = ((Demand.WITHDRAW, ()),)
CUT = ((Demand.CUT_POWER, ()),)


# -- quality ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "quality", [Quality.JUMP, Quality.STUCK, Quality.BAD_CLOCK, Quality.UNRELIABLE]
)
def test_set_only_raises_and_does_not_lower(quality: Quality) -> None:
    mine = Mine(limits=[limit()])
    assert mine.at(1, sample(1.2, quality))[:2] == [
        f"1 1s gas: NORMAL>UNACKED NORMAL>ALARM [] 1.2 {quality.name} <0",
        f"2 1s g/fault: NORMAL>UNACKED NORMAL>FAULT [] 1.2 {quality.name} <0",
    ]
    assert mine.at(2, sample(0.1, quality)) == []


@pytest.mark.parametrize(
    "quality",
    [
        Quality.COMMS_LOST,
        Quality.DEVICE_FAULT,
        Quality.WARM_UP,
        Quality.CALIBRATION,
        Quality.INHIBITED,
        Quality.DECODE_ERROR,
    ],
)
def test_neither_raises_only_the_fault(quality: Quality) -> None:
    assert Mine(limits=[limit()]).at(1, sample(5.0, quality)) == [
        f"1 1s g/fault: NORMAL>UNACKED NORMAL>FAULT [] 5 {quality.name} <0",
        "2 1s zone z: NORMAL>FAULT [] <1",
    ]


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_what_is_no_number_is_a_decode_error(value: float) -> None:
    assert Mine(limits=[limit()]).at(1, value) == [
        "1 1s g/fault: NORMAL>UNACKED NORMAL>FAULT [] - DECODE_ERROR <0",
        "2 1s zone z: NORMAL>FAULT [] <1",
    ]


def test_no_number_where_none_is_used_keeps_its_quality() -> None:
    mine = Mine(limits=[limit()])
    assert mine.at(1, sample(math.nan, Quality.WARM_UP))[0] == (
        "1 1s g/fault: NORMAL>UNACKED NORMAL>FAULT [] - WARM_UP <0"
    )


def test_uncertain_counts_fully_and_calls_for_maintenance() -> None:
    mine = Mine(limits=[limit()])
    assert mine.at(1, sample(1.2, Quality.UNCERTAIN)) == [
        "1 1s gas: NORMAL>UNACKED NORMAL>ALARM [] 1.2 UNCERTAIN <0",
        "2 1s g/maintenance: NORMAL>UNACKED NORMAL>ALERT [] 1.2 UNCERTAIN <0",
        "3 1s zone z: NORMAL>ALARM [] <1",
    ]
    assert mine.at(2, sample(0.1, Quality.UNCERTAIN)) == [
        "4 2s gas: UNACKED>RETURNED_UNACKED ALARM>NORMAL [] 0.1 UNCERTAIN <1",
        "5 2s zone z: ALARM>ALERT [] <4",
    ]
    assert mine.at(3, 0.1) == [
        "6 3s g/maintenance: UNACKED>RETURNED_UNACKED ALERT>NORMAL [] 0.1 GOOD <2",
        "7 3s zone z: ALERT>NORMAL [] <6",
    ]


def test_over_range_is_over_each_upper_limit_and_unknown_to_lower_ones() -> None:
    mine = Mine(
        [point(range_high=4.0)], [limit(), limit("low", op="<", at=0.2, back_op=">", back=1)]
    )
    mine.at(1, 0.1)
    assert mine.at(2, 4.0) == [
        "3 2s gas: NORMAL>UNACKED NORMAL>ALARM [] 4 GOOD <0",
        "4 2s low: UNACKED>RETURNED_UNACKED ALARM>NORMAL [] 4 GOOD <1",
    ]
    assert mine.at(3, 0.1)[:2] == [
        "5 3s gas: UNACKED>RETURNED_UNACKED ALARM>NORMAL [] 0.1 GOOD <3",
        "6 3s low: RETURNED_UNACKED>UNACKED NORMAL>ALARM [] 0.1 GOOD <4",
    ]
    assert mine.at(4, 4.1) == [
        "7 4s gas: RETURNED_UNACKED>UNACKED NORMAL>ALARM [] 4.1 OVER_RANGE <5",
        "8 4s g/fault: NORMAL>UNACKED NORMAL>FAULT [] 4.1 OVER_RANGE <0",
    ]  # "low" holds


def test_under_range_is_below_each_lower_limit() -> None:
    mine = Mine(limits=[limit(), limit("low", op="<=", at=0.2, back_op=">", back=0.3)])
    assert mine.at(1, -0.1)[0] == "1 1s low: NORMAL>UNACKED NORMAL>ALARM [] -0.1 UNDER_RANGE <0"


def test_a_catalytic_head_latches_over_range_until_recalibrated_and_seen_again() -> None:
    mine = Mine([point(range_high=4.0, catalytic=True)], [limit()])
    assert mine.at(1, 4.0) == [
        "1 1s gas: NORMAL>UNACKED NORMAL>ALARM [] 4 OVER_RANGE <0",
        "2 1s g/fault: NORMAL>UNACKED NORMAL>FAULT [] 4 OVER_RANGE <0",
        "3 1s zone z: NORMAL>ALARM [] <1",
    ]
    assert mine.at(2, 0.1) == []  # the bead may be poisoned
    assert mine.restart(3) == []
    assert mine.at(4, 0.1) == []
    assert mine.ask(5, "recalibrated", "g") == []
    assert mine.at(6) == []  # not before a new sample
    assert mine.at(7, 0.1) == [
        "4 7s gas: UNACKED>RETURNED_UNACKED ALARM>NORMAL [] 0.1 GOOD <1",
        "5 7s g/fault: UNACKED>RETURNED_UNACKED FAULT>NORMAL [] 0.1 GOOD <2",
        "6 7s zone z: ALARM>NORMAL [] <5",
    ]


def test_a_late_over_range_reading_latches_too() -> None:
    mine = Mine([point(range_high=4.0, catalytic=True)], [limit()])
    mine.at(5, sample(0.5, source=5))
    assert mine.at(6, sample(4.5, source=4))[:2] == [
        "1 6s gas: NORMAL>UNACKED NORMAL>ALARM [] 4.5 LATE <0",
        "2 6s g/fault: NORMAL>UNACKED NORMAL>FAULT [] 0.5 OVER_RANGE <0",
    ]
    assert mine.at(7, sample(0.1, source=7)) == []


def test_an_announced_calibration_hides_the_value_until_its_end() -> None:
    mine = Mine(limits=[limit()])
    mine.at(1, 0.5)
    assert mine.ask(2, "calibrate", "g", until=8) == [
        "1 2s g/fault: NORMAL>UNACKED NORMAL>FAULT [] 0.5 CALIBRATION <0",
        "2 2s zone z: NORMAL>FAULT [] <1",
    ]
    assert mine.at(5, 2.0) == []  # test gas
    assert mine.at(9) == [  # ... and still 2 % at the end: time may raise
        "3 8s gas: NORMAL>UNACKED NORMAL>ALARM [] 2 GOOD <0",
        "4 8s zone z: FAULT>ALARM [] <3",
    ]


def test_a_calibration_needs_a_name_and_an_end() -> None:
    mine = Mine()
    assert mine.ask(2, "calibrate", "g", actor="", until=8) == ["1 2s refused g <0"]
    assert mine.ask(3, "calibrate", "g", until=3) == ["2 3s refused g <0 by Ann"]


@pytest.mark.parametrize("code", [18, 19, 200, 255])
def test_a_code_that_no_collector_may_send_is_a_decode_error(code: int) -> None:
    assert Mine(limits=[limit()]).at(1, sample(0.1, code)) == [  # type: ignore[arg-type]
        "1 1s g/fault: NORMAL>UNACKED NORMAL>FAULT [] 0.1 DECODE_ERROR <0",
        "2 1s zone z: NORMAL>FAULT [] <1",
    ]
