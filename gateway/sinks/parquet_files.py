"""Parquet files of readings: one folder a day, one or a few files an hour, sorted by point.

Columns: ``time`` (UTC, nanoseconds; stored as a 64-bit integer), ``point``, ``value``,
``quality`` (code), ``source_ns`` (null if the device sent no time), ``delay_ns`` (how long after
`time` the reading arrived), ``retained``. Any tool that reads Parquet opens them.

A file's name says what is in it: ``2026-11-22/08_0_1201_8400.parquet`` holds readings measured
from 08:00 to 09:00 UTC that stood in commits 1201 to 8400 of journal 0. Late readings of an hour
whose file is written already make a further file of that hour. Files are only ever written whole
and never changed.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import duckdb
import numpy as np
from numpy.typing import NDArray

from gateway.history import USABLE_QUALITIES, Sums
from gateway.journal_rows import History
from sensors.frame import NO_SOURCE_TIME

HOUR_NS: Final = 3_600_000_000_000
_NAME: Final = re.compile(r"(\d\d)_(\d+)_(\d+)_(\d+)\.parquet")
_MEMORY: Final = "128MB"

_WRITE: Final = """
COPY (
    SELECT make_timestamp_ns(time_ns) AS time, name AS point,
           CASE WHEN is_nan THEN 'nan' ELSE value END AS value, quality,
           CASE WHEN has_source THEN source_ns END AS source_ns, delay_ns, retained
    FROM readings JOIN names USING (point)
    ORDER BY name, time_ns, row_number
) TO '{path}' (FORMAT parquet, COMPRESSION zstd, PARQUET_VERSION v2)
"""
_WHERE: Final = """
FROM read_parquet($files)
WHERE point = $point AND time >= make_timestamp_ns($start) AND time < make_timestamp_ns($end)
"""
_SAMPLES: Final = f"""
SELECT epoch_ns(time) AS time_ns, value, quality,
       coalesce(source_ns, {NO_SOURCE_TIME}) AS source_ns,
       epoch_ns(time) + delay_ns AS received_ns, retained
{_WHERE}
"""
_SUMS: Final = f"""
SELECT (epoch_ns(time) - $start::BIGINT) // $step::BIGINT AS step,
       coalesce(min(value) FILTER (isfinite(value)), 'infinity') AS low,
       coalesce(max(value) FILTER (isfinite(value)), '-infinity') AS high,
       coalesce(sum(value) FILTER (isfinite(value)), 0.0) AS total,
       count(*) FILTER (isfinite(value)) AS finite,
       arg_max(value, time) AS last,
       epoch_ns(max(time)) AS last_ns,
       max(quality) AS worst,
       count(*) AS samples,
       count(*) FILTER (quality IN {USABLE_QUALITIES}) AS usable
{_WHERE}
GROUP BY step
"""


@dataclass(frozen=True, slots=True)
class Columns:
    """Readings of several points; `point` (n,) indexes `names`."""

    names: tuple[str, ...]
    point: NDArray[np.int32]
    readings: History

    def take(self, which: NDArray[np.bool_]) -> Columns:
        """Return the readings at `which`."""
        return Columns(self.names, self.point[which], self.readings.take(which))


@dataclass(frozen=True, slots=True)
class Part:
    """One file: readings of one hour, from commits `first` to `last` of one journal."""

    hour: int  # since 1970
    epoch: int
    first: int
    last: int

    def path(self, folder: Path) -> Path:
        """Where it is."""
        begin = datetime.fromtimestamp(self.hour * 3600, UTC)
        name = f"{begin:%H}_{self.epoch}_{self.first}_{self.last}.parquet"
        return folder / f"{begin:%Y-%m-%d}" / name


class ParquetFiles:
    """Writes and queries the files in a folder, with one thread and little memory.

    Methods that touch files raise `OSError` or `duckdb.Error`.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.damaged: set[Path] = set()
        self._duck = duckdb.connect(
            ":memory:",
            config={
                "threads": 1,
                "memory_limit": _MEMORY,
                "temp_directory": str(folder / "spill"),
                "autoinstall_known_extensions": "false",
                "autoload_known_extensions": "false",
            },
        )

    def close(self) -> None:
        """Let go of the query engine."""
        self._duck.close()

    def parts(self) -> list[Part]:
        """Return all files, in order of hours and of what they hold."""
        found = []
        for path in self.folder.glob("????-??-??/*.parquet"):
            if match := _NAME.fullmatch(path.name):
                hour, epoch, first, last = (int(word) for word in match.groups())
                day = datetime.fromisoformat(path.parent.name).replace(tzinfo=UTC)
                found.append(Part(round(day.timestamp()) // 3600 + hour, epoch, first, last))
        return sorted(found, key=lambda part: (part.epoch, part.first, part.hour))

    def write(self, part: Part, columns: Columns) -> None:
        """Write a file, whole or not at all."""
        path = part.path(self.folder)
        if not path.parent.exists():
            path.parent.mkdir(parents=True)
            _sync(self.folder)
        fresh = path.with_suffix(".tmp")
        with self._duck.cursor() as duck:
            duck.register("names", _names_table(columns))
            duck.register("readings", _readings_table(columns))
            duck.execute(_WRITE.format(path=str(fresh).replace("'", "''")))
        _sync(fresh)
        fresh.replace(path)
        _sync(path.parent)

    def remove(self, parts: Iterable[Part]) -> None:
        """Remove files, and folders of days that are empty then."""
        for part in parts:
            path = part.path(self.folder)
            path.unlink(missing_ok=True)
            if path.parent.exists() and not any(path.parent.iterdir()):
                path.parent.rmdir()

    def remove_unfinished(self) -> None:
        """Remove what a crash left half written."""
        for path in self.folder.glob("????-??-??/*.tmp"):
            path.unlink()

    def samples(
        self, parts: Sequence[Part], point: str, start_ns: int, end_ns: int
    ) -> list[History]:
        """Return the samples of a point with ``start_ns <= time < end_ns``, by file."""
        values = {"point": point, "start": start_ns, "end": end_ns}
        return [
            History(*(found[field.name] for field in fields(History)))
            for found in self._query(_SAMPLES, parts, start_ns, end_ns, values)
        ]

    def sums(
        self, parts: Sequence[Part], point: str, start_ns: int, end_ns: int, step_ns: int
    ) -> list[Sums]:
        """Return the sums of each step of a point; steps count from `start_ns`."""
        values = {"point": point, "start": start_ns, "end": end_ns, "step": step_ns}
        return [
            Sums(*(found[field.name] for field in fields(Sums)))
            for found in self._query(_SUMS, parts, start_ns, end_ns, values)
        ]

    def _query(
        self,
        sql: str,
        parts: Sequence[Part],
        start_ns: int,
        end_ns: int,
        values: dict[str, object],
    ) -> list[dict[str, Any]]:
        """Run a query over the files of a span; file by file only if one of them is damaged."""
        paths = [
            part.path(self.folder)
            for part in parts
            if part.hour * HOUR_NS < end_ns and (part.hour + 1) * HOUR_NS > start_ns
        ]
        paths = [path for path in paths if path not in self.damaged]
        try:
            return [self._fetch(sql, paths, values)] if paths else []
        except duckdb.Error:
            found = []
            for path in paths:
                try:
                    found.append(self._fetch(sql, [path], values))
                except duckdb.Error:
                    if path.exists():  # and was not merely dropped for its age
                        self.damaged.add(path)
            return found

    def _fetch(self, sql: str, paths: list[Path], values: dict[str, object]) -> dict[str, Any]:
        with self._duck.cursor() as duck:
            files = {"files": [str(path) for path in paths]}
            return duck.execute(sql, {**files, **values}).fetchnumpy()


def _names_table(columns: Columns) -> dict[str, NDArray[Any]]:
    names = np.array(columns.names, dtype=object)
    return {"point": np.arange(len(names), dtype=np.int32), "name": names}


def _readings_table(columns: Columns) -> dict[str, NDArray[Any]]:
    readings = columns.readings
    return {
        "point": columns.point,
        "time_ns": readings.time_ns,
        "value": readings.value,
        "is_nan": np.isnan(readings.value),  # the engine takes NaN in an array for null
        "quality": readings.quality,
        "has_source": readings.source_ns != NO_SOURCE_TIME,
        "source_ns": readings.source_ns,
        "delay_ns": readings.received_ns - readings.time_ns,
        "retained": readings.retained,
        "row_number": np.arange(len(readings)),
    }


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
