"""What the journal's writer thread does with the two files: one cycle, in order, repeatable.

A cycle is all that waited. Its readings are committed to ``readings.db`` first, then its
records, snapshots and events to ``events.db``: so an event is never on the disk unless every
reading that was queued before it is. A cycle that failed half-way is written again with the same
numbers, so nothing stands twice.
"""

from __future__ import annotations

import itertools
import json
import math
import os
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from alarms.events import Row
from gateway import journal_files as files
from gateway import readings_codec
from gateway.config import JournalConfig
from gateway.readings_codec import Readings
from sensors.frame import Batch

HOUR_NS: Final = 3_600_000_000_000
_DAY_NS: Final = 24 * HOUR_NS
_MAX_READINGS_PER_ROW: Final = 65_536
_KEEP_SNAPSHOTS: Final = 16
_DROP_ROWS_PER_COMMIT: Final = 64
_MAX_CHUNK_ROWS: Final = 2_048
_WARN_FULL: Final = 0.9
_MAX_RESERVE_BYTES: Final = 64 * 1024 * 1024
_RESERVE_SHARE: Final = 16  # of the file system

_PRUNE_SNAPSHOTS: Final = f"""
DELETE FROM snapshots WHERE n <= ? AND EXISTS (
    SELECT 1 FROM snapshots AS later
    WHERE later.n > snapshots.n AND later.t_ns / {_DAY_NS} = snapshots.t_ns / {_DAY_NS})
"""  # noqa: S608
_OLDEST: Final = """
SELECT count(*), sum(n), min(t_first), max(t_last), min(seq), max(seq)
FROM (SELECT seq, n, t_first, t_last FROM readings ORDER BY seq LIMIT ?)
"""
_DROP: Final = """
DELETE FROM readings WHERE seq IN (SELECT seq FROM readings WHERE seq <= ? ORDER BY seq LIMIT ?)
"""


@dataclass(frozen=True, slots=True)
class NewRecord:
    """A record on its way into the journal; `data` is JSON."""

    kind: str
    t_ns: int
    data: str


@dataclass(frozen=True, slots=True)
class Gap:
    """Readings (or rows, records) that are not, or no longer, in the journal: how many, when."""

    what: str
    reason: str
    n: int
    t_first: int
    t_last: int

    def record(self, **more: int) -> NewRecord:
        """Return the record that says so."""
        data = {"what": self.what, "reason": self.reason, "n": self.n}
        data |= {"t_first": self.t_first, "t_last": self.t_last, **more}
        return NewRecord("gap", self.t_last, json.dumps(data))


@dataclass(slots=True)
class Cycle:
    """What is committed together; a configuration is the last thing of its cycle.

    The numbers are given at the first try and kept, so that a cycle of which a failed sync left
    nobody knows how much is written over itself, not a second time.
    """

    readings: list[tuple[int, Batch]] = field(default_factory=list)
    records: list[NewRecord] = field(default_factory=list)
    snapshots: list[tuple[int, bytes]] = field(default_factory=list)
    rows: list[Row] = field(default_factory=list)
    config: NewRecord | None = None
    blocks: list[tuple[int, int, int, int, int, bytes]] | None = None
    record_rows: list[tuple[files.Field, ...]] = field(default_factory=list)
    snapshot_rows: list[tuple[files.Field, ...]] = field(default_factory=list)
    readings_stored: bool = False
    drop_upto: int = 0

    def t_ns(self) -> int:
        """Return the newest stamp in it [ns]; 0 if it is empty."""
        stamps = [t for t, _ in self.readings[-1:]] + [r.t_ns for r in self.records[-1:]]
        return max([*stamps, *(r.t_ns for r in self.rows[-1:])], default=0)


class JournalStore:
    """Owns both files; used by the writer thread alone.

    Attributes
    ----------
    committed_seq : int
        The newest event on the disk.
    warning : str
        What is worth saying although commits work; empty if nothing.
    low : bool
        The disk is nearly full: old readings make room for new ones.
    """

    def __init__(self, config: JournalConfig) -> None:
        self.folder = config.path
        self.committed_seq = 0
        self.warning = ""
        self.low = False
        self._max_bytes = config.max_readings_mb * 1_000_000
        self._events: sqlite3.Connection | None = None
        self._readings: sqlite3.Connection | None = None
        self._next_seq = self._next_n = self._next_snapshot = 0
        self._config: tuple[int, NewRecord] | None = None
        self._drop_upto = 0
        self._must_settle = False
        self._repairs: list[str] = []

    def commit(self, cycle: Cycle) -> None:
        """Put a cycle on the disk; after an error, `mend` and call it again with the same cycle.

        Raises
        ------
        sqlite3.Error, OSError
            If it could not be done now.
        """
        events, readings = self._open_events(), self._open_readings()
        self._must_settle = False
        self._number(cycle)
        if not cycle.readings_stored:
            self._commit_readings(readings, cycle)
            cycle.readings_stored = True
            self._keep_within_bounds(readings, cycle)
        if cycle.record_rows or cycle.snapshot_rows or cycle.rows:
            self._commit_events(events, cycle)
        self._drop_upto = cycle.drop_upto or self._drop_upto

    def commit_without_readings(self, cycle: Cycle, gap: Gap) -> None:
        """Put a cycle on the disk but for its readings, with the record that says so.

        Raises
        ------
        sqlite3.Error, OSError
            If that could not be done either.
        """
        events = self._open_events()
        self._number(cycle)
        self._add_record(cycle, gap.record())
        try:
            self._commit_events(events, cycle)
        except (sqlite3.Error, OSError):
            cycle.record_rows.pop()
            self._next_n -= 1
            raise

    def mend(self, error: sqlite3.Error | OSError) -> None:
        """Make ready for another try: close both files, and set a damaged one aside.

        Raises
        ------
        sqlite3.Error, OSError
            If the disk does not let it; call it again.
        """
        self.close()
        self._must_settle = True
        if files.is_corrupt(error):
            self._repairs += files.repair(self.folder)

    def close(self) -> None:
        """Close both files; the next commit opens them again."""
        for connection in (self._events, self._readings):
            if connection is not None:
                connection.close()
        self._events = self._readings = None

    def _open_readings(self) -> sqlite3.Connection:
        if self._readings is None:
            path = files.readings_path(self.folder)
            connection = files.open_file(path, files.READINGS_SQL, settle=self._must_settle)
            self._next_seq = max(self._next_seq, files.next_number(connection, "readings", "seq"))
            named = files.next_number(connection, "points", "config_n")
            self._next_n = max(self._next_n, named)
            if self._config is not None:
                self._write_points(connection, *self._config)
            self._readings = connection
        return self._readings

    def _open_events(self) -> sqlite3.Connection:
        if self._events is None:
            path = files.events_path(self.folder)
            connection = files.open_file(path, files.EVENTS_SQL, settle=self._must_settle)
            self._next_n = max(self._next_n, files.next_number(connection, "records", "n"))
            number = files.next_number(connection, "snapshots", "n")
            self._next_snapshot = max(self._next_snapshot, number)
            self.committed_seq = files.next_number(connection, "events", "seq") - 1
            if self._config is not None:
                n, record = self._config
                row = files.signed(files.RECORDS, (n, record.t_ns, record.kind, record.data))
                connection.execute(files.RECORDS.insert, row)
            self._events = connection
        return self._events

    def _number(self, cycle: Cycle) -> None:
        """Give everything in the cycle its number, once."""
        if cycle.blocks is not None:
            return
        config_n = self._config[0] if self._config else 0
        cycle.blocks = []
        for part in _cut(readings_codec.stamped(cycle.readings)):
            block = readings_codec.encode(part, config_n)
            first, last = int(part.t_ns[0]), int(part.t_ns[-1])
            cycle.blocks.append((self._next_seq, config_n, first, last, len(part), block))
            self._next_seq += 1
        for t_ns, data in cycle.snapshots:
            row = files.signed(files.SNAPSHOTS, (self._next_snapshot, t_ns, data))
            cycle.snapshot_rows.append(row)
            self._next_snapshot += 1
        repairs = [
            NewRecord("note", cycle.t_ns(), json.dumps({"repair": r})) for r in self._repairs
        ]
        self._repairs = []
        for record in (*repairs, *cycle.records):
            self._add_record(cycle, record)
        if cycle.config is not None:
            self._config = self._next_n, cycle.config
            self._add_record(cycle, cycle.config)

    def _add_record(self, cycle: Cycle, record: NewRecord) -> None:
        fields = (self._next_n, record.t_ns, record.kind, record.data)
        cycle.record_rows.append(files.signed(files.RECORDS, fields))
        self._next_n += 1

    def _commit_readings(self, connection: sqlite3.Connection, cycle: Cycle) -> None:
        connection.execute("BEGIN IMMEDIATE")
        if self._drop_upto:
            dropped = connection.execute(_DROP, (self._drop_upto, _DROP_ROWS_PER_COMMIT)).rowcount
            self._drop_upto = self._drop_upto if dropped == _DROP_ROWS_PER_COMMIT else 0
        if cycle.config is not None and self._config is not None:
            self._write_points(connection, *self._config)
        connection.executemany(files.READINGS.insert, cycle.blocks or ())
        connection.execute("COMMIT")

    def _write_points(self, connection: sqlite3.Connection, n: int, config: NewRecord) -> None:
        ids = json.dumps(json.loads(config.data).get("points", []))
        connection.execute(files.POINTS.insert, files.signed(files.POINTS, (n, ids)))

    def _commit_events(self, connection: sqlite3.Connection, cycle: Cycle) -> None:
        connection.execute("BEGIN IMMEDIATE")
        connection.executemany(files.SNAPSHOTS.insert, cycle.snapshot_rows)
        if cycle.snapshot_rows:
            connection.execute(_PRUNE_SNAPSHOTS, (self._next_snapshot - 1 - _KEEP_SNAPSHOTS,))
        for row in cycle.rows:
            self._insert_event(connection, cycle, row)
        connection.executemany(files.RECORDS.insert, cycle.record_rows)
        connection.execute("COMMIT")
        self.committed_seq = max([self.committed_seq, *(row.seq for row in cycle.rows)])

    def _insert_event(self, connection: sqlite3.Connection, cycle: Cycle, row: Row) -> None:
        """Insert an event; one that stands there already must be the very same."""
        fields = files.signed(files.EVENTS, event_fields(row))
        insert = files.EVENTS.insert.replace("OR REPLACE", "OR IGNORE")
        if connection.execute(insert, fields).rowcount:
            return
        found = connection.execute("SELECT digest FROM events WHERE seq = ?", (row.seq,)).fetchone()
        if found[0] != fields[-1]:
            data = json.dumps({"second event of this seq": fields[:-1]})
            self._add_record(cycle, NewRecord("note", row.t_ns, data))

    def _keep_within_bounds(self, connection: sqlite3.Connection, cycle: Cycle) -> None:
        """Choose the oldest readings to drop, if room is short, and record that gap first."""
        used = files.used_bytes(connection)
        disk = os.statvfs(self.folder)
        reserve = min(_MAX_RESERVE_BYTES, disk.f_frsize * disk.f_blocks // _RESERVE_SHARE)
        free = disk.f_frsize * disk.f_bavail
        self.low = free < reserve
        self.warning = _room_text(used, self._max_bytes, free if self.low else None)
        if self._drop_upto or not (self.low or used > self._max_bytes):
            return
        first, last = connection.execute("SELECT min(seq), max(seq) FROM readings").fetchone()
        chunk = min(_MAX_CHUNK_ROWS, ((last or 0) - (first or 0)) // 100 + 1)
        rows, n, t_first, t_last, low, high = connection.execute(_OLDEST, (chunk,)).fetchone()
        if not rows or high == last:
            return
        gap = Gap("readings", "disk nearly full" if self.low else "window", n, t_first, t_last)
        self._add_record(cycle, gap.record(first_seq=low, last_seq=high))
        cycle.drop_upto = high


def event_fields(row: Row) -> tuple[files.Field, ...]:
    """Return an event as the columns of the table `events`, without its digest."""
    value = row.value if row.value is not None and math.isfinite(row.value) else None
    return (
        row.seq,
        row.t_ns,
        *map(_text, (row.rule, row.point, row.zone, row.from_state, row.to_state)),
        *map(_text, (row.from_level, row.to_level, json.dumps(row.demands), row.reason)),
        None if value is None else float(value),
        *map(_text, (row.quality, row.actor)),
        row.cause_seq,
    )


def _text(word: str) -> str:
    """Return text that UTF-8 can hold: a lone surrogate from outside becomes a question mark."""
    return word.encode("utf-8", "replace").decode()


def _cut(readings: Readings) -> Iterator[Readings]:
    """Cut at full hours, so that the historian's hours end between two rows, and at a size."""
    hours = readings.t_ns // HOUR_NS
    edges = np.flatnonzero(np.diff(hours)) + 1
    bounds = [0, *edges.tolist(), len(readings)]
    for begin, end in itertools.pairwise(bounds):
        for at in range(begin, end, _MAX_READINGS_PER_ROW):
            yield readings.take(slice(at, min(end, at + _MAX_READINGS_PER_ROW)))


def _room_text(used: int, limit: int, free: int | None) -> str:
    if free is not None:
        return f"disk nearly full, {free // 1_000_000} MB free: the oldest readings are dropped"
    if used > limit:
        return f"readings window of {limit // 1_000_000} MB is full: the oldest are dropped"
    if used > _WARN_FULL * limit:
        return f"readings window is over {_WARN_FULL:.0%} of its {limit // 1_000_000} MB"
    return ""
