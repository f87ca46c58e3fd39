"""mbpoll (libmodbus, an independent implementation) reads and writes the pretend mine."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

import pytest

from gateway.config import Config, DeviceConfig, LinkConfig, OutputConfig, ZoneConfig
from simulators import send_control
from tests.simulators.mines import free_ports, on_free_ports, running, shipped, small

COIL, DISCRETE, INPUT, HOLDING = "0", "1", "3", "4"
DEADLINE_S: Final = 30.0


async def mbpoll(
    port: int, unit: int, address: int, *options: str, write: Sequence[int] = ()
) -> str:
    """Poll once; `address` counts from 0, as on the wire."""
    process = await asyncio.create_subprocess_exec(
        *("mbpoll", "-m", "tcp", "-p", str(port), "-a", str(unit), "-r", str(address + 1)),
        *(*options, "-1", "127.0.0.1", *(str(value) for value in write)),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await process.communicate()
    return output.decode()


async def values(port: int, unit: int, address: int, count: int, *options: str) -> list[str]:
    text = await mbpoll(port, unit, address, "-c", str(count), *options)
    found = re.findall(r"^\[\d+\]:\s+(\S+)", text, re.MULTILINE)
    assert len(found) == count, text
    return found


async def ints(port: int, unit: int, address: int, count: int, table: str) -> list[int]:
    return [int(value) for value in await values(port, unit, address, count, "-t", table)]


async def test_float32_in_all_four_orders(tmp_path: Path) -> None:
    """123456.789 is 47 F1 20 65; mbpoll itself knows the two orders of whole words."""
    orders = ("ABCD", "CDAB", "BADC", "DCBA")
    link = LinkConfig("L", "tcp", "127.0.0.1", free_ports(1)[0])
    gas = DeviceConfig("G", "generic-gas", "Z", link="L", points={"gas": "CO"})
    devices = [replace(gas, id=f"G-{o}", unit=n, order=o) for n, o in enumerate(orders, start=1)]
    config = small([ZoneConfig("Z", "belt_road")], devices, [link])
    async with running(config, control=tmp_path / "door"):
        message = {"set": {f"G-{order}.gas": 123456.789 for order in orders}}
        assert (await send_control(tmp_path / "door", message))["ok"]
        big = await values(link.port, 1, 0, 1, "-t", "4:float", "-B")
        swapped = await values(link.port, 2, 0, 1, "-t", "4:float")
        assert [float(v) for v in big + swapped] == pytest.approx([123456.789] * 2, rel=1e-5)
        for unit, words in enumerate(("47F1 2065", "2065 47F1", "F147 6520", "6520 F147"), 1):
            read = await values(link.port, unit, 0, 2, "-t", "4:hex")
            assert [word.removeprefix("0x") for word in read] == words.split()


async def test_every_sensor_of_the_shipped_mine_answers_with_its_value(tmp_path: Path) -> None:
    config = on_free_ports(shipped())
    ports = {link.id: link.port for link in config.links}
    at = {"honeywell-xnx": 2, "honeywell-xrl": 102, "generic-gas": 0}
    async with running(config, control=tmp_path / "door"):
        gases = [d for d in config.devices if d.type in at]
        wanted = {f"{d.id}.gas": round(1.0 + n / 8, 3) for n, d in enumerate(gases)}
        assert (await send_control(tmp_path / "door", {"set": wanted}))["ok"]
        for device in gases:
            where = ports[device.link], device.unit, at[device.type]
            read = await values(*where, 1, "-t", "4:float", "-B")
            assert float(read[0]) == pytest.approx(wanted[f"{device.id}.gas"], rel=1e-5)
        # a signed 16-bit input register, a bit field, and discrete inputs
        others = {"V1-101.velocity": -1.5, "MF-1.run": 0.0, "MF-1.speed": 85.0, "IO-B1.di1": 1.0}
        assert (await send_control(tmp_path / "door", {"set": others}))["ok"]
        assert await ints(ports["east"], 7, 0, 1, INPUT) == [0xFF6A]
        status, speed = await ints(ports["fan-house"], 1, 3, 2, HOLDING)
        assert (status & 0b100, speed) == (0, 17_000)
        assert await ints(ports["belt"], 4, 0, 4, DISCRETE) == [0, 1, 0, 1]


async def test_wrong_requests_are_answered_as_the_protocol_says() -> None:
    config = on_free_ports(shipped())
    port = config.links[0].port
    async with running(config):
        assert "Illegal data address" in await mbpoll(port, 1, 5000, "-t", HOLDING)
        assert "Illegal data address" in await mbpoll(port, 1, 0, "-t", INPUT)
        assert "Illegal data address" in await mbpoll(port, 1, 2, "-t", HOLDING, write=[1])
        assert "Target device failed to respond" in await mbpoll(port, 99, 0, "-t", HOLDING)


async def test_links_devices_and_values_can_be_broken_and_mended(tmp_path: Path) -> None:
    config, door = on_free_ports(shipped()), tmp_path / "door"
    port = config.links[0].port

    async def read(*options: str) -> str:
        return await mbpoll(port, 2, 2, "-t", "4:float", "-B", "-o", "0.3", *options)

    async with running(config, control=door):
        assert "[3]:" in await read()
        for message, symptom in (
            ({"link": "east", "state": "silent"}, "timed out"),
            ({"link": "east", "state": "garbled"}, "Invalid data|Bad|Response not from"),
            ({"link": "east", "state": "cut"}, "refused"),
            ({"device": "T1-101", "state": "silent"}, "timed out"),
            ({"fault": "drop", "point": "T1-101.gas"}, "timed out"),
            ({"fault": "corrupt", "point": "T1-101.gas"}, "nan"),
        ):
            assert (await send_control(door, message))["ok"]
            found = ""
            async with asyncio.timeout(DEADLINE_S):
                while not re.search(symptom, found):
                    found = await read()
            for mend in (
                {"link": "east", "state": "up"},
                {"device": "T1-101", "state": "up"},
                {"fault": "none", "point": "T1-101.gas"},
            ):
                assert (await send_control(door, mend))["ok"]
            async with asyncio.timeout(DEADLINE_S):
                while "[3]:" not in found or "nan" in found:
                    found = await read()


async def test_a_late_answer_comes_late_but_comes(tmp_path: Path) -> None:
    config = on_free_ports(shipped())
    async with running(config, control=tmp_path / "door"):
        await send_control(tmp_path / "door", {"fault": "late", "point": "T1-101.gas", "size": 1.0})
        late = config.links[0].port, 2, 2, "-t", "4:float", "-B"
        assert "timed out" in await mbpoll(*late, "-o", "0.2")
        assert "[3]:" in await mbpoll(*late, "-o", "10")


async def test_the_siren_controller_obeys_and_trips_by_its_own_watchdog() -> None:
    shipped_on = on_free_ports(shipped())
    peers = tuple(replace(peer, watchdog_s=0.6) for peer in shipped_on.peers)
    config: Config = replace(shipped_on, peers=peers)
    peer = peers[0]
    port = next(link.port for link in config.links if link.id == peer.link)
    outputs = [o for o in config.outputs if o.peer == peer.id]

    def coil_of(demand: str) -> OutputConfig:
        return next(o for o in outputs if o.demand == demand)

    async def coil(output: OutputConfig) -> int:
        return (await ints(port, 1, output.address, 1, COIL))[0]

    async with running(config):
        # Coils written together are read back; so are single ones (mbpoll: FC 15 and FC 5).
        await mbpoll(port, 1, 0, "-t", COIL, write=[1, 0, 1])
        assert await ints(port, 1, 0, 4, COIL) == [1, 0, 1, 0]
        await mbpoll(port, 1, 0, "-t", COIL, write=[0])
        await mbpoll(port, 1, 2, "-t", COIL, write=[0])
        assert await ints(port, 1, 0, 4, COIL) == [0, 0, 0, 0]
        # Not armed before the first heartbeat.
        assert await ints(port, 1, 0, 4, DISCRETE) == [0, 0, 0, 0]
        await mbpoll(port, 1, peer.permissive, "-t", COIL, write=[1])
        for number in (1, 2):
            await mbpoll(port, 1, peer.heartbeat, "-t", HOLDING, write=[number])
        assert (await ints(port, 1, 3, 1, INPUT)) == [2]
        assert (await ints(port, 1, 1, 1, DISCRETE)) == [1]

        # Nothing beats any more: tripped, sirens on by its own logic, power left alone.
        async with asyncio.timeout(DEADLINE_S):
            while await ints(port, 1, 0, 1, DISCRETE) == [0]:
                pass
        assert [await coil(coil_of(d)) for d in ("WITHDRAW", "SOUND", "CUT_POWER")] == [1, 1, 0]
        assert await ints(port, 1, 2, 1, INPUT) == [1]
        await mbpoll(port, 1, coil_of("SOUND").address, "-t", COIL, write=[0])
        assert await coil(coil_of("SOUND")) == 1
