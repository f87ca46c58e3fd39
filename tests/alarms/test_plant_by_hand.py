"""Votes, loss of monitoring, main fan, air and outputs, case by case from the text.

Rows read as in tests/alarms/hand.py: seq, seconds after the start, alarm, states, levels,
[demands in force], value, quality, <cause_seq, actor.
"""

from __future__ import annotations

import pytest

from alarms.demands import Effects
from alarms.plan import (
    Demand,
    LadderRule,
    Level,
    LossRule,
    OutputSpec,
    VoteRule,
    ZoneSpec,
)
from sensors.quality import Quality
from tests.alarms.hand import Mine, limit, point, sample

WITHDRAW = ((Demand.WITHDRAW, ()),)
CUT = ((Demand.CUT_POWER, ()),)


# -- votes ------------------------------------------------------------------------------------


def two_of_two() -> Mine:
    points = [point("a"), point("b")]
    limits = [limit("a-high", 0), limit("b-high", 1)]
    return Mine(points, limits, votes=[VoteRule("both", 0, (0, 1), 2, Level.DANGER)])


def test_two_of_two() -> None:
    mine = two_of_two()
    mine.at(1, sample(1.2), sample(0.5, p=1))
    assert mine.at(2, sample(1.2, p=1)) == [
        "3 2s b-high: NORMAL>UNACKED NORMAL>ALARM [] 1.2 GOOD <0",
        "4 2s both: NORMAL>UNACKED NORMAL>DANGER [] - - <0",
        "5 2s zone z: ALARM>DANGER [] <4",
    ]


def test_a_lost_voter_lowers_the_bar_and_faults_alone_never_trip() -> None:
    mine = two_of_two()
    mine.at(1, sample(0.5), sample(0.5, p=1))
    assert mine.at(2, sample(0, Quality.COMMS_LOST, p=1)) == [
        "1 2s b/fault: NORMAL>UNACKED NORMAL>FAULT [] 0 COMMS_LOST <0",
        "2 2s zone z: NORMAL>FAULT [] <1",
    ]
    assert mine.at(3, 1.2) == [
        "3 3s a-high: NORMAL>UNACKED NORMAL>ALARM [] 1.2 GOOD <0",
        "4 3s both: NORMAL>UNACKED NORMAL>DANGER [] - - <0",
        "5 3s zone z: FAULT>DANGER [] <4",
    ]


def test_a_destroyed_voter_stays_a_vote() -> None:
    mine = two_of_two()
    mine.at(1, sample(1.2), sample(0.5, p=1))
    mine.at(2, sample(0, Quality.COMMS_LOST))
    assert "both: NORMAL>UNACKED" in mine.at(3, sample(1.2, p=1))[1]


def test_after_a_start_a_voter_is_lost_only_when_its_fault_is_due() -> None:
    mine = two_of_two()
    assert not any("both" in row for row in mine.at(1, 1.2))
    assert not any("both" in row for row in mine.at(5, 1.2))
    assert [row for row in mine.at(10, 1.2) if "both" in row] == [
        "3 10s both: NORMAL>UNACKED NORMAL>DANGER [] - - <0"
    ]


def test_a_new_voter_is_a_new_cause() -> None:
    points = [point("a"), point("b")]
    limits = [limit("a-high", 0), limit("b-high", 1)]
    mine = Mine(points, limits, votes=[VoteRule("one", 0, (0, 1), 1, Level.DANGER)])
    mine.at(1, sample(1.2), sample(0.5, p=1))  # 1 a-high, 2 one, 3 zone
    mine.ask(2, "ack", "one")
    assert mine.at(3, sample(1.2, p=1)) == [
        "5 3s b-high: NORMAL>UNACKED NORMAL>ALARM [] 1.2 GOOD <0",
        "6 3s one: ACKED>UNACKED DANGER>DANGER [] - - <4",
    ]
    mine.ask(4, "ack", "one")
    mine.at(5, sample(0.1, p=1))
    assert not any("one" in row for row in mine.at(6, sample(1.2, p=1)))  # a cause already


def test_time_alone_lowers_no_vote() -> None:
    mine = two_of_two()
    mine.at(1, sample(1.2), sample(0.5, p=1))
    assert mine.ask(2, "calibrate", "b", until=5) == [
        "3 2s both: NORMAL>UNACKED NORMAL>DANGER [] - - <0",  # b is lost: one vote is enough
        "4 2s b/fault: NORMAL>UNACKED NORMAL>FAULT [] 0.5 CALIBRATION <0",
        "5 2s zone z: ALARM>DANGER [] <3",
    ]
    assert mine.at(6) == []  # b may vote again, but nobody has looked
    assert mine.at(7, sample(0.5, p=1)) == [
        "6 7s both: UNACKED>RETURNED_UNACKED DANGER>NORMAL [] - - <3",
        "7 7s b/fault: UNACKED>RETURNED_UNACKED FAULT>NORMAL [] 0.5 GOOD <4",
        "8 7s zone z: DANGER>ALARM [] <6",
    ]


# -- loss of monitoring -----------------------------------------------------------------------

LOSS = LossRule(6.0, 3.0, Level.ALARM, ((Demand.CUT_POWER, ()),))


def watched(*points: object) -> Mine:
    zones = [ZoneSpec("z", "heading", loss=LOSS)]
    specs = list(points) or [point()]
    limits = [limit(f"gas{i}", i) for i in range(len(specs))]
    return Mine(specs, limits, zones=zones)  # type: ignore[arg-type]


def test_monitoring_is_lost_from_the_start_on() -> None:
    assert watched().at(9) == [
        "1 6s z/monitoring: NORMAL>UNACKED NORMAL>ALARM [CUT_POWER] - - <0",
        "2 6s zone z: NORMAL>ALARM [CUT_POWER] <1",
    ]


def test_one_look_does_not_bring_the_clock_to_zero_before_back_after() -> None:
    mine = watched()
    assert mine.at(4, 0.1) == []
    assert mine.at(6)[0].startswith("1 6s z/monitoring: NORMAL>UNACKED")  # nothing lost just now
    assert mine.at("6.999999999", 0.1) == []
    assert mine.at(7, 0.1) == [
        "3 7s z/monitoring: UNACKED>RETURNED_UNACKED ALARM>ALARM [CUT_POWER] - - <1"
    ]


def test_three_seconds_of_sight_stop_the_clock() -> None:
    mine = watched()
    mine.at(1, 0.1)
    mine.at(4, 0.1)
    assert mine.at(9) == []
    mine.at(13, sample(0, Quality.COMMS_LOST))
    assert mine.at("18.999999999") == []
    assert mine.at(19)[0].startswith("3 19s z/monitoring: NORMAL>UNACKED")


def test_over_range_is_not_lost() -> None:
    mine = watched(point(range_high=4.0))
    mine.at(1, 5.0)
    mine.at(4, 5.0)
    assert not any("monitoring" in row for row in mine.at(9))


def test_a_further_lost_point_is_a_new_cause() -> None:
    mine = watched(point("a"), point("b"))
    mine.at(1, sample(0.1, p=1))
    mine.at(6)  # a was never seen
    mine.ask(7, "ack", "z/monitoring")
    assert mine.at(8, sample(0, Quality.COMMS_LOST, p=1)) == [
        "4 8s b/fault: NORMAL>UNACKED NORMAL>FAULT [] 0 COMMS_LOST <0",
        "5 8s z/monitoring: ACKED>UNACKED ALARM>ALARM [CUT_POWER] - - <3",
    ]


def test_calibration_is_not_lost_while_another_point_guards() -> None:
    mine = watched(point("a"), point("b"))
    mine.at(1, sample(0.1), sample(0.1, p=1))
    mine.at(4, sample(0.1), sample(0.1, p=1))
    mine.ask(5, "calibrate", "a", until=60)
    for t in range(6, 20):
        assert mine.at(t, sample(0.1), sample(0.1, p=1)) == []
    mine.at(20, sample(0, Quality.COMMS_LOST, p=1))  # now nobody guards
    assert any("26s z/monitoring: NORMAL>UNACKED" in row for row in mine.at(26))


def test_calibration_alone_in_its_zone_is_lost() -> None:
    mine = watched()
    mine.at(1, 0.1)
    mine.at(4, 0.1)
    mine.ask(5, "calibrate", "g", until=60)
    assert any("11s z/monitoring: NORMAL>UNACKED" in row for row in mine.at(11, 0.1))


def test_the_points_of_an_alarm_out_of_service_are_lost_until_its_end() -> None:
    mine = watched()
    mine.at(1, 0.1)
    mine.at(4, 0.1)
    mine.ask(5, "out", "gas0", until=30)
    assert any("11s z/monitoring: NORMAL>UNACKED" in row for row in mine.at(11, 0.1))


# -- main-fan ladder --------------------------------------------------------------------------


def fan_mine() -> Mine:
    """Zones fan, east and west; the fan's rule is ``fan-off`` (< 0.5); mine after 60 s."""
    zones = [ZoneSpec("fan", "main_fan"), ZoneSpec("east", "heading"), ZoneSpec("west", "heading")]
    fan = point("run", quantity="fan_run", max_age_s=1000.0)
    rule = limit("fan-off", 0, "<", 0.5, ">=", 0.5, level=Level.ALERT)
    return Mine([fan], [rule], zones=zones, ladder=LadderRule(0, (0,), (1,), 60.0))


def ladder_rows(rows: list[str]) -> list[str]:
    return [row.split(" ", 1)[1] for row in rows if "ladder" in row]


def test_sections_at_once_and_the_mine_when_its_time_is_over() -> None:
    mine = fan_mine()
    mine.at(1, 1.0)
    both = "[SOUND+WITHDRAW] - -"
    assert ladder_rows(mine.at(10, 0.0)) == [
        f"10s ladder/sections: NORMAL>UNACKED NORMAL>DANGER {both} <0"
    ]
    assert ladder_rows(mine.at(100)) == [f"70s ladder/mine: NORMAL>UNACKED NORMAL>DANGER {both} <0"]


def test_the_first_stop_is_not_forgotten_while_the_sections_are_not_reset() -> None:
    mine = fan_mine()
    mine.at(1, 1.0)
    mine.at(10, 0.0)
    mine.at(20, 1.0)  # runs again
    assert ladder_rows(mine.at(75)) == []  # not stopped when the time is over
    assert [r.split(":")[0] for r in ladder_rows(mine.at(80, 0.0))] == [
        "80s ladder/sections",
        "80s ladder/mine",
    ]


def test_a_reset_with_the_fan_running_forgets_the_first_stop() -> None:
    mine = fan_mine()
    mine.at(1, 1.0)
    mine.at(10, 0.0)
    mine.at(20, 1.0)
    mine.ask(21, "ack", "ladder/sections")
    refused = mine.ask(22, "reset", "ladder/sections")  # one person is not enough
    assert "LATCHED>LATCHED DANGER>DANGER" in refused[0]
    both = mine.ask(23, "reset", "ladder/sections", second="Bob")
    assert "LATCHED>NORMAL DANGER>NORMAL" in both[0]
    mine.at(80, 0.0)
    assert ladder_rows(mine.at(139)) == []
    assert ladder_rows(mine.at(141))[0].startswith("140s ladder/mine: NORMAL>UNACKED")


@pytest.mark.parametrize(("proved", "due"), [(True, False), (False, True)])
def test_downtime_counts_and_is_over_if_it_cannot_be_proved(proved: bool, due: bool) -> None:
    mine = fan_mine()
    mine.at(1, 1.0)
    mine.at(10, 0.0)
    assert bool(ladder_rows(mine.restart(20, clock_proved=proved))) == due
    assert bool(ladder_rows(mine.at(70))) != due


# -- zones, airflow, outputs ------------------------------------------------------------------


def airy() -> Mine:
    """Zones a, b, c, d: the air goes a, b, c, a; d lies apart. Airflow of a: point 1."""
    zones = [
        ZoneSpec("a", "heading", downwind=(1,), airflow_points=(1,)),
        ZoneSpec("b", "heading", downwind=(2,)),
        ZoneSpec("c", "heading", downwind=(0,)),
        ZoneSpec("d", "heading"),
    ]
    points = [point("gas"), point("air", quantity="air_velocity", range_low=-50.0)]
    outputs = [OutputSpec(f"siren-{z}", (i,), Demand.WITHDRAW) for i, z in enumerate("abcd")]
    return Mine(points, [limit("high", demands=WITHDRAW)], zones=zones, outputs=outputs)


def test_withdraw_goes_downwind_however_far() -> None:
    mine = airy()
    mine.at(1, sample(0.1), sample(2.0, p=1))
    rows = mine.at(2, 1.2)
    assert rows[0] == "1 2s high: NORMAL>UNACKED NORMAL>ALARM [WITHDRAW] 1.2 GOOD <0"
    assert mine.outputs == [True, True, True, False]


@pytest.mark.parametrize(
    "air", [sample(-0.5, p=1), sample(0.0, p=1), sample(2.0, Quality.STUCK, p=1)]
)
def test_withdraw_is_everywhere_while_the_air_is_unknown_or_reversed(air: object) -> None:
    mine = airy()
    mine.at(1, sample(0.1), sample(2.0, p=1))
    mine.at(2, 1.2)
    mine.at(3, air)  # type: ignore[arg-type]
    assert mine.outputs == [True, True, True, True]
    mine.at(4, sample(2.0, p=1))
    assert mine.outputs == [True, True, True, False]


def test_an_output_on_for_faults() -> None:
    mine = Mine(outputs=[OutputSpec("lamp", (0,), Demand.NONE, on_fault=True)])
    assert mine.outputs == [False]
    mine.at(10)
    assert mine.outputs == [True]
    mine.at(11, 0.1)
    assert mine.outputs == [False]


def test_a_latched_cut_stays_until_it_is_acked_seen_good_and_reset() -> None:
    mine = Mine(limits=[limit(demands=CUT)], outputs=[OutputSpec("cut", (0,), Demand.CUT_POWER)])
    mine.at(1, 1.2)
    assert mine.at(2, 0.1) == [
        "3 2s gas: UNACKED>RETURNED_UNACKED ALARM>ALARM [CUT_POWER] 0.1 GOOD <1"
    ]
    assert mine.ask(3, "reset", "gas") == [  # acknowledge first
        "4 3s gas: RETURNED_UNACKED>RETURNED_UNACKED ALARM>ALARM [CUT_POWER] - - <3 by Ann"
    ]
    assert mine.ask(4, "ack", "gas") == [
        "5 4s gas: RETURNED_UNACKED>LATCHED ALARM>ALARM [CUT_POWER] - - <4 by Ann"
    ]
    assert mine.outputs == [True]
    assert mine.ask(13, "reset", "gas") == [
        "6 12.000000001s g/fault: NORMAL>UNACKED NORMAL>FAULT [] 0.1 STALE <0",
        "7 13s gas: LATCHED>LATCHED ALARM>ALARM [CUT_POWER] - - <5 by Ann",  # not while stale
    ]
    mine.at(14, 0.1)
    assert mine.outputs == [True]
    assert mine.ask(15, "reset", "gas") == [
        "9 15s gas: LATCHED>NORMAL ALARM>NORMAL [] - - <7 by Ann",
        "10 15s zone z: ALARM>NORMAL [] <9",
    ]
    assert mine.outputs == [False]


def test_the_work_for_a_mine_that_falls_silent_grows_with_its_zones_only(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    looks: list[int] = []
    plain = Effects._of_zone

    def counted(self: Effects, zone: int, *others: object) -> tuple[int, int]:
        looks.append(zone)
        return plain(self, zone, *others)  # type: ignore[arg-type]

    monkeypatch.setattr(Effects, "_of_zone", counted)
    n = 40
    mine = Mine(
        [point(f"p{z}", zone=z) for z in range(n)],
        zones=[ZoneSpec(f"z{z}", "heading") for z in range(n)],
    )
    mine.at(1, *(sample(0.1, p=z) for z in range(n)))
    looks.clear()
    rows = mine.at(2, *(sample(0.0, Quality.COMMS_LOST, p=z) for z in range(n)))
    assert len(rows) == 2 * n  # a fault and its zone, each
    assert len(looks) <= 2 * n
