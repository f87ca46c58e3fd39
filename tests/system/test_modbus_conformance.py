"""The link and its outputs against libmodbus, an implementation that is not ours and not pymodbus.

And the hand-written server of the other tests against mbpoll, so that its honest replies are known
to be honest.
"""

from __future__ import annotations

import asyncio
import random
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import numpy as np
import pytest

from alarms.actuators.modbus_output import CoilOutput, ModbusOutputs, PeerPort
from sensors.collectors.modbus import ModbusLink
from sensors.device_types import load_types
from sensors.frame import Batch
from sensors.quality import Quality
from sensors.reading_plan import ModbusDeviceSpec, ModbusLinkSpec
from tests.sensors.hostile_modbus import hostile
from tests.sensors.waiting import running, until
from tests.system.libmodbus_server import BITS, FLOAT, WORD
from tests.system.test_sim_mbpoll import COIL, DISCRETE, HOLDING, INPUT, ints, mbpoll

SERVER = Path(__file__).with_name("libmodbus_server.py")


@asynccontextmanager
async def libmodbus() -> AsyncIterator[int]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, str(SERVER)),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    assert process.stdin is not None
    try:
        yield int(await process.stdout.readline())
    finally:
        process.stdin.close()
        await process.wait()


def devices() -> tuple[ModbusDeviceSpec, ...]:
    orders = tuple(
        ModbusDeviceSpec(
            order, "generic-float32", 1, {"v0": n}, 0.05, 2 * n, order, None, {"v0": "CO"}
        )
        for n, order in enumerate(("ABCD", "CDAB", "BADC", "DCBA"))
    )
    words = {"gas": "SO2", "oxygen": "O2"}
    bits = {f"di{n}": "feed" for n in range(8)} | {"co0": "feed", "co1": "feed"}
    return (
        *orders,
        ModbusDeviceSpec("R", "rs485-gas", 2, {"gas": 4, "oxygen": 5}, 0.05, quantities=words),
        ModbusDeviceSpec(
            "IO", "io-block", 3, {key: 6 + n for n, key in enumerate(bits)}, 0.05, quantities=bits
        ),
        ModbusDeviceSpec("X", "rs485-gas", 4, {"gas": 16}, 0.05, 5_000, quantities=words),
    )


async def test_all_reads_and_writes_against_libmodbus() -> None:
    value = np.full(17, np.nan)
    quality = np.full(17, Quality.NO_DATA, dtype=np.uint8)
    found: list[tuple[int, bool | None]] = []
    agreement: list[tuple[int, bool | None]] = []

    def deliver(batch: Batch) -> None:
        value[batch.point], quality[batch.point] = batch.value, batch.quality

    coils = [CoilOutput(0, 9, 0, readback=True), CoilOutput(1, 9, 1, readback=True)]
    outputs = ModbusOutputs(
        [*coils, CoilOutput(2, 9, 5, readback=True)],
        [PeerPort(0, 9, heartbeat=20, permissive=8)],
        lambda index, state: found.append((index, state)),
        lambda index, agrees: agreement.append((index, agrees)),
    )
    outputs.set([True, True, True], [(4_711, True)])
    async with libmodbus() as port:
        spec = ModbusLinkSpec("libmodbus", "127.0.0.1", port, 20.0, 0.0, devices())
        link = ModbusLink(spec, load_types(), deliver, outputs, random.Random(1))
        async with running(link):
            await until(lambda: link.status.polls > 30 and len(agreement) >= 3)
            await until(lambda: value[14] == value[15] == 1.0)
        assert await ints(port, 9, 0, 9, COIL) == [1, 1, 0, 0, 0, 1, 0, 0, 1]
        assert await ints(port, 9, 20, 1, HOLDING) == [4_711]
    assert value[:4] == pytest.approx([FLOAT] * 4, rel=1e-6)
    assert value[4:6] == pytest.approx([WORD, 20.9])
    assert value[6:14].tolist() == [BITS >> n & 1 for n in range(8)]
    assert (quality[:16] == Quality.GOOD).all()
    assert quality[16] == Quality.DEVICE_FAULT  # an address that it does not have
    assert set(link.status.errors) == {"exception-2"}
    assert found == [(0, False), (1, True), (2, False)]
    assert set(agreement) == {(0, True), (1, True), (2, True)}


async def test_the_hand_written_server_is_honest_to_mbpoll() -> None:
    async with hostile() as server:
        server.words[7, 4, 3] = 4_242
        server.bits[7, 9] = 1
        assert await ints(server.port, 7, 3, 2, INPUT) == [4_242, 7_000]
        assert await ints(server.port, 7, 8, 3, DISCRETE) == [0, 1, 0]
        await mbpoll(server.port, 7, 12, "-t", COIL, write=(1, 0, 1))
        await mbpoll(server.port, 7, 30, "-t", COIL, write=(1,))
        await mbpoll(server.port, 7, 40, "-t", HOLDING, write=(513,))
        assert await ints(server.port, 7, 12, 3, COIL) == [1, 0, 1]
        assert await ints(server.port, 7, 40, 1, HOLDING) == [513]
        assert {place for (_, place), bit in server.bits.items() if bit} == {9, 12, 14, 30}
