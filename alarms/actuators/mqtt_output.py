"""Sirens, beacons and relays on a broker: what to publish, and whether the controller obeys.

A pure state machine; the broker session performs the I/O. The command topic carries
``{"on":true,"seq":12}``, QoS 1 and retained: the whole state, never an edge, so a lost message
heals itself. The controller answers every command on the read-back topic with the state its output
*really* has, ``{"on":true}``, retained; other members are ignored.

* Before the first write the retained read-back is waited for and reported (`on_found`). An output
  found on that nobody commanded stays untouched until the next `set`, so that whoever decides has
  seen it before it could be switched off.
* The retained read-back is old news: only a live one proves that the controller obeys now.
* Each command must be answered within `ANSWER_WITHIN_S`; an answer counts until the next repetition
  should have been answered.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from sensors.payloads import read_flag
from sensors.ports_mqtt import Publish

_S: Final = 1_000_000_000
REPEAT_S: Final = 5
ANSWER_WITHIN_S: Final = 2
LOOK_S: Final = 1
"""Time that the read-back before the first write may take."""
HOLD_S: Final = 2
"""Longest time that an output found on is left alone while no new `set` comes."""


@dataclass(frozen=True, slots=True)
class MqttOutput:
    """One output: its index among all outputs, and its topics. Without read-back: ``""``."""

    index: int
    topic: str
    readback_topic: str


@dataclass(slots=True)
class _Channel:
    """What is known of one output. Times are monotonic [ns]."""

    spec: MqttOutput
    wanted: bool | None = None  # None until the first `set`
    sent: bool | None = None  # acknowledged by the broker in this session
    sent_ns: int = 0
    seq: int = 0
    answer: bool | None = None  # newest live read-back of this session
    answer_ns: int = 0
    expected_ns: int = 0  # when a missing or wrong answer becomes a finding
    looked: bool = False
    told_unreadable: bool = False
    look_until_ns: int = 0
    hold_until_ns: int = 0


def _nobody() -> None:
    """No session to wake."""


class MqttOutputs:
    """All outputs of one broker.

    Parameters
    ----------
    outputs : sequence of MqttOutput
    on_found : callable
        ``(index, state)`` once per output before it is first written; None if it could not be
        read. An output that could not be read while there was no session may be reported again.
    on_agreement : callable
        ``(index, verdict)`` about once a second and at every change: True the controller shows the
        commanded state, False it shows the other, None nobody knows.
    """

    def __init__(
        self,
        outputs: Sequence[MqttOutput],
        on_found: Callable[[int, bool | None], None],
        on_agreement: Callable[[int, bool | None], None],
    ) -> None:
        self.outputs = tuple(outputs)
        self.wake: Callable[[], None] = _nobody
        self._channels = [_Channel(output) for output in self.outputs]
        self._on_found = on_found
        self._on_agreement = on_agreement
        self._open = False
        self._now_ns = 0

    # --- called by the core ------------------------------------------------------------------

    def set(self, states: Sequence[bool], beats: Sequence[tuple[int, bool]] = ()) -> None:
        """Take the required state of every output of the site; newest wins, never blocks.

        `beats` belongs to Modbus peers and is ignored here.
        """
        del beats
        changed = False
        for channel in self._channels:
            wanted = bool(states[channel.spec.index])
            channel.hold_until_ns = 0
            if wanted != channel.wanted:
                channel.wanted = wanted
                channel.expected_ns = max(channel.expected_ns, self._now_ns + ANSWER_WITHIN_S * _S)
                changed = True
        if changed:
            self.wake()

    @property
    def commanded(self) -> NDArray[np.int8]:
        """Commanded states in the order of `outputs`: 1, 0, or -1 before the first `set`."""
        return _as_codes([channel.wanted for channel in self._channels])

    @property
    def readback(self) -> NDArray[np.int8]:
        """Live read-backs in the order of `outputs`: 1, 0, or -1 unknown."""
        return _as_codes(
            [c.answer if self._is_fresh(c, self._now_ns) else None for c in self._channels]
        )

    # --- called by the session ---------------------------------------------------------------

    @property
    def readback_topics(self) -> tuple[str, ...]:
        """Topics to subscribe to."""
        return tuple(dict.fromkeys(o.readback_topic for o in self.outputs if o.readback_topic))

    def opened(self, now_ns: int) -> None:
        """Forget what belonged to the last session; look before the very first write."""
        self._open = True
        self._now_ns = now_ns
        for channel in self._channels:
            channel.sent = None
            channel.answer = None
            channel.look_until_ns = now_ns + LOOK_S * _S
            channel.expected_ns = now_ns + (LOOK_S + ANSWER_WITHIN_S) * _S
            if not channel.spec.readback_topic and not channel.looked:
                self._give_up_looking(channel)

    def closed(self, now_ns: int) -> None:
        """Know nothing of any output until the next session."""
        self._open = False
        self._now_ns = now_ns
        for channel in self._channels:
            if not channel.looked and not channel.told_unreadable:
                channel.told_unreadable = True
                self._on_found(channel.spec.index, None)
            self._on_agreement(channel.spec.index, None)

    def heard(self, topic: str, payload: bytes, now_ns: int, *, retained: bool) -> None:
        """Take a read-back; one that cannot be understood is none."""
        self._now_ns = now_ns
        on = read_flag(payload, "on")
        if on is None:
            return
        for channel in self._channels:
            if channel.spec.readback_topic != topic:
                continue
            if not channel.looked:
                channel.looked = True
                if on and not channel.wanted:
                    channel.hold_until_ns = now_ns + HOLD_S * _S
                    channel.expected_ns = now_ns + (HOLD_S + ANSWER_WITHIN_S) * _S
                self._on_found(channel.spec.index, on)
                self.wake()
            if not retained:
                channel.answer = on
                channel.answer_ns = now_ns
                self._judge(channel, now_ns)

    def next_publish(self, now_ns: int) -> Publish | None:
        """Return what is due; outputs to be switched on come first."""
        self._now_ns = now_ns
        due = [
            (not channel.wanted, place)
            for place, channel in enumerate(self._channels)
            if self._is_due(channel, now_ns)
        ]
        if not due:
            return None
        place = min(due)[1]
        channel = self._channels[place]
        on = bool(channel.wanted)
        channel.seq += 1
        payload = b'{"on":%s,"seq":%d}' % (b"true" if on else b"false", channel.seq)
        return Publish(channel.spec.topic, payload, place, on)

    def published(self, publish: Publish, now_ns: int) -> None:
        """Note what the broker has acknowledged."""
        channel = self._channels[publish.output]
        channel.sent = publish.on
        channel.sent_ns = now_ns

    def tick(self, now_ns: int) -> None:
        """Report on every output."""
        self._now_ns = now_ns
        for channel in self._channels:
            self._judge(channel, now_ns)

    # -----------------------------------------------------------------------------------------

    def _is_due(self, channel: _Channel, now_ns: int) -> bool:
        if channel.wanted is None:
            return False
        if not channel.looked:
            if now_ns < channel.look_until_ns:
                return False
            self._give_up_looking(channel)
        if not channel.wanted and now_ns < channel.hold_until_ns:
            return False
        return channel.sent != channel.wanted or now_ns - channel.sent_ns >= REPEAT_S * _S

    def _give_up_looking(self, channel: _Channel) -> None:
        channel.looked = True
        if not channel.told_unreadable:
            channel.told_unreadable = True
            self._on_found(channel.spec.index, None)

    def _is_fresh(self, channel: _Channel, now_ns: int) -> bool:
        age_ns = now_ns - channel.answer_ns
        return (
            self._open
            and channel.answer is not None
            and age_ns <= (REPEAT_S + ANSWER_WITHIN_S) * _S
        )

    def _judge(self, channel: _Channel, now_ns: int) -> None:
        fresh = self._is_fresh(channel, now_ns)
        agrees = fresh and channel.answer == channel.wanted
        if agrees:
            self._on_agreement(channel.spec.index, True)
        elif not self._open or (channel.wanted is not None and now_ns >= channel.expected_ns):
            self._on_agreement(channel.spec.index, False if fresh else None)


def _as_codes(states: list[bool | None]) -> NDArray[np.int8]:
    return np.array([-1 if state is None else int(state) for state in states], dtype=np.int8)
