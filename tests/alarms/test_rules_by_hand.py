"""Section 5 of the design tried case by case; every expected row is worked out from the text.

Rows read: seq, seconds after the start, alarm, states, levels, [demands in force], value, quality,
<cause_seq, actor. The plain case: one zone ``z``, one point ``g`` (0 to 100, max_age 10 s), one
rule ``gas`` (>= 1.0, back < 0.8, ALARM, no demands).
"""

from __future__ import annotations

import math

import pytest

from alarms.plan import (
    Demand,
    Level,
    TrendRule,
)
from alarms.trends import MOST_SAMPLES, thinned
from sensors.quality import Quality
from tests.alarms.hand import Mine, limit, ns, sample

WITHDRAW = ((Demand.WITHDRAW, ()),)
CUT = ((Demand.CUT_POWER, ()),)


# -- limits: values --------------------------------------------------------------------------


@pytest.mark.parametrize("value", [0.99999994, 1.0, 1.0000001, 1.2])
def test_reach_or_exceed_takes_a_float32_that_means_the_limit(value: float) -> None:
    assert Mine(limits=[limit()]).at(1, value) == [
        f"1 1s gas: NORMAL>UNACKED NORMAL>ALARM [] {value:.9g} GOOD <0",
        "2 1s zone z: NORMAL>ALARM [] <1",
    ]


@pytest.mark.parametrize("value", [0.0, 0.99, 0.99999])
def test_below_the_limit_is_silent(value: float) -> None:
    assert Mine(limits=[limit()]).at(1, value) == []


@pytest.mark.parametrize("value", [0.99999994, 1.0, 1.0000001])
def test_exceeds_does_not_take_a_value_that_means_the_limit(value: float) -> None:
    assert Mine(limits=[limit(op=">")]).at(1, value) == []


def test_exceeds_takes_what_is_really_above() -> None:
    assert Mine(limits=[limit(op=">")]).at(1, 1.00001) == [
        "1 1s gas: NORMAL>UNACKED NORMAL>ALARM [] 1.00001 GOOD <0",
        "2 1s zone z: NORMAL>ALARM [] <1",
    ]


def test_zero_is_a_reading_like_any_other() -> None:
    mine = Mine(limits=[limit("fan", op="<", at=0.5, back_op=">=", back=0.5)])
    assert mine.at(1, 0.0) == [
        "1 1s fan: NORMAL>UNACKED NORMAL>ALARM [] 0 GOOD <0",
        "2 1s zone z: NORMAL>ALARM [] <1",
    ]


def test_between_set_and_reset_holds() -> None:
    mine = Mine(limits=[limit()])
    mine.at(1, 1.0)
    assert mine.at(2, 0.9) == []
    assert mine.at(3, 0.8) == []  # "< 0.8"
    assert mine.at(4, 0.79) == [
        "3 4s gas: UNACKED>RETURNED_UNACKED ALARM>NORMAL [] 0.79 GOOD <1",
        "4 4s zone z: ALARM>NORMAL [] <3",
    ]


# -- limits: clocks ---------------------------------------------------------------------------


def test_on_delay_is_reached_at_its_exact_instant_whenever_the_step_comes() -> None:
    mine = Mine(limits=[limit(on=2.0)])
    assert mine.at(1, 1.2) == []
    assert mine.at("2.999999999") == []
    assert mine.at(9) == [
        "1 3s gas: NORMAL>UNACKED NORMAL>ALARM [] 1.2 GOOD <0",
        "2 3s zone z: NORMAL>ALARM [] <1",
    ]


def test_a_sample_of_the_very_instant_does_not_stop_the_on_clock() -> None:
    mine = Mine(limits=[limit(on=2.0)])
    mine.at(1, 1.2)
    assert mine.at(3, 0.5) == [
        "1 3s gas: NORMAL>UNACKED NORMAL>ALARM [] 1.2 GOOD <0",
        "2 3s zone z: NORMAL>ALARM [] <1",
        "3 3s gas: UNACKED>RETURNED_UNACKED ALARM>NORMAL [] 0.5 GOOD <1",
        "4 3s zone z: ALARM>NORMAL [] <3",
    ]


def test_a_sample_before_the_instant_stops_the_on_clock() -> None:
    mine = Mine(limits=[limit(on=2.0)])
    mine.at(1, 1.2)
    assert mine.at("2.999999999", 0.9) == []
    assert mine.at(9) == []


def test_what_is_unknown_lets_the_on_clock_run() -> None:
    mine = Mine(limits=[limit(on=2.0)])
    mine.at(1, 1.2)
    assert mine.at(2, sample(math.nan, Quality.COMMS_LOST)) == [
        "1 2s g/fault: NORMAL>UNACKED NORMAL>FAULT [] - COMMS_LOST <0",
        "2 2s zone z: NORMAL>FAULT [] <1",
    ]
    assert mine.at(4) == [
        "3 3s gas: NORMAL>UNACKED NORMAL>ALARM [] - COMMS_LOST <0",
        "4 3s zone z: FAULT>ALARM [] <3",
    ]


def test_a_safe_value_that_may_only_set_does_not_stop_the_on_clock() -> None:
    mine = Mine(limits=[limit(on=2.0)])
    mine.at(1, 1.2)
    mine.at(2, sample(0.1, Quality.STUCK))
    assert mine.at(3)[0] == "3 3s gas: NORMAL>UNACKED NORMAL>ALARM [] 0.1 STUCK <0"


def test_off_delay_is_reached_only_at_a_sample() -> None:
    mine = Mine(limits=[limit(off=3.0)])
    mine.at(1, 1.0)
    assert mine.at(2, 0.5) == []
    assert mine.at(4, 0.5) == []
    assert mine.at(6) == []  # five seconds below, but nobody has looked
    assert mine.at(7, 0.5) == [
        "3 7s gas: UNACKED>RETURNED_UNACKED ALARM>NORMAL [] 0.5 GOOD <1",
        "4 7s zone z: ALARM>NORMAL [] <3",
    ]


@pytest.mark.parametrize(
    "breaks", [sample(0.9), sample(0.5, Quality.JUMP), sample(0.5, Quality.INHIBITED)]
)
def test_anything_else_sets_the_off_clock_to_zero(breaks: object) -> None:
    mine = Mine(limits=[limit(off=3.0)])
    mine.at(1, 1.0)
    mine.at(2, 0.5)
    mine.at(3, breaks)  # type: ignore[arg-type]
    mine.at(4, 0.5)
    assert not any("gas" in row for row in mine.at(6, 0.5))
    assert any("gas: UNACKED>RETURNED_UNACKED" in row for row in mine.at(7, 0.5))


def test_silence_sets_the_off_clock_to_zero() -> None:
    mine = Mine(limits=[limit(off=3.0)])
    mine.at(1, 1.0)
    mine.at(2, 0.5)
    assert not any("gas" in row for row in mine.at(20, 0.5))
    assert any("gas: UNACKED>RETURNED_UNACKED" in row for row in mine.at(23, 0.5))


def test_the_off_clock_begins_after_the_raise() -> None:
    """A late reading raises; the safe time before it does not count."""
    mine = Mine(limits=[limit(off=3.0)])
    mine.at(1, sample(0.5, source=1))
    assert mine.at(2, sample(1.2, source="0.5")) == [
        "1 2s gas: NORMAL>UNACKED NORMAL>ALARM [] 1.2 LATE <0",
        "2 2s zone z: NORMAL>ALARM [] <1",
    ]
    assert mine.at(5, sample(0.5, source=5)) == []
    assert mine.at(8, sample(0.5, source=8))[0].startswith("3 8s gas: UNACKED>RETURNED_UNACKED")


# -- freshness --------------------------------------------------------------------------------


def test_stale_begins_one_nanosecond_after_max_age_and_lowers_nothing() -> None:
    mine = Mine(limits=[limit()])
    mine.at(1, 1.2)
    assert mine.at(11) == []
    assert mine.at(12) == ["3 11.000000001s g/fault: NORMAL>UNACKED NORMAL>FAULT [] 1.2 STALE <0"]


def test_age_counts_from_the_source_time() -> None:
    mine = Mine()
    mine.at(5, sample(0.5, source=1))
    assert mine.at(12)[0].startswith("1 11.000000001s g/fault: NORMAL>UNACKED")


def test_a_point_never_seen_is_a_fault_at_start_plus_max_age_exactly() -> None:
    mine = Mine(limits=[limit()])
    assert mine.at_start == []
    assert mine.at(60) == [
        "1 10s g/fault: NORMAL>UNACKED NORMAL>FAULT [] - NO_DATA <0",
        "2 10s zone z: NORMAL>FAULT [] <1",
    ]


def test_a_retained_reading_raises_nothing_and_has_the_same_grace() -> None:
    mine = Mine(limits=[limit()])
    assert mine.at(1, sample(5.0, retained=True)) == []
    assert mine.at(60)[0] == "1 10s g/fault: NORMAL>UNACKED NORMAL>FAULT [] 5 RETAINED <0"


def test_a_retained_reading_after_a_fresh_one_is_not_shown() -> None:
    mine = Mine(limits=[limit()])
    mine.at(1, 0.5)
    mine.at(2, sample(5.0, retained=True))
    assert mine.at(60)[0] == "1 11.000000001s g/fault: NORMAL>UNACKED NORMAL>FAULT [] 0.5 STALE <0"


def test_history_is_only_journalled() -> None:
    mine = Mine(limits=[limit()])
    assert mine.at(15, sample(5.0, source="4.999999999")) == [
        "1 10s g/fault: NORMAL>UNACKED NORMAL>FAULT [] - NO_DATA <0",
        "2 10s zone z: NORMAL>FAULT [] <1",
    ]


def test_a_reading_exactly_max_age_old_still_counts() -> None:
    assert Mine(limits=[limit()]).at(9, sample(5.0, source=-1))[0] == (
        "1 9s gas: NORMAL>UNACKED NORMAL>ALARM [] 5 GOOD <0"
    )


def test_a_clock_far_ahead_may_raise_and_is_not_remembered() -> None:
    mine = Mine(limits=[limit()])
    assert mine.at(1, sample(1.2, source="11.000000001")) == [
        "1 1s gas: NORMAL>UNACKED NORMAL>ALARM [] 1.2 BAD_CLOCK <0",
        "2 1s g/fault: NORMAL>UNACKED NORMAL>FAULT [] 1.2 BAD_CLOCK <0",
        "3 1s zone z: NORMAL>ALARM [] <1",
    ]
    assert mine.at(2, sample(0.1, source="12.000000001")) == []  # may not lower
    assert mine.at(3, sample(0.1, source=3)) == [  # not LATE
        "4 3s gas: UNACKED>RETURNED_UNACKED ALARM>NORMAL [] 0.1 GOOD <1",
        "5 3s g/fault: UNACKED>RETURNED_UNACKED FAULT>NORMAL [] 0.1 GOOD <2",
        "6 3s zone z: ALARM>NORMAL [] <5",
    ]


def test_late_sets_a_rule_without_delay_and_nothing_else() -> None:
    mine = Mine(limits=[limit(), limit("slow", on=2.0)])
    mine.at(5, sample(0.5, source=5))
    assert mine.at(6, sample(1.2, source=4)) == [
        "1 6s gas: NORMAL>UNACKED NORMAL>ALARM [] 1.2 LATE <0",
        "2 6s zone z: NORMAL>ALARM [] <1",
    ]
    assert mine.at(7, sample(0.1, source=3)) == []  # lowers nothing
    assert mine.at("15.000000001") == [  # age still counts from 5
        "3 15.000000001s g/fault: NORMAL>UNACKED NORMAL>FAULT [] 0.5 STALE <0"
    ]


def test_a_duplicate_is_no_second_look() -> None:
    mine = Mine(limits=[limit(off=2.0)])
    mine.at(1, sample(1.0, source=1))
    mine.at(2, sample(0.5, source=2))
    assert mine.at(4, sample(0.5, source=2)) == []  # same source time, value and quality
    assert mine.at(5, sample(0.4, source=2))[0] == (  # same source time, other value: applied
        "3 5s gas: UNACKED>RETURNED_UNACKED ALARM>NORMAL [] 0.4 GOOD <1"
    )


def test_two_readings_of_one_point_in_one_stamp_are_looked_at_one_after_the_other() -> None:
    assert Mine(limits=[limit()]).at(1, 1.2, 0.5) == [
        "1 1s gas: NORMAL>UNACKED NORMAL>ALARM [] 1.2 GOOD <0",
        "2 1s zone z: NORMAL>ALARM [] <1",
        "3 1s gas: UNACKED>RETURNED_UNACKED ALARM>NORMAL [] 0.5 GOOD <1",
        "4 1s zone z: ALARM>NORMAL [] <3",
    ]


# -- trends -----------------------------------------------------------------------------------


def test_a_trend_rises_from_enough_good_samples_over_half_the_window() -> None:
    rule = TrendRule("rise", 0, 6.0, 1.0, 8.0, 3, Level.ALERT)
    mine = Mine(trends=[rule])
    assert mine.at(1, 0.10) == []
    assert mine.at(2, 0.20) == []
    assert mine.at(3, 0.30) == []  # three samples, 6/min, but they span 2 s of 8
    assert mine.at(4, sample(9.0, Quality.JUMP))[0].startswith("1 4s g/fault")  # not a good one
    assert mine.at(5, 0.50) == [
        "3 5s rise: NORMAL>UNACKED NORMAL>ALERT [] 0.5 GOOD <0",
        "4 5s g/fault: UNACKED>RETURNED_UNACKED FAULT>NORMAL [] 0.5 GOOD <1",
        "5 5s zone z: FAULT>ALERT [] <3",
    ]


def test_a_trend_falls_only_below_its_own_reset() -> None:
    rule = TrendRule("rise", 0, 6.0, 1.0, 4.0, 2, Level.ALERT)
    mine = Mine(trends=[rule])
    mine.at(1, 0.1)
    assert mine.at(3, 0.5)[0] == "1 3s rise: NORMAL>UNACKED NORMAL>ALERT [] 0.5 GOOD <0"
    # Slopes 12, 5 and -2 per minute (1-4, 3-4 s: (0.35-0.1)/3, (0.35-0.5)/1): median 5.
    assert mine.at(4, 0.35) == []
    # The window (3, 7] holds 4 and 7 s: slope -2/min.
    assert mine.at(7, 0.25) == [
        "3 7s rise: UNACKED>RETURNED_UNACKED ALERT>NORMAL [] 0.25 GOOD <1",
        "4 7s zone z: ALERT>NORMAL [] <3",
    ]


def test_a_sensor_that_sends_too_fast_keeps_its_trend_and_no_more_than_so_many_samples() -> None:
    rule = TrendRule("rise", 0, 6.0, 1.0, 8.0, 3, Level.ALERT)
    mine = Mine(trends=[rule])
    said: list[str] = []
    most = 0
    for n in range(700):  # 100 a second, 6/min
        said += mine.at(1 + n / 100, 0.1 + n / 1000)
        most = max(most, len(mine.engine.trends.window[0]))
    assert most == MOST_SAMPLES
    assert said == ["1 5s rise: NORMAL>UNACKED NORMAL>ALERT [] 0.5 GOOD <0", said[-1]]
    times = [t for t, _ in mine.engine.trends.window[0]]
    assert times == sorted(times)
    assert times[0] == ns(1)
    assert times[-1] == ns("7.99")


def test_a_crowd_is_thinned_to_even_distances_but_not_below_what_the_rule_needs() -> None:
    even = TrendRule("rise", 0, 6.0, 1.0, 8.0, 3, Level.ALERT)
    crowd = [(n * 10**7, float(n)) for n in range(400)] + [(6 * 10**9, 1.0), (7 * 10**9, 2.0)]
    kept = thinned(crowd, even, 8)
    assert [t / 1e9 for t, _ in kept] == [0.0, 2.0, 6.0, 7.0]
    many = TrendRule("rise", 0, 6.0, 1.0, 8.0, 100, Level.ALERT)
    assert len(thinned(crowd, many, 200)) >= 100
