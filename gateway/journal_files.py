"""The journal's two SQLite files: their schema, and how one is opened, checked and set aside.

``events.db``: what was decided and asked (events, records, snapshots), small and kept for years.
``readings.db``: what arrived, one block per commit, a window of days bounded by size.

Every row carries a digest of its fields, because SQLite's pages carry none: a flipped bit costs
that row, and never gives a wrong value.
"""

from __future__ import annotations

import hashlib
import os
import re
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import orjson

from gateway.readings_codec import CorruptReadingsError, decode

SCHEMA: Final = 1
# Numbers of rows start at the file's generation times this: after a corrupt file was set aside
# and another begun, they go on upwards, so no reader's cursor ever points behind what is new.
GENERATION_STEP: Final = 10**12

# FULL: a commit is on the disk before it is called committed. (NORMAL lost acknowledged rows in
# 25 of 25 simulated power cuts; tests/system/test_power_cut.py uses it as its control.)
SYNCHRONOUS = "FULL"
_BUSY_S: Final = 1.0
_CHECKPOINT_PAGES: Final = 400
_WAL_LIMIT_BYTES: Final = 4 * 1024 * 1024
# Checking every page of a larger file would delay the alarm path's start; its ends are looked at.
_CHECK_WHOLE_BYTES: Final = 64 * 1024 * 1024
_SALVAGE_ROWS: Final = 100_000

Field = int | float | str | bytes | None


@dataclass(frozen=True, slots=True)
class Table:
    """A table whose rows end in their digest, which is not among `columns`; `key` is column 0."""

    name: str
    key: str
    columns: tuple[str, ...]

    @property
    def insert(self) -> str:
        """The statement that writes a row; again, when the same row is written again."""
        marks = ", ".join("?" * (len(self.columns) + 1))
        return f"INSERT OR REPLACE INTO {self.name} VALUES ({marks})"  # noqa: S608


EVENTS: Final = Table(
    "events",
    "seq",
    (
        "seq",
        "t_ns",
        "rule",
        "point",
        "zone",
        "from_state",
        "to_state",
        "from_level",
        "to_level",
        "demands",
        "reason",
        "value",
        "quality",
        "actor",
        "cause_seq",
    ),
)
RECORDS: Final = Table("records", "n", ("n", "t_ns", "kind", "data"))
SNAPSHOTS: Final = Table("snapshots", "n", ("n", "t_ns", "data"))
# A block of readings carries its own digest, and comes last as the others' do.
READINGS: Final = Table("readings", "seq", ("seq", "config_n", "t_first", "t_last", "n"))
POINTS: Final = Table("points", "config_n", ("config_n", "ids"))
_TABLES: Final = (SNAPSHOTS, RECORDS, EVENTS, POINTS, READINGS)

_META_SQL: Final = "CREATE TABLE IF NOT EXISTS meta(key TEXT PRIMARY KEY, value INTEGER NOT NULL);"
EVENTS_SQL: Final = (
    _META_SQL
    + """
CREATE TABLE IF NOT EXISTS events(
    seq INTEGER PRIMARY KEY, t_ns INTEGER NOT NULL, rule TEXT NOT NULL, point TEXT NOT NULL,
    zone TEXT NOT NULL, from_state TEXT NOT NULL, to_state TEXT NOT NULL,
    from_level TEXT NOT NULL, to_level TEXT NOT NULL, demands TEXT NOT NULL,
    reason TEXT NOT NULL, value REAL, quality TEXT NOT NULL, actor TEXT NOT NULL,
    cause_seq INTEGER NOT NULL, digest BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS records(
    n INTEGER PRIMARY KEY, t_ns INTEGER NOT NULL, kind TEXT NOT NULL, data TEXT NOT NULL,
    digest BLOB NOT NULL);
CREATE INDEX IF NOT EXISTS records_kind ON records(kind, n);
CREATE INDEX IF NOT EXISTS records_t ON records(t_ns);
CREATE TABLE IF NOT EXISTS snapshots(
    n INTEGER PRIMARY KEY, t_ns INTEGER NOT NULL, data BLOB NOT NULL, digest BLOB NOT NULL);
"""
)
# The names of the points stand beside the readings too: their file explains itself, also when
# the other one is lost.
READINGS_SQL: Final = (
    _META_SQL
    + """
CREATE TABLE IF NOT EXISTS points(
    config_n INTEGER PRIMARY KEY, ids TEXT NOT NULL, digest BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS readings(
    seq INTEGER PRIMARY KEY, config_n INTEGER NOT NULL, t_first INTEGER NOT NULL,
    t_last INTEGER NOT NULL, n INTEGER NOT NULL, data BLOB NOT NULL);
"""
)


class SchemaError(sqlite3.DatabaseError):
    """A journal file written by a version that this one does not know."""


def events_path(folder: Path) -> Path:
    """Where the events are."""
    return folder / "events.db"


def readings_path(folder: Path) -> Path:
    """Where the readings are."""
    return folder / "readings.db"


def row_digest(table: str, fields: Sequence[Field]) -> bytes:
    """Return the SHA-256 [32 bytes] of the JSON array of table and fields, blobs by their own."""
    plain = [hashlib.sha256(f).hexdigest() if isinstance(f, bytes) else f for f in fields]
    return hashlib.sha256(orjson.dumps([table, *plain])).digest()


def is_intact(table: Table, row: Sequence[Any]) -> bool:
    """Say whether a row is what was written."""
    try:
        if table is READINGS:
            return bool(decode(row[-1])[0] == row[1])
        return bool(row_digest(table.name, row[:-1]) == row[-1])
    except (TypeError, UnicodeEncodeError, CorruptReadingsError):
        return False  # a flipped type byte made text or a number of something else


def signed(table: Table, fields: Sequence[Field]) -> tuple[Field, ...]:
    """Return a row of `table`: its fields and their digest."""
    return (*fields, row_digest(table.name, fields))


def open_file(path: Path, sql: str, *, settle: bool = False) -> sqlite3.Connection:
    """Open a journal file for writing, and make it if it is absent.

    `settle`: an error came before; see `_settle`.

    Raises
    ------
    SchemaError
        If a newer version of the gateway wrote it.
    sqlite3.Error, OSError
        If it cannot be opened, or is not a database.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    connection = sqlite3.connect(path, timeout=_BUSY_S, isolation_level=None)
    try:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute(f"PRAGMA synchronous={SYNCHRONOUS}")
        connection.execute("PRAGMA secure_delete=OFF")  # dropped readings are no secret
        connection.execute(f"PRAGMA wal_autocheckpoint={_CHECKPOINT_PAGES}")
        connection.execute(f"PRAGMA journal_size_limit={_WAL_LIMIT_BYTES}")
        connection.executescript(f"BEGIN;{sql}COMMIT;")
        _stamp(connection, path)
        if settle:
            _settle(connection)
        _sync_folder(path.parent)
    except (sqlite3.Error, OSError):
        connection.close()
        raise
    return connection


def _stamp(connection: sqlite3.Connection, path: Path) -> None:
    """Write schema and generation into a new file; refuse one of another schema."""
    connection.execute(
        "INSERT OR IGNORE INTO meta VALUES ('schema', ?), ('generation', ?)",
        (SCHEMA, last_aside(path)),
    )
    (found,) = connection.execute("SELECT value FROM meta WHERE key = 'schema'").fetchone()
    if found != SCHEMA:
        raise SchemaError(
            f"{path} has journal schema {found}, this version knows {SCHEMA}: "
            "start the version that wrote it, or move the file away"
        )


def _settle(connection: sqlite3.Connection) -> None:
    """Bring what is in the log into the file, and start the log anew.

    After a failed sync the kernel may call pages clean that never reached the disk; a commit
    appended behind them would hang on nothing. Copied into the file and synced there, they count.

    Raises
    ------
    sqlite3.Error
        If a reader is in the way, or the disk fails again.
    """
    busy, *_ = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    if busy:
        raise sqlite3.OperationalError("the log is being read: cannot be settled yet")


def next_number(connection: sqlite3.Connection, table: str, key: str) -> int:
    """Return the number that the next row of `table` gets."""
    (generation,) = connection.execute(
        "SELECT value FROM meta WHERE key = 'generation'"
    ).fetchone() or (0,)
    newest = connection.execute(f"SELECT max({key}) FROM {table}").fetchone()[0]  # noqa: S608
    return max(int(newest or 0), int(generation) * GENERATION_STEP) + 1


def used_bytes(connection: sqlite3.Connection) -> int:
    """Return the size of what a file holds [bytes], without pages that are free again."""
    pages, free, size = (
        connection.execute(f"PRAGMA {name}").fetchone()[0]
        for name in ("page_count", "freelist_count", "page_size")
    )
    return int((pages - free) * size)


def damage(path: Path) -> str:
    """Say what is wrong with the file at `path` so far as a quick look shows; empty if nothing.

    Raises
    ------
    sqlite3.OperationalError, OSError
        If it cannot be looked at now (locked, unreadable disk): that is not damage.
    """
    if not path.exists():
        return ""
    connection = sqlite3.connect(path, timeout=_BUSY_S, isolation_level=None)
    try:
        if path.stat().st_size <= _CHECK_WHOLE_BYTES:
            (verdict,) = connection.execute("PRAGMA quick_check(1)").fetchone()
            if verdict != "ok":
                return str(verdict)
        for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'"):
            for order in ("ASC", "DESC"):
                connection.execute(
                    f"SELECT * FROM {name} ORDER BY 1 {order} LIMIT 1"  # noqa: S608
                ).fetchall()
    except sqlite3.DatabaseError as error:
        if is_corrupt(error):
            return str(error)
        raise
    finally:
        connection.close()
    return ""


def lenient_text(stored: bytes) -> str:
    """Return text as stored; where it was altered into none, its digest tells."""
    return stored.decode("utf-8", "replace")


def is_corrupt(error: BaseException) -> bool:
    """Say whether an error tells of a damaged file (and not of the disk or of a lock)."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF in (
        sqlite3.SQLITE_CORRUPT,
        sqlite3.SQLITE_NOTADB,
    )


def last_aside(path: Path) -> int:
    """Return the number of the newest file set aside from `path`; 0 if there is none."""
    pattern = re.compile(re.escape(path.name) + r"\.corrupt-(\d+)")
    matches = (pattern.fullmatch(entry.name) for entry in path.parent.iterdir())
    return max((int(match[1]) for match in matches if match), default=0)


def set_aside(path: Path) -> Path:
    """Rename a damaged file with its log, keeping it for whoever wants to look; return its name."""
    aside = path.with_name(f"{path.name}.corrupt-{last_aside(path) + 1}")
    path.rename(aside)
    for ending in ("-wal", "-shm"):
        log = path.with_name(path.name + ending)
        if log.exists():
            log.rename(aside.with_name(aside.name + ending))
    _sync_folder(path.parent)
    return aside


def salvage(aside: Path, connection: sqlite3.Connection) -> dict[str, int]:
    """Copy the intact rows of a damaged file into a new one; return how many of each table.

    Each table forwards until it breaks, and then backwards: latches, acknowledgements, the newest
    snapshot and what came in after it are at the end. At most `_SALVAGE_ROWS` each way, because
    the alarm path's start waits for it.
    """
    rescued = {}
    source = sqlite3.connect(f"file:{aside}?mode=ro", uri=True, isolation_level=None)
    source.text_factory = lenient_text
    try:
        for table in _tables_of(connection):
            connection.execute("BEGIN")
            before = connection.total_changes
            for order in ("ASC", "DESC"):
                if _copy_rows(source, connection, table, order):
                    break
            connection.execute("COMMIT")
            rescued[table.name] = connection.total_changes - before
    finally:
        source.close()
    return rescued


def _tables_of(connection: sqlite3.Connection) -> list[Table]:
    found = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
    return [table for table in _TABLES if (table.name,) in found]


def _copy_rows(
    source: sqlite3.Connection, target: sqlite3.Connection, table: Table, order: str
) -> bool:
    """Copy intact rows until the table breaks; say whether its other end was reached."""
    rows = 0
    try:
        for row in source.execute(
            f"SELECT * FROM {table.name} ORDER BY {table.key} {order} LIMIT ?",  # noqa: S608
            (_SALVAGE_ROWS,),
        ):
            rows += 1
            if is_intact(table, row):
                target.execute(table.insert.replace("OR REPLACE", "OR IGNORE"), row)
    except sqlite3.DatabaseError as error:
        if not is_corrupt(error) and "no such" not in str(error):
            raise
        return False
    return rows < _SALVAGE_ROWS


def repair(folder: Path) -> tuple[str, ...]:
    """Set damaged journal files aside, before the journal is read at start; return what was done.

    What is intact at both ends of a damaged file stands in the new one afterwards.

    Raises
    ------
    sqlite3.Error, OSError
        If the disk does not let it.
    """
    done = []
    for path, sql in ((events_path(folder), EVENTS_SQL), (readings_path(folder), READINGS_SQL)):
        verdict = damage(path)
        if verdict:
            aside = set_aside(path)
            connection = open_file(path, sql)
            rescued = salvage(aside, connection)
            connection.close()
            done.append(f"{path.name} was damaged ({verdict}), kept as {aside.name}; {rescued=}")
    return tuple(done)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
