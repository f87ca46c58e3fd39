from __future__ import annotations

import asyncio
from collections import Counter

import aiomqtt
from hypothesis import given
from hypothesis import strategies as st

from sensors.collectors.topic_queue import TopicQueue
from sensors.payloads import MAX_PAYLOAD_BYTES


def message(topic: str, number: int) -> aiomqtt.Message:
    return aiomqtt.Message(topic, str(number).encode(), 1, False, number, None)


def drain(queue: TopicQueue) -> list[tuple[str, int]]:
    taken = []
    while not queue.empty():
        got = queue.get_nowait()
        taken.append((got.topic.value, got.mid))
    return taken


def test_within_its_bounds_it_is_a_queue() -> None:
    queue = TopicQueue(2, 10)
    for number, topic in enumerate("abab"):
        queue.put_nowait(message(topic, number))
    assert queue.qsize() == 4
    assert drain(queue) == [("a", 0), ("b", 1), ("a", 2), ("b", 3)]
    assert queue.dropped == {}


def test_a_topic_that_floods_loses_its_own_oldest_and_no_other() -> None:
    queue = TopicQueue(2, 10)
    queue.put_nowait(message("b", 100))
    for number in range(50):
        queue.put_nowait(message("a", number))
    assert drain(queue) == [("b", 100), ("a", 48), ("a", 49)]
    assert queue.dropped == {"a": 48}


def test_many_topics_are_bounded_together() -> None:
    queue = TopicQueue(2, 3)
    for number in range(6):
        queue.put_nowait(message(f"t{number}", number))
    assert drain(queue) == [("t3", 3), ("t4", 4), ("t5", 5)]
    assert queue.dropped == {"t0": 1, "t1": 1, "t2": 1}


def test_a_giant_payload_is_cut_to_what_the_decoder_refuses() -> None:
    queue = TopicQueue(2, 3)
    queue.put_nowait(aiomqtt.Message("a", b" " * 10_000_000, 0, False, 1, None))
    assert len(queue.get_nowait().payload) == MAX_PAYLOAD_BYTES + 1


async def test_a_waiting_reader_is_woken() -> None:
    queue = TopicQueue(1, 1)
    async with asyncio.TaskGroup() as tasks:
        reader = tasks.create_task(queue.get())
        await asyncio.sleep(0)
        queue.put_nowait(message("a", 7))
    assert reader.result().mid == 7


@given(
    st.lists(st.sampled_from("abc") | st.none(), max_size=60), st.integers(1, 4), st.integers(1, 6)
)
def test_bounds_hold_order_holds_and_every_message_is_accounted_for(
    script: list[str | None], per_topic: int, in_all: int
) -> None:
    """Letters arrive, None takes one; the twin is counting by hand."""
    queue = TopicQueue(per_topic, in_all)
    sent: Counter[str] = Counter()
    taken: list[tuple[str, int]] = []
    for number, topic in enumerate(script):
        if topic is not None:
            queue.put_nowait(message(topic, number))
            sent[topic] += 1
        elif not queue.empty():
            got = queue.get_nowait()
            taken.append((got.topic.value, got.mid))
        assert queue.qsize() <= in_all
        assert all(len(w) <= per_topic for w in queue._waiting.values())
    newest = {topic: n for n, topic in enumerate(script) if topic is not None}
    taken += drain(queue)
    for topic in newest:
        numbers = [n for t, n in taken if t == topic]
        assert numbers == sorted(numbers)
        assert len(numbers) + queue.dropped.get(topic, 0) == sent[topic]
    if newest:
        assert (script[max(newest.values())], max(newest.values())) in taken
    assert queue._waiting == {}
