"""A write API by hand: it answers each request as the test's script says."""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from urllib.parse import parse_qs, urlsplit

from tests.gateway.sinks.made_journal import Database, put


@dataclass(frozen=True)
class Request:
    """One request as it came in."""

    method: str
    path: str
    query: dict[str, list[str]]
    headers: dict[str, str]
    lines: list[bytes]


@dataclass(frozen=True)
class Answer:
    """Status, headers and body; or silence (`hang`), or bytes that are no whole answer (`raw`)."""

    status: int = 204
    headers: dict[str, str] = field(default_factory=dict)
    body: str = ""
    hang: bool = False
    raw: bytes | None = None

    def as_bytes(self) -> bytes:
        if self.raw is not None:
            return self.raw
        head = [f"HTTP/1.1 {self.status} Scripted", f"Content-Length: {len(self.body)}"]
        head += [f"{name}: {value}" for name, value in self.headers.items()]
        return ("\r\n".join(head) + "\r\n\r\n" + self.body).encode()


WRITTEN = Answer(204)


class Server:
    """Keeps what it accepted, as a database does, and everything that it was asked."""

    def __init__(self) -> None:
        self.script: list[Answer] = []
        self.rule: Callable[[Request], Answer] = lambda _: WRITTEN
        self.requests: list[Request] = []
        self.database: Database = {}
        self.port = 0
        self._open: set[asyncio.StreamWriter] = set()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._open.add(writer)
        try:
            while (request := await self._read(reader)) is not None:
                self.requests.append(request)
                answer = self.script.pop(0) if self.script else self.rule(request)
                if answer.hang:
                    await reader.read()
                    break
                if answer.status in (200, 204) and answer.raw is None:
                    put(self.database, request.lines)
                writer.write(answer.as_bytes())
                await writer.drain()
                if answer.raw is not None:
                    break
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            self._open.discard(writer)
            writer.close()

    @staticmethod
    async def _read(reader: asyncio.StreamReader) -> Request | None:
        first = await reader.readline()
        if not first:
            return None
        method, target, _ = first.decode().split()
        headers: dict[str, str] = {}
        while line := (await reader.readline()).decode().strip():
            name, _, value = line.partition(":")
            headers[name.lower()] = value.strip()
        body = await reader.readexactly(int(headers.get("content-length", "0")))
        lines = gzip.decompress(body).split(b"\n") if body else []
        parts = urlsplit(target)
        return Request(method, parts.path, parse_qs(parts.query), headers, lines)


@asynccontextmanager
async def serving() -> AsyncIterator[Server]:
    """Run a server for the length of a block."""
    made = Server()
    listener = await asyncio.start_server(made.serve, "127.0.0.1", 0, limit=2**24)
    made.port = listener.sockets[0].getsockname()[1]
    try:
        yield made
    finally:
        listener.close()
        for writer in list(made._open):
            writer.close()
