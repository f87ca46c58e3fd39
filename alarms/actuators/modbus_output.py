"""Coils, heartbeats and permissives behind one Modbus link, as a state machine without I/O.

The task that owns the link asks for the next request, makes it, and brings the proven reply back.
What is written is the whole *state*, at once on a change and again every second, so that a lost
write heals itself; each write is read back. Before the first write the coils are read, so that an
output found on is not silently cleared.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Final

import numpy as np
from numpy.typing import NDArray

from sensors.ports import (
    READ_COILS,
    WRITE_COIL,
    WRITE_COILS,
    WRITE_REGISTER,
    FunctionCode,
    Request,
)

REFRESH_S: Final = 1.0
"""Longest time between two writes of an unchanged state [s]."""

HEARTBEAT_S: Final = 0.5
"""Time between two writes of the heartbeat [s]; a peer's watchdog must be longer."""

MISMATCH_S: Final = 0.25
"""Time after which a coil that read back wrong is written again [s]."""

RETRY_CAP_S: Final = 5.0
"""Longest time between two tries at a unit that does not answer [s]."""

FIND_TRIES: Final = 3
"""Tries to read coils that shall be off before they are written unread; on does not wait."""

MOST_COILS: Final = 1968
"""Coils in one write, by the protocol."""

OnState = Callable[[int, bool | None], None]


@dataclass(frozen=True, slots=True)
class CoilOutput:
    """One output of the plan, by index, as a coil of a unit.

    Without `readback` agreement means only that the device acknowledged the write.
    """

    index: int
    unit: int
    address: int
    readback: bool


@dataclass(frozen=True, slots=True)
class PeerPort:
    """One output controller, by index: its heartbeat register and its permissive coil."""

    index: int
    unit: int
    heartbeat: int
    permissive: int


class _Step(Enum):
    FIND = "read before the first write"
    WRITE = "write"
    VERIFY = "read back"


@dataclass(slots=True)
class _Coils:
    """A run of neighbouring coils of one unit that are written together.

    `wanted` is empty until there is a state to write. `changed`: it was not written yet. A peer's
    permissive is a run of one coil that is no output. `ours`: what it is now may be our own
    writing; before that it has to be read.
    """

    unit: int
    address: int
    count: int
    outputs: tuple[CoilOutput, ...]
    readback: bool
    step: _Step = _Step.FIND
    wanted: tuple[int, ...] = ()
    written: tuple[int, ...] = ()
    changed: bool = False
    due_s: float = 0.0
    retry_s: float = 0.0
    tries: int = 0
    found: bool = False
    ours: bool = False
    told_unknown: bool = False

    def request(self) -> Request:
        """Return the request of the present step."""
        if self.step is not _Step.WRITE:
            return Request(READ_COILS, self.unit, self.address, self.count)
        function: FunctionCode = WRITE_COIL if self.count == 1 else WRITE_COILS
        return Request(function, self.unit, self.address, self.count, self.wanted)

    def want(self, wanted: tuple[int, ...]) -> bool:
        """Take a new state; tell whether it is one."""
        new = wanted != self.wanted
        self.wanted = wanted
        self.changed |= new
        return new

    def failed(self, now_s: float) -> None:
        """Wait longer after each try that was not answered; a change does not wait."""
        self.retry_s = min(max(2.0 * self.retry_s, REFRESH_S), RETRY_CAP_S)
        unread = self.unseen and not any(self.wanted)
        self.step, self.due_s = _Step.FIND if unread else _Step.WRITE, now_s + self.retry_s

    @property
    def unseen(self) -> bool:
        """Outputs of which nobody knows how they were before us."""
        return bool(self.outputs) and not self.found and not self.ours

    @property
    def urgent(self) -> bool:
        """A new state that cannot wait; only the first read may come before it."""
        return self.changed and (
            self.step is not _Step.FIND or (self.tries > 0 and any(self.wanted))
        )


@dataclass(slots=True)
class _Peer:
    """One peer: the permissive is a run of one coil; the beat follows only when that is proven."""

    port: PeerPort
    permissive: _Coils
    beat: int = -1
    due_s: float = 0.0
    proven: tuple[int, ...] = ()


class ModbusOutputs:
    """All outputs and peers on one link. Implements `sensors.ports.LinkOutputs`.

    Parameters
    ----------
    outputs : iterable of CoilOutput
    peers : iterable of PeerPort
    on_found : callable
        Told what each output's coil was before the first write; None if it could not be read at
        the first try. After None it may be told once more, if the coil can be read before it was
        ever written.
    on_agreement : callable
        Told after each write whether the output is as commanded; None if that is unknown.

    Attributes
    ----------
    commanded : bool (n,)
        Newest state asked for, in the order of `outputs`.
    readback : int8 (n,)
        What the coils were when last read: 1, 0, or -1 for unknown.
    """

    def __init__(
        self,
        outputs: Iterable[CoilOutput],
        peers: Iterable[PeerPort],
        on_found: OnState,
        on_agreement: OnState,
    ) -> None:
        self.outputs = tuple(outputs)
        self.commanded: NDArray[np.bool_] = np.zeros(len(self.outputs), dtype=np.bool_)
        self.readback: NDArray[np.int8] = np.full(len(self.outputs), -1, dtype=np.int8)
        self._place = {output.index: n for n, output in enumerate(self.outputs)}
        self._on_found = on_found
        self._on_agreement = on_agreement
        self._runs = _runs(self.outputs)
        self._peers = [_peer(port) for port in peers]
        self._coils = [*self._runs, *(peer.permissive for peer in self._peers)]
        self._pending: _Coils | _Peer | None = None
        self._wake: Callable[[], None] = lambda: None

    def bind(self, wake: Callable[[], None]) -> None:
        """Take the function to call when a state changed."""
        self._wake = wake

    def set(self, states: Sequence[bool], beats: Sequence[tuple[int, bool]]) -> None:
        """Take the newest state of the whole plant; what was not written yet is forgotten.

        Parameters
        ----------
        states : sequence of bool
            By output index of the plan.
        beats : sequence of (int, bool)
            By peer index: the number of the last completed evaluation, and the permissive.
        """
        self.commanded[:] = [states[output.index] for output in self.outputs]
        changed = [
            run.want(tuple(int(states[output.index]) for output in run.outputs))
            for run in self._runs
        ]
        for peer in self._peers:
            number, permissive = beats[peer.port.index]
            peer.beat = number & 0xFFFF
            changed.append(peer.permissive.want((int(permissive),)))
        if any(changed):
            self._wake()

    def link_up(self, now_s: float) -> None:
        """Assert everything again on a fresh connection."""
        self._pending = None
        for coils in self._coils:
            coils.due_s, coils.retry_s = now_s, 0.0
            coils.step = _Step.FIND if coils.unseen else _Step.WRITE
        for peer in self._peers:
            peer.proven, peer.due_s = (), now_s

    def link_down(self, now_s: float) -> None:  # noqa: ARG002 - part of the port
        """Say that nothing is known of any output now."""
        self._pending = None
        for run in self._runs:
            self._unknown(run)

    def next_request(self, now_s: float) -> Request | None:
        """Return the next request that is due.

        What was never read, then changes, then what has to be written again, then the read-backs,
        then the heartbeats: no siren waits for the proof of another. Only another try at a unit
        that did not answer comes after them: it must not stop the heart of one that does.
        """
        coils = min((c for c in self._coils if self._due_s(c) <= now_s), key=_urgency, default=None)
        peer = next((p for p in self._peers if p.due_s <= now_s and _may_beat(p)), None)
        if coils is not None and (peer is None or coils.urgent or coils.retry_s == 0.0):
            if coils.urgent:
                coils.step = _Step.WRITE
            if coils.step is _Step.WRITE:
                coils.written, coils.changed = coils.wanted, False
                coils.ours |= any(coils.wanted)
            self._pending = coils
            return coils.request()
        if peer is None:
            return None
        self._pending, port = peer, peer.port
        return Request(WRITE_REGISTER, port.unit, port.heartbeat, 1, (peer.beat,))

    def next_due_s(self) -> float:
        """Return when the next request falls due [s]."""
        dues = [self._due_s(coils) for coils in self._coils]
        dues += [peer.due_s for peer in self._peers if _may_beat(peer)]
        return min(dues, default=np.inf)

    def answer(self, request: Request, values: tuple[int, ...] | None, now_s: float) -> None:  # noqa: ARG002 - there is only one
        """Take the reply to the request that was handed out last; None if there was none."""
        pending, self._pending = self._pending, None
        if isinstance(pending, _Peer):
            pending.due_s = now_s + HEARTBEAT_S
            if values is None:
                pending.proven = ()
                pending.permissive.due_s = min(pending.permissive.due_s, now_s + REFRESH_S)
        elif pending is not None:
            self._answer_coils(pending, values, now_s)

    def _answer_coils(self, coils: _Coils, values: tuple[int, ...] | None, now_s: float) -> None:
        if coils.step is _Step.FIND:
            coils.tries += 1
            self._found(coils, values)
            if coils.found or any(coils.wanted) or coils.tries >= FIND_TRIES:
                coils.step, coils.due_s = _Step.WRITE, now_s
            else:
                coils.failed(now_s)
        elif values is None:
            self._unknown(coils)
            coils.failed(now_s)
        elif coils.step is _Step.WRITE:
            coils.retry_s, coils.ours = 0.0, True
            if coils.readback:
                coils.step, coils.due_s = _Step.VERIFY, now_s
            else:
                coils.due_s = now_s + REFRESH_S
                self._compared(coils, coils.written, acknowledged_only=True)
        else:
            self._compared(coils, values, acknowledged_only=False)
            coils.step = _Step.WRITE
            coils.due_s = now_s + (REFRESH_S if values == coils.written else MISMATCH_S)

    def _compared(self, coils: _Coils, values: tuple[int, ...], *, acknowledged_only: bool) -> None:
        """Tell what came back, per output and to the peer that waits for its permissive."""
        for output, value, written in zip(coils.outputs, values, coils.written, strict=False):
            if not acknowledged_only:
                self.readback[self._place[output.index]] = value
            self._on_agreement(output.index, value == written)
        for peer in self._peers:
            if peer.permissive is coils:
                peer.proven = values

    def _found(self, coils: _Coils, values: tuple[int, ...] | None) -> None:
        if values is None:
            self._unknown(coils)
            return
        coils.found = True
        for output, value in zip(coils.outputs, values, strict=False):
            self.readback[self._place[output.index]] = value
            self._on_found(output.index, bool(value))

    def _unknown(self, coils: _Coils) -> None:
        """Say that nothing is known of these outputs now; and, once, of how they were found."""
        for output in coils.outputs:
            self.readback[self._place[output.index]] = -1
            if coils.step is _Step.FIND and not coils.told_unknown:
                self._on_found(output.index, None)
            self._on_agreement(output.index, None)
        coils.told_unknown |= coils.step is _Step.FIND
        for peer in self._peers:
            if peer.permissive is coils:
                peer.proven = ()

    def _due_s(self, coils: _Coils) -> float:
        if coils.step is _Step.WRITE and not coils.wanted:
            return np.inf
        return -np.inf if coils.urgent else coils.due_s


def _urgency(coils: _Coils) -> int:
    if coils.step is _Step.FIND and coils.tries == 0:
        return 0
    if coils.urgent:
        return 1
    if coils.retry_s > 0.0:
        return 4
    return 2 if coils.step is _Step.WRITE else 3


def _may_beat(peer: _Peer) -> bool:
    """Tell whether a beat may go out: never while the peer may still hold an older permissive."""
    wanted = peer.permissive.wanted
    return peer.beat >= 0 and bool(wanted) and peer.proven == wanted


def _runs(outputs: Sequence[CoilOutput]) -> list[_Coils]:
    """Group outputs into runs of neighbours; a coil between two of them may be someone else's."""
    runs: list[list[CoilOutput]] = []
    for output in sorted(outputs, key=lambda o: (o.unit, o.readback, o.address)):
        last = runs[-1][-1] if runs else None
        if (
            last is not None
            and (last.unit, last.readback) == (output.unit, output.readback)
            and output.address == last.address + 1
            and len(runs[-1]) < MOST_COILS
        ):
            runs[-1].append(output)
        else:
            runs.append([output])
    return [
        _Coils(run[0].unit, run[0].address, len(run), tuple(run), run[0].readback) for run in runs
    ]


def _peer(port: PeerPort) -> _Peer:
    return _Peer(port, _Coils(port.unit, port.permissive, 1, (), readback=True, step=_Step.WRITE))
