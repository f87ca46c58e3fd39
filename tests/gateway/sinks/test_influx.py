"""The InfluxDB sink against a server that answers whatever a server may answer."""

from __future__ import annotations

import asyncio
import json
import random
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from influxdb_client.client.write_api_async import WriteApiAsync

from gateway.config import InfluxConfig
from gateway.journal_files import readings_path
from gateway.journal_reader import JournalReader
from gateway.sinks.influx import LOOK_EVERY_S, PAUSE_CAP_S, InfluxSink
from gateway.sinks.influx_answer import RETRY_AFTER_CAP_S
from gateway.sinks.influx_batch import Batch
from tests.gateway.sinks.http_server import WRITTEN, Answer, Request, Server, serving
from tests.gateway.sinks.made_journal import (
    START_NS,
    WAIT_S,
    Database,
    event,
    event_seqs,
    events_of,
    expected_readings,
    fill,
    readings_of,
    site_record,
    some_readings,
    writer,
)
from tests.system.mosquitto import free_port, until


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


KEPT = [301, 302, 401, 403, 404, 405, 408, 409, 500, 502, 504, 200]


@pytest.mark.parametrize("status", KEPT)
async def test_kept_until_the_server_is_repaired(tmp_path: Path, status: int) -> None:
    async with serving() as server:
        refusal = Answer(status, {"Location": f"{server.url}/login"}, "<html>who are you?</html>")
        server.rule = lambda _: refusal
        bench = Bench(tmp_path, server.url)
        fill(bench.journal)
        async with running(bench) as sink:
            await until(lambda: sink.status.failures >= 3, "three tries")
            assert not sink.status.ok
            assert sink.status.reason
            assert (sink.status.readings_seq, sink.status.event_seq) == (0, 0)
            assert not bench.cursor_file.exists(), "the cursor has not moved"
            assert {r.path for r in server.requests} == {"/api/v2/write"}, "no redirect followed"
            server.rule = lambda _: WRITTEN
            await until(bench.all_sent, "everything is sent")
            assert (sink.status.ok, sink.status.reason) == (True, "")
        assert_equal_to_the_journal(bench, server.database)
        assert bench.quarantined == []


NO_ANSWERS = {
    "hang": Answer(hang=True),
    "close": Answer(raw=b""),
    "half a head": Answer(raw=b"HTTP/1.1 20"),
    "half a body": Answer(raw=b"HTTP/1.1 204 OK\r\nContent-Length: 50\r\n\r\nhalf"),
    "noise": Answer(raw=b"\x00\xff\x00\xff\r\n\r\n"),
    "another protocol": Answer(raw=b"SSH-2.0-OpenSSH_9.2\r\n"),
}


@pytest.mark.parametrize("name", NO_ANSWERS)
async def test_kept_without_a_whole_answer(tmp_path: Path, name: str) -> None:
    async with serving() as server:
        server.rule = lambda _: NO_ANSWERS[name]
        bench = Bench(tmp_path, server.url, timeout_s=0.3)
        fill(bench.journal)
        async with running(bench) as sink:
            await until(lambda: sink.status.failures >= 3, "three tries")
            assert not sink.status.ok
            assert sink.status.readings_seq == 0
            server.rule = lambda _: WRITTEN
            await until(bench.all_sent, "everything is sent")
        assert_equal_to_the_journal(bench, server.database)


async def test_pauses_grow_with_jitter_to_their_cap_and_start_anew_after_a_success(
    tmp_path: Path,
) -> None:
    bench = Bench(tmp_path, f"http://127.0.0.1:{free_port()}")
    fill(bench.journal)
    async with running(bench) as sink:
        await until(lambda: len(bench.pauses) >= 12, "twelve tries")
        assert "no answer" in sink.status.reason
    caps = [min(PAUSE_CAP_S, 0.5 * 2.0**i) for i in range(12)]
    pauses = bench.pauses[:12]
    assert all(cap / 2 <= pause <= cap for pause, cap in zip(pauses, caps, strict=True))
    assert len({p / c for p, c in zip(pauses, caps, strict=True)}) > 8, "jittered"
    async with serving() as server:
        bench = Bench(tmp_path, server.url)
        server.script = [Answer(500)] * 5 + [WRITTEN] + [Answer(500)]
        await drained(bench)
        assert bench.pauses[5] <= 0.5


@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize(
    ("headers", "asked_s"),
    [
        ({"Retry-After": "17"}, 17.0),
        (
            {
                "Retry-After": "Sun, 22 Nov 2026 23:59:30 GMT",
                "Date": "Sun, 22 Nov 2026 23:57:00 GMT",
            },
            150.0,
        ),
        ({"Retry-After": "999999999"}, RETRY_AFTER_CAP_S),
        ({"Retry-After": "-5"}, None),
        ({"Retry-After": "soon"}, None),
        ({"Retry-After": "nan"}, None),
        ({"Retry-After": "Sun, 22 Nov 2026 23:59:30 GMT"}, None),
        ({}, None),
    ],
)
async def test_the_server_says_how_long_to_wait(
    tmp_path: Path, status: int, headers: dict[str, str], asked_s: float | None
) -> None:
    async with serving() as server:
        server.script = [Answer(status, headers)]
        bench = Bench(tmp_path, server.url)
        fill(bench.journal)
        await drained(bench)
        assert len(bench.pauses) == 1
        assert bench.pauses[0] == asked_s if asked_s else bench.pauses[0] <= 0.5
        assert_equal_to_the_journal(bench, server.database)


def refuses(word: bytes, status: int) -> Server:
    server = Server()
    server.rule = lambda r: (
        Answer(status, body='{"message": "unable to parse"}')
        if any(word in line for line in r.lines)
        else WRITTEN
    )
    return server


@pytest.mark.parametrize("status", [400, 422])
async def test_bad_lines_go_to_the_quarantine_and_all_others_arrive(
    tmp_path: Path, status: int
) -> None:
    async with serving() as server:
        server.rule = refuses(b"main\\ fan", status).rule
        bench = Bench(tmp_path, server.url)
        fill(bench.journal)
        await drained(bench)
        whole = expected_readings(bench.journal)
        bad = {key for key in whole if "main fan" in key[0]}
        assert bad
        assert readings_of(server.database) == {k: f for k, f in whole.items() if k not in bad}
        assert len(bench.quarantined) == len(bad) == bench.sink.status.lines_quarantined
        for entry in bench.quarantined:
            assert entry["reason"] == f"HTTP {status}: unable to parse"
            assert "main\\ fan" in str(entry["line"])
        assert bench.sink.status.ok


async def test_a_batch_of_bad_lines_alone_is_believed_of_a_server_that_takes_a_good_one(
    tmp_path: Path,
) -> None:
    async with serving() as server:
        server.rule = refuses(b"reading", 400).rule
        bench = Bench(tmp_path, server.url)
        fill(bench.journal, events=0)
        await drained(bench)
        assert len(bench.quarantined) == len(expected_readings(bench.journal))
        assert any(key[0] == "sink,site=S" for key in server.database), "the good line"


@pytest.mark.parametrize("status", [400, 422])
async def test_a_server_that_refuses_every_line_is_wrong_itself(
    tmp_path: Path, status: int
) -> None:
    async with serving() as server:
        server.rule = lambda _: Answer(status, body='{"message": "unknown precision"}')
        bench = Bench(tmp_path, server.url)
        fill(bench.journal)
        async with running(bench) as sink:
            await until(lambda: sink.status.failures >= 2, "kept")
            assert "refuses every line" in sink.status.reason
            server.rule = lambda _: WRITTEN
            await until(bench.all_sent, "everything is sent")
        assert bench.quarantined == []
        assert_equal_to_the_journal(bench, server.database)


async def test_too_old_for_the_database_is_not_halved(tmp_path: Path) -> None:
    async with serving() as server:
        bench = Bench(tmp_path, server.url)
        body = '{"message": "partial write: points beyond retention policy dropped=50"}'
        server.rule = lambda _: Answer(422, body=body)
        fill(bench.journal)
        await drained(bench)
        lines = len(expected_readings(bench.journal)) + len(event_seqs(bench.journal))
        assert sum(len(r.lines) for r in server.requests) == lines
        assert sum(int(str(entry["lines"])) for entry in bench.quarantined) == lines


async def test_too_large_is_halved_and_the_next_batch_is_smaller(tmp_path: Path) -> None:
    def limit(request: Request) -> Answer:
        return Answer(413) if len(request.lines) > 7 else WRITTEN

    async with serving() as server:
        server.rule = limit
        bench = Bench(tmp_path, server.url)
        fill(bench.journal, batches=60)
        await drained(bench)
        assert_equal_to_the_journal(bench, server.database)
        refused = [i for i, r in enumerate(server.requests) if len(r.lines) > 7]
        assert max(refused) < 8, "learnt once"
        assert bench.quarantined == []


async def test_a_single_line_that_is_too_large_goes_to_the_quarantine(tmp_path: Path) -> None:
    async with serving() as server:
        server.rule = refuses(b"T1.temp", 413).rule
        bench = Bench(tmp_path, server.url)
        fill(bench.journal, batches=5)
        await drained(bench)
        assert all("T1.temp" in str(entry["line"]) for entry in bench.quarantined)
        whole = expected_readings(bench.journal)
        assert len(readings_of(server.database)) == len(whole) - len(bench.quarantined)


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
