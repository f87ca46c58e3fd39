"""The broker session against a real broker: what arrives, and as what."""

from __future__ import annotations

import asyncio
import json
import random
from dataclasses import replace
from pathlib import Path

import aiomqtt
import pytest

from sensors.collectors.mqtt import MqttSource
from sensors.collectors.topic_queue import TopicQueue
from sensors.payloads import BrokerSpec
from sensors.quality import Quality
from tests.ports import free_port
from tests.system.certificates import Authority
from tests.system.mosquitto import mosquitto, until
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


def test_a_wrong_specification_is_refused_before_anything_opens() -> None:
    with pytest.raises(ValueError, match="no topic filter"):
        MqttSource(
            broker_spec(free_port(), replace(NODE, topic="mine/#/x")),
            Delivered().take,
            None,
            random.Random(1),
        )
