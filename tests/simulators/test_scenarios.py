"""Each scenario through the gateway's own engine, from a recording, without a wire or a clock."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from alarms.alarm_table import alarm_table
from alarms.events import Row
from gateway import site
from gateway.replay import replay_csv
from simulators import load_scenario, record, scenario_names
from simulators.record import CSV_HEADER, EPOCH_S, csv_line
from simulators.scenario import parse_scenario
from simulators.world import World
from tests.simulators.mines import shipped

START_S = 5.0
NAMES = scenario_names()


@cache
def the_site() -> site.Site:
    return site.build(shipped())


def rows_of(name: str, seconds: float, folder: Path) -> list[Row]:
    """Every event of a scenario's recording."""
    recording = folder / f"{name}.csv"
    lines = (csv_line(reading) for reading in record(shipped(), name, seconds, start_s=START_S))
    recording.write_text(CSV_HEADER + "".join(lines), "utf-8")
    return [row for _, rows in replay_csv([recording], the_site().own_plan()) for row in rows]


def seconds_of(row: Row) -> float:
    return row.t_ns / 1e9 - EPOCH_S - START_S


def demands_in(zone: str, rows: list[Row]) -> Iterator[tuple[float, tuple[str, ...]]]:
    for row in rows:
        if not row.rule and row.zone == zone:
            yield seconds_of(row), row.demands


def test_the_six_triggers_a_manual_evacuation_and_a_quiet_day_are_there() -> None:
    assert {
        "methane-limit", "abnormal-emission", "main-fan-stop", "loss-of-monitoring", "co-limit",
        "belt-fire", "manual-evacuation", "quiet-day", "poisoned-sensor", "broker-restart",
    } <= set(NAMES)  # fmt: skip
    assert [name for name in NAMES if load_scenario(name).quiet] == ["quiet-day"]


@pytest.mark.parametrize("name", NAMES)
def test_all_names_exist_in_the_shipped_mine(name: str) -> None:
    scenario = load_scenario(name)
    assert scenario.title
    assert scenario.about
    alarms = {spec.id for spec in alarm_table(the_site().plan)}
    zones = {zone.id for zone in shipped().zones}
    for expected in scenario.expects:
        assert expected.alarm in alarms
        assert expected.zone in zones
        assert expected.demand in {"", "SOUND", "CUT_POWER", "WITHDRAW"}
        assert expected.within_s > 0
    world = World(shipped(), scenario, start_s=0.0)
    world.on_broker = lambda _order: None
    world.advance(1000 * 10**9)
    assert not world.complaints


@pytest.mark.parametrize("name", [name for name in NAMES if not load_scenario(name).quiet])
def test_what_a_scenario_expects_happens_in_time_and_not_before_its_start(
    name: str, tmp_path: Path
) -> None:
    expects = load_scenario(name).expects
    last_s = max(expected.within_s for expected in expects)
    rows = rows_of(name, START_S + last_s, tmp_path)
    assert min(seconds_of(row) for row in rows) >= 0.0
    for expected in expects:
        raised = [r for r in rows if r.rule == expected.alarm and r.to_state == "UNACKED"]
        assert raised, f"{expected.alarm} did not call"
        assert seconds_of(raised[0]) <= expected.within_s
        if expected.demand:
            moments = [t for t, d in demands_in(expected.zone, rows) if expected.demand in d]
            assert moments, f"no {expected.demand} in {expected.zone}"
            assert min(moments) <= expected.within_s


def test_the_trend_calls_before_any_limit_does(tmp_path: Path) -> None:
    rows = [r for r in rows_of("abnormal-emission", 120.0, tmp_path) if r.rule]
    assert [r.rule for r in rows] == ["LW101-emission"]


def test_a_poisoned_sensor_does_not_see_what_its_neighbour_sees(tmp_path: Path) -> None:
    rows = rows_of("poisoned-sensor", 60.0, tmp_path)
    assert not [r for r in rows if r.rule.startswith("T1-101.gas")]


def test_a_heading_without_its_fan_gets_gassy_too(tmp_path: Path) -> None:
    rows = rows_of("local-fan-stop", 200.0, tmp_path)
    assert [r for r in rows if r.rule == "T1-201.gas/alarm"]


def test_the_mine_leaves_if_the_main_fan_stays_down(tmp_path: Path) -> None:
    rows = rows_of("main-fan-stop", 620.0, tmp_path)
    mine = [r for r in rows if r.rule == "ladder/mine" and r.to_state == "UNACKED"]
    assert seconds_of(mine[0]) == pytest.approx(600.0)


def test_a_broker_that_comes_back_soon_sends_nobody_out(tmp_path: Path) -> None:
    rows = rows_of("broker-restart", 240.0, tmp_path)
    assert not [r for r in rows if r.demands]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("title =", "TOMLDecodeError"),
        ('title = "x"', "about"),
        ('title = "x"\nabout = "y"\n[[event]]\nfan = "main"', "at_s"),
        ('title = "x"\nabout = "y"\n[[expect]]\nzone = "Z"', "alarm"),
    ],
)
def test_a_wrong_file_says_what_is_wrong(text: str, reason: str) -> None:
    with pytest.raises(ValueError, match=f"scenario bad: .*{reason}"):
        parse_scenario(text, "bad")


def test_an_unknown_scenario_is_answered_with_the_known_ones() -> None:
    with pytest.raises(ValueError, match="quiet-day"):
        load_scenario("doomsday")
