"""The controller's own watchdog, on virtual time."""

from __future__ import annotations

from gateway.config import OutputConfig, PeerConfig
from simulators.siren_plc import TRIPPED, SirenPlc, plcs_of
from tests.simulators.mines import shipped

PEER = PeerConfig("plc", "L", 1, heartbeat=0, permissive=64, watchdog_s=3.0, zones=("Z",))
OUTPUTS = (
    OutputConfig("siren", "modbus-coil", ("Z",), "SOUND", peer="plc", address=0),
    OutputConfig("evacuate", "modbus-coil", ("Z",), "WITHDRAW", peer="plc", address=1),
    OutputConfig("power", "modbus-coil", ("Z",), "CUT_POWER", peer="plc", address=2),
    OutputConfig("beacon", "modbus-coil", ("Z",), "FAULT", peer="plc", address=3),
)
SIRENS = [True, True, False, False]


def beat(plc: SirenPlc, number: int, now_s: float, *, permissive: bool = True) -> None:
    plc.tick(now_s)
    assert plc.write_registers(0, [number])
    assert plc.write_coils(64, [permissive])


def armed() -> SirenPlc:
    """A controller that has seen the heart beat until 10 s."""
    plc = SirenPlc(OUTPUTS, PEER)
    for second in range(11):
        beat(plc, second, float(second))
    assert plc.armed
    assert not plc.tripped
    return plc


def test_a_beating_heart_keeps_it_quiet() -> None:
    plc = armed()
    for second in range(11, 200):
        beat(plc, second, float(second))
    assert plc.coils[:4] == [False] * 4
    assert plc.trips == 0


def test_before_the_first_heartbeat_it_waits() -> None:
    plc = SirenPlc(OUTPUTS, PEER)
    plc.tick(0.0)
    plc.tick(1000.0)
    assert not plc.tripped
    assert plc.coils[:4] == [False] * 4


def test_one_number_is_not_a_heartbeat_and_without_permissive_it_is_not_armed() -> None:
    plc = SirenPlc(OUTPUTS, PEER)
    beat(plc, 5, 0.0)
    beat(plc, 5, 1.0)
    assert not plc.armed
    plc.write_coils(64, [False])
    beat(plc, 6, 2.0, permissive=False)
    beat(plc, 7, 3.0)
    assert not plc.armed
    beat(plc, 8, 4.0)
    assert plc.armed


def test_a_lost_heartbeat_trips_and_sounds_the_sirens() -> None:
    plc = armed()
    plc.tick(12.9)
    assert plc.discrete[TRIPPED] is False
    plc.tick(13.1)
    assert plc.discrete[TRIPPED] is True
    assert plc.coils[:4] == SIRENS
    assert plc.discrete == [True, True, True, False]
    assert plc.trips == 1


def test_the_same_number_again_is_no_heartbeat() -> None:
    plc = armed()
    for tenth in range(100, 140):
        beat(plc, 10, tenth / 10)
    assert plc.tripped


def test_while_the_heart_is_lost_no_siren_can_be_written_off() -> None:
    plc = armed()
    plc.tick(14.0)
    assert plc.write_coils(0, [False] * 4)
    assert plc.coils[:4] == SIRENS


def test_after_the_heart_is_back_sirens_stay_on_until_written_off() -> None:
    plc = armed()
    plc.tick(14.0)
    beat(plc, 11, 15.0)
    assert not plc.tripped
    assert plc.coils[:4] == SIRENS
    plc.write_coils(0, [False] * 4)
    assert plc.coils[:4] == [False] * 4


def test_a_lost_permissive_trips_after_the_watchdogs_time_but_leaves_the_outputs() -> None:
    plc = armed()
    for tenth in range(110, 180):
        beat(plc, tenth, tenth / 10, permissive=False)
        assert plc.discrete[TRIPPED] is (tenth > 140)
    assert plc.discrete == [True, True, False, True]
    assert plc.coils[:4] == [False] * 4
    beat(plc, 999, 18.0)
    assert plc.discrete[TRIPPED] is False
    assert plc.trips == 1


def test_orders_are_obeyed_and_read_back() -> None:
    plc = armed()
    assert plc.write_coils(1, [True, True])
    assert plc.coils[:4] == [False, True, True, False]
    assert plc.state()["on"] == ["evacuate", "power"]


def test_addresses_that_are_not_there_are_refused() -> None:
    plc = armed()
    assert not plc.write_coils(127, [True, True])
    assert not plc.write_registers(1, [1])


def test_registers_tell_the_state_the_age_and_the_trips() -> None:
    plc = armed()
    plc.tick(15.5)
    assert plc.inputs == [0b0111, 55, 1, 10]


def test_coils_without_a_peer_have_no_watchdog() -> None:
    plc = SirenPlc(OUTPUTS, None)
    plc.write_coils(0, [True])
    plc.tick(1e6)
    assert plc.coils[:4] == [True, False, False, False]
    assert not plc.tripped
    assert plc.inputs == [0, 65535, 0, 0]


def test_every_peer_of_the_shipped_mine_has_its_outputs() -> None:
    config = shipped()
    plcs = plcs_of(config)
    assert set(plcs) == {(peer.link, peer.unit) for peer in config.peers}
    coils = [o.id for o in config.outputs if o.kind == "modbus-coil"]
    assert [o.id for plc in plcs.values() for o in plc.outputs] == coils
