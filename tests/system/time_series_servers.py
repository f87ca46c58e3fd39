"""Debian's InfluxDB 1.6 behind a path shim, and VictoriaMetrics, on free ports of 127.0.0.1."""

from __future__ import annotations

import asyncio
import json
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import parse_qs, quote, urlsplit

import httpx

from tests.ports import free_port

_INFLUX_CONFIG = """
reporting-disabled = true
bind-address = "127.0.0.1:{rpc}"
[meta]
  dir = "{folder}/meta"
[data]
  dir = "{folder}/data"
  wal-dir = "{folder}/wal"
[http]
  bind-address = "127.0.0.1:{port}"
  log-enabled = false
[monitor]
  store-enabled = false
"""


class Server:
    """One database process; `stop` it with any signal and start it again on the same data."""

    def __init__(self, *command: str, port: int) -> None:
        self.port = port
        self.url = f"http://127.0.0.1:{port}"
        self._command = command
        self._process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        self._process = await asyncio.create_subprocess_exec(
            *self._command, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL
        )
        alive = False
        while not alive:
            assert self._process.returncode is None, f"{self._command[0]} ended"
            await asyncio.sleep(0.05)
            alive = await self._answers()

    async def _answers(self) -> bool:
        try:
            await self.get("/ping")
        except httpx.TransportError:
            return False
        return True

    async def stop(self, with_signal: signal.Signals) -> None:
        if self._process is not None and self._process.returncode is None:
            self._process.send_signal(with_signal)
            await self._process.wait()

    async def get(self, path: str, **query: str) -> str:
        async with httpx.AsyncClient(timeout=60.0) as client:
            answer = await client.get(self.url + path, params=query)
            return answer.text

    async def post(self, path: str, **query: str) -> str:
        async with httpx.AsyncClient(timeout=60.0) as client:
            answer = await client.post(self.url + path, params=query)
            return answer.text


@asynccontextmanager
async def victoria_metrics(folder: Path) -> AsyncIterator[Server]:
    """It keeps milliseconds, and needs the flag not to double what is sent twice."""
    port = free_port()
    server = Server(
        "victoria-metrics",
        f"-storageDataPath={folder / 'victoria'}",
        f"-httpListenAddr=127.0.0.1:{port}",
        "-dedup.minScrapeInterval=1ms",
        "-search.latencyOffset=0s",
        port=port,
    )
    await server.start()
    try:
        yield server
    finally:
        await server.stop(signal.SIGKILL)


@asynccontextmanager
async def influxdb(folder: Path) -> AsyncIterator[Server]:
    """Version 1 of its API; `shim` gives it the path of version 2."""
    port = free_port()
    config = folder / "influxdb.conf"
    config.write_text(_INFLUX_CONFIG.format(folder=folder / "influx", port=port, rpc=free_port()))
    server = Server("influxd", "run", "-config", str(config), port=port)
    await server.start()
    await server.post("/query", q="CREATE DATABASE gas")
    try:
        yield server
    finally:
        await server.stop(signal.SIGKILL)


@asynccontextmanager
async def shim(server: Server) -> AsyncIterator[str]:
    """Serve /api/v2/write?bucket=B&precision=ns as /write?db=B&precision=ns; the URL."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                await _forward(server.port, head, reader, writer)
        except (OSError, asyncio.IncompleteReadError):
            pass  # a server that is away looks away through the shim too
        finally:
            writer.close()

    listener = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{listener.sockets[0].getsockname()[1]}"
    finally:
        listener.close()


async def _forward(
    port: int, head: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> None:
    first, _, rest = head.decode().partition("\r\n")
    method, target, version = first.split()
    parts = urlsplit(target)
    assert parts.path == "/api/v2/write"
    query = parse_qs(parts.query)
    path = f"/write?db={quote(query['bucket'][0])}&precision={query['precision'][0]}"
    body = await reader.readexactly(_length(rest))
    inner_reader, inner = await asyncio.open_connection("127.0.0.1", port)
    try:
        inner.write(f"{method} {path} {version}\r\n{rest}".encode() + body)
        answer = await inner_reader.readuntil(b"\r\n\r\n")
        answer += await inner_reader.readexactly(_length(answer.decode()))
        writer.write(answer)
        await writer.drain()
    finally:
        inner.close()


def _length(head: str) -> int:
    for line in head.split("\r\n"):
        name, _, value = line.partition(":")
        if name.lower() == "content-length":
            return int(value)
    return 0


async def influx_rows(server: Server, measurement: str) -> dict[tuple[str, int], dict[str, object]]:
    """Everything of a measurement: (measurement with its tags, ns) to fields."""
    rows: dict[tuple[str, int], dict[str, object]] = {}
    query = f'SELECT * FROM "{measurement}" GROUP BY *'  # noqa: S608
    answer = json.loads(await server.get("/query", db="gas", epoch="ns", q=query))
    for series in answer["results"][0].get("series", []):
        tags = "".join(f",{k}={v}" for k, v in sorted(series["tags"].items()) if v)
        for values in series["values"]:
            fields = dict(zip(series["columns"], values, strict=True))
            time_ns = fields.pop("time")
            assert (measurement + tags, time_ns) not in rows
            rows[measurement + tags, time_ns] = {k: v for k, v in fields.items() if v is not None}
    return rows


async def victoria_samples(server: Server, measurement: str) -> list[tuple[str, str, int]]:
    """Every sample: (measurement with its tags, field, ms), sorted; one twice stands twice."""
    await server.get("/internal/force_flush")  # what was written becomes visible
    answer = await server.get("/api/v1/export", **{"match[]": f'{{__name__=~"{measurement}_.*"}}'})
    samples = []
    for line in answer.splitlines():
        series = json.loads(line)
        tags = dict(series["metric"])
        field = tags.pop("__name__").removeprefix(f"{measurement}_")
        key = measurement + "".join(f",{k}={v}" for k, v in sorted(tags.items()) if k != "db")
        samples += [(key, field, ms) for ms in series["timestamps"]]
    return sorted(samples)
