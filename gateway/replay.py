"""Recorded data through the same engine: a journal, or a CSV of readings.

A journal gives the recorded events exactly, because it holds every input with its stamp. A CSV
has no commands, restarts or retained flags; the stamp of a reading is its source time.
"""

from __future__ import annotations

import csv
import gzip
import threading
import time
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import IO, Any, Final

import orjson

from alarms.engine import Engine
from alarms.events import Row
from alarms.plan import Plan
from gateway.journal_reader import JournalReader
from gateway.recovery import Redo
from sensors.frame import Batch
from sensors.freshness import NEVER
from sensors.quality import Quality
from sensors.source_time import parse_source_time

GZIP_MAGIC: Final = b"\x1f\x8b"


class ReadingsFileError(ValueError):
    """A file of readings that cannot be used; says file, line, column and remedy."""


def event_json(row: Row) -> bytes:
    """Return an event as one line of JSON, with `time` as ISO 8601 UTC beside `t_ns`."""
    seconds, ns = divmod(row.t_ns, 1_000_000_000)
    stamp = datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")
    fields: dict[str, Any] = {"seq": row.seq, "time": f"{stamp}.{ns:09d}Z"}
    fields |= {name: getattr(row, name) for name in Row.__slots__ if name != "seq"}
    return orjson.dumps(fields)


@dataclass(frozen=True, slots=True)
class Reading:
    """One value of a CSV; `line` for messages."""

    t_ns: int
    point: int
    value: float
    quality: int
    line: int


class CsvReadings:
    """Readings of one CSV file, long (``time,point,value[,quality]``) or wide."""

    def __init__(self, path: Path, plan: Plan) -> None:
        self.path = path
        self.index = plan.points.index

    def _fail(self, line: int, what: str) -> ReadingsFileError:
        return ReadingsFileError(f"{self.path}:{line}: {what}")

    def _open(self) -> IO[str]:
        with self.path.open("rb") as raw:
            packed = raw.read(2) == GZIP_MAGIC
        if packed:
            return gzip.open(self.path, "rt", encoding="utf-8-sig", newline="")
        return self.path.open(encoding="utf-8-sig", newline="")

    def __iter__(self) -> Iterator[Reading]:
        """Yield the readings in the order of the file."""
        try:
            with self._open() as text:
                rows = csv.reader(text)
                header = [cell.strip() for cell in next(rows, [])]
                if not header or header[0] not in ("time", "t_s"):
                    raise self._fail(
                        1, f"first column must be 'time' (ISO 8601 or seconds), got {header[:1]}"
                    )
                long = header[1:3] == ["point", "value"]
                if not long and not self.index.keys() & set(header[1:]):
                    raise self._fail(1, "no column is a point of the configuration")
                read = self._long if long else self._wide
                for line, cells in enumerate(rows, start=2):
                    if cells:
                        yield from read(line, header, cells)
        except (OSError, EOFError, zlib.error, UnicodeDecodeError, csv.Error) as error:
            message = f"{self.path}: cannot be read as CSV or CSV.gz: {error}"
            raise ReadingsFileError(message) from error

    def _time(self, line: int, text: str) -> int:
        t_ns = _seconds_ns(text)
        if t_ns is None:
            t_ns = parse_source_time(text.strip())
        if t_ns is None or not -NEVER < t_ns < NEVER:
            remedy = "use seconds, or ISO 8601 with an offset such as 2026-02-01T08:00:00Z"
            raise self._fail(line, f"column 'time': {text!r} is not a time; {remedy}")
        return t_ns

    def _long(self, line: int, header: list[str], cells: list[str]) -> Iterator[Reading]:
        if len(cells) < 3:  # noqa: PLR2004 - time, point, value
            raise self._fail(line, f"needs time,point,value; got {len(cells)} cells")
        point = self.index.get(cells[1].strip())
        if point is None:
            raise self._fail(line, f"column 'point': no point {cells[1]!r} in the configuration")
        value, quality = _value(cells[2])
        if len(header) > 3 and header[3] == "quality" and len(cells) > 3 and cells[3]:  # noqa: PLR2004
            word = cells[3].strip()
            if word not in Quality.__members__ or word == "LATE":
                raise self._fail(
                    line,
                    f"column 'quality': {word!r} is not one of {', '.join(Quality.__members__)}",
                )
            quality = max(quality, Quality[word])
        yield Reading(self._time(line, cells[0]), point, value, quality, line)

    def _wide(self, line: int, header: list[str], cells: list[str]) -> Iterator[Reading]:
        t_ns = self._time(line, cells[0])
        if len(cells) != len(header):
            raise self._fail(line, f"has {len(cells)} cells, the header has {len(header)}")
        for column, text in zip(header[1:], cells[1:], strict=True):
            point = self.index.get(column)
            if point is not None and text.strip():
                value, quality = _value(text)
                yield Reading(t_ns, point, value, quality, line)


def _value(text: str) -> tuple[float, int]:
    """Return (value, quality); what is not a number is DECODE_ERROR, never 0."""
    try:
        return float(text), Quality.GOOD
    except ValueError:
        return float("nan"), Quality.DECODE_ERROR


def _seconds_ns(text: str) -> int | None:
    """Return decimal seconds as ns exactly, None for what is none: a float has no 19 digits."""
    try:
        seconds = Decimal(text.strip())
        return round(seconds * 1_000_000_000) if seconds.is_finite() else None
    except (InvalidOperation, OverflowError):
        return None


def replay_csv(paths: Sequence[Path], plan: Plan) -> Iterator[tuple[int, list[Row]]]:
    """Yield (stamp, rows) of CSV files, read one after the other.

    Raises
    ------
    ReadingsFileError
        With file, line, column and remedy.
    """
    engine = Engine(plan)
    stamp: int | None = None
    waiting: list[Reading] = []
    for path in paths:
        readings = CsvReadings(path, plan)
        for reading in readings:
            if stamp is not None and reading.t_ns < stamp:
                what = "time goes backwards; sort the rows by time"
                raise ReadingsFileError(f"{path}:{reading.line}: {what}")
            if stamp is None:
                yield reading.t_ns, engine.start(reading.t_ns).rows
            elif reading.t_ns > stamp:
                yield stamp, engine.step(stamp, _batch(waiting)).rows
                waiting = []
            stamp = reading.t_ns
            waiting.append(reading)
    if stamp is not None:
        yield stamp, engine.step(stamp, _batch(waiting)).rows


def _batch(readings: Sequence[Reading]) -> Batch:
    return Batch.of(
        [r.point for r in readings], [r.value for r in readings], [r.quality for r in readings]
    )


def replay_journal(path: Path) -> Iterator[tuple[int, list[Row]]]:
    """Yield (stamp, rows) of a recorded journal, from its first start."""
    reader = JournalReader(path)
    yield from Redo(reader).run()


def iso(t_ns: int) -> str:
    """Return a stamp as ISO 8601 UTC, to the second."""
    return datetime.fromtimestamp(t_ns // 1_000_000_000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def paced(
    source: Iterator[tuple[int, list[Row]]], factor: float | None
) -> Iterator[tuple[int, list[Row]]]:
    """Yield at `factor` times the recorded time; None is as fast as possible."""
    first: int | None = None
    begun = time.monotonic_ns()
    for stamp, rows in source:
        first = stamp if first is None else first
        if factor is not None:
            ahead_s = (stamp - first) / 1e9 / factor - (time.monotonic_ns() - begun) / 1e9
            if ahead_s > 0:
                threading.Event().wait(ahead_s)
        yield stamp, rows
