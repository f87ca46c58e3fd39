from __future__ import annotations

import numpy as np
import pytest

from gateway.config import DeviceConfig, ZoneConfig
from sensors.quantities import QUANTITIES
from simulators.mine import Mine, S
from simulators.shown import SHOWN
from tests.simulators.mines import shipped, small


def mine(seed: int = 1, step_s: float = 0.2) -> Mine:
    return Mine(shipped(), seed, step_s)


def test_the_same_seed_gives_the_same_day_however_often_it_is_asked() -> None:
    often, once = mine(), mine()
    for second in range(120):
        often.update(second * S)
    assert dict(often.update(120 * S)) == dict(once.update(120 * S))


def test_another_seed_gives_another_day() -> None:
    assert dict(mine(1).update(60 * S)) != dict(mine(2).update(60 * S))


def test_asking_for_the_past_returns_the_present() -> None:
    one = mine()
    assert dict(one.update(60 * S)) == dict(one.update(10 * S))


def test_every_zone_starts_at_its_usual_velocity() -> None:
    one = mine()
    for zone, place in enumerate(one.places):
        assert one.velocity_m_s(zone) == pytest.approx(place.velocity_m_s)


def test_main_fan_stop_takes_the_air_and_brings_methane() -> None:
    one = mine()
    before = one.update(5 * S)
    for fan in one.fans:
        one.run_fan(fan.device, running=False)
    after = one.update(20 * S)
    later = one.update(605 * S)
    assert after["MF-1.run"] == 0.0
    assert after["V1-101.velocity"] < 0.25 < before["V1-101.velocity"]
    assert after["N-fan.pressure"] < 100.0
    assert later["T1-101.gas"] > 4 * before["T1-101.gas"]


def test_the_standby_fan_brings_the_air_back() -> None:
    one = mine()
    one.run_fan("MF-1", running=False)
    one.advance(30 * S)
    one.run_fan("MF-2", running=True)
    values = one.update(90 * S)
    assert values["V1-101.velocity"] > 1.5
    assert (values["MF-1.run"], values["MF-2.run"]) == (0.0, 1.0)


def test_a_local_fan_ventilates_its_heading_only() -> None:
    one = mine()
    before = one.update(5 * S)
    one.run_fan("FAN-201", running=False)
    after = one.update(305 * S)
    assert after["V-201.velocity"] < 0.25
    assert after["IO-201.di1"] == 0.0  # no air in the duct
    assert after["T1-201.gas"] > 1.0
    assert after["T1-202.gas"] == pytest.approx(before["T1-202.gas"], abs=0.1)
    assert after["V1-101.velocity"] == pytest.approx(before["V1-101.velocity"], abs=0.1)


def test_additional_methane_is_diluted_by_the_air_of_the_face() -> None:
    one = mine()
    before = one.update(5 * S)["T1-101.gas"]
    q = float(one.flow.zone[one.zone_index["LW101"]])
    one.emit("LW101", 30.0, over_s=0.0, for_s=1e9)
    after = one.update(205 * S)["T1-101.gas"]
    assert after - before == pytest.approx(100.0 * 0.5 / q, abs=0.1)


def test_gas_of_the_face_arrives_in_its_return_after_the_way() -> None:
    one = mine()
    usual = one.update(5 * S)["T2-101.gas"]
    one.emit("LW101", 60.0, over_s=0.0, for_s=1e9)
    assert one.update(25 * S)["T2-101.gas"] == pytest.approx(usual, abs=0.05)
    assert one.update(205 * S)["T2-101.gas"] > usual + 1.0
    assert one.update(205 * S)["T3-101.gas"] < 0.1  # upwind of it all


def test_a_release_ends_and_the_air_clears() -> None:
    one = mine()
    before = one.update(5 * S)["T1-101.gas"]
    one.emit("LW101", 60.0, over_s=2.0, for_s=30.0)
    assert one.update(35 * S)["T1-101.gas"] > 1.0
    assert one.update(300 * S)["T1-101.gas"] == pytest.approx(before, abs=0.1)


def test_a_fire_gives_carbon_monoxide_smoke_and_heat_downwind() -> None:
    one = mine()
    before = one.update(5 * S)
    one.burn("belt-road", "fire", 2.0, over_s=10.0, for_s=1e9)
    near = one.update(25 * S)
    assert near["COB-1.gas"] > 24.0
    assert near["IO-B1.di1"] == 1.0
    assert near["N-belt.drive"] > before["N-belt.drive"] + 2.0
    assert near["CO-101.gas"] == pytest.approx(before["CO-101.gas"], abs=2.0)  # not there yet
    assert one.update(605 * S)["CO-101.gas"] > 24.0
    assert one.update(605 * S)["CO-201.gas"] < 24.0  # not downwind


def test_a_heating_has_no_smoke() -> None:
    one = mine()
    one.burn("belt-road", "heating", 0.5, over_s=5.0, for_s=1e9)
    values = one.update(60 * S)
    assert values["COB-1.gas"] > 24.0
    assert values["IO-B1.di1"] == 0.0


def test_a_falling_barometer_draws_gas_from_the_goaf() -> None:
    calm, falling = mine(), mine()
    falling.let_barometer_fall(5.0)
    assert falling.update(1800 * S)["N-baro.barometer"] < 1003.5
    assert falling.update(1800 * S)["T1-101.gas"] > calm.update(1800 * S)["T1-101.gas"] + 0.1


def test_what_is_switched_shows() -> None:
    one = mine()
    assert one.update(S)["IO-101.di1"] == 1.0
    one.switched["IO-101.di1"] = 0.0
    assert one.update(S)["IO-101.di1"] == 0.0


def test_every_quantity_of_a_mine_can_be_shown_within_its_plausible_range() -> None:
    quantities = sorted(SHOWN)
    assert set(QUANTITIES) - SHOWN == {"agreement", "health"}  # the gateway's own
    device = DeviceConfig("D", "json-node", "Z", topic="t", points={q: q for q in quantities})
    one = Mine(small([ZoneConfig("Z", "longwall_face")], [device]), 1)
    for second in range(60):
        for point, value in one.update(second * S).items():
            quantity = QUANTITIES[point.removeprefix("D.")]
            assert np.isfinite(value)
            assert quantity.plausible_low <= value <= quantity.plausible_high


def test_a_mine_of_one_zone_and_no_fan_has_air() -> None:
    one = Mine(small([ZoneConfig("Z", "somewhere")]), 1)
    one.advance(10 * S)
    assert one.velocity_m_s(0) > 0.5


def test_unknown_names_are_refused() -> None:
    one = mine()
    with pytest.raises(KeyError):
        one.emit("nowhere", 1.0, over_s=0.0, for_s=1.0)
    with pytest.raises(KeyError):
        one.run_fan("T1-101", running=False)
    with pytest.raises(KeyError):
        one.burn("LW101", "arson", 1.0, over_s=0.0, for_s=1.0)
