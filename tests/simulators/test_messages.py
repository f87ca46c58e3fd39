from __future__ import annotations

from typing import Any

import pytest

from simulators.messages import obey
from simulators.mine import S
from simulators.world import World
from tests.simulators.mines import shipped


@pytest.fixture
def world() -> World:
    return World(shipped())


def test_a_value_set_by_hand_is_on_the_wire_at_once_and_given_back(world: World) -> None:
    usual = world.shown["T1-101.gas"].value
    assert obey(world, {"set": {"T1-101.gas": 2.5, "IO-101.di0": 1}}) == {"ok": True}
    assert world.wire("T1-101")["gas"].value == 2.5
    assert world.wire("IO-101")["di0"].value == 1.0
    obey(world, {"set": {"T1-101.gas": None}})
    assert world.wire("T1-101")["gas"].value == usual


def test_faults_begin_end_and_time_out(world: World) -> None:
    obey(world, {"fault": "drop", "point": "T1-101.gas"})
    assert world.wire("T1-101")["gas"].missing
    obey(world, {"fault": "none", "point": "T1-101.gas"})
    assert not world.wire("T1-101")["gas"].missing
    obey(world, {"fault": "corrupt", "point": "T1-101.gas", "for_s": 5})
    assert world.wire("T1-101")["gas"].corrupt
    world.advance(6 * S)
    assert not world.wire("T1-101")["gas"].corrupt


def test_devices_fall_silent_and_report_of_themselves(world: World) -> None:
    obey(world, {"device": "T1-101", "state": "silent"})
    assert world.silent == {"T1-101"}
    obey(world, {"device": "T1-101", "says": "INHIBITED", "state": "up"})
    assert world.registers["T1-101"].says == "INHIBITED"
    assert not world.silent
    obey(world, {"device": "T1-101", "says": ""})
    assert world.registers["T1-101"].says == ""


def test_links_are_cut_and_mended(world: World) -> None:
    for state in ("cut", "silent", "garbled", "up"):
        assert obey(world, {"link": "east", "state": state})["ok"]
        assert world.links["east"].state == state
    assert obey(world, {"link": "mqtt", "state": "cut"})["ok"]


def test_fans_by_name_zone_or_duty(world: World) -> None:
    obey(world, {"fan": "H201", "state": "stop"})
    assert world.mine.fan_told["FAN-201"] is False
    obey(world, {"fan": "main", "state": "stop"})
    assert world.mine.fan_told["MF-1"] is False
    obey(world, {"fan": "main", "state": "run"})
    assert world.mine.fan_told == {"FAN-201": False, "FAN-202": True, "MF-1": True, "MF-2": False}
    obey(world, {"fan": "MF-2", "state": "run"})
    assert world.mine.fan_told["MF-2"] is True


def test_gas_fire_and_weather(world: World) -> None:
    assert obey(world, {"emission": "H201", "m3_per_min": 30, "over_s": 2, "for_s": 600})["ok"]
    assert obey(world, {"fire": "belt-road"})["ok"]
    assert obey(world, {"heating": "LW101-return", "location": "face_return"})["ok"]
    assert obey(world, {"barometer": 4.0})["ok"]
    world.advance(60 * S)
    assert world.shown["T1-201.gas"].value > 1.0
    assert world.shown["COB-1.gas"].value > 24.0
    assert world.shown["CO-101.gas"].value > 24.0
    assert obey(world, {"quench": "belt-road"})["ok"]
    world.advance(600 * S)
    assert world.shown["COB-1.gas"].value < 24.0


def test_a_scenario_can_be_started_by_hand(world: World) -> None:
    world.advance(100 * S)
    assert obey(world, {"scenario": "methane-limit"})["ok"]
    world.advance(130 * S)
    assert world.shown["T1-101.gas"].value > 1.5


def test_a_cut_of_power_makes_its_load_side_dead(world: World) -> None:
    plc = world.plcs["outputs-east", 1]
    power = next(o for o in plc.outputs if o.id == "power-LW101")
    plc.write_coils(power.address, [True])
    world.advance(S)
    assert world.shown["IO-101.di1"].value == 0.0
    assert world.shown["IO-101.di2"].value == 1.0
    plc.write_coils(power.address, [False])
    world.advance(2 * S)
    assert world.shown["IO-101.di1"].value == 1.0


def test_status_shows_everything_and_changes_nothing(world: World) -> None:
    status = obey(world, {"status": True})
    assert status["values"]["T1-101.gas"] == world.shown["T1-101.gas"].value
    assert status["links"] == dict.fromkeys(world.links, "up")
    assert status["controllers"]["outputs-east/1"]["on"] == []
    assert set(status["outputs"]) == {output.id for output in shipped().outputs}
    assert status["fans"]["MF-1"] is True


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        ({}, "verbs: set, fault"),
        ({"explode": "now"}, "verbs"),
        ({"set": 1}, "write"),
        ({"set": {"T9.gas": 1.0}}, "no point 'T9.gas'"),
        ({"set": {"T1-101.gas": "much"}}, "no number"),
        ({"set": {"T1-101.gas": True}}, "no number"),
        ({"fault": "stuck"}, "point must be a text"),
        ({"fault": "broken", "point": "T1-101.gas"}, "no fault 'broken'"),
        ({"fault": "noise", "point": "T1-101.gas", "size": "big"}, "size must be a number"),
        ({"fault": "noise", "point": "T1-101.gas", "sise": 1}, "knows no sise"),
        ({"device": "T9"}, "no device"),
        ({"device": "T1-101", "says": "HELLO"}, "can say"),
        ({"device": "N-101", "says": "INHIBITED"}, "nothing"),
        ({"link": "east", "state": "broken"}, "must be one of: up, cut"),
        ({"link": "north", "state": "cut"}, "no link"),
        ({"fan": "main"}, "state must be one of"),
        ({"fan": "LW101", "state": "stop"}, "no fan 'LW101'"),
        ({"emission": "LW101"}, "m3_per_min must be a number"),
        ({"emission": "LW999", "m3_per_min": 1}, "no zone"),
        ({"fire": 5}, "fire must be a text"),
        ({"broker": "restart"}, "not the pretend mine's own"),
        ({"scenario": "doomsday"}, "quiet-day"),
    ],
)
def test_a_wrong_message_is_refused_with_the_reason_and_changes_nothing(
    world: World, message: dict[str, Any], reason: str
) -> None:
    before = obey(world, {"status": True})
    reply = obey(world, message)
    assert reply["ok"] is False
    assert reason in reply["error"]
    assert obey(world, {"status": True}) == before
