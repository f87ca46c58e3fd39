"""Check a journal as it stands: files, digests, numbers, and whether its inputs give its events.

What it shows is that the journal agrees with itself. Whoever can write the files can also make
them agree; signed checkpoints held outside are needed against that, and are not there yet.
"""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from alarms.events import Row
from gateway import journal_files
from gateway.config_errors import ConfigErrors
from gateway.journal_reader import JournalReader
from gateway.recovery import PAGE, Redo

_TABLES: Final = ("events", "readings")


@dataclass(slots=True)
class Report:
    """What was checked, in words; `first_bad` is empty where all of it is good."""

    lines: list[str] = field(default_factory=list)
    first_bad: str = ""

    def say(self, line: str) -> None:
        """Add a line."""
        self.lines.append(line)

    def bad(self, what: str) -> None:
        """Note the first thing that is wrong."""
        self.first_bad = self.first_bad or what


def verify_journal(folder: Path) -> Report:
    """Check the journal in a folder; reads only."""
    report = Report()
    paths = {"events.db": journal_files.events_path(folder)}
    paths["readings.db"] = journal_files.readings_path(folder)
    for name, path in paths.items():
        _check_file(report, name, path)
    if report.first_bad:
        return report
    reader = JournalReader(folder)
    try:
        recorded = _check_events(report, reader)
        _check_readings(report, reader)
        if not report.first_bad:
            _check_redo(report, reader, recorded)
    except sqlite3.Error as error:
        report.bad(f"{folder}: {error}")
    finally:
        reader.close()
    return report


def _check_file(report: Report, name: str, path: Path) -> None:
    if not path.is_file():
        report.bad(f"{path}: no such file; is this a journal folder?")
        return
    try:
        with sqlite3.connect(f"file:{path}?mode=ro", uri=True) as database:
            verdict = database.execute("PRAGMA integrity_check(1)").fetchone()[0]
    except sqlite3.Error as error:
        verdict = str(error)
    report.say(f"{name}: SQLite integrity {verdict}")
    if verdict != "ok":
        report.bad(f"{path}: {verdict}")


def _check_events(report: Report, reader: JournalReader) -> list[Row]:
    rows: list[Row] = []
    seq = 0
    while page := reader.events_after(seq, PAGE):
        for row in page:
            if rows and row.seq != rows[-1].seq + 1:
                report.bad(f"event {rows[-1].seq + 1} is missing (next is {row.seq})")
            if rows and row.t_ns < rows[-1].t_ns:
                report.bad(f"event {row.seq} is older than event {rows[-1].seq}")
            rows.append(row)
        seq = page[-1].seq
    report.say(f"events: {len(rows)}, digests bad: {reader.corrupt_rows}")
    if reader.corrupt_rows:
        report.bad(f"{reader.corrupt_rows} event or record rows do not fit their digest")
    return rows


def _check_readings(report: Report, reader: JournalReader) -> None:
    bad_before = reader.corrupt_rows
    seq = commits = readings = 0
    while page := reader.readings_after(seq, PAGE):
        seq = page[-1].seq
        commits += len(page)
        readings += sum(len(commit.t_ns) for commit in page)
    bad = reader.corrupt_rows - bad_before
    report.say(f"readings: {readings} in {commits} commits, digests bad: {bad}")
    if bad:
        report.bad(f"{bad} commits of readings do not fit their digest")


def _check_redo(report: Report, reader: JournalReader, recorded: list[Row]) -> None:
    """Send all inputs through the engine again and compare every event."""
    starts = reader.records("start", limit=1)
    gaps = reader.records("gap", limit=1)
    if not starts or gaps:
        why = "no start" if not starts else "readings are missing (a recorded gap)"
        report.say(f"redo: not possible, {why}")
        return
    made: list[Row] = []
    try:
        for _, rows in Redo(reader).run():
            made += rows
    except (ValueError, KeyError, ConfigErrors) as error:
        report.bad(f"redo failed: {error}")
        return
    for ours, theirs in zip(made, recorded, strict=False):
        if ours != theirs:
            report.bad(f"event {theirs.seq} differs from what the inputs give: {ours}")
            return
    if len(made) < len(recorded):
        report.bad(f"event {recorded[len(made)].seq} does not follow from the inputs")
    report.say(f"redo: {len(made)} events from the inputs, {len(recorded)} recorded, equal")
