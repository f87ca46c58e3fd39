"""One link over real TCP against a server that lies, dies, and comes back."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Callable

import numpy as np
import pytest

from sensors.collectors.modbus import SILENT_REQUESTS, ModbusLink
from sensors.device_types import DeviceType, parse_type
from sensors.frame import Batch
from sensors.quality import Quality
from sensors.reading_plan import ModbusDeviceSpec, ModbusLinkSpec
from tests.sensors.hostile_modbus import Ask, HostileServer, Wire, adu, honest, hostile
from tests.sensors.waiting import running, until

HEAD = 'name = "x"\nsource = "x"\n'
WORD = '[[point]]\nkey = "{key}"\nfunction = "{function}"\naddress = {address}\nquantity = "CO"\n'
TYPES: dict[str, DeviceType] = {
    "one": parse_type(HEAD + WORD.format(key="a", function="holding", address=0), "one.toml"),
    "gap": parse_type(
        HEAD
        + WORD.format(key="a", function="holding", address=0)
        + WORD.format(key="b", function="holding", address=5),
        "gap.toml",
    ),
    "both": parse_type(
        HEAD
        + WORD.format(key="a", function="holding", address=0)
        + WORD.format(key="b", function="input", address=0),
        "both.toml",
    ),
    "beats": parse_type(
        HEAD
        + WORD.format(key="a", function="holding", address=0)
        + '[heartbeat]\nfunction = "holding"\naddress = 1\nstill_s = 0.05\n',
        "beats.toml",
    ),
}
PATIENT_S = 20.0  # no honest reply takes that long, however busy the machine
SHORT_S = 0.4  # for replies that never come


class Heard:
    """Everything delivered, and the newest per point."""

    def __init__(self) -> None:
        self.samples: list[tuple[int, float, Quality]] = []

    def __call__(self, batch: Batch) -> None:
        for point, value, quality in zip(batch.point, batch.value, batch.quality, strict=True):
            self.samples.append((int(point), float(value), Quality(quality)))

    def newest(self, point: int) -> tuple[float, Quality] | None:
        found = [(value, quality) for p, value, quality in self.samples if p == point]
        return found[-1] if found else None

    def good(self, point: int) -> int:
        return sum(p == point and q == Quality.GOOD for p, _, q in self.samples)

    def values(self, point: int) -> set[float]:
        return {v for p, v, q in self.samples if p == point and q == Quality.GOOD}

    def lost(self, point: int) -> bool:
        newest = self.newest(point)
        return newest is not None and newest[1] == Quality.COMMS_LOST and np.isnan(newest[0])


def link_to(
    port: int,
    heard: Heard,
    units: tuple[int, ...] = (1,),
    kind: str = "one",
    timeout_s: float = PATIENT_S,
) -> ModbusLink:
    """Point 10 * unit is value `a` of a unit, 10 * unit + 1 its value `b`."""
    keys = list(TYPES[kind].points)
    devices = tuple(
        ModbusDeviceSpec(
            f"D{unit}", kind, unit, {key: 10 * unit + n for n, key in enumerate(keys)}, 0.02
        )
        for unit in units
    )
    spec = ModbusLinkSpec("link", "127.0.0.1", port, timeout_s, 0.0, devices)
    return ModbusLink(spec, TYPES, heard, rng=random.Random(1))


@pytest.fixture(name="server")
async def _server() -> AsyncIterator[HostileServer]:
    async with hostile() as server:
        yield server


async def test_reads_each_unit_and_counts(server: HostileServer) -> None:
    heard = Heard()
    link = link_to(server.port, heard, units=(1, 2), kind="both")
    async with running(link):
        await until(lambda: all(heard.good(point) >= 3 for point in (10, 11, 20, 21)))
        while_running = link.status.connected, link.status.last_good_monotonic_ns > 0
    assert while_running == (True, True)
    assert not link.status.connected
    assert {(p, v) for p, v, _ in heard.samples} == {(10, 1e3), (11, 1e3), (20, 2e3), (21, 2e3)}
    assert link.status.errors == {}
    assert link.status.good >= link.status.polls - 1  # the last was cut short
    assert server.connections == 1


def lie(frame: Callable[[Ask], bytes]) -> Callable[[Ask, Wire], object]:
    async def script(ask: Ask, wire: Wire) -> None:
        await (wire.send(frame(ask)) if ask.unit == 2 else wire.honest(ask))

    return script


LIES = {
    "wrong-unit": lambda ask: adu(ask.transaction, 1, bytes.fromhex("03 02 DEAD")),
    "wrong-function": lambda ask: adu(ask.transaction, 2, bytes.fromhex("04 02 DEAD")),
    "wrong-count": lambda ask: adu(ask.transaction, 2, bytes.fromhex("03 04 DEAD DEAD")),
    "wrong-length": lambda ask: adu(ask.transaction, 2, bytes.fromhex("03 02 DEAD DEAD")),
    "exception-10": lambda ask: adu(ask.transaction, 2, bytes.fromhex("83 0A")),
    "exception-11": lambda ask: adu(ask.transaction, 2, bytes.fromhex("83 0B")),
}


@pytest.mark.parametrize("failure", LIES)
async def test_a_lying_unit_is_lost_and_its_neighbour_is_not(
    server: HostileServer, failure: str
) -> None:
    server.script = lie(LIES[failure])  # type: ignore[assignment]
    heard = Heard()
    link = link_to(server.port, heard, units=(1, 2))
    async with running(link):
        await until(lambda: heard.lost(20) and link.status.errors.get(failure, 0) >= 3)
        seen = heard.good(10)
        await until(lambda: heard.good(10) >= seen + 10)
        server.script = honest
        await until(lambda: heard.good(20) >= 2)
    assert heard.values(10) == {1e3}
    assert heard.values(20) == {2e3}
    assert set(link.status.errors) == {failure}
    assert server.connections == 1


@pytest.mark.parametrize("code", [1, 2, 3, 4, 5, 6, 7, 8, 9])
async def test_an_exception_of_the_device_is_a_device_fault_and_parks_nothing(
    server: HostileServer, code: int
) -> None:
    server.script = lie(lambda ask: adu(ask.transaction, 2, bytes([0x83, code])))  # type: ignore[assignment]
    heard = Heard()
    link = link_to(server.port, heard, units=(1, 2))
    async with running(link):
        await until(lambda: link.status.errors.get(f"exception-{code}", 0) >= 6)
        newest = heard.newest(20)
        server.script = honest
        await until(lambda: heard.good(20) >= 2)
    assert newest is not None
    assert newest[1] == Quality.DEVICE_FAULT
    assert np.isnan(newest[0])
    assert heard.values(10) <= {1e3}


async def test_a_device_that_refuses_unused_addresses_is_read_without_them(
    server: HostileServer,
) -> None:
    async def script(ask: Ask, wire: Wire) -> None:
        if ask.second > 1:
            await wire.send(adu(ask.transaction, ask.unit, bytes([0x83, 2])))
        else:
            await wire.honest(ask)

    server.script = script
    heard = Heard()
    link = link_to(server.port, heard, kind="gap")
    async with running(link):
        await until(lambda: heard.good(10) >= 2 and heard.good(11) >= 2)
    assert link.status.errors == {"exception-2": 1}


async def test_half_of_a_device_answers(server: HostileServer) -> None:
    async def script(ask: Ask, wire: Wire) -> None:
        if ask.function == 4:
            await wire.send(adu(ask.transaction, ask.unit, bytes([0x84, 11])))
        else:
            await wire.honest(ask)

    server.script = script
    heard = Heard()
    async with running(link_to(server.port, heard, kind="both")):
        await until(lambda: heard.good(10) >= 3 and heard.lost(11))
    assert heard.good(11) == 0


async def test_a_dead_unit_does_not_take_the_others(server: HostileServer) -> None:
    asked: list[int] = []

    async def script(ask: Ask, wire: Wire) -> None:
        asked.append(ask.unit)
        if ask.unit != 2:
            await wire.honest(ask)

    server.script = script
    heard = Heard()
    link = link_to(server.port, heard, units=(1, 2, 3), timeout_s=SHORT_S)
    async with running(link):
        await until(lambda: heard.lost(20))
        await until(lambda: asked.count(2) >= 4)  # parked after three, then probed
        start = len(asked)
        await until(lambda: asked[start:].count(1) >= 40)
        parked = asked[start:].count(2)
        server.script = honest
        await until(lambda: heard.good(20) >= 2)
    # Parked, it costs a few probes while the others are read 40 times; then it is read again.
    assert parked <= 20
    assert heard.values(10) == {1e3}
    assert heard.values(30) == {3e3}


async def test_a_late_reply_is_never_the_value_of_another_unit(server: HostileServer) -> None:
    """Unit 1 answers after its time-out, mostly when another unit's request is under way."""

    async def slow(wire: Wire, ask: Ask) -> None:
        await asyncio.sleep(1.5 * SHORT_S)
        await wire.honest(ask)

    async with asyncio.TaskGroup() as group:

        async def script(ask: Ask, wire: Wire) -> None:
            if ask.unit == 1:
                group.create_task(slow(wire, ask))
            elif ask.unit == 2:
                await asyncio.sleep(0.3 * SHORT_S)
                await wire.honest(ask)
            else:
                await wire.honest(ask)

        server.script = script
        heard = Heard()
        link = link_to(server.port, heard, units=(1, 2, 3), timeout_s=SHORT_S)
        async with running(link):
            await until(lambda: link.status.errors.get("late", 0) >= 3 and heard.good(20) >= 5)
    for unit in (1, 2, 3):
        assert heard.values(10 * unit) <= {1e3 * unit}


async def test_first_connect_fails_then_the_server_comes_up(server: HostileServer) -> None:
    await server.stop()
    heard = Heard()
    link = link_to(server.port, heard, units=(1, 2))
    async with running(link):
        await until(lambda: heard.lost(10) and heard.lost(20) and link.status.errors["refused"] > 2)
        await server.start(server.port)
        await until(lambda: heard.good(10) > 0 and heard.good(20) > 0)
    assert set(link.status.errors) == {"refused"}


async def test_the_server_dies_and_comes_back(server: HostileServer) -> None:
    heard = Heard()
    link = link_to(server.port, heard, units=(1, 2))
    async with running(link):
        await until(lambda: heard.good(10) > 2 and heard.good(20) > 2)
        await server.stop()
        await until(lambda: heard.lost(10) and heard.lost(20))
        await server.start(server.port)
        seen = heard.good(10), heard.good(20)
        await until(lambda: heard.good(10) > seen[0] and heard.good(20) > seen[1])
    assert link.status.reconnects >= 1


def close_at_once(wire: Wire) -> bool:
    wire.close()
    return False


async def close_when_asked(_ask: Ask, wire: Wire) -> None:
    wire.close()


async def test_accept_then_close_is_a_growing_pause_and_a_quality(
    server: HostileServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    pauses: list[float] = []
    heard = Heard()
    link = link_to(server.port, heard, units=(1, 2))

    async def pause(pause_s: float) -> None:
        pauses.append(pause_s)
        await asyncio.sleep(0.0)

    monkeypatch.setattr(link, "_pause", pause)
    server.greet = close_at_once
    async with running(link):
        await until(lambda: len(pauses) >= 12)
        assert heard.lost(10)
        assert heard.lost(20)
        server.greet = lambda _wire: True
        await until(lambda: heard.good(10) > 3)
        count = len(pauses)
        server.script = close_when_asked
        await until(lambda: len(pauses) > count)
    grown = pauses[:12]
    assert grown[0] <= 0.2
    assert max(grown) > 5.0  # it grows although every connect succeeds
    assert all(pause <= 10.0 for pause in pauses)
    assert pauses[count] <= 0.2  # short again after good replies
    assert heard.values(10) == {1e3}


async def test_a_socket_that_goes_silent_is_renewed(server: HostileServer) -> None:
    """Half-open: connected, and nothing ever comes. A new connection works."""

    async def script(ask: Ask, wire: Wire) -> None:
        if wire.number != 1 or len(server.asked) < 10:
            await wire.honest(ask)

    server.script = script
    heard = Heard()
    link = link_to(server.port, heard, units=(1, 2), timeout_s=SHORT_S)
    async with running(link):
        await until(lambda: server.connections >= 2 and not heard.lost(10) and not heard.lost(20))
        seen = heard.good(10), heard.good(20)
        await until(lambda: heard.good(10) > seen[0] and heard.good(20) > seen[1])
    assert link.status.errors["timeout"] >= SILENT_REQUESTS
    assert any(q == Quality.COMMS_LOST for p, _, q in heard.samples)


async def test_closed_in_the_middle_of_a_reply(server: HostileServer) -> None:
    async def script(ask: Ask, wire: Wire) -> None:
        if len(server.asked) % 5 == 0:
            await wire.send(adu(ask.transaction, ask.unit, bytes.fromhex("03 02 DEAD"))[:9])
            wire.close()
        else:
            await wire.honest(ask)

    server.script = script
    heard = Heard()
    link = link_to(server.port, heard)
    async with running(link):
        await until(lambda: link.status.errors.get("closed", 0) >= 3 and heard.good(10) > 6)
    assert heard.values(10) == {1e3}
    assert any(q == Quality.COMMS_LOST for _, _, q in heard.samples)


async def test_a_heartbeat_that_stands_still_is_stuck_until_it_beats(server: HostileServer) -> None:
    heard = Heard()
    link = link_to(server.port, heard, kind="beats")
    async with running(link):
        await until(lambda: heard.newest(10) == (1e3, Quality.STUCK))
        beat = 0
        while heard.newest(10) != (1e3, Quality.GOOD):
            beat += 1
            server.words[1, 3, 1] = beat
            await asyncio.sleep(0.005)


async def test_lost_points_are_said_once_and_then_at_most_once_a_period(
    server: HostileServer,
) -> None:
    await server.stop()
    heard = Heard()
    spec = ModbusLinkSpec(
        "link", "127.0.0.1", server.port, PATIENT_S, 0.0,
        (ModbusDeviceSpec("D1", "one", 1, {"a": 10}, 3_600.0),),
    )  # fmt: skip
    link = ModbusLink(spec, TYPES, heard, rng=random.Random(1))
    async with running(link):
        await until(lambda: link.status.errors.get("refused", 0) >= 4)
    assert [quality for *_, quality in heard.samples] == [Quality.COMMS_LOST]


async def test_a_wrong_configuration_is_refused_before_anything_opens() -> None:
    spec = ModbusLinkSpec(
        "link", "127.0.0.1", 1, 1.0, 0.0, (ModbusDeviceSpec("D1", "one", 1, {"x": 0}, 1.0),)
    )
    with pytest.raises(ValueError, match="D1: type one has no value 'x'"):
        ModbusLink(spec, TYPES, Heard())
