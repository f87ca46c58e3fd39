"""The journal: what came in and what was decided, on the disk, without making anybody wait.

`put_*` appends to a queue and returns; a writer thread commits what waits. Readings wait at most
`readings_commit_s`; events, commands and other records are on the disk within 20 ms on a healthy
disk, and never before every reading that was put before them. If the disk is full, broken or
stuck, the alarm path goes on: the queue is bounded, what does not fit is counted, and stands in
the journal as a gap once that can be written again, which is tried without end.
"""

from __future__ import annotations

import json
import logging
import queue
import sqlite3
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from alarms.events import Row
from gateway.config import JournalConfig
from gateway.journal_store import Cycle, Gap, JournalStore, NewRecord
from sensors.frame import Batch

_log = logging.getLogger(__name__)

NOT_KEPT: Final = 2**62  # the ticket of what was dropped: it is never durable
_URGENT_S: Final = 0.003  # so that what is put together is committed together
_CYCLE_READINGS: Final = 200_000
_PAUSE_S: Final = (0.05, 1.0)  # between tries: first, longest
_PATIENCE_S: Final = 10.0  # how long events wait for readings that cannot be stored
_STUCK_S: Final = 2.0
_READING_BYTES: Final = 32
_BATCH_BYTES: Final = 1_000
_ROW_BYTES: Final = 1_500
_REOPEN_SHARE: Final = 0.75  # once dropping, drop until the queue is down to this

# What a failed try tells, in words a person can act on; anything else is told as it is.
_WORDS: Final = {
    sqlite3.SQLITE_FULL: "the disk is full: make room",
    sqlite3.SQLITE_IOERR: "the disk fails: look at its health",
    sqlite3.SQLITE_READONLY: "the journal cannot be written: look at its mount and permissions",
    sqlite3.SQLITE_CANTOPEN: "the journal cannot be opened: look at its folder and permissions",
    sqlite3.SQLITE_BUSY: "another process holds the journal locked",
    sqlite3.SQLITE_LOCKED: "another process holds the journal locked",
    sqlite3.SQLITE_CORRUPT: "a journal file is damaged and is being replaced",
    sqlite3.SQLITE_NOTADB: "a journal file is damaged and is being replaced",
}


@dataclass(frozen=True, slots=True)
class JournalState:
    """How the journal is; `reason` also tells of what is merely worth knowing.

    `queued` counts readings, rows, records and snapshots that are not on the disk;
    `dropped_readings` those that never will be (`dropped_other`: rows, records and snapshots).
    """

    ok: bool
    reason: str
    queued: int
    dropped_readings: int
    committed_seq: int
    dropped_other: int = 0


@dataclass(frozen=True, slots=True)
class _Readings:
    t_ns: int
    batch: Batch


@dataclass(frozen=True, slots=True)
class _Rows:
    rows: tuple[Row, ...]


@dataclass(frozen=True, slots=True)
class _Snapshot:
    t_ns: int
    data: bytes


@dataclass(frozen=True, slots=True)
class _Close:
    pass


_Body: TypeAlias = _Readings | _Rows | _Snapshot | NewRecord | _Close


@dataclass(frozen=True, slots=True)
class _Item:
    ticket: int
    due_s: float  # monotonic
    bytes: int
    count: int
    body: _Body


class _Budget:
    """How much of one class may wait; one thread adds, the other settles, so no lock is needed."""

    def __init__(self, what: str, limit_bytes: int) -> None:
        self.what = what
        self.dropped = 0
        self.settled_bytes = 0
        self.settled = 0
        self._limit_bytes = limit_bytes
        self._put_bytes = 0
        self._put = 0
        self._gap: Gap | None = None

    def admit(self, size: int, count: int, t_ns: int) -> bool:
        """Say whether there is room; if not, count, and stretch the open gap."""
        share = _REOPEN_SHARE if self._gap is not None else 1.0
        if self._put_bytes - self.settled_bytes + size <= share * self._limit_bytes:
            self._put_bytes += size
            self._put += count
            return True
        self.dropped += count
        first, n = (self._gap.t_first, self._gap.n) if self._gap else (t_ns, 0)
        self._gap = Gap(self.what, "queue full", n + count, first, t_ns)
        return False

    def take_gap(self) -> Gap | None:
        """Return what was dropped since the last call, if anything."""
        gap, self._gap = self._gap, None
        return gap

    @property
    def is_dropping(self) -> bool:
        return self._gap is not None

    @property
    def queued(self) -> int:
        return self._put - self.settled


class JournalWriter:
    """The only writer of the journal. All `put_*` are called from one thread, and never wait.

    Parameters
    ----------
    config : JournalConfig
        Folder, window of the readings and how long they may wait for their commit.
    on_commit : callable
        Called *from the writer thread* after each commit of events or records, with the newest
        `seq` on the disk; `durable_ticket` has moved by then.
    on_state : callable
        Called *from the writer thread* when the state turns; poll `state` as well, because a
        thread that hangs in a stuck disk calls nobody.
    queue_bytes : int
        Bound of the waiting readings [bytes], and the same again for all else.
    """

    def __init__(
        self,
        config: JournalConfig,
        *,
        on_commit: Callable[[int], None],
        on_state: Callable[[JournalState], None],
        queue_bytes: int = 64 * 1024 * 1024,
    ) -> None:
        self.durable_ticket = 0
        self._commit_s = config.readings_commit_s
        self._store = JournalStore(config)
        self._on_commit = on_commit
        self._on_state = on_state
        self._queue: queue.SimpleQueue[_Item] = queue.SimpleQueue()
        self._readings = _Budget("readings", queue_bytes)
        self._other = _Budget("events and records", queue_bytes)
        self._ticket = 0
        self._problem = ""
        self._told = (True, "")
        self._committing_since_s: float | None = None
        self._given_up = 0
        self._hurry = threading.Event()
        self._abandoned = False
        self._thread = threading.Thread(target=self._run, name="journal", daemon=True)

    def start(self) -> None:
        """Start the writer thread; it opens the files."""
        self._thread.start()

    def close(self, timeout_s: float) -> bool:
        """Commit what waits and stop; say whether everything put is on the disk.

        Waits at most `timeout_s`.
        """
        self._put_gaps()
        self._put(0.0, 0, 0, _Close())
        self._hurry.set()
        self._thread.join(timeout_s)
        self._abandoned = True
        return not self._thread.is_alive() and self.durable_ticket == self._ticket

    def put_readings(self, t_ns: int, batch: Batch) -> int:
        """Queue a batch under its inbox stamp [ns]; return its ticket."""
        size = _BATCH_BYTES + _READING_BYTES * len(batch)
        if self._readings.admit(size, len(batch), t_ns):
            self._put_gaps()
            self._put(self._commit_s, size, len(batch), _Readings(t_ns, batch))
            return self._ticket
        return NOT_KEPT

    def put_rows(self, rows: Sequence[Row]) -> int:
        """Queue events, in order of `seq`; return their ticket."""
        if not rows:
            return self._ticket
        return self._put_other(rows[-1].t_ns, _ROW_BYTES * len(rows), len(rows), _Rows(tuple(rows)))

    def put_record(self, kind: str, t_ns: int, data: Mapping[str, Any]) -> int:
        """Queue a record; return its ticket.

        A ``config`` record names the points, ``{"points": [ids], ...}``, by which all readings
        after it are understood. `data` is copied.
        """
        text = json.dumps(data, default=str)
        return self._put_other(t_ns, _ROW_BYTES + len(text), 1, NewRecord(kind, t_ns, text))

    def put_snapshot(self, t_ns: int, data: bytes) -> int:
        """Queue the state of the engine after everything with stamps up to `t_ns`."""
        return self._put_other(t_ns, _ROW_BYTES + len(data), 1, _Snapshot(t_ns, data))

    def state(self) -> JournalState:
        """Return how the journal is now; callable from any thread."""
        ok, reason = self._verdict()
        return JournalState(
            ok=ok,
            reason=reason,
            queued=self._readings.queued + self._other.queued,
            dropped_readings=self._readings.dropped + self._given_up,
            committed_seq=self._store.committed_seq,
            dropped_other=self._other.dropped,
        )

    def _verdict(self) -> tuple[bool, str]:
        since_s = self._committing_since_s
        if self._problem:
            return False, self._problem
        if since_s is not None and time.monotonic() - since_s > _STUCK_S:
            return False, "the disk does not answer"
        if self._ticket and not self._thread.is_alive():
            return False, "the journal's writer thread has ended"
        if self._readings.is_dropping or self._other.is_dropping:
            return False, "the queue is full: readings are being lost"
        return not self._store.low, self._store.warning

    # --- the caller's side of the queue

    def _put_other(self, t_ns: int, size: int, count: int, body: _Body) -> int:
        if self._other.admit(size, count, t_ns):
            self._put_gaps()
            wait_s = self._commit_s if isinstance(body, _Snapshot) else _URGENT_S
            self._put(wait_s, size, count, body)
            return self._ticket
        return NOT_KEPT

    def _put_gaps(self) -> None:
        """Queue what was dropped, so that it stands in the journal before what came later."""
        for budget in (self._readings, self._other):
            gap = budget.take_gap()
            if gap is not None:
                self._put(_URGENT_S, 0, 0, gap.record())

    def _put(self, wait_s: float, size: int, count: int, body: _Body) -> None:
        self._ticket += 1
        self._queue.put(_Item(self._ticket, time.monotonic() + wait_s, size, count, body))

    # --- the writer thread

    def _run(self) -> None:
        closing = False
        while not closing:
            items = self._gather()
            closing = isinstance(items[-1].body, _Close)
            cycle = _cycle_of(items)
            if not self._commit(cycle):
                break
            for item in items:
                is_readings = isinstance(item.body, _Readings)
                budget = self._readings if is_readings else self._other
                budget.settled_bytes += item.bytes
                budget.settled += item.count
            self.durable_ticket = items[-1].ticket
            if cycle.record_rows or cycle.rows:
                self._call(self._on_commit, self._store.committed_seq)
            self._tell()
        self._store.close()

    def _gather(self) -> list[_Item]:
        """Wait for something, and then until the first of what waits is due."""
        items = [self._queue.get()]
        due_s, count = items[0].due_s, items[0].count
        while count < _CYCLE_READINGS:
            body = items[-1].body
            if isinstance(body, _Close) or (isinstance(body, NewRecord) and body.kind == "config"):
                break
            try:
                item = self._queue.get(timeout=max(0.0, due_s - time.monotonic()))
            except queue.Empty:
                break
            items.append(item)
            due_s, count = min(due_s, item.due_s), count + item.count
        return items

    def _commit(self, cycle: Cycle) -> bool:
        """Try until the cycle is on the disk; False if the writer was closed meanwhile."""
        begun_s = time.monotonic()
        pause_s, longest_s = _PAUSE_S
        while True:
            try:
                self._committing_since_s = time.monotonic()
                self._store.commit(cycle)
            except (sqlite3.Error, OSError) as error:
                if self._recover(error, cycle, time.monotonic() - begun_s):
                    break
            else:
                break
            finally:
                self._committing_since_s = None
            self._tell()
            self._hurry.wait(pause_s)
            if self._abandoned:
                return False
            pause_s = min(longest_s, 2 * pause_s)
            self._hurry.clear()
        self._problem = ""
        return True

    def _recover(self, error: sqlite3.Error | OSError, cycle: Cycle, waited_s: float) -> bool:
        """Make the next try possible; say whether the cycle is done for without its readings."""
        self._problem = _in_words(error)
        try:
            self._store.mend(error)
            if waited_s < _PATIENCE_S or cycle.readings_stored or not cycle.readings:
                return False
            n = sum(len(batch) for _, batch in cycle.readings)
            gap = Gap("readings", self._problem, n, cycle.readings[0][0], cycle.readings[-1][0])
            self._store.commit_without_readings(cycle, gap)
        except (sqlite3.Error, OSError) as second:
            self._problem = _in_words(second)
            return False
        self._given_up += n
        return True

    def _tell(self) -> None:
        verdict = self._verdict()
        if verdict != self._told:
            self._told = verdict
            _log.log(
                logging.INFO if verdict[0] else logging.ERROR, "journal: %s", verdict[1] or "ok"
            )
            self._call(self._on_state, self.state())

    def _call(self, callback: Callable[[Any], None], argument: object) -> None:
        try:
            callback(argument)
        except RuntimeError as error:  # the event loop that it hands over to is closed
            _log.info("journal: nobody listens any more (%s)", error)


def _cycle_of(items: Sequence[_Item]) -> Cycle:
    cycle = Cycle()
    for item in items:
        match item.body:
            case _Readings(t_ns, batch):
                cycle.readings.append((t_ns, batch))
            case _Rows(rows):
                cycle.rows.extend(rows)
            case _Snapshot(t_ns, data):
                cycle.snapshots.append((t_ns, data))
            case NewRecord(kind="config") as record:
                cycle.config = record
            case NewRecord() as record:
                cycle.records.append(record)
            case _Close():
                pass
    return cycle


def _in_words(error: sqlite3.Error | OSError) -> str:
    code = getattr(error, "sqlite_errorcode", None)
    words = _WORDS.get(code & 0xFF) if code is not None else None
    return f"{words} ({error})" if words else str(error)
