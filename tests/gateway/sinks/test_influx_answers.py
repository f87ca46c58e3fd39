"""The InfluxDB sink against a server that answers whatever a server may answer."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.sinks.influx import PAUSE_CAP_S
from gateway.sinks.influx_answer import RETRY_AFTER_CAP_S
from tests.gateway.sinks.http_server import WRITTEN, Answer, Request, Server, serving
from tests.gateway.sinks.influx_bench import (
    Bench,
    assert_equal_to_the_journal,
    drained,
    running,
)
from tests.gateway.sinks.made_journal import (
    event_seqs,
    expected_readings,
    fill,
    readings_of,
)
from tests.ports import free_port
from tests.system.mosquitto import until

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
