"""Pretend MQTT nodes: sensors that publish, and sounders and lights that obey and confirm."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import ssl
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime
from typing import Any, Final, TypeVar

import aiomqtt

from gateway.clock import WallClock
from gateway.config import BrokerConfig, DeviceConfig, OutputConfig
from sensors.quantities import QUANTITIES
from simulators.encoding import to_unit
from simulators.faults import OnTheWire
from simulators.world import MQTT_LINK, World

_RECONNECT_S: Final = 0.5
_HEAR_WHY_S: Final = 0.05
T = TypeVar("T")
_MUTE: Final = logging.getLogger("firedamp.simulators.mqtt")
_MUTE.setLevel(logging.CRITICAL + 1)  # a broker that goes away is what these nodes are for
_GARBLED: Final = b'{"time": "2026-'


def payload(device: DeviceConfig, values: Mapping[str, OnTheWire], wall_ns: int) -> bytes | None:
    """Return what a node publishes; None if none of its values is there. Pure."""
    present = {key: wire for key, wire in values.items() if not wire.missing}
    if not present:
        return None
    if any(wire.corrupt for wire in present.values()):
        return _GARBLED
    if device.type == "plain":
        return str(_number(device, *next(iter(present.items())))).encode()
    tree: dict[str, Any] = {}
    if device.time_path:
        _put(tree, device.time_path, _iso(wall_ns))
    for key, wire in present.items():
        _put(tree, device.paths.get(key, key), _number(device, key, wire))
    return json.dumps(_with_arrays(tree)).encode()


def _number(device: DeviceConfig, key: str, wire: OnTheWire) -> float | int:
    quantity = device.points[key]
    value = to_unit(wire.value, quantity, device.units.get(key, ""), device.lel_pct_vol)
    whole = QUANTITIES[quantity].unit in ("0/1", "people")
    return round(value) if whole else round(value, 6)


def _put(tree: dict[str, Any], path: str, value: float | str) -> None:
    *branches, leaf = path.split(".")
    for branch in branches:
        tree = tree.setdefault(branch, {})
    tree[leaf] = value


def _with_arrays(tree: object) -> object:
    """Turn objects whose names count from 0 into arrays."""
    if not isinstance(tree, dict):
        return tree
    inner = {key: _with_arrays(value) for key, value in tree.items()}
    if inner and list(inner) == [str(n) for n in range(len(inner))]:
        return list(inner.values())
    return inner


def _iso(wall_ns: int) -> str:
    """Return ISO 8601 in UTC, to the millisecond."""
    moment = datetime.fromtimestamp(wall_ns // 1_000_000 / 1000, tz=UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


async def _listen_until(client: aiomqtt.Client, when_s: float) -> None:
    """Wait; only who listens meanwhile is told that the broker has gone."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout_at(when_s):
            async for _ in client.messages:
                pass


def _give_way() -> None:
    """Obey a cancellation that got lost.

    `asyncio.wait_for`, in which the client waits, drops one that comes just as the wait is over
    (until Python 3.12); and taking leave of a broker that has gone raises in place of one.
    """
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError


class MqttNodes:
    """All nodes of a mine, each with a connection of its own, as in the field."""

    def __init__(self, world: World, broker: BrokerConfig) -> None:
        self._world = world
        self._broker = broker
        self._clock = WallClock(None)
        self._link = world.links[MQTT_LINK]

    async def run(self) -> None:
        """Publish and obey until cancelled."""
        async with asyncio.TaskGroup() as group:
            for device in self._world.config.devices:
                if device.topic:
                    group.create_task(self._keep(device.id, self._publish, device))
            for output in self._world.config.outputs:
                if output.kind == "mqtt":
                    group.create_task(self._keep(output.id, self._obey, output))

    async def _keep(
        self,
        name: str,
        part: Callable[[aiomqtt.Client, T], Awaitable[None]],
        what: T,
    ) -> None:
        """Connect again whenever the broker, or the cable to it, has been away."""
        broker = self._broker
        secret = broker.password_file.read_text("utf-8").strip() if broker.password_file else None
        tls = ssl.create_default_context(cafile=broker.ca_file) if broker.tls else None
        while True:
            await self._link.until(cut=False)
            client = aiomqtt.Client(
                broker.host,
                broker.port,
                identifier=f"node-{name}",
                username=broker.user or None,
                password=secret,
                tls_context=tls,
                keepalive=10,
                logger=_MUTE,
            )
            await self._while_connected(client, lambda c: part(c, what))
            await asyncio.sleep(_RECONNECT_S)

    @staticmethod
    async def _while_connected(
        client: aiomqtt.Client, part: Callable[[aiomqtt.Client], Awaitable[None]]
    ) -> None:
        """Run a part until it ends or the broker has gone."""
        with contextlib.suppress(aiomqtt.MqttError):
            async with client:
                try:
                    await part(client)
                except aiomqtt.MqttError:
                    # Hear why, or the client complains later that nobody wanted to know.
                    await _listen_until(client, asyncio.get_running_loop().time() + _HEAR_WHY_S)
                    raise
        _give_way()

    async def _publish(self, client: aiomqtt.Client, device: DeviceConfig) -> None:
        """Publish every `poll_s` until the cable is cut; a late message keeps its time."""
        loop = asyncio.get_running_loop()
        waiting: list[tuple[float, bytes]] = []
        next_s = loop.time()
        while self._link.state != "cut":
            now = loop.time()
            if now >= next_s:
                next_s = max(next_s + device.poll_s, now)
                values = self._world.wire(device.id)
                made = payload(device, values, self._clock.now_ns())
                if made is not None:
                    waiting.append((now + max(w.late_s for w in values.values()), made))
            ready = [made for due_s, made in waiting if due_s <= now]
            waiting = [(due_s, made) for due_s, made in waiting if due_s > now]
            for made in ready:
                await self._send(client, device, made)
            wake_s = min([next_s, *(due_s for due_s, _ in waiting)])
            await _listen_until(client, wake_s)

    async def _send(self, client: aiomqtt.Client, device: DeviceConfig, made: bytes) -> None:
        if self._link.state in ("cut", "silent") or device.id in self._world.silent:
            return
        topic = device.topic.replace("+", device.id).replace("#", device.id)
        garbled = self._link.state == "garbled"
        await client.publish(topic, _GARBLED if garbled else made, qos=device.qos)
        _give_way()

    async def _obey(self, client: aiomqtt.Client, output: OutputConfig) -> None:
        """Take orders and confirm them: retained, so that whoever asks later is told too."""
        await client.subscribe(output.topic, qos=1)
        async for message in client.messages:
            if self._link.state == "cut":
                return
            if self._link.state == "silent":
                continue
            if message.topic.value != output.topic or not isinstance(message.payload, bytes):
                continue
            try:
                order = json.loads(message.payload)
            except ValueError:
                continue
            if not isinstance(order, dict) or not isinstance(order.get("on"), bool):
                continue
            self._world.node_outputs[output.id] = order["on"]
            if output.readback_topic:
                state = json.dumps({"on": order["on"], "seq": order.get("seq", 0)})
                await client.publish(output.readback_topic, state, qos=1, retain=True)
                _give_way()
