"""One broker session: subscriptions in, output commands out.

Choices that matter for life:

* A session is clean. A persistent one would hand over, after an outage, a backlog of old readings
  that look live. What was published meanwhile is lost here, visibly: the points are COMMS_LOST.
* A client object serves one session: aiomqtt's is not quite reusable (after a lost connection it
  takes the next one for accepted before the broker has said so).
* Nothing waits without bound: `TopicQueue` drops the oldest message of the topic that floods, and
  the points concerned are told COMMS_LOST, so that the loss is visible.
* A wildcard names a node whose topic is not known in full, never two nodes: while two topics feed
  one device, its values are UNRELIABLE, and may raise an alarm but not clear one.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Final, cast

import aiomqtt
import numpy as np
from numpy.typing import NDArray

from sensors.collectors.topic_queue import TopicQueue
from sensors.frame import Batch
from sensors.link_status import LinkStatus
from sensors.payloads import BrokerSpec, PayloadDecoder, is_topic_filter, topic_matches
from sensors.ports_mqtt import MqttOutputsPort
from sensors.quality import Quality

LOG: Final = logging.getLogger("firedamp")
# The library repeats every failed attempt in its own words; this file tells each loss once.
LIBRARY_LOG: Final = logging.getLogger("firedamp.mqtt-library")
LIBRARY_LOG.setLevel(logging.CRITICAL)

PAUSE_FIRST_S: Final = 0.5
PAUSE_CAP_S: Final = 10.0
REPLY_WITHIN_S: Final = 5.0
"""Time for the broker to answer a connect, a subscription or a publication."""
CLOSE_WITHIN_S: Final = 0.5
LOST_REPEAT_S: Final = 5.0
TICK_S: Final = 1.0
PUBLISH_LOOK_S: Final = 0.2
WAITING_PER_TOPIC: Final = 64
WAITING_IN_ALL: Final = 4_096
TAKEN_AT_ONCE: Final = 64
ROUTES_KEPT: Final = 10_000
RIVAL_NS: Final = 60_000_000_000
FILTERS_AT_ONCE: Final = 8
"""Filters in one SUBSCRIBE; some brokers take no more."""
REFUSED_FROM: Final = 128
"""SUBACK codes from here on are refusals (MQTT 3.1.1, section 3.9.3)."""


class MqttSource:
    """The owner of one broker session, for as long as the gateway runs.

    Parameters
    ----------
    spec : BrokerSpec
    deliver : callable
        Takes a `Batch`; never blocks, never raises.
    outputs : MqttOutputsPort or None
        Outputs that hang on this broker.
    rng : random.Random
        Jitter of the pauses between attempts.

    Raises
    ------
    ValueError
        A device that cannot be compiled, or an invalid topic filter.
    """

    def __init__(
        self,
        spec: BrokerSpec,
        deliver: Callable[[Batch], None],
        outputs: MqttOutputsPort | None,
        rng: random.Random,
        *,
        waiting_per_topic: int = WAITING_PER_TOPIC,
        waiting_in_all: int = WAITING_IN_ALL,
    ) -> None:
        for device in spec.devices:
            if not is_topic_filter(device.topic):
                raise ValueError(f"device {device.id}: {device.topic!r} is no topic filter")
        self.spec = spec
        self.status = LinkStatus()
        self._deliver = deliver
        self._outputs = outputs
        self._rng = rng
        self._waiting = (waiting_per_topic, waiting_in_all)
        self._decoders = tuple(PayloadDecoder(device) for device in spec.devices)
        self._routes: dict[str, tuple[int, ...]] = {}
        self._publisher: dict[int, tuple[str, int | None]] = {}
        self._lost: tuple[int, ...] = ()
        self._lost_told = -np.inf
        self._sessions = 0
        self._pause_s = PAUSE_FIRST_S
        self._failed = False

    async def run(self) -> None:
        """Keep the session up; ends only by being cancelled."""
        self._pause_s = PAUSE_FIRST_S
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._tick())
                tasks.create_task(self._connect())
        finally:
            self._session_lost("stopped")

    # --- sessions ----------------------------------------------------------------------------

    async def _connect(self) -> None:
        while True:
            reason = ""
            try:
                await self._session()
            except* aiomqtt.MqttError as errors:
                reason = str(_first(errors)) or "no reason given"
            self.status.count("session" if self.status.connected else "connect")
            self._session_lost(reason)
            await asyncio.sleep(self._pause_s * self._rng.uniform(0.5, 1.0))
            self._pause_s = min(PAUSE_CAP_S, self._pause_s * 2.0)

    async def _session(self) -> None:
        queue = TopicQueue(*self._waiting)
        client = self._client(queue)
        try:
            try:
                await client.__aenter__()
            except ValueError as error:  # an impossible host name, certificate or key
                raise aiomqtt.MqttError(str(error)) from error
            self._session_stands(await self._subscribe(client))
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._read(client, queue))
                if self._outputs is not None:
                    tasks.create_task(self._write(client, self._outputs))
        finally:
            # By hand, not by `async with`: a failed attempt too leaves a socket to close, and an
            # error while closing must not take the place of a cancellation.
            with suppress(aiomqtt.MqttError, TimeoutError):
                async with asyncio.timeout(CLOSE_WITHIN_S):
                    await client.__aexit__(None, None, None)

    def _client(self, queue: TopicQueue) -> aiomqtt.Client:
        spec = self.spec
        tls = aiomqtt.TLSParameters(
            ca_certs=spec.ca_file or None,
            certfile=spec.cert_file or None,
            keyfile=spec.key_file or None,
        )
        return aiomqtt.Client(
            spec.host,
            spec.port,
            username=spec.user or None,
            password=spec.password or None,
            identifier=spec.client_id,
            clean_session=True,
            timeout=REPLY_WITHIN_S,
            keepalive=spec.keepalive_s,
            logger=LIBRARY_LOG,
            tls_params=tls if spec.tls else None,
            # The client asks a class for its queue; this hands it ours.
            queue_type=cast("type[asyncio.Queue[aiomqtt.Message]]", lambda maxsize: queue),  # noqa: ARG005
        )

    async def _subscribe(self, client: aiomqtt.Client) -> tuple[int, ...]:
        """Subscribe to everything at once; return the devices that the broker refuses."""
        wanted: dict[str, int] = {}
        for device in self.spec.devices:
            wanted[device.topic] = max(device.qos, wanted.get(device.topic, 0))
        for topic in self._outputs.readback_topics if self._outputs is not None else ():
            wanted[topic] = 1
        refused = await self._refused(client, list(wanted.items()))
        for topic in refused:
            self.status.count("subscription refused")
            self.status.last_error = f"the broker refuses a subscription to {topic}"
            LOG.error("broker %s refuses a subscription to %s", self.spec.host, topic)
        return tuple(i for i, d in enumerate(self.spec.devices) if d.topic in refused)

    @staticmethod
    async def _refused(client: aiomqtt.Client, wanted: list[tuple[str, int]]) -> set[str]:
        refused: set[str] = set()
        for start in range(0, len(wanted), FILTERS_AT_ONCE):
            part = wanted[start : start + FILTERS_AT_ONCE]
            granted = await client.subscribe(part)
            codes = [code if isinstance(code, int) else code.value for code in granted]
            if len(codes) != len(part):
                raise aiomqtt.MqttError("the broker's SUBACK does not fit the subscription")
            refused |= {
                topic for (topic, _), code in zip(part, codes, strict=True) if code >= REFUSED_FROM
            }
        return refused

    def _session_stands(self, refused: tuple[int, ...]) -> None:
        self.status.connected = True
        self.status.reconnects += self._sessions > 0
        self._sessions += 1
        self._failed = False
        LOG.info("broker %s:%d: connected", self.spec.host, self.spec.port)
        self._lost = refused
        self._tell_lost()
        if self._outputs is not None:
            self._outputs.opened(time.monotonic_ns())

    def _session_lost(self, reason: str) -> None:
        self.status.connected = False
        self.status.last_error = reason
        if self._failed:
            return
        self._failed = True
        LOG.warning("broker %s:%d: lost: %s", self.spec.host, self.spec.port, reason)
        self._lost = tuple(range(len(self._decoders)))
        self._tell_lost()
        if self._outputs is not None:
            self._outputs.closed(time.monotonic_ns())

    # --- messages ----------------------------------------------------------------------------

    async def _read(self, client: aiomqtt.Client, queue: TopicQueue) -> None:
        async for message in client.messages:
            self._take(message, queue)
            # The iterator costs a task per message: what waits besides is taken directly, but
            # not so much at once that the rest of the gateway would wait for it.
            for _ in range(TAKEN_AT_ONCE):
                if queue.empty():
                    break
                self._take(queue.get_nowait(), queue)

    def _take(self, message: aiomqtt.Message, queue: TopicQueue) -> None:
        if queue.dropped:
            self._tell_dropped(queue)
        topic, retained = message.topic.value, bool(message.retain)
        payload, now_ns = message.payload, time.monotonic_ns()
        self.status.polls += 1
        understood = False
        for i in self._route(topic):
            batch = self._decoders[i].decode(payload, retained=retained)
            if not retained and self._has_rival(i, topic, now_ns):
                batch.quality[batch.quality == Quality.GOOD] = Quality.UNRELIABLE
            understood |= bool((batch.quality != Quality.DECODE_ERROR).any())
            if (batch.quality == Quality.DECODE_ERROR).any():
                self.status.count("decode")
            self._deliver(batch)
        if self._outputs is not None and topic in self._outputs.readback_topics:
            self._outputs.heard(topic, payload, now_ns, retained=retained)
            understood = True
        if understood:
            self.status.good += 1
            self.status.last_good_monotonic_ns = now_ns
            self._pause_s = PAUSE_FIRST_S

    def _route(self, topic: str) -> tuple[int, ...]:
        """Return the devices that a topic belongs to."""
        found = self._routes.get(topic)
        if found is None:
            found = tuple(
                i for i, d in enumerate(self.spec.devices) if topic_matches(d.topic, topic)
            )
            if len(self._routes) >= ROUTES_KEPT:
                self._routes.clear()
            self._routes[topic] = found
        return found

    def _has_rival(self, device: int, topic: str, now_ns: int) -> bool:
        """Say whether another topic fed this device a moment ago."""
        last, changed_ns = self._publisher.get(device, (topic, None))
        if topic != last:
            changed_ns = now_ns
            self.status.count("two publishers")
        self._publisher[device] = (topic, changed_ns)
        return changed_ns is not None and now_ns - changed_ns < RIVAL_NS

    # --- what is lost ------------------------------------------------------------------------

    def _tell_dropped(self, queue: TopicQueue) -> None:
        dropped, queue.dropped = queue.dropped, {}
        for topic, times in dropped.items():
            self.status.count("overflow", times)
            self._deliver_lost(self._route(topic))

    def _tell_lost(self) -> None:
        self._lost_told = time.monotonic()
        self._deliver_lost(self._lost)

    def _deliver_lost(self, devices: tuple[int, ...]) -> None:
        if devices:
            points: NDArray[np.int32] = np.concatenate([self._decoders[i].points for i in devices])
            self._deliver(Batch.of(points, np.nan, Quality.COMMS_LOST))

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(TICK_S)
            if time.monotonic() - self._lost_told >= LOST_REPEAT_S:
                self._tell_lost()
            if self._outputs is not None:
                self._outputs.tick(time.monotonic_ns())

    # --- outputs -----------------------------------------------------------------------------

    async def _write(self, client: aiomqtt.Client, outputs: MqttOutputsPort) -> None:
        wake = asyncio.Event()
        outputs.wake = wake.set
        while True:
            publish = outputs.next_publish(time.monotonic_ns())
            if publish is not None:
                await client.publish(publish.topic, publish.payload, qos=1, retain=True)
                outputs.published(publish, time.monotonic_ns())
                self._pause_s = PAUSE_FIRST_S
                continue
            try:
                async with asyncio.timeout(PUBLISH_LOOK_S):
                    await wake.wait()
            except TimeoutError:
                continue
            wake.clear()


def _first(errors: BaseExceptionGroup[BaseException]) -> BaseException:
    """Return the first single error of a group."""
    error: BaseException = errors
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
