"""A broker session as the core runs it, and what the core would have got from it."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress

from sensors.collectors.mqtt import MqttSource
from sensors.frame import Batch
from sensors.payloads import BrokerSpec, MqttDeviceSpec
from sensors.quality import Quality
from tests.system.mosquitto import until

CH4, CO = 4, 7
NODE = MqttDeviceSpec(
    "node-7",
    "json-node",
    "mine/node-7/state",
    1,
    {"ch4": CH4, "co": CO},
    {"ch4": "v.ch4"},
    {"ch4": "ppm"},
    "",
    None,
    {"ch4": "CH4", "co": "CO"},
)


def broker_spec(port: int, *devices: MqttDeviceSpec) -> BrokerSpec:
    return BrokerSpec(
        "127.0.0.1", port, "firedamp", "", "", False, "", "", "", 10, devices or (NODE,)
    )


def message(ch4_ppm: float, co: object = 5) -> str:
    return json.dumps({"v": {"ch4": ch4_ppm}, "co": co})


class Delivered:
    """What the core would have got, in order: (point, value, quality, retained)."""

    def __init__(self) -> None:
        self.samples: list[tuple[int, float, Quality, bool]] = []
        self.on_batch: Callable[[], None] = lambda: None

    def take(self, batch: Batch) -> None:
        self.on_batch()
        for i in range(len(batch)):
            quality = Quality(batch.quality[i])
            value, retained = float(batch.value[i]), bool(batch.retained[i])
            self.samples.append((int(batch.point[i]), value, quality, retained))

    def values(self, point: int, quality: Quality = Quality.GOOD) -> list[float]:
        return [v for p, v, q, _ in self.samples if p == point and q == quality]

    def qualities(self, point: int) -> list[Quality]:
        return [q for p, _, q, _ in self.samples if p == point]


@asynccontextmanager
async def running(source: MqttSource) -> AsyncIterator[MqttSource]:
    """Run a source as the supervisor would, for the length of a block."""
    async with asyncio.TaskGroup() as tasks:
        task = tasks.create_task(source.run())
        try:
            yield source
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task


@asynccontextmanager
async def connected(
    spec: BrokerSpec, delivered: Delivered, **limits: int
) -> AsyncIterator[MqttSource]:
    source = MqttSource(spec, delivered.take, None, random.Random(1), **limits)
    async with running(source):
        await until(lambda: source.status.connected, "connected")
        yield source
