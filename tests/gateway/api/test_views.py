from __future__ import annotations

import math

import numpy as np
import orjson
import pytest

from alarms.events import State
from gateway.api import views
from gateway.api.catalogue import priority
from gateway.api.picture import Now, Picture, core, picture
from sensors.quality import MAY_CLEAR, Quality
from tests.gateway.api.pretend import (
    CO,
    FEED,
    GAS,
    MONOTONIC,
    NOW,
    PEOPLE,
    PLAN,
    LiveMine,
    S,
    T,
    book,
    row,
    shown,
)


def later(seconds: float) -> Now:
    return Now(MONOTONIC + round(seconds * S), T + round(seconds * S))


def test_a_point_carries_unit_quality_times_age_and_limits() -> None:
    live = LiveMine()
    live.arrays["point_source_ns"][GAS] = T - 2 * S
    assert views.point_detail(shown(live), GAS) == {
        "value": 0.42,
        "unit": "%vol",
        "quality": "GOOD",
        "usable": True,
        "source_time": "2026-11-22T23:59:58.000Z",
        "receive_time": "2026-11-22T23:59:59.000Z",
        "age_s": 2.0,
        "id": "T1.gas",
        "zone": "LW101",
        "device": "T1",
        "location": "longwall_face",
        "description": "Methane at the face",
        "quantity": "CH4",
        "label": "methane",
        "decimals": 2,
        "range_low": 0.0,
        "range_high": 4.0,
        "max_age_s": 10.0,
        "poll_s": 1.0,
        "level": "NORMAL",
        "limits": ["T1.gas/alarm", "T1.gas/withdraw"],
        "limits_in_full": [
            {
                "id": "T1.gas/alarm",
                "kind": "limit",
                "zone": "LW101",
                "point": "T1.gas",
                "unit": "%vol",
                "condition": ">= 1 %vol, clears < 1 %vol",
                "op": ">=",
                "limit": 1.0,
                "reset_op": "<",
                "reset": 1.0,
                "on_delay_s": 0.0,
                "off_delay_s": 0.0,
                "level": "ALARM",
                "demands": [{"demand": "SOUND", "zones": ["LW101"]}],
                "latching": False,
                "source": {
                    "profile": "cn-coal-2025",
                    "edition": "2025",
                    "clause": "Art. 154",
                    "source": "order 17",
                    "verified": "yes",
                },
                "guidance": "",
                "exemption": {
                    "limit": 1.0,
                    "authority": "Bureau",
                    "document": "2026-1",
                    "persons": ["Li", "Wu"],
                    "reason": "x",
                    "expires": "2027-01-01",
                },
            },
            book().limits["T1.gas/withdraw"],
        ],
    }


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_what_is_missing_is_null_and_never_zero(value: float) -> None:
    live = LiveMine()
    live.reads(GAS, value, Quality.COMMS_LOST)
    point = views.point(shown(live), GAS)
    assert point["value"] is None
    assert (point["quality"], point["usable"]) == ("COMMS_LOST", False)
    orjson.dumps(views.tick(book(), shown(live), NOW))


def test_zero_is_a_reading() -> None:
    live = LiveMine()
    live.reads(GAS, 0.0)
    assert views.point(shown(live), GAS)["value"] == 0.0


def test_a_point_not_seen_has_no_times_and_no_age() -> None:
    live = LiveMine()
    live.reads(GAS, math.nan, Quality.NO_DATA)
    live.arrays["point_received_ns"][GAS] = live.arrays["point_source_ns"][CO]
    point = views.point(shown(live), GAS)
    assert (point["source_time"], point["receive_time"], point["age_s"]) == (None, None, None)


def test_zones_come_worst_first_and_people_who_must_leave_first_of_all() -> None:
    live = LiveMine()
    live.alarm("gateway.journal/alarm")
    live.alarm("C1.co/alert")
    assert [z["id"] for z in views.zones(shown(live))] == ["gateway", "return", "LW101"]
    live.evacuation()
    zones = views.zones(shown(live))
    assert [z["id"] for z in zones] == ["LW101", "return", "gateway"]
    # The return has only an alert of its own, but its people must leave.
    assert [(z["priority"], z["level"], z["must_leave"]) for z in zones] == [
        ("1", "DANGER", True),
        ("1", "ALERT", True),
        ("2", "ALARM", False),
    ]
    assert zones[0]["alarms"] == ["T1.gas/alarm", "T1.gas/withdraw"]
    assert zones[0]["unacked"] == 2
    assert zones[0]["downwind"] == ["return"]
    assert [z["people"] for z in zones] == [12.0, None, None]


# LATE stands in event rows only.
@pytest.mark.parametrize("quality", [q for q in Quality if q != Quality.LATE])
def test_a_zone_with_an_unusable_point_is_never_normal(quality: Quality) -> None:
    live = LiveMine()
    live.reads(GAS, 0.1, quality)
    zone = next(z for z in views.zones(shown(live)) if z["id"] == "LW101")
    fine = bool(MAY_CLEAR[quality]) or quality == Quality.UNDEFINED
    assert (zone["level"] == "NORMAL") == fine
    assert zone["unusable_points"] == ([] if fine else ["T1.gas"])


def test_people_are_unknown_when_the_count_is() -> None:
    live = LiveMine()
    live.reads(PEOPLE, 12.0, Quality.STALE)
    assert views.zones(shown(live))[0]["people"] is None


def test_an_alarm_says_what_it_was_what_it_is_and_what_to_do() -> None:
    live = LiveMine()
    live.evacuation()
    live.committed_seq = 1
    live.acks = {"T1.gas/alarm": {"actor": "Li Wei (op)", "t_ns": T - 3 * S}}
    first, second = views.alarms(shown(live))
    assert first == {
        "id": "T1.gas/withdraw",
        "kind": "limit",
        "priority": "1",
        "level": "DANGER",
        "state": "UNACKED",
        "condition": True,
        "in_force": True,
        "latching": True,
        "two_persons": True,
        "demands": [
            {"demand": "SOUND", "zones": ["LW101", "return"]},
            {"demand": "WITHDRAW", "zones": ["LW101", "return"]},
        ],
        "zone": "LW101",
        "zone_name": "Longwall 101",
        "points": ["T1.gas"],
        "description": "Methane at the face",
        "quantity": "CH4",
        "decimals": 2,
        "value_at_alarm": 1.55,
        "now": shown(live).reading(GAS),
        "limit": book().limits["T1.gas/withdraw"],
        "raised": None,
        "since": "2026-11-22T23:59:50.000Z",
        "age_s": 10.0,
        "until": None,
        "ack": None,
        "guidance": "Leave by the intake.",
        "last_seq": 2,
        "committed": False,
    }
    assert (second["id"], second["committed"]) == ("T1.gas/alarm", True)
    assert second["ack"] == {"actor": "Li Wei (op)", "time": "2026-11-22T23:59:57.000Z"}
    assert first["now"]
    assert first["now"]["value"] == 1.73


def test_alarms_come_worst_then_unacknowledged_then_newest_and_shelved_last() -> None:
    live = LiveMine()
    live.alarm("C1.co/alert", State.UNACKED, seq=9)
    live.alarm("T1.gas/withdraw", State.ACKED, seq=3)
    live.alarm("manual/all", State.UNACKED, seq=1)
    live.alarm("gateway.journal/alarm", State.SHELVED, seq=8)
    live.arrays["alarm_until_ns"][0] = T
    names = [a["id"] for a in views.alarms(shown(live))]
    assert names == ["manual/all", "T1.gas/withdraw", "C1.co/alert", "gateway.journal/alarm"]
    assert len(views.alarms(shown(live), everything=True)) == len(book().alarms)


def test_a_shelf_shows_its_end() -> None:
    live = LiveMine()
    live.alarm("C1.co/alert", State.SHELVED)
    live.arrays["alarm_until_ns"][2] = T + 600 * S
    assert views.alarms(shown(live))[0]["until"] == "2026-11-23T00:10:00.000Z"


def test_outputs_show_commanded_read_back_and_the_load_side() -> None:
    live = LiveMine()
    live.arrays["output_commanded"][:] = [1, 1, 0]
    live.arrays["output_readback"][:] = [1, 0, -1]
    siren, power, beacon = views.outputs(shown(live))
    assert siren == {
        "id": "siren",
        "name": "Evacuation siren",
        "demand": "WITHDRAW",
        "zones": ["LW101", "return"],
        "commanded": True,
        "read_back": True,
        "agrees": True,
        "since": "2026-11-22T23:59:00.000Z",
        "feed_point": None,
        "feed": None,
    }
    assert (power["agrees"], power["feed_point"]) == (False, "IO1.feed")
    assert power["feed"] == shown(live).reading(FEED)
    assert (beacon["demand"], beacon["read_back"], beacon["agrees"]) == ("FAULT", None, None)


def test_the_status_counts_and_names_who_must_leave() -> None:
    live = LiveMine()
    live.evacuation()
    live.reads(CO, math.nan, Quality.COMMS_LOST)
    live.committed_seq = 1
    status = views.status(book(), shown(live), NOW)
    assert status["leave"] == [
        {"zone": "LW101", "name": "Longwall 101", "people": 12.0},
        {"zone": "return", "name": "Return of longwall 101", "people": None},
    ]
    assert status["counts"] == {
        "points": 6,
        "usable": 5,
        "by_quality": {"GOOD": 5, "COMMS_LOST": 1},
        "alarms": {"ALARM": 1, "DANGER": 1},
        "unacked": 2,
    }
    assert (status["level"], status["uncommitted"]) == ("DANGER", 1)
    assert status["core"]["state"] == "ok"


def test_a_silent_core_is_down_its_state_old_and_nothing_normal() -> None:
    live = LiveMine()
    assert core(book(), live.state(), later(3.0))["state"] == "ok"
    pic = shown(live, later(3.1))
    assert pic.core["core_down"]
    assert pic.core["state"] == "down"
    assert "3.1 s" in pic.core["reason"]
    assert views.point(pic, GAS)["age_s"] == pytest.approx(4.1)
    assert {z["level"] for z in views.zones(pic)} == {"FAULT"}
    # T1.gas may be 10 s old; it was 1 s old when the core fell silent.
    assert views.point(shown(live, later(9.0)), GAS)["quality"] == "GOOD"
    assert views.point(shown(live, later(9.01)), GAS)["quality"] == "STALE"
    assert views.links(shown(live, later(60)))["links"][0]["last_good_age_s"] == 60.2


def test_a_quality_that_says_more_than_stale_stays() -> None:
    live = LiveMine()
    live.reads(GAS, 4.2, Quality.OVER_RANGE)
    live.reads(CO, math.nan, Quality.COMMS_LOST)
    pic = shown(live, later(3600))
    assert views.point(pic, GAS)["quality"] == "OVER_RANGE"
    assert views.point(pic, CO)["quality"] == "COMMS_LOST"


@pytest.mark.parametrize(
    ("monotonic_s", "wall_s", "silent_s"),
    [
        (-4_000, 7_200, 7_200.0),  # rebooted: the steady clock began anew
        (100, 7_200, 7_200.0),  # rebooted, and has been up for longer than before
        (7_200, 100, 7_200.0),  # the wall clock was set back
        (-4_000, -100, 3.0),  # no witness left: still down
    ],
)
def test_ages_are_never_understated_by_a_clock(
    monotonic_s: float, wall_s: float, silent_s: float
) -> None:
    now = Now(MONOTONIC + round(monotonic_s * S), T + round(wall_s * S))
    found = core(book(), LiveMine().state(), now)
    assert found["core_down"]
    assert found["silent_s"] == silent_s


def test_the_wall_offset_moves_times_that_people_read_and_not_ages() -> None:
    live = LiveMine()
    live.wall_offset_ns = -3600 * S
    point = views.point(shown(live), GAS)
    assert point["receive_time"] == "2026-11-22T22:59:59.000Z"
    assert point["age_s"] == 1.0


@pytest.mark.parametrize("other", [{"digest": "d2"}, {"arrays": "short"}])
def test_values_of_another_configuration_get_no_names(other: dict[str, str]) -> None:
    live = LiveMine()
    if other.get("digest"):
        live.digest = other["digest"]
    else:
        live.arrays["point_value"] = live.arrays["point_value"][:-1]
    found = picture(book(), live.state(), NOW)
    assert not isinstance(found, Picture)
    assert found["state"] == "other_configuration"
    status = views.status(book(), found, NOW)
    assert status["core"]["digest"] == live.digest
    unknown = ("level", "leave", "counts", "last_seq", "committed_seq", "uncommitted", "health")
    assert [status[key] for key in unknown] == [None] * 7  # type: ignore[literal-required]
    tick = views.tick(book(), found, NOW)
    assert (tick["points"], tick["zones"], tick["alarms"]) == (None, None, None)


def test_a_core_that_never_ran_is_down() -> None:
    found = picture(book(), None, NOW)
    assert not isinstance(found, Picture)
    assert (found["state"], found["core_down"], found["silent_s"]) == ("none", True, None)


def test_the_tick_holds_points_as_columns_in_the_order_of_points() -> None:
    live = LiveMine()
    live.evacuation()
    live.reads(CO, math.nan, Quality.COMMS_LOST)
    tick = views.tick(book(), shown(live), NOW)
    assert tick["points"] == {
        "value": [1.73, None, 1.0, 12.0, 1.0, 1.0],
        "quality": ["GOOD", "COMMS_LOST", "GOOD", "GOOD", "GOOD", "GOOD"],
        "age_s": [1.0] * 6,
        "level": ["DANGER", *["NORMAL"] * 5],
    }
    assert tick["monotonic_ms"] == 5_000_000
    assert tick["alarms"] == views.alarms(shown(live))


def test_a_committed_row_keeps_every_field() -> None:
    found = views.event(row(5, t_ns=T + 123))
    assert found["time"] == "2026-11-23T00:00:00.000000123Z"
    for name in ("seq", "t_ns", "rule", "from_state", "to_level", "reason", "value", "cause_seq"):
        assert found[name] == getattr(row(5, t_ns=T + 123), name)
    assert found["demands"] == ["SOUND", "WITHDRAW"]


def test_every_rule_is_shown_with_where_it_comes_from() -> None:
    limits = book().limits
    assert set(limits) == {r.id for r in PLAN.limits} | {"LW101/monitoring"}
    lost = limits["LW101/monitoring"]
    assert lost["condition"] == "a guarding point lost for 120 s"
    assert (lost["kind"], lost["source"]["clause"], lost["point"]) == ("lost", "Art. 154", None)
    own = limits["C1.co/alert"]["source"]
    assert own == {"profile": "", "edition": "", "clause": "", "source": "", "verified": "no"}


@pytest.mark.parametrize(
    ("level", "demands", "expected"),
    [
        (0, 0, ""),
        (1, 0, "F"),
        (2, 0, "3"),
        (3, 0, "2"),
        (4, 0, "1"),
        (0, 2, "2"),
        (0, 4, "1"),
        (0, 1, ""),
    ],
)
def test_priority(level: int, demands: int, expected: str) -> None:
    assert priority(level, demands) == expected


def test_views_change_nothing_they_were_given() -> None:
    live = LiveMine()
    live.evacuation()
    before = {name: column.copy() for name, column in live.arrays.items()}
    for column in live.arrays.values():
        column.flags.writeable = False
    views.tick(book(), shown(live, later(60)), later(60))
    for name, column in before.items():
        np.testing.assert_array_equal(live.arrays[name], column)
    assert live.links[0]["last_good_age_s"] == 0.2
