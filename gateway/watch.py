"""Once a second: how the gateway itself is, as readings, and steps of the wall clock."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

from gateway.clock import WallClock
from gateway.inbox import Inbox
from gateway.journal import JournalState
from gateway.publish import Health
from sensors.frame import Batch
from sensors.link_status import LinkStatus

HEALTH_EVERY_S: Final = 1.0
CLOCK_STEP_NS: Final = 500_000_000
CLOCK_FAULT_S: Final = 60.0
SERVICES_SILENT_S: Final = 15.0
LINK_GRACE_NS: Final = 5_000_000_000


class Link(Protocol):
    """A field link, as far as its health goes."""

    @property
    def name(self) -> str:
        """Its id."""
        ...

    @property
    def status(self) -> LinkStatus:
        """What it says of itself."""
        ...


class Journal(Protocol):
    """The journal, as far as its health goes; never blocks."""

    def state(self) -> JournalState:
        """Return how it is now."""
        ...

    def put_record(self, kind: str, t_ns: int, data: Mapping[str, Any]) -> int:
        """Keep a record."""
        ...


@dataclass(slots=True)
class _Seen:
    """When each part of the services was last heard of [s], and what was folded by then."""

    parts: dict[str, float]
    folded: int = 0


class Watch:
    """Looks at clock, inbox, journal, links and services, and delivers what it sees."""

    def __init__(
        self,
        health: Health,
        clock: WallClock,
        inbox: Inbox,
        journal: Journal,
        links: Sequence[Link],
        points: Mapping[str, int],
    ) -> None:
        self.health = health
        self.started_t_ns = 0
        self._clock, self._inbox, self._journal = clock, inbox, journal
        self._links, self._points = links, points
        self._seen = _Seen({})
        self._clock_fault_until = 0.0 if clock.proved else float("inf")

    async def run(self) -> None:
        """Look once a second, until cancelled."""
        while True:
            self.look(asyncio.get_running_loop().time())
            await asyncio.sleep(HEALTH_EVERY_S)

    def look(self, now_s: float) -> None:
        """Look once; `now_s` is the loop's clock [s]."""
        self._look_at_clock(now_s)
        self._look_at_parts(now_s)
        points, values = self._readings()
        if points:
            self._inbox.put(Batch.of(points, values))

    def say_journal(self, state: JournalState) -> None:
        """Note how the journal is."""
        self.health.say("journal", works=state.ok, reason=state.reason)

    def say_service(self, part: str, now_s: float, *, works: bool, reason: str) -> None:
        """Note what the services process says of one of its own parts."""
        self._seen.parts[part] = now_s
        self.health.say(part, works=works, reason=reason)

    def _look_at_clock(self, now_s: float) -> None:
        clock = self._clock
        step_ns = clock.step_ns()
        if abs(step_ns) > CLOCK_STEP_NS:
            clock.anchor()
            self._inbox.offset_ns = clock.offset_ns
            data = {"step_ns": step_ns, "offset_ns": clock.offset_ns}
            self._journal.put_record("clock_step", self._inbox.stamp(), data)
            self._clock_fault_until = now_s + CLOCK_FAULT_S
            self.health.say(
                "clock", works=False, reason=f"the clock was stepped {step_ns / 1e9:g} s"
            )
        elif now_s >= self._clock_fault_until:
            self.health.say("clock", works=True)
        elif not clock.proved:
            self.health.say("clock", works=False, reason="the wall clock is behind the journal")

    def _look_at_parts(self, now_s: float) -> None:
        self.say_journal(self._journal.state())
        grew = self._inbox.folded > self._seen.folded
        self._seen.folded = self._inbox.folded
        self.health.say("inbox", works=not grew, reason="samples were folded" if grew else "")
        for part, seen in self._seen.parts.items():
            if now_s - seen > SERVICES_SILENT_S:
                self.health.say(part, works=False, reason="the services process is silent")
        starting = self._clock.now_ns() - self.started_t_ns < LINK_GRACE_NS
        for link in self._links:
            # A link that has not connected yet is unknown, so nothing is said of it at first.
            if link.status.connected or not starting:
                works, reason = link.status.connected, link.status.last_error
                self.health.say(f"link.{link.name}", works=works, reason=reason)

    def _readings(self) -> tuple[list[int], list[float]]:
        points, values = [], []
        for name, point in self._points.items():
            known = self.health.parts.get(name.removeprefix("gateway."))
            if known is not None:
                points.append(point)
                values.append(float(known[0]))
        return points, values
