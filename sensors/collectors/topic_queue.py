"""The bounded hand-over between the broker session and the gateway."""

from __future__ import annotations

import asyncio
from collections import deque

import aiomqtt

from sensors.payloads import MAX_PAYLOAD_BYTES


class TopicQueue(asyncio.Queue[aiomqtt.Message]):
    """Bounded without ever refusing: the oldest message of a topic gives way, and is counted.

    `dropped` maps a topic to the messages that gave way since it was last cleared.
    """

    def __init__(self, per_topic: int, in_all: int) -> None:
        self._per_topic = per_topic
        self._in_all = in_all
        self.dropped: dict[str, int] = {}
        super().__init__()

    def _init(self, maxsize: int) -> None:
        del maxsize
        self._order: deque[str] = deque()  # one entry per message, the topic it belongs to
        self._waiting: dict[str, deque[aiomqtt.Message]] = {}

    def qsize(self) -> int:
        """Messages waiting."""
        return len(self._order)

    def empty(self) -> bool:
        """Nothing waits."""
        return not self._order

    def _put(self, item: aiomqtt.Message) -> None:
        # One byte more than the decoder accepts: it stays oversize, and memory is bounded.
        item.payload = item.payload[: MAX_PAYLOAD_BYTES + 1]
        topic = item.topic.value
        waiting = self._waiting.setdefault(topic, deque())
        if len(waiting) >= self._per_topic:
            # The new message inherits the place in the order that the oldest one leaves.
            waiting.popleft()
            self._drop(topic)
        else:
            if len(self._order) >= self._in_all:
                self._drop(self._get().topic.value)
                waiting = self._waiting.setdefault(topic, waiting)
            self._order.append(topic)
        waiting.append(item)

    def _get(self) -> aiomqtt.Message:
        topic = self._order.popleft()
        waiting = self._waiting[topic]
        message = waiting.popleft()
        if not waiting:
            del self._waiting[topic]
        return message

    def _drop(self, topic: str) -> None:
        self.dropped[topic] = self.dropped.get(topic, 0) + 1
