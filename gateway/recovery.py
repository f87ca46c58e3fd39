"""Redo: the journalled inputs through the engine again, to the state and the rows of the crash.

Recovery after a crash and `replay` of a journal are the same loop. A snapshot saves time only.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from alarms import restart
from alarms.engine import Engine
from alarms.events import Command, Row
from alarms.plan import Plan
from gateway import config_file, site
from gateway.config import Config
from gateway.config_file import ConfigErrors
from gateway.journal_reader import JournalReader
from gateway.site import Site
from sensors.frame import Batch

PAGE: Final = 500


@dataclass(frozen=True, slots=True)
class Input:
    """One stamped input of the engine, as journalled: samples, a command or a start."""

    t_ns: int
    batch: Batch | None = None
    command: Command | None = None
    start: dict[str, Any] | None = None


class NoJournalError(ValueError):
    """The journal holds no start, so nothing can be redone from it."""


def _readings(reader: JournalReader, after_t_ns: int) -> Iterator[Input]:
    seq = 0
    while page := reader.readings_after(seq, PAGE):
        for commit in page:
            seq = commit.seq
            if not len(commit.t_ns) or commit.t_ns[-1] <= after_t_ns:
                continue
            cuts = np.flatnonzero(np.diff(commit.t_ns)) + 1
            for part in np.split(np.arange(len(commit.t_ns)), cuts):
                t_ns = int(commit.t_ns[part[0]])
                if t_ns > after_t_ns:
                    yield Input(
                        t_ns,
                        Batch(
                            commit.point[part],
                            commit.value[part],
                            commit.quality[part],
                            commit.source_ns[part],
                            commit.retained[part],
                        ),
                    )


def _orders(reader: JournalReader, after_t_ns: int) -> Iterator[Input]:
    n = 0
    while page := reader.records(after_n=n, limit=PAGE):
        for record in page:
            n = record.n
            if record.t_ns <= after_t_ns:
                continue
            if record.kind == "command":
                yield Input(record.t_ns, command=Command(**record.data["command"]))
            elif record.kind == "start":
                yield Input(record.t_ns, start=dict(record.data))


def inputs(reader: JournalReader, after_t_ns: int) -> Iterator[Input]:
    """Yield what the engine was given after an instant, in order; stamps are unique."""
    return heapq.merge(
        _readings(reader, after_t_ns), _orders(reader, after_t_ns), key=lambda i: i.t_ns
    )


def recorded_plan(reader: JournalReader, digest: str) -> Plan:
    """Return the plan of a configuration as the journal keeps it.

    Raises
    ------
    NoJournalError
        If the journal does not hold that configuration.
    """
    for record in reader.records(kind="config", limit=100_000):
        if record.data["digest"] == digest:
            config = config_file.parse(record.data["text"], Path(record.data["file"]))
            return site.build(config).plan
    message = f"the journal does not hold the configuration {digest[:12]}"
    raise NoJournalError(message)


class Redo:
    """An engine that follows the journal. `rows` are yielded as they come out."""

    def __init__(self, reader: JournalReader) -> None:
        self.reader = reader
        self.engine: Engine | None = None
        self.digest = ""
        self.last_t_ns: int | None = None

    def from_snapshot(self) -> bool:
        """Load the newest snapshot; return False when there is none."""
        saved = self.reader.last_snapshot()
        if saved is None:
            return False
        starts = [
            r for r in self.reader.records(kind="start", limit=100_000) if r.t_ns <= saved.t_ns
        ]
        if not starts:
            return False
        self.digest = str(starts[-1].data["digest"])
        self.engine = Engine(recorded_plan(self.reader, self.digest))
        self.engine.load(saved.data)
        self.last_t_ns = saved.t_ns
        return True

    def run(self) -> Iterator[tuple[int, list[Row]]]:
        """Take every input after the present state; yield (stamp, rows)."""
        after = -1 if self.last_t_ns is None else self.last_t_ns
        for item in inputs(self.reader, after):
            self.last_t_ns = item.t_ns
            if item.start is not None:
                yield item.t_ns, self._start(item.t_ns, item.start)
            elif self.engine is not None:
                commands = () if item.command is None else (item.command,)
                yield item.t_ns, self.engine.step(item.t_ns, item.batch, commands).rows

    def _start(self, t_ns: int, start: dict[str, Any]) -> list[Row]:
        digest = str(start["digest"])
        before = self.engine
        if before is None or digest != self.digest:
            self.engine = Engine(recorded_plan(self.reader, digest))
            self.digest = digest
        assert self.engine is not None  # noqa: S101 - set two lines above
        snapshot = None if before is None or before is self.engine else before.snapshot()
        return self.engine.start(t_ns, snapshot, clock_proved=bool(start["clock_proved"])).rows


@dataclass(frozen=True, slots=True)
class Recovered:
    """What a restart begins with: the engine's memory, and rows the crash left unwritten."""

    snapshot: bytes | None
    last_t_ns: int | None
    rows: list[Row]
    note: str


def recover(config: Config, today: Site) -> Recovered:
    """Redo the journal of a site up to its last input.

    Where the journal cannot be redone, the alarms stand as their last event rows say, and the
    note says why: an alarm in force is never forgotten for a damaged file.
    """
    reader = JournalReader(config.journal.path)
    last_t_ns, last_seq = _end_of(reader)
    if last_t_ns is None:
        return Recovered(None, None, [], "")
    redo = Redo(reader)
    rows: list[Row] = []
    try:
        redo.from_snapshot()
        for t_ns, made in redo.run():
            last_t_ns = max(last_t_ns, t_ns)
            rows += [row for row in made if row.seq > last_seq]
    except (ValueError, KeyError, TypeError, ConfigErrors) as error:
        note = f"the journal could not be redone ({error}); alarms stand as their last events say"
        return Recovered(_from_rows(reader, today), last_t_ns, [], note)
    if redo.engine is None:
        note = "the journal holds no start; alarms stand as their last events say"
        return Recovered(_from_rows(reader, today), last_t_ns, [], note)
    return Recovered(redo.engine.snapshot(), max(last_t_ns, redo.engine.t_ns), rows, "")


def _end_of(reader: JournalReader) -> tuple[int | None, int]:
    """Return the last stamp anywhere in the journal, and the last event seq."""
    stamp = reader.last_t_ns()
    return stamp, reader.last_event_seq()


def _from_rows(reader: JournalReader, today: Site) -> bytes:
    engine = Engine(today.plan)
    seq = 0
    while page := reader.events_after(seq, PAGE):
        seq = page[-1].seq
        restart.follow(engine, page)
    return engine.snapshot()
