"""What the broker session needs of the outputs that hang on it.

The session performs the I/O, the outputs decide it; neither knows the other's class.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Publish:
    """One message to publish with QoS 1, retained. `output` is the place in the port's own list."""

    topic: str
    payload: bytes
    output: int
    on: bool


class MqttOutputsPort(Protocol):
    """Outputs on a broker. All times are monotonic [ns]; no method blocks or raises."""

    wake: Callable[[], None]
    """Set by the session; the outputs call it when `next_publish` may have something new."""

    @property
    def readback_topics(self) -> tuple[str, ...]:
        """Topics to subscribe to, without wildcards."""
        ...

    def opened(self, now_ns: int) -> None:
        """Begin a session that is subscribed: everything is to be published again."""
        ...

    def closed(self, now_ns: int) -> None:
        """End the session, or learn that none could be opened."""
        ...

    def heard(self, topic: str, payload: bytes, now_ns: int, *, retained: bool) -> None:
        """Take a message of a read-back topic."""
        ...

    def next_publish(self, now_ns: int) -> Publish | None:
        """Return the most urgent message that is due now, with the newest state."""
        ...

    def published(self, publish: Publish, now_ns: int) -> None:
        """Note that the broker has acknowledged `publish`."""
        ...

    def tick(self, now_ns: int) -> None:
        """Report on every output; called about once a second, connected or not."""
        ...
