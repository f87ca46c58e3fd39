"""Reading the journal, from any process, while the core writes it.

Every call is one short transaction on a page of rows, because a reader that holds one keeps the
log growing. A row whose digest does not fit is left out and counted (`corrupt_rows`): missing,
never wrong. Files that the core sets aside and replaces are followed.
"""

from __future__ import annotations

import heapq
import json
import sqlite3
import threading
from collections.abc import Iterator, Sequence
from itertools import groupby, pairwise
from pathlib import Path
from typing import Any, Final, TypeAlias

import numpy as np

from alarms.events import Row
from gateway import journal_files as files
from gateway.journal_readonly import ReadOnlyFile
from gateway.journal_rows import (
    CommitHead,
    History,
    Input,
    ReadingsCommit,
    Record,
    Snapshot,
    measured_ns,
)
from gateway.readings_codec import CorruptReadingsError, Readings, decode

_PAGE: Final = 1_000
_PAGE_READINGS: Final = 500_000
_DAMAGE_REACH: Final = 10_000
_NEWEST: Final = 2**63 - 1

_Stamped: TypeAlias = tuple[int, int, Readings | Record]  # stamp, config_n, what


class JournalReader:
    """Reads both files of the journal; may be shared by threads.

    Methods raise `sqlite3.Error` if a file cannot be read; an absent file reads as empty.

    Parameters
    ----------
    path : Path
        Folder of the journal.

    Attributes
    ----------
    corrupt_rows : int
        Rows left out so far because their digest did not fit.
    """

    def __init__(self, path: Path) -> None:
        self.corrupt_rows = 0
        self._events = ReadOnlyFile(files.events_path(path))
        self._readings = ReadOnlyFile(files.readings_path(path))
        self._points: dict[tuple[int, int], tuple[str, ...]] = {}
        self._lock = threading.Lock()

    def close(self) -> None:
        """Close the files; they are opened again when needed."""
        with self._lock:
            self._events.close()
            self._readings.close()

    # --- events, records, snapshots

    def events_after(self, seq: int, limit: int = _PAGE) -> list[Row]:
        """Return up to `limit` events with a greater `seq`, in order."""
        where = "WHERE seq > ? ORDER BY seq LIMIT ?"
        return [_row_of(row) for row in self._after(files.EVENTS, where, seq, limit=limit)]

    def last_event_seq(self) -> int:
        """Return the `seq` after which the next event is numbered; 0 in a new journal."""
        return self._last(self._events, "events", "seq")

    def records(
        self, kind: str | None = None, after_n: int = 0, limit: int = _PAGE
    ) -> list[Record]:
        """Return up to `limit` records of a kind (None: of all) with a greater `n`, in order."""
        if kind is None:
            found = self._after(
                files.RECORDS, "WHERE n > ? ORDER BY n LIMIT ?", after_n, limit=limit
            )
        else:
            where = "WHERE n > ? AND kind = ? ORDER BY n LIMIT ?"
            found = self._after(files.RECORDS, where, after_n, kind, limit=limit)
        return [_record_of(row) for row in found]

    def last_record(self, kind: str) -> Record | None:
        """Return the newest record of a kind."""
        found = self._intact(files.RECORDS, "WHERE kind = ? ORDER BY n DESC LIMIT 1", kind)
        return _record_of(found[0]) if found else None

    def last_snapshot(self, before_t_ns: int | None = None) -> Snapshot | None:
        """Return the newest intact snapshot, of a stamp smaller than `before_t_ns` if given."""
        before = _NEWEST if before_t_ns is None else before_t_ns
        while True:
            where = "WHERE t_ns < ? ORDER BY n DESC LIMIT 1"
            found, whole = self._page(self._events, files.SNAPSHOTS, where, before)
            if not found:
                return None
            if whole:
                return Snapshot(*whole[0][:3])
            before = found[0][1]

    # --- readings

    def readings_after(self, seq: int, limit: int = _PAGE) -> list[ReadingsCommit]:
        """Return commits of readings with a greater `seq`, in order.

        At most `limit` of them, and no more than about half a million readings, but at least one.
        """
        try:
            while heads := self.commit_heads(seq, limit):
                fits = np.cumsum([head.n for head in heads]) <= _PAGE_READINGS
                last = heads[max(1, int(fits.sum())) - 1].seq
                if commits := self._commits("seq > ? AND seq <= ? ORDER BY seq", seq, last):
                    return commits
                seq = last
        except sqlite3.DatabaseError as error:
            if not files.is_corrupt(error):
                raise
            return self._around_damage(seq, limit, error)
        return []

    def commit_heads(self, after_seq: int, limit: int = 100_000) -> list[CommitHead]:
        """Return what is known of commits with a greater `seq` without unpacking them."""
        select = "SELECT seq, config_n, t_first, t_last, n FROM readings"
        where = "WHERE seq > ? ORDER BY seq LIMIT ?"
        with self._lock:
            rows = self._readings.rows(f"{select} {where}", after_seq, limit)
        return [CommitHead(*row) for row in rows]

    def readings_seq_span(self) -> tuple[int, int]:
        """Return the oldest and the newest `seq` of the window; (0, 0) if it is empty."""
        with self._lock:
            rows = self._readings.rows("SELECT min(seq), max(seq) FROM readings")
        return (rows[0][0] or 0, rows[0][1] or 0) if rows else (0, 0)

    def seq_before(self, t_ns: int) -> int:
        """Return a `seq` such that all stamps of it and before are smaller than `t_ns`.

        By halving: stamps grow with `seq`, and an index on them would cost writes.
        """
        low, high = self.readings_seq_span()
        low -= 1
        while low < high:
            middle = (low + high + 1) // 2
            with self._lock:
                rows = self._readings.rows(
                    "SELECT seq, t_last FROM readings WHERE seq <= ? ORDER BY seq DESC LIMIT 1",
                    middle,
                )
            if not rows or rows[0][1] < t_ns:
                low = middle
            else:
                high = rows[0][0] - 1
        return max(0, low)

    def config_points(self, config_n: int) -> tuple[str, ...]:
        """Return the point ids that the indices of `config_n` stand for; empty if unknown."""
        key = (self._readings.opened, config_n)  # another file may number from the start
        if key not in self._points:
            where = "WHERE config_n = ?"
            _, whole = self._page(self._readings, files.POINTS, where, config_n)
            if not whole:
                return ()
            self._points[key] = tuple(json.loads(whole[0][1]))
        return self._points[key]

    def last_t_ns(self, *, readings: bool = True) -> int:
        """Return the newest stamp in the journal [ns], or in its events alone; 0 in a new one."""
        with self._lock:
            stamps = [
                *self._events.rows("SELECT t_ns FROM events ORDER BY seq DESC LIMIT 1"),
                *self._events.rows("SELECT max(t_ns) FROM records"),
                *self._events.rows("SELECT max(t_ns) FROM snapshots"),
            ]
            if readings:
                newest = "SELECT t_last FROM readings ORDER BY seq DESC LIMIT 1"
                stamps += self._readings.rows(newest)
        return max((t for (t,) in stamps if t is not None), default=0)

    def inputs_after(
        self, t_ns: int, kinds: Sequence[str] = ("start", "command")
    ) -> Iterator[Input]:
        """Yield everything that came in after `t_ns`, stamp by stamp, in order.

        This and the snapshot of `t_ns` are what the engine is restored from. `kinds`: the
        records that are inputs.
        """
        sources: tuple[Iterator[_Stamped], ...] = (
            self._readings_by_stamp(t_ns),
            self._records_by_stamp(t_ns, kinds),
        )
        stamped = heapq.merge(*sources, key=_by_stamp)
        for stamp, group in groupby(stamped, key=lambda entry: entry[0]):
            parts: list[Readings] = []
            records: list[Record] = []
            config_n = 0
            for _, config, part in group:
                if isinstance(part, Record):
                    records.append(part)
                else:
                    parts.append(part)
                    config_n = config
            batch = Readings.joined(parts).batch() if parts else None
            yield Input(stamp, config_n, batch, tuple(records))

    def history(
        self,
        point_id: str,
        start_ns: int,
        end_ns: int,
        *,
        after_seq: int = 0,
        late_ns: int | None = None,
    ) -> History:
        """Return the readings of a point with ``start_ns <= time < end_ns``.

        From commits with a `seq` greater than `after_seq`. For the meaning of time see
        `measured_ns`. Reads every commit from `start_ns` on, also later ones, because late
        readings come in those; `late_ns`: only up to so long after `end_ns`.
        """
        last = _NEWEST if late_ns is None else end_ns + late_ns
        found: list[Readings] = []
        seq = max(after_seq, self.seq_before(start_ns))
        while page := self.readings_after(seq):
            seq = page[-1].seq
            for commit in page:
                if len(commit.t_ns) and commit.t_ns[0] >= last:
                    return _history(found)
                ids = self.config_points(commit.config_n)
                if point_id in ids:
                    mine = commit.readings.take(commit.point == ids.index(point_id))
                    time_ns = measured_ns(mine.t_ns, mine.source_ns)
                    found.append(mine.take((time_ns >= start_ns) & (time_ns < end_ns)))
        return _history(found)

    # --- inside

    def _after(
        self, table: files.Table, where: str, number: int, *more: object, limit: int
    ) -> list[tuple[Any, ...]]:
        """Return the first page after `number` that holds an intact row."""
        while True:
            rows, whole = self._page(self._events, table, where, number, *more, limit)
            if whole or not rows:
                return whole
            number = rows[-1][0]

    def _intact(self, table: files.Table, where: str, *values: object) -> list[tuple[Any, ...]]:
        return self._page(self._events, table, where, *values)[1]

    def _page(
        self, file: ReadOnlyFile, table: files.Table, where: str, *values: object
    ) -> tuple[list[tuple[Any, ...]], list[tuple[Any, ...]]]:
        """Return all rows of a page, and those of them that are what was written."""
        with self._lock:
            rows = file.rows(f"SELECT * FROM {table.name} {where}", *values)  # noqa: S608
        whole = [row for row in rows if files.is_intact(table, row)]
        self.corrupt_rows += len(rows) - len(whole)
        return rows, whole

    def _last(self, file: ReadOnlyFile, table: str, key: str) -> int:
        with self._lock:
            newest = file.rows(f"SELECT max({key}) FROM {table}")  # noqa: S608
            generation = file.rows("SELECT value FROM meta WHERE key = 'generation'")
        base = generation[0][0] * files.GENERATION_STEP if generation else 0
        return max(newest[0][0] or 0, base) if newest else base

    def _commits(self, where: str, *values: object) -> list[ReadingsCommit]:
        select = f"SELECT seq, config_n, data FROM readings WHERE {where}"  # noqa: S608
        with self._lock:
            rows = self._readings.rows(select, *values)
        return [commit for row in rows if (commit := self._commit_of(*row)) is not None]

    def _commit_of(self, seq: int, config_n: int, data: bytes) -> ReadingsCommit | None:
        try:
            found, readings = decode(data)
        except (CorruptReadingsError, TypeError):
            found = -1
        if found != config_n:
            self.corrupt_rows += 1
            return None
        return ReadingsCommit(seq, config_n, readings)

    def _around_damage(
        self, seq: int, limit: int, error: sqlite3.DatabaseError
    ) -> list[ReadingsCommit]:
        """Return commits one by one, leaving out those on damaged pages."""
        commits: list[ReadingsCommit] = []
        for number in range(seq + 1, seq + 1 + _DAMAGE_REACH):
            try:
                commits += self._commits("seq = ?", number)
            except sqlite3.DatabaseError as found:
                if not files.is_corrupt(found):
                    raise
                self.corrupt_rows += 1
            if len(commits) >= limit:
                break
        if not commits:
            raise error
        return commits

    def _readings_by_stamp(self, t_ns: int) -> Iterator[_Stamped]:
        seq = self.seq_before(t_ns)
        while page := self.readings_after(seq):
            seq = page[-1].seq
            for commit in page:
                cuts = [0, *(np.flatnonzero(np.diff(commit.t_ns)) + 1).tolist(), len(commit.t_ns)]
                for begin, end in pairwise(cuts):
                    stamp = int(commit.t_ns[begin])
                    if stamp > t_ns:
                        yield stamp, commit.config_n, commit.readings.take(slice(begin, end))

    def _records_by_stamp(self, t_ns: int, kinds: Sequence[str]) -> Iterator[_Stamped]:
        marks = ", ".join("?" * len(kinds))
        where = f"WHERE t_ns > ? AND kind IN ({marks}) ORDER BY t_ns, n"
        for row in self._intact(files.RECORDS, where, t_ns, *kinds):
            record = _record_of(row)
            yield record.t_ns, 0, record


def _by_stamp(entry: _Stamped) -> tuple[int, bool]:
    return entry[0], isinstance(entry[2], Record)


def _history(parts: list[Readings]) -> History:
    readings = Readings.joined(parts)
    time_ns = measured_ns(readings.t_ns, readings.source_ns)
    order = np.argsort(time_ns, kind="stable")
    mine = readings.take(order)
    return History(
        time_ns[order], mine.value, mine.quality, mine.source_ns, mine.t_ns, mine.retained
    )


def _row_of(row: tuple[Any, ...]) -> Row:
    fields = list(row[:-1])
    fields[9] = tuple(json.loads(fields[9]))
    return Row(*fields)


def _record_of(row: tuple[Any, ...]) -> Record:
    return Record(row[0], row[1], row[2], json.loads(row[3]))
