"""A broker that is away, mute, odd or too fast: what is lost is told, and comes back."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from sensors.collectors.mqtt import MqttSource
from sensors.quality import Quality
from tests.system.certificates import Authority
from tests.system.mosquitto import Mosquitto, mosquitto, until
from tests.system.mqtt_bench import (
    CH4,
    CO,
    NODE,
    Delivered,
    broker_spec,
    connected,
    message,
    running,
)


async def test_a_killed_broker_is_comms_lost_again_and_again_until_it_is_back(
    tmp_path: Path,
) -> None:
    delivered = Delivered()
    lost = [Quality.GOOD, Quality.COMMS_LOST, Quality.COMMS_LOST]
    async with (
        mosquitto(tmp_path) as broker,
        connected(broker_spec(broker.port), delivered) as source,
    ):
        await broker.publish(NODE.topic, message(100))
        await until(lambda: delivered.values(CO), "a value")
        await broker.kill()
        await until(lambda: delivered.qualities(CO) == lost, "told at once and repeated")
        assert delivered.qualities(CH4) == lost
        assert not source.status.connected
        assert source.status.last_error
        await broker.start()
        await until(lambda: source.status.connected, "connected again")
        await broker.publish(NODE.topic, message(100, 6))
        await until(lambda: 6.0 in delivered.values(CO), "a value again")
        assert source.status.reconnects == 1


async def test_a_broker_that_says_nothing_more_is_lost(tmp_path: Path) -> None:
    delivered = Delivered()
    async with mosquitto(tmp_path) as broker:
        spec = replace(broker_spec(broker.port), keepalive_s=1)
        async with connected(spec, delivered) as source:
            broker.freeze()
            await until(lambda: not source.status.connected, "the silence is noticed")
            assert delivered.qualities(CO) == [Quality.COMMS_LOST]
            broker.thaw()
            await until(lambda: source.status.connected, "connected again")


async def test_a_broker_that_was_never_there_is_lost_and_used_once_it_comes(
    tmp_path: Path,
) -> None:
    delivered = Delivered()
    broker = Mosquitto(tmp_path)
    source = MqttSource(broker_spec(broker.port), delivered.take, None, random.Random(1))
    async with running(source):
        await until(lambda: delivered.samples, "the failure is told")
        assert delivered.qualities(CH4) == [Quality.COMMS_LOST]
        await broker.start()
        try:
            await until(lambda: source.status.connected, "connected")
            assert source.status.reconnects == 0
        finally:
            await broker.kill()


async def flood(tmp_path: Path, waiting: int) -> tuple[Delivered, MqttSource]:
    """Send 300 messages of 100 kB in all in a moment; TLS delivers many of them at once."""
    authority = Authority(tmp_path, "ca")
    server, server_key = authority.issue("broker")
    options = (f"certfile {server}", f"keyfile {server_key}", "max_queued_messages 0")
    delivered = Delivered()
    async with mosquitto(tmp_path, *options) as broker:
        spec = replace(broker_spec(broker.port), tls=True, ca_file=str(authority.file))
        async with connected(spec, delivered, waiting_per_topic=waiting) as source:
            messages = [message(100, i) for i in range(300)]
            publisher = ["--cafile", str(authority.file), "-q", "0"]
            await broker.publish(NODE.topic, *messages, options=publisher)
            await until(lambda: 299.0 in delivered.values(CO), "the newest message")
            return delivered, source


async def test_a_flood_drops_the_oldest_and_says_so(tmp_path: Path) -> None:
    delivered, source = await flood(tmp_path, 1)
    seen = delivered.values(CO)
    lost = source.status.errors["overflow"]
    assert seen == sorted(seen), "in order"
    assert seen[-1] == 299.0, "the newest is never the one that gives way"
    assert len(seen) + lost == 300, "every message was delivered or counted"
    assert delivered.qualities(CO).count(Quality.COMMS_LOST) >= 1
    gaps = [
        i for i in range(1, len(delivered.samples)) if delivered.samples[i][2] == Quality.COMMS_LOST
    ]
    assert gaps, "the gap is visible where it is"


async def test_control_with_room_nothing_is_dropped(tmp_path: Path) -> None:
    delivered, source = await flood(tmp_path, 300)
    assert delivered.values(CO) == [float(i) for i in range(300)]
    assert "overflow" not in source.status.errors


class Scripted:
    """A broker by hand: what it does with each connection is the test's choice."""

    def __init__(self, *, greets: bool, codes: bytes = b"") -> None:
        self._greets, self._codes = greets, codes
        self.connections = 0
        self.open = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self.open += 1
        try:
            while head := await reader.read(1):
                body = await reader.readexactly((await reader.readexactly(1))[0])
                if head[0] >> 4 == 1 and self._greets:
                    writer.write(b"\x20\x02\x00\x00")  # CONNACK, accepted
                elif head[0] >> 4 == 8 and self._codes:
                    writer.write(bytes([0x90, 2 + len(self._codes)]) + body[:2] + self._codes)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            self.open -= 1
            writer.close()


@asynccontextmanager
async def scripted(script: Scripted) -> AsyncIterator[int]:
    server = await asyncio.start_server(script.serve, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        await until(lambda: script.open == 0, "all connections closed")


async def test_a_refused_subscription_loses_its_device_and_no_other() -> None:
    delivered = Delivered()
    denied = replace(NODE, id="node-8", topic="mine/node-8/state", points={"co": 12})
    async with scripted(Scripted(greets=True, codes=b"\x01\x80")) as port:
        spec = broker_spec(port, NODE, denied)
        source = MqttSource(spec, delivered.take, None, random.Random(1))
        async with running(source):
            await until(lambda: len(delivered.samples) == 2, "told and repeated")
            assert delivered.qualities(12) == [Quality.COMMS_LOST] * 2
            assert source.status.connected
            assert "node-8" in source.status.last_error


@pytest.mark.parametrize(
    "script",
    [Scripted(greets=False), Scripted(greets=True), Scripted(greets=True, codes=b"\x01\x01")],
    ids=["no CONNACK", "no SUBACK", "a SUBACK that does not fit"],
)
async def test_a_mute_or_odd_broker_is_lost_and_costs_no_socket(script: Scripted) -> None:
    async with scripted(script) as port:
        told = Delivered()
        spec = replace(broker_spec(port), keepalive_s=1)
        source = MqttSource(spec, told.take, None, random.Random(1))
        async with running(source):
            await until(lambda: script.connections >= 2, "a second attempt")
            assert Quality.COMMS_LOST in told.qualities(CH4)
            assert not source.status.connected
            assert script.open <= 1
