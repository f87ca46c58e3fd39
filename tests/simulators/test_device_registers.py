from __future__ import annotations

from dataclasses import replace
from importlib.resources import files

import pytest

from gateway.config import DeviceConfig
from simulators.device_registers import DeviceRegisters
from simulators.faults import OnTheWire
from tests.simulators.mines import shipped


def device(
    kind: str, points: dict[str, str], order: str = "", base_address: int = 0
) -> DeviceRegisters:
    config = DeviceConfig("D", kind, "Z", link="L", unit=7, points=points)
    return DeviceRegisters(replace(config, order=order, base_address=base_address))


def shown(**values: float) -> dict[str, OnTheWire]:
    return {key: OnTheWire(value) for key, value in values.items()}


def test_honeywell_xnx_as_its_manual_has_it() -> None:
    """40003 float, 40005 fault 0, 40007 monitoring 1, 40008 heartbeat, 40011 unit 3 = %vol."""
    holding = device("honeywell-xnx", {"gas": "CH4"}).image(shown(gas=1.5), 12.0)["holding"]
    assert holding[0] >> 8 == 0x24
    assert (holding[2], holding[3]) == (0x3FC0, 0x0000)
    assert (holding[4], holding[5], holding[6]) == (0, 0, 1)
    assert holding[7] == 2  # +1 every 5 s
    assert holding[10] == 3


def test_the_unit_code_follows_the_quantity_and_differs_between_models() -> None:
    xnx = device("honeywell-xnx", {"gas": "CO"}).image(shown(gas=40.0), 0.0)["holding"]
    xrl = device("honeywell-xrl", {"gas": "CH4"}).image(shown(gas=40.0), 0.0)["holding"]
    assert xnx[10] == 4  # ppm
    assert xrl[110] == 5  # %vol
    assert (xrl[102], xrl[103]) == (0x4220, 0x0000)
    assert xrl[100] >> 8 == 0x26


def test_byte_order_and_base_address_of_the_site() -> None:
    moved = device("generic-gas", {"gas": "CO"}, order="CDAB", base_address=500)
    holding = moved.image(shown(gas=40.0), 0.0)["holding"]
    assert (holding[500], holding[501]) == (0x0000, 0x4220)
    assert moved.extent["holding"] == (500, 503)


def test_a_running_and_a_stopped_drive() -> None:
    drive = device("abb-drive", {"run": "fan_run", "speed": "fan_speed"})
    running = drive.image(shown(run=1.0, speed=85.0), 0.0)["holding"]
    stopped = drive.image(shown(run=0.0, speed=0.0), 0.0)["holding"]
    assert running[3] == 0x0706
    assert running[4] == 17_000  # 20000 = 100 %
    assert stopped[3] & 0b100 == 0
    assert stopped[3] & 0x8000 == 0  # a stopped fan is not a faulty drive


def test_negative_velocity_is_twos_complement() -> None:
    sensor = device("air-velocity", {"velocity": "air_velocity", "direction": "air_direction"})
    words = sensor.image(shown(velocity=-1.5, direction=0.0), 0.0)["input"]
    assert words[0] == 0xFF6A  # -150
    assert words[1] & 1 == 0
    assert sensor.image(shown(velocity=500.0), 0.0)["input"][0] == 0x7FFF  # its over-range code


def test_only_wired_inputs_of_a_block_show_anything() -> None:
    block = device("io-block", {"di1": "call_point", "ndi2": "door"})
    bits = block.image(shown(di1=1.0, ndi2=0.0), 0.0)["discrete"]
    assert bits == {1: 1, 2: 1}
    assert block.extent["discrete"] == (0, 15)


def test_rows_that_repeat_follow_each_other() -> None:
    module = device("generic-float32", {"v1": "CH4", "v7": "CO"})
    words = module.image(shown(v1=40.0, v7=40.0), 0.0)["input"]
    assert words == {2: 0x4220, 3: 0, 14: 0x4220, 15: 0}
    assert module.extent["input"] == (0, 15)


def test_a_corrupt_number_is_not_a_number() -> None:
    gas = device("generic-gas", {"gas": "CO"})
    image = gas.image({"gas": OnTheWire(40.0, corrupt=True)}, 0.0)["holding"]
    assert (image[0], image[1]) == (0x7FC0, 0x0000)
    velocity = device("air-velocity", {"velocity": "air_velocity"})
    image = velocity.image({"velocity": OnTheWire(1.0, corrupt=True)}, 0.0)["input"]
    assert image[0] == 0x8000


def test_a_device_says_what_is_wrong_with_it() -> None:
    xnx = device("honeywell-xnx", {"gas": "CH4"})
    assert {"INHIBITED", "WARM_UP", "DEVICE_FAULT"} <= xnx.can_say()
    xnx.says = "INHIBITED"
    assert xnx.image(shown(gas=1.0), 0.0)["holding"][6] in (3, 4, 11, 20)
    gas = device("generic-gas", {"gas": "CO"})
    gas.says = "DEVICE_FAULT"
    assert gas.image(shown(gas=1.0), 0.0)["holding"][2] == 0b1


@pytest.mark.parametrize(
    "kind",
    sorted(
        f.name[:-5] for f in (files("sensors") / "devices").iterdir() if f.name.endswith(".toml")
    ),
)
def test_every_device_type_can_be_pretended(kind: str) -> None:
    assert DeviceRegisters(DeviceConfig("D", kind, "Z", link="L")).extent


def test_every_device_of_the_shipped_mine_can_be_pretended() -> None:
    for one in shipped().devices:
        if one.link:
            values = {key: OnTheWire(1.0) for key in one.points}
            assert DeviceRegisters(one).image(values, 0.0)


def test_an_unknown_key_or_type_is_refused() -> None:
    with pytest.raises(KeyError):
        device("generic-gas", {"nothing": "CO"})
    with pytest.raises(FileNotFoundError):
        device("no-such-device", {"gas": "CO"})
