"""The InfluxDB sink: the database equals the journal, whatever happens to sink and cursor."""

from __future__ import annotations

import asyncio
import random
import sqlite3
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from influxdb_client.client.write_api_async import WriteApiAsync

from gateway.journal_files import readings_path
from gateway.journal_reader import JournalReader
from gateway.sinks.influx import InfluxSink
from gateway.sinks.influx_batch import Batch
from tests.gateway.sinks.http_server import WRITTEN, Answer, Request, Server, serving
from tests.gateway.sinks.influx_bench import (
    Bench,
    assert_equal_to_the_journal,
    drained,
    running,
)
from tests.gateway.sinks.made_journal import (
    START_NS,
    WAIT_S,
    Database,
    event,
    events_of,
    expected_readings,
    fill,
    readings_of,
    site_record,
    some_readings,
    writer,
)
from tests.system.mosquitto import until


async def test_the_database_equals_the_journal(tmp_path: Path) -> None:
    async with serving() as server:
        token = tmp_path / "token"
        token.write_text("secret\n")
        bench = Bench(tmp_path, server.url, token_file=token)
        fill(bench.journal)
        await drained(bench)
        assert_equal_to_the_journal(bench, server.database)
        request = server.requests[0]
        assert (request.method, request.path) == ("POST", "/api/v2/write")
        assert request.query == {"org": ["mine"], "bucket": ["gas"], "precision": ["ns"]}
        assert request.headers["authorization"] == "Token secret"
        assert request.headers["content-encoding"] == "gzip"
        assert bench.sink.status.ok
        assert bench.sink.status.lines_written == sum(len(r.lines) for r in server.requests)
        assert bench.pauses == []
        assert bench.quarantined == []


async def test_what_comes_later_is_sent_later(tmp_path: Path) -> None:
    async with serving() as server:
        bench = Bench(tmp_path, server.url)
        made = writer(bench.journal)
        made.put_record("config", START_NS - 1, site_record())
        rng = np.random.default_rng(1)
        async with running(bench):
            for i in range(5):
                made.put_readings(START_NS + i, some_readings(rng, 3))
                made.put_rows([event(i + 1, START_NS + i)])
                await until(lambda n=i: len(events_of(server.database)) > n, "an event")  # type: ignore[misc]
            assert made.close(WAIT_S)
            await until(bench.all_sent, "everything is sent")
        assert_equal_to_the_journal(bench, server.database)


async def test_a_token_that_somebody_repaired_is_used(tmp_path: Path) -> None:
    def door(request: Request) -> Answer:
        good = request.headers.get("authorization") == "Token new"
        return WRITTEN if good else Answer(401, body='{"message": "unauthorized access"}')

    async with serving() as server:
        server.rule = door
        token = tmp_path / "token"
        token.write_bytes(b"\xff")
        bench = Bench(tmp_path, server.url, token_file=token)
        fill(bench.journal)
        async with running(bench) as sink:
            await until(lambda: "holds no token" in sink.status.reason, "not a token")
            token.write_text("old")
            await until(lambda: "unauthorized access" in sink.status.reason, "refused")
            token.write_text("new")
            await until(bench.all_sent, "everything is sent")
        assert_equal_to_the_journal(bench, server.database)


class ForgetsWhatFailed(InfluxSink):
    """The control: moves the cursor before the server has answered."""

    async def _send(self, write: WriteApiAsync, lines: list[bytes]) -> list[bytes]:
        batch = await asyncio.to_thread(
            self._batches.next_batch, self._load(), self.config.batch_lines
        )
        assert isinstance(batch, Batch)
        self._settle(batch, [])
        return await super()._send(write, lines)


class ForgetfulBench(Bench):
    kind = ForgetsWhatFailed


async def killed_and_restarted(bench: Bench, server: Server, rng: random.Random) -> None:
    """Cancel and restart the sink at random moments while the server fails at random."""

    def moody(_: Request) -> Answer:
        luck = rng.random()
        if luck < 0.3:
            return Answer(rng.choice([500, 503, 401]))
        return Answer(raw=b"") if luck < 0.4 else WRITTEN

    server.rule = moody
    for _ in range(12):
        bench.again()
        async with running(bench):
            for _ in range(rng.randrange(60)):
                await asyncio.sleep(0)
    server.rule = lambda _: WRITTEN
    bench.again()
    await drained(bench)


@pytest.mark.parametrize("seed", range(6))
async def test_killed_at_any_moment_nothing_is_lost_or_doubled(tmp_path: Path, seed: int) -> None:
    async with serving() as server:
        bench = Bench(tmp_path, server.url, batch_lines=20)
        fill(bench.journal, batches=60, seed=seed)
        await killed_and_restarted(bench, server, random.Random(seed))
        assert_equal_to_the_journal(bench, server.database)


async def test_control_a_cursor_that_moves_too_early_loses(tmp_path: Path) -> None:
    async with serving() as server:
        server.script = [Answer(500)] * 3
        bench = ForgetfulBench(tmp_path, server.url, batch_lines=20)
        fill(bench.journal, batches=60)
        await drained(bench)
        assert len(readings_of(server.database)) < len(expected_readings(bench.journal))


async def test_a_damaged_cursor_and_another_database_start_from_the_beginning(
    tmp_path: Path,
) -> None:
    async with serving() as first, serving() as second:
        bench = Bench(tmp_path, first.url)
        fill(bench.journal)
        await drained(bench)
        for rubbish in (b"", b"[]", b'{"carried": 7}', b"\xff\x00"):
            bench.cursor_file.write_bytes(rubbish)
            first.database.clear()
            bench.again()
            await drained(bench)
            assert_equal_to_the_journal(bench, first.database)
            assert bench.cursor_file.with_name("influx.cursor.damaged").read_bytes() == rubbish
        bench.config = replace(bench.config, url=second.url)
        bench.again()
        await drained(bench)
        assert_equal_to_the_journal(bench, second.database)


async def test_a_journal_begun_anew_is_sent_anew(tmp_path: Path) -> None:
    async with serving() as server:
        bench = Bench(tmp_path, server.url)
        fill(bench.journal, batches=60)
        await drained(bench)
        bench.journal.rename(tmp_path / "old")
        fill(bench.journal, batches=5, events=2, seed=2)
        server.database.clear()
        bench.again()
        await drained(bench)
        assert_equal_to_the_journal(bench, server.database)


async def test_readings_that_the_journal_dropped_are_a_counted_gap(tmp_path: Path) -> None:
    async with serving() as server:
        bench = Bench(tmp_path, server.url, batch_lines=5)
        made = writer(bench.journal, commit_s=0.0)
        made.put_record("config", START_NS - 1, site_record())
        rng = np.random.default_rng(1)
        for i in range(30):
            made.put_readings(START_NS + 10 * i, some_readings(rng, 4))
            made.put_rows([event(i + 1, START_NS + 10 * i)])
            await asyncio.sleep(0.01)
        assert made.close(WAIT_S)
        reader = JournalReader(bench.journal)
        newest = reader.readings_seq_span()[1]
        reader.close()
        assert newest > 6
        server.rule = lambda _: WRITTEN if len(readings_of(server.database)) < 5 else Answer(500)
        async with running(bench) as sink:
            await until(lambda: sink.status.failures, "stopped in the middle")
            with sqlite3.connect(readings_path(bench.journal)) as connection:
                connection.execute("DELETE FROM readings WHERE seq < ?", (newest - 1,))
            connection.close()
            server.rule = lambda _: WRITTEN
            await until(bench.all_sent, "everything is sent")
            assert sink.status.gaps == 1
        kept = expected_readings(bench.journal)
        assert {k: server.database[k] for k in kept} == kept


async def test_a_disk_that_refuses_the_cursor_keeps_everything(tmp_path: Path) -> None:
    async with serving() as server:
        bench = Bench(tmp_path, server.url)
        bench.cursor_file = tmp_path / "absent" / "influx.cursor"
        bench.again()
        fill(bench.journal)
        async with running(bench) as sink:
            await until(lambda: sink.status.failures >= 2, "kept")
            assert not sink.status.ok
            bench.cursor_file.parent.mkdir()
            await until(bench.all_sent, "everything is sent")
        assert_equal_to_the_journal(bench, server.database)


async def test_lines_are_in_wall_time_when_the_clock_was_stepped(tmp_path: Path) -> None:
    step = 7_000_000_000
    async with serving() as server:
        bench = Bench(tmp_path, server.url)
        made = writer(bench.journal)
        made.put_record("config", START_NS - 2, site_record())
        made.put_record("start", START_NS - 1, {"digest": "d"})
        rng = np.random.default_rng(3)
        made.put_readings(START_NS, some_readings(rng, 4))
        made.put_rows([event(1, START_NS)])
        made.put_record("clock_step", START_NS + 100, {"step_ns": -step, "offset_ns": -step})
        made.put_readings(START_NS + 200, some_readings(rng, 4))
        made.put_rows([event(2, START_NS + 200)])
        assert made.close(WAIT_S)
        await drained(bench)
        moved: Database = {}
        for (tags, t_ns), fields in expected_readings(bench.journal).items():
            offset = -step if t_ns >= START_NS + 100 else 0
            source = {"src": int(fields["src"]) + offset} if "src" in fields else {}
            moved[tags, t_ns + offset] = {**fields, **source}
        assert readings_of(server.database) == moved
        times = sorted(key[1] for key in server.database if key[0].startswith("event"))
        assert times == [START_NS + 200 - step, START_NS]


async def test_readings_of_an_unknown_or_older_configuration_are_never_nameless(
    tmp_path: Path,
) -> None:
    rng = np.random.default_rng(3)
    async with serving() as server:
        bench = Bench(tmp_path, server.url)
        made = writer(bench.journal)
        made.put_readings(START_NS, some_readings(rng, 4))
        made.put_record("config", START_NS + 1, {"points": ["old.a", "old.b", "old.c", "old.d"]})
        made.put_readings(START_NS + 2, some_readings(rng, 4))
        made.put_record("config", START_NS + 3, site_record())
        made.put_readings(START_NS + 4, some_readings(rng, 4))
        assert made.close(WAIT_S)
        await drained(bench)
        names = {key[0].split("point=")[1].split(",")[0] for key in server.database}
        assert {name.split("-")[0].split(".")[0] for name in names} <= {
            "unknown",
            "old",
            "T1",
            "fan",
            "gateway",
        }
        assert sum(1 for key in server.database if key[0].startswith("reading")) >= 11
