"""The services process: stops with open pages, restarts its parts, puts out who does not read."""

from __future__ import annotations

import asyncio
import socket
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import httpx
import pytest

from gateway import services as services_module
from gateway.api import stream
from gateway.config import InfluxConfig
from gateway.folders import AlreadyRunningError, hold_lock, services_folder
from gateway.services import Services, listen, serve
from tests.system.served_mine import DEADLINE_S, ServedMine, at_free_port, served_mine


async def until(reached: Callable[[], bool]) -> None:
    async with asyncio.timeout(DEADLINE_S):
        while not reached():  # noqa: ASYNC110 - what is waited for belongs to others
            await asyncio.sleep(0.02)


def headers(mine: ServedMine) -> dict[str, str]:
    return {"authorization": f"Bearer {mine.token}"}


async def test_the_shipped_mine_is_served(tmp_path: Path) -> None:
    async with (
        served_mine(tmp_path) as mine,
        httpx.AsyncClient(base_url=mine.address, headers=headers(mine)) as client,
    ):
        plan = mine.services.sources.book.plan
        points = (await client.get("/api/v1/points")).json()
        assert [point["id"] for point in points] == list(plan.points.ids)
        assert (await client.get("/api/v1/status")).json()["core"]["state"] == "ok"
        assert (await client.get("/healthz")).json()["ok"]
        mine.silent = True
        async with asyncio.timeout(DEADLINE_S):
            while (await client.get("/healthz")).status_code == 200:  # noqa: ASYNC110 - by polling
                await asyncio.sleep(0.1)
        status = (await client.get("/api/v1/status")).json()
        assert status["core"]["core_down"]


async def test_it_stops_with_pages_open_and_ends_their_streams(tmp_path: Path) -> None:
    ended: list[str] = []

    async def watch(mine: ServedMine, opened: asyncio.Event) -> None:
        async with (
            httpx.AsyncClient(base_url=mine.address, headers=headers(mine)) as client,
            client.stream("GET", "/api/v1/stream", timeout=None) as answer,
        ):
            async for line in answer.aiter_lines():
                if line.startswith("data:"):
                    opened.set()
        ended.append("whole")  # a stream that breaks off raises instead

    async with asyncio.TaskGroup() as tasks, served_mine(tmp_path) as mine:
        events = [asyncio.Event() for _ in range(5)]
        for opened in events:
            tasks.create_task(watch(mine, opened))
        for opened in events:
            await opened.wait()
        mine.services.stopping.set()
        await until(lambda: len(ended) == 5)
    assert mine.services.server is None


async def test_a_part_that_fails_is_started_again_and_the_others_go_on(tmp_path: Path) -> None:
    config, token = at_free_port(tmp_path)
    with listen("127.0.0.1", 0) as taken:
        port = taken.getsockname()[1]
        services = Services(replace(config, api=replace(config.api, port=port)))
        running = asyncio.gather(services.run())
        await until(lambda: "api" in services.failed)
        assert "api" in services.failed
        assert str(port) in services.failed["api"]
        await until(lambda: services.sources.hub.ticks > 2)
    await until(lambda: services.server is not None and services.server.started)
    async with httpx.AsyncClient(headers={"authorization": f"Bearer {token}"}) as client:
        answer = await client.get(f"http://127.0.0.1:{port}/api/v1/status")
    assert answer.json()["core"]["state"] == "none"
    services.stopping.set()
    await running


async def test_a_second_one_on_the_same_site_is_refused(tmp_path: Path) -> None:
    config, _ = at_free_port(tmp_path)
    with (
        hold_lock(services_folder(config), "services"),
        pytest.raises(AlreadyRunningError, match=r"services\.lock"),
    ):
        await serve(config)


@pytest.mark.parametrize("limited", [True, False], ids=["limited", "control without limits"])
async def test_a_client_that_never_reads_loses_its_place_and_its_connection(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, limited: bool
) -> None:
    evict_s, stalled_ms = (0.5, 2_000) if limited else (600.0, 600_000)
    monkeypatch.setattr(services_module, "STALLED_MS", stalled_ms)
    monkeypatch.setattr(stream, "TICK_S", 0.005)
    monkeypatch.setattr(stream.StreamResponse.__init__, "__defaults__", (evict_s,))
    async with served_mine(tmp_path) as mine:
        hub, server = mine.services.sources.hub, mine.services.server
        assert server
        # States so large that a few fill all buffers between the two.
        monkeypatch.setattr(hub, "_make_tick", lambda: {"pad": "x" * 2_000_000})
        with socket.create_connection(("127.0.0.1", mine.services.port)) as sleeper:
            sleeper.sendall(
                b"GET /api/v1/stream HTTP/1.1\r\nHost: mine\r\n"
                b"Authorization: Bearer " + mine.token.encode() + b"\r\n\r\n"
            )
            await until(lambda: hub.streams == 1)
            if limited:
                await until(lambda: hub.streams == 0 and hub.evicted == 1)
                await until(lambda: not server.server_state.connections)
            else:
                now = hub.ticks
                await until(lambda: hub.ticks > now + 300)
                assert (hub.streams, len(server.server_state.connections)) == (1, 1)


async def test_sigterm_ends_the_process_with_a_page_open(tmp_path: Path) -> None:
    """The whole process, as the service manager stops it."""
    config, token = at_free_port(tmp_path)
    with listen("127.0.0.1", 0) as free:
        port = free.getsockname()[1]
    text = (Path(__file__).parents[2] / "config.toml").read_text("utf-8")
    api = f'[api]\nhost = "127.0.0.1"\nport = {port}\ntokens_file = "{config.api.tokens_file}"\n'
    begin, _, rest = text.partition("[api]")
    rest = rest[rest.index("\n[") :]
    journal = begin.replace('path = "var/', f'path = "{tmp_path}/')
    file = tmp_path / "config.toml"
    file.write_text(journal + api + rest.replace('"var/', f'"{tmp_path}/'), "utf-8")
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "gateway", "run", "-c", str(file), "--only", "services")
    )
    try:
        address = f"http://127.0.0.1:{port}"
        async with httpx.AsyncClient(headers={"authorization": f"Bearer {token}"}) as client:
            await answering(client, address)
            async with client.stream("GET", f"{address}/api/v1/stream", timeout=None) as answer:
                lines = answer.aiter_lines()
                await anext(lines)
                process.terminate()
                async with asyncio.timeout(DEADLINE_S):
                    left = [line async for line in lines]
                assert left
        assert await process.wait() == 0
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def answering(client: httpx.AsyncClient, address: str) -> None:
    async with asyncio.timeout(DEADLINE_S):
        while True:
            try:
                await client.get(f"{address}/healthz")
            except httpx.ConnectError:
                await asyncio.sleep(0.1)
            else:
                return


async def test_a_sink_that_cannot_send_is_said_to_the_core(tmp_path: Path) -> None:
    config, _ = at_free_port(tmp_path)
    influx = InfluxConfig("http://127.0.0.1:1", "mine", "bucket", timeout_s=1.0)
    services = Services(replace(config, influxdb=influx))
    assert services.sinks_health() == (True, "")
    running = asyncio.gather(services.run())
    config.journal.path.mkdir(exist_ok=True)
    services.failed["influxdb"] = "it broke"
    assert services.sinks_health() == (False, "influxdb: it broke")
    services.stopping.set()
    await running
