"""A sink on a journal and a server; pauses are noted, not waited for."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from pathlib import Path

from gateway.config import InfluxConfig
from gateway.journal_reader import JournalReader
from gateway.sinks.influx import LOOK_EVERY_S, InfluxSink
from tests.gateway.sinks.made_journal import (
    Database,
    event_seqs,
    events_of,
    expected_readings,
    readings_of,
)
from tests.system.mosquitto import until


class Bench:
    """A sink on a journal and a server; pauses are noted, not waited for."""

    kind: type[InfluxSink] = InfluxSink

    def __init__(self, folder: Path, url: str, *, batch_lines: int = 50, **more: object) -> None:
        self.journal = folder / "journal"
        self.cursor_file = folder / "influx.cursor"
        config = InfluxConfig(url, "mine", "gas", batch_lines=batch_lines, timeout_s=5.0)
        self.config = replace(config, **more)  # type: ignore[arg-type]
        self.pauses: list[float] = []
        self.sink = self.again()

    def again(self) -> InfluxSink:
        """A sink as after a restart of the process."""
        self.reader = JournalReader(self.journal)
        self.sink = self.kind(
            self.config,
            self.reader,
            self.cursor_file,
            site="S",
            rng=random.Random(1),
            sleep=self._sleep,
        )
        return self.sink

    async def _sleep(self, pause_s: float) -> None:
        if pause_s != LOOK_EVERY_S:
            self.pauses.append(pause_s)
        await asyncio.sleep(0.01)

    @property
    def quarantined(self) -> list[dict[str, object]]:
        file = self.sink.quarantine_file
        return (
            [json.loads(line) for line in file.read_bytes().splitlines()] if file.exists() else []
        )

    def all_sent(self) -> bool:
        self_reader = JournalReader(self.journal)
        newest = self_reader.readings_seq_span()[1]
        event_seq = self_reader.last_event_seq()
        self_reader.close()
        status = self.sink.status
        return status.readings_seq >= newest and status.event_seq >= event_seq


@asynccontextmanager
async def running(bench: Bench) -> AsyncIterator[InfluxSink]:
    async with asyncio.TaskGroup() as tasks:
        task = tasks.create_task(bench.sink.run())
        try:
            yield bench.sink
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
            bench.reader.close()


async def drained(bench: Bench) -> None:
    async with running(bench):
        await until(bench.all_sent, "everything is sent")


def assert_equal_to_the_journal(bench: Bench, database: Database) -> None:
    assert readings_of(database) == expected_readings(bench.journal)
    assert events_of(database) == event_seqs(bench.journal)
