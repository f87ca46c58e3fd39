"""What the InfluxDB sink sends next: a cursor into the journal, and the lines that follow it."""

from __future__ import annotations

import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

import numpy as np
import orjson

from gateway.journal_reader import JournalReader
from gateway.journal_rows import OFFSET_KINDS, CommitHead, ReadingsCommit, Record, WallOffsets
from gateway.sinks.line_protocol import event_line, reading_lines, series, unique_times
from sensors.frame import NO_SOURCE_TIME

_HEADS: Final = 1_000
_SETTLED_NS: Final = 250_000_000
_NUMBERS: Final = ("readings_seq", "event_seq", "event_ns", "config_n")
# Tag, and the column of the journal's `config` record that holds it for every point.
_COLUMNS: Final = {"zone": "zones", "quantity": "quantities", "device": "devices"}


@dataclass(frozen=True, slots=True)
class Cursor:
    """Everything of the journal up to here is in the database `target`.

    `event_ns` and `carried` (point index of `config_n` to time) are the times given last, on the
    journal's axis: the next lines must not overwrite them.
    """

    target: str
    readings_seq: int = 0
    event_seq: int = 0
    event_ns: int = 0
    config_n: int = -1
    carried: dict[int, int] = field(default_factory=dict)

    def as_bytes(self) -> bytes:
        """Return the cursor as it is kept on the disk."""
        return orjson.dumps(self, option=orjson.OPT_NON_STR_KEYS | orjson.OPT_INDENT_2)

    @classmethod
    def from_bytes(cls, data: bytes) -> Cursor:
        """Read a cursor back.

        Raises
        ------
        ValueError
            If the bytes are no cursor.
        """
        kept = orjson.loads(data)
        try:
            carried = {int(point): int(t_ns) for point, t_ns in kept["carried"].items()}
            numbers = {key: int(kept[key]) for key in _NUMBERS}
            return cls(target=str(kept["target"]), carried=carried, **numbers)
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"not a cursor: {error!r}") from error


@dataclass(frozen=True, slots=True)
class Batch:
    """Lines, and the cursor that holds once all of them are dealt with.

    `gap`: readings before these were dropped by the journal before they could be sent. `note`:
    what a person should know.
    """

    lines: list[bytes]
    after: Cursor
    gap: bool = False
    note: str = ""


class BatchReader:
    """Reads the journal behind a cursor. Blocking; the sink calls it in a thread.

    The journal's stamps are on the gateway's own axis, which no step of the wall clock bends; the
    lines are in wall time, by the offsets that the journal has on record.

    Parameters
    ----------
    reader : JournalReader
    site : str
        Tag of every line.
    """

    def __init__(self, reader: JournalReader, site: str) -> None:
        self._reader = reader
        self._site = site
        self._prefixes: tuple[int, list[bytes]] = (-1, [])
        self._offset_records: list[Record] = []
        self._newest = (0, 0)

    def next_batch(self, cursor: Cursor, lines: int) -> Batch | None:
        """Return about `lines` lines, events first; None if nothing new is there.

        Raises
        ------
        sqlite3.Error
            If the journal cannot be read now.
        """
        return (
            self._events(cursor, lines) or self._readings(cursor, lines) or self._begun_anew(cursor)
        )

    def _begun_anew(self, cursor: Cursor) -> Batch | None:
        """Notice a journal that counts from 1 again: waiting for its old numbers would be long."""
        readings, events = self._reader.readings_seq_span()[1], self._reader.last_event_seq()
        if 0 < readings < cursor.readings_seq or 0 < events < cursor.event_seq:
            note = "the journal was begun anew: sending all of it"
            return Batch([], Cursor(cursor.target), gap=True, note=note)
        return None

    # --- events

    def _events(self, cursor: Cursor, limit: int) -> Batch | None:
        rows = self._reader.events_after(cursor.event_seq, limit)
        if not rows:
            return None
        offsets = self._offsets().at(np.array([row.t_ns for row in rows], dtype=np.int64))
        lines = []
        t_ns = cursor.event_ns
        for row, offset_ns in zip(rows, offsets.tolist(), strict=True):
            t_ns = max(row.t_ns, t_ns + 1)
            lines.append(event_line(self._site, row, t_ns + offset_ns))
        return Batch(lines, replace(cursor, event_seq=rows[-1].seq, event_ns=t_ns))

    # --- readings

    def _readings(self, cursor: Cursor, limit: int) -> Batch | None:
        heads = self._settled(self._reader.commit_heads(cursor.readings_seq, _HEADS))
        wanted = total = 0
        while wanted < len(heads) and total < limit:
            total += heads[wanted].n
            wanted += 1
        if not wanted:
            return None
        last = heads[wanted - 1].seq
        # Commits that are not intact are left out, and counted, by the reader; a full page ends
        # before `last`.
        commits = self._reader.readings_after(cursor.readings_seq, wanted)
        reached = min(last, commits[-1].seq) if commits else last
        offsets = self._offsets()
        lines: list[bytes] = []
        after = replace(cursor, readings_seq=reached)
        for commit in commits:
            if commit.seq <= reached:
                carried = after.carried if after.config_n == commit.config_n else {}
                made, carried = self._lines(commit, carried, offsets)
                lines += made
                after = replace(after, config_n=commit.config_n, carried=carried)
        gap = cursor.readings_seq < heads[0].seq - 1
        note = f"readings before commit {heads[0].seq} are gone from the journal" if gap else ""
        return Batch(lines, after, gap, note)

    def _settled(self, heads: list[CommitHead]) -> list[CommitHead]:
        """Leave out a commit of this moment: a step of the clock in it may not be on record yet.

        The journal commits readings first and what belongs to them a moment later.
        """
        if not heads:
            return heads
        newest, now_ns = heads[-1].seq, time.monotonic_ns()
        if newest != self._newest[0]:
            self._newest = (newest, now_ns)
        return heads if now_ns - self._newest[1] >= _SETTLED_NS else heads[:-1]

    def _lines(
        self, commit: ReadingsCommit, carried: dict[int, int], wall: WallOffsets
    ) -> tuple[list[bytes], dict[int, int]]:
        times, carried = unique_times(commit.point, commit.t_ns, carried)
        offsets = wall.at(commit.t_ns)
        readings = commit.readings
        if offsets.any():
            has_source = readings.source_ns != NO_SOURCE_TIME
            source_ns = np.where(has_source, readings.source_ns + offsets, NO_SOURCE_TIME)
            readings = replace(readings, source_ns=source_ns)
        prefixes = self._prefixes_of(commit.config_n, int(commit.point.max(initial=-1)) + 1)
        return reading_lines(prefixes, readings, times + offsets), carried

    # --- what belongs to the readings

    def _offsets(self) -> WallOffsets:
        seen = max((record.n for record in self._offset_records), default=0)
        for kind in OFFSET_KINDS:
            after = seen
            while page := self._reader.records(kind, after_n=after):
                self._offset_records += page
                after = page[-1].n
        return WallOffsets.of(self._offset_records)

    def _prefixes_of(self, config_n: int, size: int) -> list[bytes]:
        """Return measurement and tags per point index, as the configuration was at that time."""
        if self._prefixes[0] != config_n or len(self._prefixes[1]) < size:
            found = self._reader.records("config", after_n=config_n - 1, limit=1)
            data = found[0].data if found and found[0].n == config_n else {}
            ids = list(data.get("points") or self._reader.config_points(config_n))
            # Never nameless: a reading whose configuration is lost keeps its number.
            ids += [f"unknown-{config_n}-{i}" for i in range(len(ids), size)]
            columns = {"point": ids} | {
                tag: _padded(data.get(key), len(ids)) for tag, key in _COLUMNS.items()
            }
            tags = [
                {"site": self._site, **dict(zip(columns, row, strict=True))}
                for row in zip(*columns.values(), strict=True)
            ]
            self._prefixes = (config_n, [series("reading", tag) for tag in tags])
        return self._prefixes[1]


def _padded(column: list[str] | None, size: int) -> list[str]:
    known = [str(word) for word in column or ()][:size]
    return known + [""] * (size - len(known))


def load_cursor(path: Path, target: str) -> tuple[Cursor, str]:
    """Return the cursor of a file, and a note if it could not be used.

    A database that the journal was never sent to gets everything that the journal holds.

    Raises
    ------
    OSError
        If the file is there and cannot be read.
    """
    start = Cursor(target)
    try:
        cursor = Cursor.from_bytes(path.read_bytes())
    except FileNotFoundError:
        return start, ""
    except ValueError as error:
        path.replace(path.with_name(path.name + ".damaged"))
        return start, f"the cursor was damaged and is set aside ({error}): sending all again"
    if cursor.target != target:
        return start, f"another database than before ({cursor.target}): sending all to {target}"
    return cursor, ""
