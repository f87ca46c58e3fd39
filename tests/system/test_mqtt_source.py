"""The broker session against a real broker: what arrives, and what an absent broker looks like."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from pathlib import Path

import aiomqtt
import pytest

from sensors.collectors.mqtt import MqttSource
from sensors.collectors.topic_queue import TopicQueue
from sensors.frame import Batch
from sensors.payloads import BrokerSpec, MqttDeviceSpec
from sensors.quality import Quality
from tests.system.certificates import Authority
from tests.system.mosquitto import Mosquitto, free_port, mosquitto, until

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


async def failure(spec: BrokerSpec) -> str:
    """Why a session cannot be had; the points must have been told."""
    told = Delivered()
    source = MqttSource(spec, told.take, None, random.Random(1))
    async with running(source):
        await until(lambda: told.samples, "the failure is told")
        assert set(told.qualities(CH4)) == {Quality.COMMS_LOST}
        assert not source.status.connected
        return source.status.last_error


@pytest.mark.parametrize("qos", [0, 1])
async def test_mosquitto_pub_feeds_the_points_of_a_node(tmp_path: Path, qos: int) -> None:
    delivered = Delivered()
    async with mosquitto(tmp_path) as broker:
        spec = broker_spec(broker.port, replace(NODE, qos=qos))
        async with connected(spec, delivered) as source:
            await broker.publish(
                NODE.topic, message(5_300), message(0), options=["-q", str(qos), "-i", "node"]
            )
            await until(lambda: len(delivered.samples) >= 4, "two messages")
            assert delivered.values(CH4) == pytest.approx([0.53, 0.0])
            assert delivered.values(CO) == [5.0, 5.0]
            assert (source.status.polls, source.status.good) == (2, 2)
            assert source.status.last_good_monotonic_ns > 0
            assert source.status.errors == {}


async def test_what_cannot_be_decoded_is_a_quality_and_the_next_message_arrives(
    tmp_path: Path,
) -> None:
    delivered = Delivered()
    async with mosquitto(tmp_path) as broker, connected(broker_spec(broker.port), delivered):
        bad = ["{", "NaN", "\x01", '{"v": {"ch4": "5"}, "co": null}', "[" * 2_000, "x" * 70_000]
        await broker.publish(NODE.topic, *bad, message(100))
        await until(lambda: delivered.values(CO), "the message after the bad ones")
        assert delivered.qualities(CH4) == [Quality.DECODE_ERROR] * 6 + [Quality.GOOD]
        assert delivered.qualities(CO)[3] == Quality.DEVICE_FAULT


async def test_user_and_password(tmp_path: Path) -> None:
    passwords = tmp_path / "passwords"
    maker = await asyncio.create_subprocess_exec(
        "mosquitto_passwd", "-c", "-b", str(passwords), "gateway", "right"
    )
    assert await maker.wait() == 0
    options = ("allow_anonymous false", f"password_file {passwords}")
    delivered = Delivered()
    async with mosquitto(tmp_path, *options) as broker:
        spec = replace(broker_spec(broker.port), user="gateway", password="right")  # noqa: S106
        async with connected(spec, delivered):
            login = ["-u", "gateway", "-P", "right"]
            await broker.publish(NODE.topic, message(100), options=login)
            await until(lambda: delivered.values(CO), "a value")
        for wrong in (replace(spec, password=""), replace(spec, user="", password="")):
            assert "uthori" in await failure(wrong)


# A TLS handshake that fails leaves paho's socket to the garbage collector.
@pytest.mark.filterwarnings("ignore:.*SSLSocket:pytest.PytestUnraisableExceptionWarning")
async def test_tls_with_client_certificates(tmp_path: Path) -> None:
    authority, stranger = Authority(tmp_path, "ca"), Authority(tmp_path, "stranger")
    server, server_key = authority.issue("broker")
    client, client_key = authority.issue("gateway")
    options = (
        f"cafile {authority.file}",
        f"certfile {server}",
        f"keyfile {server_key}",
        "require_certificate true",
    )
    delivered = Delivered()
    async with mosquitto(tmp_path, *options) as broker:
        spec = replace(broker_spec(broker.port), tls=True, ca_file=str(authority.file))
        spec = replace(spec, cert_file=str(client), key_file=str(client_key))
        async with connected(spec, delivered):
            publisher = ["--cafile", str(authority.file), "--cert", str(client)]
            publisher += ["--key", str(client_key)]
            await broker.publish(NODE.topic, message(100), options=publisher)
            await until(lambda: delivered.values(CO), "a value")
        # Controls: a broker of another authority, no client certificate, a missing file, no TLS.
        for wrong in (
            replace(spec, ca_file=str(stranger.file)),
            replace(spec, cert_file="", key_file=""),
            replace(spec, ca_file=str(tmp_path / "absent.pem")),
            replace(spec, cert_file=str(client), key_file=str(server_key)),
            replace(spec, tls=False),
        ):
            assert await failure(wrong)


async def test_a_wildcard_names_a_node_and_one_topic_may_feed_two_devices(tmp_path: Path) -> None:
    delivered = Delivered()
    plus = replace(NODE, topic="mine/+/state")
    same = replace(NODE, id="node-7-co", topic="mine/#", points={"co": 9})
    async with (
        mosquitto(tmp_path) as broker,
        connected(broker_spec(broker.port, plus, same), delivered),
    ):
        await broker.publish("mine/serial-0815/state", message(100))
        await broker.publish("mine/serial-0815/other", '{"co": 6}')
        await until(lambda: 6.0 in delivered.values(9, Quality.UNRELIABLE), "both")
        assert set(delivered.values(CO)) == {5.0}
        assert set(delivered.values(9)) == {5.0}


async def test_two_nodes_on_one_wildcard_may_raise_but_not_clear(tmp_path: Path) -> None:
    delivered = Delivered()
    spec = replace(NODE, topic="mine/+/state")
    async with (
        mosquitto(tmp_path) as broker,
        connected(broker_spec(broker.port, spec), delivered) as source,
    ):
        await broker.publish("mine/a/state", message(100, 1))
        await broker.publish("mine/b/state", message(20_000, 2))
        await broker.publish("mine/a/state", message(100, 3))
        await until(lambda: len(delivered.samples) >= 6, "three messages")
        assert delivered.qualities(CO) == [Quality.GOOD, Quality.UNRELIABLE, Quality.UNRELIABLE]
        assert source.status.errors == {"two publishers": 2}


class ForgetsTheRetainFlag(MqttSource):
    """The control: what a collector does that never looks at the flag."""

    def _take(self, message: aiomqtt.Message, queue: TopicQueue) -> None:
        message.retain = False
        super()._take(message, queue)


async def freshness_of_a_kept_and_a_live_message(
    tmp_path: Path, kind: type[MqttSource]
) -> list[tuple[float, bool]]:
    delivered = Delivered()
    async with mosquitto(tmp_path) as broker:
        await broker.publish(NODE.topic, message(100, 1), options=["-r", "-q", "1"])
        source = kind(broker_spec(broker.port), delivered.take, None, random.Random(1))
        async with running(source):
            await until(lambda: delivered.values(CO), "the kept message")
            # The same publisher, still asking the broker to keep it: this one is live.
            await broker.publish(NODE.topic, message(100, 2), options=["-r", "-q", "1"])
            await until(lambda: len(delivered.values(CO)) == 2, "the live message")
    return [(v, kept) for p, v, q, kept in delivered.samples if p == CO and q == Quality.GOOD]


async def test_a_retained_message_is_never_fresh(tmp_path: Path) -> None:
    seen = await freshness_of_a_kept_and_a_live_message(tmp_path, MqttSource)
    assert seen == [(1.0, True), (2.0, False)]


async def test_control_without_the_retain_flag_an_old_message_looks_live(tmp_path: Path) -> None:
    seen = await freshness_of_a_kept_and_a_live_message(tmp_path, ForgetsTheRetainFlag)
    assert seen == [(1.0, False), (2.0, False)]


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


async def test_several_filters_more_than_one_subscribe_holds(tmp_path: Path) -> None:
    delivered = Delivered()
    nodes = [replace(NODE, id=f"n{i}", topic=f"mine/n{i}", points={"co": i}) for i in range(20)]
    async with (
        mosquitto(tmp_path) as broker,
        connected(broker_spec(broker.port, *nodes), delivered),
    ):
        for i in (0, 7, 8, 19):
            await broker.publish(f"mine/n{i}", json.dumps({"co": i + 0.5}))
        await until(lambda: len(delivered.samples) == 4, "four nodes")
        assert [(p, v) for p, v, _, _ in delivered.samples] == [
            (0, 0.5),
            (7, 7.5),
            (8, 8.5),
            (19, 19.5),
        ]


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


def test_a_wrong_specification_is_refused_before_anything_opens() -> None:
    with pytest.raises(ValueError, match="no topic filter"):
        MqttSource(
            broker_spec(free_port(), replace(NODE, topic="mine/#/x")),
            Delivered().take,
            None,
            random.Random(1),
        )
