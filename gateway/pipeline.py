"""The pump: the only caller of the engine. Wire to siren in one direction.

inbox -> engine -> actuators, then journal and live state. Nothing here waits for anything.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final, Protocol

import numpy as np
from numpy.typing import NDArray

from alarms.engine import Engine
from alarms.events import Command, Row
from gateway.inbox import Entry, Inbox
from sensors.frame import Batch

SNAPSHOT_EVERY_NS: Final = 5_000_000_000
PUBLISH_EVERY_NS: Final = 100_000_000

Bools = NDArray[np.bool_]
Beats = Sequence[tuple[int, bool]]
Json = Mapping[str, Any]


class Actuator(Protocol):
    """The owner of some outputs; takes the whole state each time, newest wins, never blocks."""

    def set(self, states: Sequence[bool], beats: Beats) -> None:
        """Take the state of every output and (heartbeat, permissive) of every peer."""
        ...


class Journal(Protocol):
    """Where everything is kept; never blocks."""

    def put_readings(self, t_ns: int, batch: Batch) -> None:
        """Keep samples."""
        ...

    def put_rows(self, rows: Sequence[Row]) -> None:
        """Keep event rows."""
        ...

    def put_record(self, kind: str, t_ns: int, data: Json) -> None:
        """Keep a record of another kind."""
        ...

    def put_snapshot(self, t_ns: int, data: bytes) -> None:
        """Keep the engine's memory."""
        ...

    def after_commit(self, call: Callable[[], None]) -> None:
        """Call, from any thread, once everything put before is durable."""
        ...


@dataclass(frozen=True, slots=True)
class Reply:
    """The answer to a command: `refusal` None means accepted. `seq` is the newest event then."""

    ticket: int
    refusal: str | None
    seq: int


class Pipeline:
    """Owns the engine. One `pump` a wake-up, and at least one every 100 ms."""

    def __init__(
        self,
        engine: Engine,
        inbox: Inbox,
        journal: Journal,
        actuators: Sequence[Actuator],
        peer_zones: Sequence[tuple[int, ...]],
    ) -> None:
        self.engine = engine
        self.inbox = inbox
        self.journal = journal
        self.actuators = actuators
        self.peer_zones = peer_zones
        self.on_publish: Callable[[int], None] = lambda _t_ns: None
        self.on_reply: Callable[[Reply], None] = lambda _reply: None
        # Runs a callable on the pump's thread, from the journal's.
        self.from_other_thread: Callable[[Callable[[], None]], None] = lambda call: call()
        self.required: Bools = engine.effects.outputs.copy()
        self.last_step_ns = 0
        self.steps = 0
        self._held: list[Bools] = []
        self._beats: Beats = [(0, False) for _ in peer_zones]
        self._snapshot_due = 0
        self._publish_due = 0

    def pump(self) -> None:
        """Take everything that waits, or let time pass; act first, then record."""
        entries = self.inbox.drain()
        for entry in entries:
            self._take(entry)
        t_ns = self.inbox.stamp()
        result = self.engine.step(t_ns)
        self._beats = self.beats()
        self._act(result.outputs)
        self.journal.put_rows(result.rows)
        self.steps += 1
        self.last_step_ns = t_ns
        if t_ns >= self._publish_due:
            self._publish_due = t_ns + PUBLISH_EVERY_NS
            self.on_publish(t_ns)
        if t_ns >= self._snapshot_due:
            self._snapshot_due = t_ns + SNAPSHOT_EVERY_NS
            self.journal.put_snapshot(t_ns, self.engine.snapshot())

    def _take(self, entry: Entry) -> None:
        if entry.command is not None:
            self._order(entry, entry.command)
            return
        result = self.engine.step(entry.t_ns, entry.batch)
        self._act(result.outputs)
        if entry.batch is not None:
            self.journal.put_readings(entry.t_ns, entry.batch)
        self.journal.put_rows(result.rows)

    def _order(self, entry: Entry, command: Command) -> None:
        """Take a command; what it lowers is held on until the journal has it."""
        before = self.required.copy()
        result = self.engine.step(entry.t_ns, None, (command,))
        lowered = before & ~result.outputs
        if lowered.any():
            self._held.append(lowered)
        self._act(result.outputs)
        refusal = result.refusals[0]
        data = {"command": asdict(command), "refusal": refusal}
        self.journal.put_record("command", entry.t_ns, data)
        self.journal.put_rows(result.rows)
        reply = Reply(entry.ticket, refusal, self.engine.states.seq)

        def committed() -> None:
            self._release(lowered, reply)

        self.journal.after_commit(lambda: self.from_other_thread(committed))

    def _release(self, lowered: Bools, reply: Reply) -> None:
        self._held = [held for held in self._held if held is not lowered]
        self._act(self.engine.effects.outputs)
        self.on_reply(reply)

    def _act(self, outputs: Bools) -> None:
        """Hand the whole state to every actuator."""
        required = outputs.copy()
        for held in self._held:
            required |= held
        self.required = required
        states = required.tolist()
        for actuator in self.actuators:
            actuator.set(states, self._beats)

    def beats(self) -> list[tuple[int, bool]]:
        """Return per peer the number of the last completed evaluation, and its permissive."""
        count = self.engine.evaluations
        return [(count, self.engine.permissive(zones)) for zones in self.peer_zones]
