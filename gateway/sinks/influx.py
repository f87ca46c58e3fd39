"""The InfluxDB sink: a reader of the journal with a durable cursor; speaks the v2 write API.

The journal is the buffer. A batch is sent, and only a success moves the cursor; so an outage of
hours needs no memory, and a crash at any moment sends at most one batch again, line for line the
same, which the server overwrites. What an answer means:

==================  ================================================================
204, 201            the cursor moves
400, 422            halved until the bad lines stand alone; those go to the quarantine
413                 halved, and smaller batches from then on
401, 403, 404       kept, and told: somebody must repair token, bucket or address
429, 503            kept for as long as the server says (``Retry-After``)
all else            kept; also no answer, and an answer that no write API gives
==================  ================================================================

Before a first line is put into quarantine the server must accept a line that is surely good:
otherwise it is the server that is wrong, and everything is kept. Two ways of influxdb-client are
avoided: its batching writer, which drops in silence, and redirects, after which an inn's login page
would count as success.
"""

from __future__ import annotations

import asyncio
import gzip
import logging
import random
import sqlite3
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import aiohttp
import orjson
from influxdb_client.client.influxdb_client_async import InfluxDBClientAsync
from influxdb_client.client.write_api_async import WriteApiAsync
from influxdb_client.domain.write_precision import WritePrecision
from influxdb_client.rest import ApiException

from gateway.config import InfluxConfig
from gateway.journal_reader import JournalReader
from gateway.sinks.durable_file import append_lines, replace_file
from gateway.sinks.influx_answer import KeptError, Meaning, meaning
from gateway.sinks.influx_batch import Batch, BatchReader, Cursor, load_cursor
from gateway.sinks.line_protocol import series

LOG: Final = logging.getLogger("firedamp")

PAUSE_FIRST_S: Final = 0.5
PAUSE_CAP_S: Final = 60.0
LOOK_EVERY_S: Final = 0.5
QUARANTINE_BYTES: Final = 16_000_000
REASON_CHARS: Final = 300
GZIP_LEVEL: Final = 3


@dataclass(slots=True)
class SinkStatus:
    """What the sink says of itself.

    `gaps` counts where the journal dropped readings before they could be sent; `readings_seq` and
    `event_seq` are what the database holds for certain.
    """

    ok: bool = True
    reason: str = ""
    readings_seq: int = 0
    event_seq: int = 0
    lines_written: int = 0
    lines_quarantined: int = 0
    gaps: int = 0
    failures: int = 0
    last_success_monotonic_ns: int = 0


class InfluxSink:
    """Sends the journal to one database, for as long as it runs.

    Parameters
    ----------
    config : InfluxConfig
    reader : JournalReader
        Its own; it is used from a thread.
    cursor_file : Path
        The quarantine lies beside it, as ``<name>.quarantine.jsonl``.
    site : str
        Site id, a tag of every line.
    rng : random.Random
        Jitter of the pauses.
    sleep : callable
        For tests.
    """

    def __init__(
        self,
        config: InfluxConfig,
        reader: JournalReader,
        cursor_file: Path,
        *,
        site: str,
        rng: random.Random,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self.config = config
        self.status = SinkStatus()
        self.quarantine_file = cursor_file.with_name(cursor_file.name + ".quarantine.jsonl")
        self._cursor_file = cursor_file
        self._cursor: Cursor | None = None
        self._batches = BatchReader(reader, site)
        self._canary = series("sink", {"site": site}) + b" alive=1i"
        self._rng = rng
        self._sleep = sleep
        self._pause_s = PAUSE_FIRST_S
        self._lines_at_once = config.batch_lines
        self._proved = False

    async def run(self) -> None:
        """Send what comes; ends only by being cancelled."""
        while True:
            try:
                async with self._client(await asyncio.to_thread(self._token)) as client:
                    await self._feed(client.write_api())
            except KeptError as kept:
                await self._wait(str(kept), kept.wait_s)
            except (sqlite3.Error, OSError) as error:
                await self._wait(f"journal, cursor or token file: {error}", None)

    def _token(self) -> str:
        """Read the token anew for every session: somebody may have repaired it."""
        if self.config.token_file is None:
            return ""
        try:
            return self.config.token_file.read_text(encoding="utf-8").strip()
        except ValueError as error:
            raise KeptError(f"{self.config.token_file} holds no token: {error}") from error

    def _client(self, token: str) -> InfluxDBClientAsync:
        client = InfluxDBClientAsync(
            self.config.url,
            token=token,
            org=self.config.org,
            timeout=round(self.config.timeout_s * 1_000),
            allow_redirects=False,
        )
        client.api_client.default_headers["Content-Encoding"] = "gzip"
        return client

    async def _feed(self, write: WriteApiAsync) -> None:
        cursor = await asyncio.to_thread(self._load)
        while True:
            batch = await asyncio.to_thread(
                self._batches.next_batch, cursor, self.config.batch_lines
            )
            if batch is None:
                await self._sleep(LOOK_EVERY_S)
                continue
            quarantined = await self._send(write, batch.lines)
            await asyncio.to_thread(self._settle, batch, quarantined)
            cursor = batch.after

    def _load(self) -> Cursor:
        if self._cursor is None:
            target = f"{self.config.url} {self.config.org}/{self.config.bucket}"
            self._cursor, note = load_cursor(self._cursor_file, target)
            self._tell(note)
        return self._cursor

    def _settle(self, batch: Batch, quarantined: list[bytes]) -> None:
        """Make a sent batch durable: first what it left behind, then the cursor."""
        self._tell(batch.note)
        if quarantined:
            self._tell(f"refused: {quarantined[0].decode()}")
            append_lines(self.quarantine_file, quarantined, keep_bytes=QUARANTINE_BYTES)
        replace_file(self._cursor_file, batch.after.as_bytes())
        self._cursor = batch.after
        self.status.readings_seq = batch.after.readings_seq
        self.status.event_seq = batch.after.event_seq
        self.status.lines_quarantined += len(quarantined)
        self.status.gaps += batch.gap

    # --- one batch ---------------------------------------------------------------------------

    async def _send(self, write: WriteApiAsync, lines: list[bytes]) -> list[bytes]:
        """Send all lines; return what must go to the quarantine, as JSON lines."""
        quarantined: list[bytes] = []
        self._proved = False
        step = self._lines_at_once
        waiting = [lines[at : at + step] for at in range(0, len(lines), step)][::-1]
        while waiting:
            part = waiting.pop()
            answer, reason = await self._post(write, part)
            if answer == "written":
                self._succeeded(len(part))
            elif answer == "written but for too old lines":
                self._succeeded(len(part))
                quarantined.append(_record(reason, part))
            elif len(part) > 1:
                middle = len(part) // 2
                waiting += [part[middle:], part[:middle]]
                if answer == "too large":
                    self._lines_at_once = max(1, min(self._lines_at_once, middle))
            else:
                await self._prove(write, reason)
                quarantined.append(_record(reason, part))
        return quarantined

    async def _prove(self, write: WriteApiAsync, reason: str) -> None:
        """Believe that a line is bad only of a server that accepts a good one."""
        if not self._proved:
            answer, _ = await self._post(write, [self._canary])
            if answer != "written":
                raise KeptError(f"the server refuses every line: {reason}")
            self._proved = True

    async def _post(self, write: WriteApiAsync, lines: list[bytes]) -> tuple[Meaning, str]:
        """Post lines once.

        Raises
        ------
        KeptError
            For every answer that says nothing about the lines.
        """
        body = await asyncio.to_thread(gzip.compress, b"\n".join(lines), GZIP_LEVEL)
        try:
            accepted = await write.write(
                self.config.bucket,
                self.config.org,
                body,
                WritePrecision.NS,  # type: ignore[arg-type] # the class is meant as an enumeration
            )
        except ApiException as error:
            reason = f"HTTP {error.status}: {_words(error)}"
            return meaning(error.status or 0, reason, error.headers or {}), reason
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            raise KeptError(f"no answer: {str(error) or type(error).__name__}") from error
        if not accepted:
            raise KeptError("the answer is not that of a write API: look at the address")
        return "written", ""

    # --- what the sink says of itself --------------------------------------------------------

    def _tell(self, note: str) -> None:
        if note:
            LOG.warning("sink %s: %s", self.config.url, note)

    def _succeeded(self, lines: int) -> None:
        if not self.status.ok:
            LOG.info("sink %s: works again", self.config.url)
        self.status.ok, self.status.reason = True, ""
        self.status.lines_written += lines
        self.status.last_success_monotonic_ns = time.monotonic_ns()
        self._pause_s = PAUSE_FIRST_S
        self._proved = True

    async def _wait(self, reason: str, wait_s: float | None) -> None:
        if self.status.ok:
            LOG.warning("sink %s: %s", self.config.url, reason)
        self.status.ok, self.status.reason = False, reason
        self.status.failures += 1
        jittered_s = self._pause_s * self._rng.uniform(0.5, 1.0)
        await self._sleep(jittered_s if wait_s is None else max(wait_s, jittered_s))
        self._pause_s = min(PAUSE_CAP_S, self._pause_s * 2.0)


def _record(reason: str, lines: list[bytes]) -> bytes:
    """Return what the quarantine keeps: the line, or how many there were and the first of them."""
    kept = {"reason": reason, "lines": len(lines), "line": lines[0].decode(errors="replace")}
    return orjson.dumps(kept)


def _words(error: ApiException) -> str:
    message = error.message
    text = message.decode(errors="replace") if isinstance(message, bytes) else str(message)
    return " ".join(text.split())[:REASON_CHARS]
