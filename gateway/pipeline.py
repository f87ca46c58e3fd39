"""The pump: the only caller of the engine. Wire to siren in one direction.

inbox -> engine -> actuators, then journal and live state. Nothing here waits for anything.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final, Protocol

import numpy as np
from numpy.typing import NDArray

from alarms.engine import Engine
from alarms.events import Command, Row
from gateway.inbox import Entry, Inbox
from gateway.recovery import labelled
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

    durable_ticket: int

    def put_readings(self, t_ns: int, batch: Batch) -> int:
        """Keep samples; return the ticket at which they are durable."""
        ...

    def put_rows(self, rows: Sequence[Row]) -> int:
        """Keep event rows; return their ticket."""
        ...

    def put_record(self, kind: str, t_ns: int, data: Json) -> int:
        """Keep a record of another kind; return its ticket."""
        ...

    def put_snapshot(self, t_ns: int, data: bytes) -> int:
        """Keep the engine's memory; return its ticket."""
        ...


@dataclass(frozen=True, slots=True)
class Reply:
    """The answer to a command: `refusal` None means accepted. `seq` is the newest event then."""

    ticket: int
    refusal: str | None
    seq: int


@dataclass(frozen=True, slots=True)
class _Unconfirmed:
    """A command that is not durable yet; the outputs that it lowered stay on until it is."""

    ticket: int
    lowered: Bools
    reply: Reply


class Pipeline:
    """Owns the engine. One `pump` a wake-up, and at least one every 100 ms."""

    def __init__(
        self,
        engine: Engine,
        inbox: Inbox,
        journal: Journal,
        actuators: Sequence[Actuator],
        peer_zones: Sequence[tuple[int, ...]],
        digest: str,
    ) -> None:
        self.digest = digest
        self.engine = engine
        self.inbox = inbox
        self.journal = journal
        self.actuators = actuators
        self.peer_zones = peer_zones
        self.on_publish: Callable[[int], None] = lambda _t_ns: None
        self.on_reply: Callable[[Reply], None] = lambda _reply: None
        self.required: Bools = engine.effects.outputs.copy()
        self.steps = 0
        self._unconfirmed: deque[_Unconfirmed] = deque()
        self._beats: Beats = [(0, False) for _ in peer_zones]
        self._snapshot_due = 0
        self._publish_due = 0
        self._pumping = False

    def pump(self) -> None:
        """Take everything that waits, or let time pass; act first, then record.

        Raises
        ------
        RuntimeError
            If the pump before this one broke off, whoever ran it: the engine is then between two
            states, and only a restart from the journal helps.
        """
        if self._pumping:
            message = "an evaluation broke off; a restart redoes it from the journal"
            raise RuntimeError(message)
        self._pumping = True
        self._pump()
        self._pumping = False

    def _pump(self) -> None:
        entries = self.inbox.drain()
        for entry in entries:
            self._take(entry)
        t_ns = self.inbox.stamp()
        result = self.engine.step(t_ns)
        self._beats = self.beats()
        self._act(result.outputs)
        self.journal.put_rows(result.rows)
        self.steps += 1
        if t_ns >= self._publish_due:
            self._publish_due = t_ns + PUBLISH_EVERY_NS
            self.on_publish(t_ns)
        if t_ns >= self._snapshot_due:
            self._snapshot_due = t_ns + SNAPSHOT_EVERY_NS
            self.keep_snapshot(t_ns)

    def keep_snapshot(self, t_ns: int) -> None:
        """Give the engine's memory to the journal."""
        self.journal.put_snapshot(t_ns, labelled(self.digest, self.engine.snapshot()))

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
        refusal = result.refusals[0]
        reply = Reply(entry.ticket, refusal, self.engine.states.seq)
        data = {"command": asdict(command), "refusal": refusal}
        ticket = self.journal.put_record("command", entry.t_ns, data)
        if result.rows:
            ticket = max(ticket, self.journal.put_rows(result.rows))
        self._unconfirmed.append(_Unconfirmed(ticket, lowered, reply))
        self._act(result.outputs)

    def committed(self) -> None:
        """Release and confirm what the journal has by now; called on the pump's own thread."""
        durable = self.journal.durable_ticket
        done = [item for item in self._unconfirmed if item.ticket <= durable]
        if not done:
            return
        self._unconfirmed = deque(i for i in self._unconfirmed if i.ticket > durable)
        self._act(self.engine.effects.outputs)
        for item in done:
            self.on_reply(item.reply)

    def _act(self, outputs: Bools) -> None:
        """Hand the whole state to every actuator."""
        required = outputs.copy()
        for item in self._unconfirmed:
            required |= item.lowered
        self.required = required
        states = required.tolist()
        for actuator in self.actuators:
            actuator.set(states, self._beats)

    def beats(self) -> list[tuple[int, bool]]:
        """Return per peer the number of the last completed evaluation, and its permissive."""
        count = self.engine.evaluations
        return [(count, self.engine.permissive(zones)) for zones in self.peer_zones]
