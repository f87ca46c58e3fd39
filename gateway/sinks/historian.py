"""The historian: readings as hourly Parquet files, made from the journal and behind it.

`advance` follows the journal. When an hour of stamps is over, or a million readings wait, they
are written to files, and then the cursor moves: so a reading is either in a file or still read
from the journal (its tail, kept in memory), never both and never neither. What a crash left in
between is written again. As long as the journal holds the readings, all files can be made anew.

Times in files and queries are wall time; the journal's own axis and the wall clock's recorded
steps give it.
"""

from __future__ import annotations

import asyncio
import logging
import sqlite3
import threading
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import duckdb
import numpy as np

from gateway.config import HistorianConfig
from gateway.history import Envelope, envelope, joined, sums
from gateway.journal_files import GENERATION_STEP
from gateway.journal_reader import JournalReader
from gateway.journal_rows import (
    OFFSET_KINDS,
    History,
    ReadingsCommit,
    Record,
    WallOffsets,
    measured_ns,
)
from gateway.readings_codec import Readings
from gateway.sinks.historian_cursor import Cursor
from gateway.sinks.parquet_files import HOUR_NS, Columns, ParquetFiles, Part
from sensors.frame import NO_SOURCE_TIME

_log = logging.getLogger(__name__)

PART_READINGS: Final = 1_000_000
_DAY_NS: Final = 24 * HOUR_NS
_FOLLOW_EVERY_S: Final = 5.0


@dataclass(frozen=True, slots=True)
class HistorianStatus:
    """How the historian is.

    `waiting` readings are in the journal and not yet in a file; `missed_commits` left the journal
    before they were; `damaged_files` cannot be read and are left out of queries.
    """

    ok: bool
    reason: str
    cursor_seq: int
    waiting: int
    missed_commits: int
    damaged_files: int


class Historian:
    """Follows a journal into Parquet files, and answers from both; may be shared by threads.

    Parameters
    ----------
    config : HistorianConfig
        Folder of the files, and for how long they are kept.
    journal : Path
        Folder of the journal.
    """

    def __init__(self, config: HistorianConfig, journal: Path) -> None:
        self._folder = config.path
        self._keep_ns = config.keep_days * _DAY_NS
        self._reader = JournalReader(journal)
        self._files = ParquetFiles(config.path)
        self._lock = threading.Lock()
        self._problem = ""
        self._cursor: Cursor | None = None
        self._parts: list[Part] = []
        self._tail: list[ReadingsCommit] = []
        self._waiting = 0
        self._missed = 0
        self._offset_records: list[Record] = []
        self._offsets = WallOffsets.of([])

    async def run(self) -> None:
        """Follow the journal; ends only by being cancelled."""
        while True:
            await asyncio.to_thread(self._try_to_advance)
            await asyncio.sleep(_FOLLOW_EVERY_S)

    def close(self) -> None:
        """Let go of all files."""
        self._reader.close()
        self._files.close()

    @property
    def status(self) -> HistorianStatus:
        """Return how the historian is."""
        damaged = len(self._files.damaged)
        reason = self._problem or (f"{damaged} damaged Parquet files" if damaged else "")
        return HistorianStatus(
            ok=not reason,
            reason=reason,
            cursor_seq=self._cursor.seq if self._cursor else 0,
            waiting=self._waiting,
            missed_commits=self._missed,
            damaged_files=damaged,
        )

    def advance(self) -> None:
        """Take what the journal has, and write each part that is full.

        Raises
        ------
        OSError, sqlite3.Error, duckdb.Error
            If the disk does not let it; nothing is lost, call it again.
        """
        with self._lock:
            self._look_at_journal()
            while page := self._reader.readings_after(self._followed(), 500):
                self._read_offsets()
                for commit in page:
                    if self._is_full_before(commit):
                        self._seal()
                    self._missed += _missing_between(self._followed(), commit.seq)
                    self._tail.append(commit)
                    self._waiting += len(commit.readings)

    def rebuild(self) -> None:
        """Drop the files of which the journal still holds every reading, and write them anew.

        Raises
        ------
        OSError, sqlite3.Error, duckdb.Error
            If the disk does not let it; call it again.
        """
        with self._lock:
            cursor = self._load()
            oldest, _ = self._reader.readings_seq_span()
            again = [p for p in self._parts if p.epoch == cursor.epoch and p.first >= oldest > 0]
            kept = [p.last for p in self._parts if p.epoch == cursor.epoch and p not in again]
            self._keep(replace(cursor, seq=max([oldest - 1, *kept, 0]), sealing=None))
            self._files.remove(again)
            self._files.damaged.clear()
            self._tail, self._waiting = [], 0
            self._parts = self._files.parts()
        self.advance()

    def history(self, point_id: str, start_ns: int, end_ns: int) -> History:
        """Return the readings of a point with ``start_ns <= time < end_ns``, wall time [ns].

        Raises
        ------
        OSError, sqlite3.Error
            If the journal cannot be read.
        """
        parts, tail = self._sources(point_id, start_ns, end_ns)
        return joined([*self._files.samples(parts, point_id, start_ns, end_ns), tail])

    def envelope(self, point_id: str, start_ns: int, end_ns: int, step_ns: int) -> Envelope:
        """Return the same, one row per step that holds a reading; steps count from `start_ns`.

        Raises
        ------
        OSError, sqlite3.Error
            If the journal cannot be read.
        """
        parts, tail = self._sources(point_id, start_ns, end_ns)
        found = self._files.sums(parts, point_id, start_ns, end_ns, step_ns)
        return envelope([*found, sums(joined([tail]), start_ns, step_ns)], start_ns, step_ns)

    # --- following

    def _try_to_advance(self) -> None:
        try:
            self.advance()
            problem = ""
        except (OSError, sqlite3.Error, duckdb.Error) as error:
            problem = str(error)
        if problem != self._problem:
            _log.log(logging.ERROR if problem else logging.INFO, "historian: %s", problem or "ok")
        self._problem = problem

    def _followed(self) -> int:
        """Return the newest commit that was taken."""
        return self._tail[-1].seq if self._tail else self._load().seq

    def _is_full_before(self, commit: ReadingsCommit) -> bool:
        """Say whether the tail is a part without `commit`; depends on the journal alone."""
        if not self._tail:
            return False
        begun, now = self._tail[0].t_ns[0] // HOUR_NS, commit.t_ns[0] // HOUR_NS
        return bool(now > begun) or self._waiting + len(commit.readings) > PART_READINGS

    def _look_at_journal(self) -> None:
        """Begin a new epoch if the journal was replaced by one that numbers from the start."""
        cursor = self._load()
        _, newest = self._reader.readings_seq_span()
        if 0 < newest < self._followed():
            _log.warning("historian: the journal began anew; the files so far are kept")
            self._keep(Cursor(cursor.epoch + 1))
            self._tail, self._waiting = [], 0
            self._offset_records = []

    def _read_offsets(self) -> None:
        """Take the wall clock's recorded steps since the last call."""
        for kind in OFFSET_KINDS:
            known = [record.n for record in self._offset_records if record.kind == kind]
            while page := self._reader.records(kind, max(known, default=0)):
                self._offset_records += page
                known = [page[-1].n]
        self._offsets = WallOffsets.of(self._offset_records)

    # --- sealing

    def _seal(self) -> None:
        """Write the tail to files, one for each hour of which it holds readings."""
        cursor = self._load()
        first, last = self._tail[0].seq, self._tail[-1].seq
        self._keep(replace(cursor, sealing=(first, last)))
        columns = self._columns(self._tail)
        hours = columns.readings.time_ns // HOUR_NS
        for hour in np.unique(hours).tolist():
            part = Part(hour, cursor.epoch, first, last)
            self._files.write(part, columns.take(hours == hour))
        self._keep(Cursor(cursor.epoch, last))
        self._tail, self._waiting = [], 0
        self._parts = self._files.parts()
        self._drop_old(int(columns.readings.received_ns.max()))

    def _drop_old(self, now_ns: int) -> None:
        end = (now_ns - self._keep_ns) // HOUR_NS
        old = [part for part in self._parts if part.hour < end]
        if old:
            self._files.remove(old)
            self._parts = self._files.parts()

    def _columns(self, commits: list[ReadingsCommit]) -> Columns:
        """Lay commits out in wall time, under the names of their points."""
        number: dict[str, int] = {}
        points = []
        for commit in commits:
            names = self._names(commit)
            index = np.array([number.setdefault(n, len(number)) for n in names], dtype=np.int32)
            points.append(index[commit.point])
        readings = Readings.joined([commit.readings for commit in commits])
        times = _on_the_wall(readings, self._offsets)
        return Columns(tuple(number), np.concatenate(points), times)

    def _names(self, commit: ReadingsCommit) -> tuple[str, ...]:
        """Return the ids of a commit's points; where they are lost, words that say which."""
        ids = self._reader.config_points(commit.config_n)
        lost = range(len(ids), int(commit.point.max()) + 1)
        return ids + tuple(f"unknown/{commit.config_n}/{index}" for index in lost)

    # --- answering

    def _sources(self, point_id: str, start_ns: int, end_ns: int) -> tuple[list[Part], History]:
        """Return the files, and what of a point is not in them, as of one instant."""
        with self._lock:
            self._load()
            seq = self._followed()
            parts, commits = self._parts, list(self._tail)
            self._read_offsets()
            offsets = self._offsets
        while page := self._reader.readings_after(seq):
            seq = page[-1].seq
            commits += page
        found = []
        for commit in commits:
            ids = self._reader.config_points(commit.config_n)
            if point_id in ids:
                found.append(commit.readings.take(commit.point == ids.index(point_id)))
        tail = _on_the_wall(Readings.joined(found), offsets)
        return parts, tail.take((tail.time_ns >= start_ns) & (tail.time_ns < end_ns))

    # --- the cursor

    def _load(self) -> Cursor:
        """Return the cursor; the first time, read it, and clean up after a crash."""
        if self._cursor is None:
            self._folder.mkdir(parents=True, exist_ok=True)
            self._files.remove_unfinished()
            parts = self._files.parts()
            cursor = Cursor.load(self._folder / "cursor.json", parts)
            self._files.remove(part for part in parts if cursor.is_half_done(part))
            self._parts = [part for part in parts if not cursor.is_half_done(part)]
            self._cursor = cursor
        return self._cursor

    def _keep(self, cursor: Cursor) -> None:
        cursor.save(self._folder / "cursor.json")
        self._cursor = cursor


def _on_the_wall(readings: Readings, offsets: WallOffsets) -> History:
    """Return readings under wall time, in their order."""
    offset_ns = offsets.at(readings.t_ns)
    has_source = readings.source_ns != NO_SOURCE_TIME
    return History(
        measured_ns(readings.t_ns, readings.source_ns) + offset_ns,
        readings.value,
        readings.quality,
        np.where(
            has_source, readings.source_ns + np.where(has_source, offset_ns, 0), NO_SOURCE_TIME
        ),
        readings.t_ns + offset_ns,
        readings.retained,
    )


def _missing_between(seq: int, next_seq: int) -> int:
    """Return how many commits lie between two; none where a new file of the journal begins."""
    if seq // GENERATION_STEP != next_seq // GENERATION_STEP:
        return 0
    return next_seq - seq - 1
