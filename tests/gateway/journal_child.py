"""A core that only journals: run as a process of its own, to be killed.

Each step puts readings of its number, then the event that they caused. What the writer calls
committed, and only that, is printed. The second argument is SQLite's synchronous setting; the
third, if any, makes the process kill itself between the commits of its two files ("between"), or
do so with the files the wrong way round ("wrong-way", a control).
"""

from __future__ import annotations

import os
import signal
import sqlite3
import sys
import threading
from pathlib import Path

from alarms.events import Row
from gateway import journal_files
from gateway.config import JournalConfig
from gateway.journal import JournalWriter
from gateway.journal_reader import JournalReader
from gateway.journal_store import Cycle, JournalStore
from sensors.frame import Batch


def main(folder: Path, synchronous: str, death: str = "") -> None:
    journal_files.SYNCHRONOUS = synchronous
    committed = threading.Semaphore(0)

    def on_commit(seq: int) -> None:
        os.write(1, f"{seq}\n".encode())
        committed.release()

    config = JournalConfig(folder, readings_commit_s=0.05)
    writer = JournalWriter(config, on_commit=on_commit, on_state=lambda _: None)
    if death:
        writer._store = DEATHS[death](config)
    first = JournalReader(folder).last_event_seq() + 1
    writer.start()
    for seq in range(first, first + 1_000_000):
        for _ in range(3):
            writer.put_readings(seq, Batch.of(range(5), float(seq)))
        writer.put_rows([row(seq)])
        writer.put_readings(seq, Batch.of(range(5), float(seq)))
        if seq % 10 == 0:
            writer.put_snapshot(seq, str(seq).encode())
        if seq % 5 == 0:
            committed.acquire()


class DiesBetween(JournalStore):
    """Dies after the readings of its third cycle with events, before these."""

    cycles = 0

    def _commit_events(self, connection: sqlite3.Connection, cycle: Cycle) -> None:
        self.cycles += bool(cycle.rows)
        if self.cycles == 3:
            os.kill(os.getpid(), signal.SIGKILL)
        super()._commit_events(connection, cycle)


class WrongWay(JournalStore):
    """Commits events before their readings, and dies between."""

    cycles = 0

    def _commit_readings(self, connection: sqlite3.Connection, cycle: Cycle) -> None:
        self.cycles += bool(cycle.rows)
        super()._commit_events(self._open_events(), cycle)
        if self.cycles == 3:
            os.kill(os.getpid(), signal.SIGKILL)
        super()._commit_readings(connection, cycle)

    def _commit_events(self, connection: sqlite3.Connection, cycle: Cycle) -> None:
        """Already done."""


DEATHS: dict[str, type[JournalStore]] = {"between": DiesBetween, "wrong-way": WrongWay}


def row(seq: int) -> Row:
    words = ("r", "p", "z", "NORMAL", "UNACKED", "NORMAL", "DANGER")
    return Row(seq, seq, *words, ("WITHDRAW",), "", float(seq), "GOOD", "", 0)


if __name__ == "__main__":
    main(Path(sys.argv[1]), *sys.argv[2:])
