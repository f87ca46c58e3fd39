"""The stream over the real application, driven as an ASGI server would, without a socket."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson
import pytest

from gateway.api import stream
from gateway.api.stream import StreamResponse
from tests.gateway.api.pretend import GAS, LiveMine, T, row
from tests.gateway.api.served import Served, serve

DEADLINE_S = 30.0


@dataclass
class Client:
    """One client; `blocked` makes it take nothing."""

    sent: list[dict[str, Any]] = field(default_factory=list)
    blocked: bool = False
    gone: asyncio.Event = field(default_factory=asyncio.Event)
    ended: bool = False
    free: asyncio.Event = field(default_factory=asyncio.Event)
    news: asyncio.Event = field(default_factory=asyncio.Event)

    async def receive(self) -> dict[str, Any]:
        await self.gone.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Any) -> None:  # noqa: ANN401 - whatever ASGI sends
        while self.blocked:
            self.free.clear()
            await self.free.wait()
        self.sent.append(dict(message))
        self.news.set()

    def frames(self) -> list[tuple[str, str | None, dict[str, Any]]]:
        body = b"".join(m["body"] for m in self.sent if m["type"] == "http.response.body")
        found = []
        for block in body.decode().split("\n\n")[:-1]:
            lines = dict(line.split(": ", 1) for line in block.split("\n"))
            found.append((lines["event"], lines.get("id"), orjson.loads(lines["data"])))
        return found

    def ids(self) -> list[int]:
        return [int(name) for kind, name, _ in self.frames() if kind == "event" and name]

    async def until(self, reached: Callable[[], bool]) -> None:
        async with asyncio.timeout(DEADLINE_S):
            while not reached():
                self.news.clear()
                await self.news.wait()


@pytest.fixture
def served(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Served:
    monkeypatch.setattr(stream, "TICK_S", 0.02)
    monkeypatch.setattr(stream, "LOOK_S", 0.02)
    served = serve(tmp_path, max_streams=3)
    served.publish(LiveMine())
    return served


@asynccontextmanager
async def running(served: Served) -> AsyncIterator[asyncio.TaskGroup]:
    """Run the hub; whatever was started in the group is ended with it."""
    async with asyncio.TaskGroup() as tasks:
        parts = [
            tasks.create_task(served.sources.hub.run_states()),
            tasks.create_task(served.sources.hub.run_rows()),
        ]
        try:
            yield tasks
        finally:
            served.sources.hub.close()
            for part in parts:
                part.cancel()


def connect(
    served: Served,
    tasks: asyncio.TaskGroup,
    *,
    last_id: int | None = None,
    token: str = "",
) -> Client:
    client = Client()
    token = token or served.tokens["regulator"]
    headers = [(b"authorization", f"Bearer {token}".encode())]
    if last_id is not None:
        headers.append((b"last-event-id", str(last_id).encode()))
    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "GET",
        "scheme": "http",
        "path": "/api/v1/stream",
        "raw_path": b"/api/v1/stream",
        "query_string": b"",
        "root_path": "",
        "headers": headers,
        "server": ("mine", 80),
        "client": ("there", 1),
    }

    async def run() -> None:
        await served.app(scope, client.receive, client.send)
        client.ended = True
        client.news.set()

    tasks.create_task(run())
    return client


def status_of(client: Client) -> int:
    return int(client.sent[0]["status"])


async def test_states_come_again_and_again_with_the_server_clock(served: Served) -> None:
    async with running(served) as tasks:
        client = connect(served, tasks)
        await client.until(lambda: len(client.frames()) >= 3)
        served.later(1)
        count = len(client.frames())
        await client.until(lambda: len(client.frames()) >= count + 2)
        first, last = client.frames()[0], client.frames()[-1]
        assert first[0] == "state"
        assert (first[2]["monotonic_ms"], last[2]["monotonic_ms"]) == (5_000_000, 5_001_000)
        assert last[2]["status"]["time"] == "2026-11-23T00:00:01.000Z"
        assert first[2]["points"]["value"][GAS] == 0.42
        assert dict(client.sent[0]["headers"])[b"content-type"].startswith(b"text/event-stream")


async def test_rows_come_as_they_commit_each_once_and_in_order(served: Served) -> None:
    served.journal([row(1, t_ns=T + 1)])
    async with running(served) as tasks:
        client = connect(served, tasks)
        await client.until(lambda: len(client.frames()) >= 2)
        assert client.ids() == []  # only rows from now on
        await asyncio.to_thread(served.journal, [row(seq, t_ns=T + seq) for seq in range(2, 5)])
        await client.until(lambda: len(client.ids()) >= 3)
        await asyncio.to_thread(served.journal, [row(5, t_ns=T + 5)])
        await client.until(lambda: len(client.ids()) >= 4)
        assert client.ids() == [2, 3, 4, 5]


@pytest.mark.parametrize("kept", [3, 1_000])
async def test_a_client_resumes_after_its_last_row(
    served: Served, monkeypatch: pytest.MonkeyPatch, kept: int
) -> None:
    """From memory, and from the journal where memory no longer reaches."""
    monkeypatch.setattr(stream, "_KEPT", kept)
    monkeypatch.setattr(stream, "_PAGE", 4)
    served.journal([row(seq, t_ns=T + seq) for seq in range(1, 6)])
    async with running(served) as tasks:
        first = connect(served, tasks, last_id=0)
        await first.until(lambda: len(first.ids()) >= 5)
        await asyncio.to_thread(served.journal, [row(s, t_ns=T + s) for s in range(6, 20)])
        await first.until(lambda: len(first.ids()) >= 19)
        assert first.ids() == list(range(1, 20))
        for last_id in (0, 4, 5, 13, 18):
            again = connect(served, tasks, last_id=last_id)
            await again.until(lambda c=again: bool(c.ids()) and c.ids()[-1] == 19)  # type: ignore[misc]
            assert again.ids() == list(range(last_id + 1, 20))
            again.gone.set()
            await again.until(lambda c=again: c.ended)  # type: ignore[misc]


async def test_a_client_of_a_journal_that_began_anew_is_told(served: Served) -> None:
    served.journal([row(1, t_ns=T + 1)])
    async with running(served) as tasks:
        client = connect(served, tasks, last_id=50)
        await client.until(lambda: any(kind == "reset" for kind, _, _ in client.frames()))
        reset = next(data for kind, _, data in client.frames() if kind == "reset")
        assert reset == {"after": 1}
        await asyncio.to_thread(served.journal, [row(2, t_ns=T + 2)])
        await client.until(lambda: bool(client.ids()))
        assert client.ids() == [2]


async def test_a_slow_client_skips_states_and_holds_nobody_back(served: Served) -> None:
    async with running(served) as tasks:
        slow, quick = connect(served, tasks), connect(served, tasks)
        await slow.until(lambda: len(slow.frames()) >= 1)
        slow.blocked = True
        seen = len(slow.frames())
        await quick.until(lambda: len(quick.frames()) >= 20)
        assert len(slow.frames()) == seen
        served.later(100)
        at_once = len(quick.frames())
        await quick.until(lambda: len(quick.frames()) >= at_once + 2)
        slow.blocked = False
        slow.free.set()
        await slow.until(lambda: len(slow.frames()) >= seen + 2)
        # The one that was under way, and then the newest.
        ages = [data["points"]["age_s"][GAS] for _, _, data in slow.frames()[seen : seen + 2]]
        assert ages == [1.0, 101.0]


async def test_a_client_that_takes_nothing_is_put_out(
    served: Served, caplog: pytest.LogCaptureFixture
) -> None:
    hub = served.sources.hub
    async with running(served) as tasks:
        client = Client(blocked=True)
        response = StreamResponse(hub, None, lambda: True, evict_after_s=0.05)

        async def run() -> None:
            await response({}, client.receive, client.send)
            client.ended = True
            client.news.set()

        tasks.create_task(run())
        await client.until(lambda: client.ended)
        assert (hub.evicted, hub.streams) == (1, 0)
        assert "put out" in caplog.text


async def test_a_client_that_leaves_gives_its_place_back(served: Served) -> None:
    async with running(served) as tasks:
        client = connect(served, tasks)
        await client.until(lambda: bool(client.frames()))
        assert served.sources.hub.streams == 1
        client.gone.set()
        await client.until(lambda: client.ended)
        assert served.sources.hub.streams == 0


async def test_no_more_clients_than_configured(served: Served) -> None:
    async with running(served) as tasks:
        clients = [connect(served, tasks) for _ in range(3)]
        for client in clients:
            await client.until(lambda c=client: bool(c.frames()))  # type: ignore[misc]
        extra = connect(served, tasks)
        await extra.until(lambda: extra.ended)
        assert status_of(extra) == 429
        clients[0].gone.set()
        await clients[0].until(lambda: clients[0].ended)
        extra = connect(served, tasks)
        await extra.until(lambda: bool(extra.frames()))
        assert status_of(extra) == 200


async def test_a_revoked_token_ends_its_stream(served: Served) -> None:
    async with running(served) as tasks:
        client = connect(served, tasks, token=served.tokens["operator"])
        await client.until(lambda: bool(client.frames()))
        file = served.folder / "tokens"
        lines = file.read_text("utf-8").splitlines()
        file.write_text("\n".join(x for x in lines if not x.startswith("operator")), "utf-8")
        await client.until(lambda: client.ended)
        assert client.sent[-1] == {"type": "http.response.body", "body": b"", "more_body": False}


async def test_closing_ends_every_stream_whole(served: Served) -> None:
    async with running(served) as tasks:
        clients = [connect(served, tasks) for _ in range(3)]
        for client in clients:
            await client.until(lambda c=client: bool(c.frames()))  # type: ignore[misc]
        served.sources.hub.close()
        for client in clients:
            await client.until(lambda c=client: c.ended)  # type: ignore[misc]
            assert client.sent[-1]["more_body"] is False
        assert served.sources.hub.full


async def test_states_go_on_while_the_journal_does_not_answer(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    stuck = asyncio.Event()

    async def no_answer() -> int:
        await stuck.wait()
        return 0

    monkeypatch.setattr(served.sources.hub, "_last_seq", no_answer)
    async with running(served) as tasks:
        client = connect(served, tasks)
        await client.until(lambda: len(client.frames()) >= 5)
        assert {kind for kind, _, _ in client.frames()} == {"state"}


async def test_a_core_that_falls_silent_is_seen_in_the_stream(served: Served) -> None:
    async with running(served) as tasks:
        client = connect(served, tasks)
        await client.until(lambda: bool(client.frames()))
        assert not client.frames()[-1][2]["status"]["core"]["core_down"]
        served.later(5)
        await client.until(lambda: client.frames()[-1][2]["status"]["core"]["core_down"])
        tick = client.frames()[-1][2]
        assert tick["points"]["age_s"][GAS] == 6.0
        assert tick["status"]["core"]["silent_s"] == 5.0
