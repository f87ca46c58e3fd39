"""Redo: the journalled inputs through the engine again, to the state and the rows of the crash.

Recovery after a crash and `replay` of a journal are the same loop. A snapshot saves time only.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from alarms import restart
from alarms.engine import Engine
from alarms.events import Command, Row
from alarms.plan import Plan
from gateway import config_file, site
from gateway.config import Config
from gateway.journal_files import repair
from gateway.journal_reader import JournalReader
from gateway.site import Site

PAGE: Final = 500
_BROKEN: Final = (ValueError, LookupError, TypeError, ArithmeticError, AssertionError)


class NoJournalError(ValueError):
    """The journal does not hold what is needed to redo it."""


def recorded_plan(reader: JournalReader, digest: str) -> Plan:
    """Return the plan of a configuration as the journal keeps it.

    Raises
    ------
    NoJournalError
        If the journal does not hold that configuration.
    """
    n = 0
    while page := reader.records("config", after_n=n):
        n = page[-1].n
        for record in page:
            if record.data["digest"] == digest:
                config = config_file.parse(record.data["text"], Path(record.data["file"]))
                return site.plan_of(config)
    message = f"the journal does not hold the configuration {digest[:12]}"
    raise NoJournalError(message)


def labelled(digest: str, snapshot: bytes) -> bytes:
    """Return a snapshot with the digest of the configuration that it belongs to."""
    return digest.encode() + b"\n" + snapshot


class Redo:
    """An engine that follows the journal."""

    def __init__(self, reader: JournalReader) -> None:
        self.reader = reader
        self.engine: Engine | None = None
        self.digest = ""
        self.last_t_ns = -1

    def from_snapshot(self) -> bool:
        """Load the newest snapshot; return False when there is none."""
        saved = self.reader.last_snapshot()
        if saved is None:
            return False
        digest, _, blob = saved.data.partition(b"\n")
        self.digest = digest.decode()
        self.engine = Engine(recorded_plan(self.reader, self.digest))
        self.engine.load(blob)
        self.last_t_ns = saved.t_ns
        return True

    def run(self) -> Iterator[tuple[int, list[Row]]]:
        """Take every input after the present state, and let time pass to the end of the journal.

        Yields (stamp, rows). Rows that time alone made are in the journal without an input: a
        start says how far the run before it is known to have come.
        """
        for item in self.reader.inputs_after(self.last_t_ns):
            self.last_t_ns = item.t_ns
            commands = []
            for record in item.records:
                if record.kind == "start":
                    yield item.t_ns, self._start(item.t_ns, dict(record.data))
                else:
                    commands.append(Command(**record.data["command"]))
            if self.engine is not None and (item.batch is not None or commands):
                yield item.t_ns, self.engine.step(item.t_ns, item.batch, commands).rows
        if self.engine is not None:
            end_ns = max(self.engine.t_ns, self.reader.last_t_ns())
            yield end_ns, self.engine.step(end_ns).rows

    def _start(self, t_ns: int, start: dict[str, Any]) -> list[Row]:
        digest, before = str(start["digest"]), self.engine
        snapshot = None
        rows: list[Row] = []
        if before is not None:
            rows = before.step(max(before.t_ns, int(start["until_ns"]))).rows
        if before is None or digest != self.digest:
            snapshot = None if before is None else before.snapshot()
            self.engine = before = Engine(recorded_plan(self.reader, digest))
            self.digest = digest
        return rows + before.start(t_ns, snapshot, clock_proved=bool(start["clock_proved"])).rows


@dataclass(frozen=True, slots=True)
class Recovered:
    """What a restart begins with: the engine's memory, and rows the crash left unwritten."""

    snapshot: bytes | None
    last_t_ns: int | None
    rows: list[Row]
    note: str


def recover(config: Config, today: Site) -> Recovered:
    """Redo the journal of a site up to its last input.

    A damaged file is set aside first. Where the journal cannot be redone, the alarms stand as
    their last event rows say, and the note says why: an alarm in force is never forgotten for a
    damaged file, and nothing that a disk can do keeps the alarm path from starting.
    """
    reader = JournalReader(config.journal.path)
    try:
        repaired = "; ".join(repair(config.journal.path))
    except (sqlite3.Error, OSError) as error:
        repaired = f"the journal cannot be repaired ({error})"
    try:
        found = _redone(reader, today)
    except (sqlite3.Error, OSError) as error:
        note = f"the journal cannot be read ({error}); alarms start anew"
        found = Recovered(None, None, [], note)
    finally:
        reader.close()
    return replace(found, note="; ".join(filter(None, (repaired, found.note))))


def _redone(reader: JournalReader, today: Site) -> Recovered:
    last_seq = reader.last_event_seq()
    try:
        last_t_ns = reader.last_t_ns()
    except (sqlite3.Error, OSError):  # of the readings: the events must be readable
        last_t_ns = reader.last_t_ns(readings=False)
    if last_t_ns == 0:
        return Recovered(None, None, [], "")
    note = ""
    try:
        engine, rows = _redo(reader)
    except (*_BROKEN, sqlite3.Error, OSError) as error:
        note = f"the journal could not be redone ({error}); alarms stand as their last events say"
        engine, rows = _from_rows(reader, today), []
    # Behind a file that was set aside, numbers go on from higher up: none is used twice.
    engine.states.seq = max(engine.states.seq, last_seq)
    return Recovered(engine.snapshot(), max(last_t_ns, engine.t_ns), rows, note)


def _redo(reader: JournalReader) -> tuple[Engine, list[Row]]:
    """Return the engine at the end of the journal, and the rows that are not in it.

    A crash cut these off, or a damaged file lost them.

    Raises
    ------
    NoJournalError
        If the inputs do not give the recorded events again: some of them are lost.
    """
    redo = Redo(reader)
    redo.from_snapshot()
    seq = redo.engine.states.seq if redo.engine is not None else 0
    recorded = {row.seq: row for row in _events(reader, seq)}
    rows: list[Row] = []
    for _, made in redo.run():
        for row in made:
            known = recorded.pop(row.seq, None)
            if known is None:
                rows.append(row)
            elif known != row:
                message = f"its inputs do not give event {row.seq} as recorded"
                raise NoJournalError(message)
    if redo.engine is None:
        message = "it holds no start"
        raise NoJournalError(message)
    if recorded:
        message = f"its inputs do not give event {min(recorded)}"
        raise NoJournalError(message)
    return redo.engine, rows


def _from_rows(reader: JournalReader, today: Site) -> Engine:
    """Return the newest snapshot's engine, or else a new one, moved on by the events since."""
    redo = Redo(reader)
    try:
        redo.from_snapshot()
    except _BROKEN:
        redo.engine = None
    engine = redo.engine if redo.engine is not None else Engine(today.plan)
    restart.follow(engine, list(_events(reader, engine.states.seq)))
    return engine


def _events(reader: JournalReader, seq: int) -> Iterator[Row]:
    while page := reader.events_after(seq, PAGE):
        seq = page[-1].seq
        yield from page
