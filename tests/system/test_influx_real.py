"""The sink against real time-series servers that go away, in a process that is killed."""

from __future__ import annotations

import asyncio
import json
import math
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import numpy as np

from gateway.clock import WallClock
from gateway.journal import JournalWriter
from gateway.journal_reader import JournalReader
from tests.gateway.sinks.made_journal import (
    WAIT_S,
    event,
    event_seqs,
    expected_readings,
    site_record,
    some_readings,
    writer,
)
from tests.system.mosquitto import until
from tests.system.time_series_servers import (
    Server,
    influx_rows,
    influxdb,
    shim,
    victoria_metrics,
    victoria_samples,
)

ROOT = Path(__file__).parents[2]
BATCHES_PER_PHASE = 150
READINGS_PER_BATCH = 20


class SinkProcess:
    """The sink as its own process."""

    def __init__(self, folder: Path, url: str) -> None:
        self.journal, self.cursor_file = folder / "journal", folder / "influx.cursor"
        self._arguments = (str(self.journal), str(self.cursor_file), url)
        self._process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        self._process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "tests.system.sink_child", *self._arguments, cwd=ROOT
        )

    async def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            await self._process.wait()

    def cursor(self) -> dict[str, int]:
        if not self.cursor_file.exists():
            return {"readings_seq": 0, "event_seq": 0}
        kept: dict[str, int] = json.loads(self.cursor_file.read_bytes())
        return kept

    def has_everything(self) -> bool:
        reader = JournalReader(self.journal)
        newest = reader.readings_seq_span()[1], reader.last_event_seq()
        reader.close()
        cursor = self.cursor()
        return (cursor["readings_seq"], cursor["event_seq"]) == newest


class Load:
    """Readings and events into a journal, without a pause between the phases of a test."""

    def __init__(self, journal: JournalWriter) -> None:
        self._journal = journal
        self._rng = np.random.default_rng(7)
        self._clock = WallClock(None)
        self._events = 0
        journal.put_record("config", self._clock.now_ns(), site_record())

    async def phase(self) -> None:
        for _ in range(BATCHES_PER_PHASE):
            now_ns = self._clock.now_ns()
            size = int(self._rng.integers(1, 2 * READINGS_PER_BATCH))
            self._journal.put_readings(now_ns, some_readings(self._rng, size))
            if self._rng.random() < 0.2:
                self._events += 1
                self._journal.put_rows([event(self._events, now_ns)])
            await asyncio.sleep(0.005)


@asynccontextmanager
async def at_work(sink: SinkProcess) -> AsyncIterator[SinkProcess]:
    await sink.start()
    try:
        yield sink
    finally:
        await sink.kill()


async def outage_under_load(
    folder: Path,
    url: str,
    server: Server,
    how: signal.Signals,
    kill: Callable[[SinkProcess], Awaitable[None]],
) -> SinkProcess:
    """Load; server away; sink killed; server back; sink back; until all is sent."""
    journal = writer(folder / "journal", commit_s=0.02)
    load = Load(journal)
    async with at_work(SinkProcess(folder, url)) as sink:
        await load.phase()
        await until(lambda: sink.cursor()["readings_seq"] > 3, "the sink is at work")
        await server.stop(how)
        await load.phase()
        await kill(sink)
        behind = not sink.has_everything()
        await load.phase()
        await server.start()
        await sink.start()
        await load.phase()
        await kill(sink)  # once more, while it catches up
        await load.phase()
        await sink.start()
        assert journal.close(WAIT_S)
        assert behind, "the outage was one"
        await until(sink.has_everything, "everything is sent")
    return sink


async def kill_minus_nine(sink: SinkProcess) -> None:
    await sink.kill()


async def test_influxdb_equals_the_journal_at_the_nanosecond(tmp_path: Path) -> None:
    async with influxdb(tmp_path) as server, shim(server) as url:
        sink = await outage_under_load(tmp_path, url, server, signal.SIGKILL, kill_minus_nine)
        expected = expected_readings(sink.journal)
        assert len(expected) > 5 * BATCHES_PER_PHASE
        assert await influx_rows(server, "reading") == expected
        events = await influx_rows(server, "event")
        assert sorted(int(str(fields["seq"])) for fields in events.values()) == event_seqs(
            sink.journal
        )


async def lose_the_cursor_s_lead(sink: SinkProcess) -> None:
    """The control: a sink that believed in what it had not sent."""
    await sink.kill()
    reader = JournalReader(sink.journal)
    kept = sink.cursor() | {"readings_seq": reader.readings_seq_span()[1]}
    reader.close()
    sink.cursor_file.write_text(json.dumps(kept))


async def test_control_a_cursor_ahead_of_the_database_is_seen_as_loss(tmp_path: Path) -> None:
    async with influxdb(tmp_path) as server, shim(server) as url:
        sink = await outage_under_load(
            tmp_path, url, server, signal.SIGKILL, lose_the_cursor_s_lead
        )
        found = await influx_rows(server, "reading")
        expected = expected_readings(sink.journal)
        assert found.items() < expected.items()


async def test_victoria_metrics_equals_the_journal_at_the_millisecond(tmp_path: Path) -> None:
    async with victoria_metrics(tmp_path) as server:
        # SIGTERM: it acknowledges what it has in memory alone.
        sink = await outage_under_load(
            tmp_path, server.url, server, signal.SIGTERM, kill_minus_nine
        )
        expected = {
            (tags, field, time_ns // 1_000_000)
            for (tags, time_ns), fields in expected_readings(sink.journal).items()
            for field, value in fields.items()
            if not (isinstance(value, float) and math.isnan(value))
        }
        samples = await victoria_samples(server, "reading")
        assert set(samples) == expected
