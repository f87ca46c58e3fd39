"""The services process: API and page, sinks, historian. It may die; the alarm path does not notice.

It reads the live state and the journal, and writes only its own folder (lock, cursors,
quarantine, Parquet). One uvicorn server lives inside it: never `--workers`. Each part is
restarted alone. To the core it says one thing, through the command socket: whether the sinks
work.
"""

from __future__ import annotations

import asyncio
import logging
import random
import signal
import socket
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Final

import uvicorn

from gateway import commands
from gateway.api.app import build
from gateway.api.sources import Sources
from gateway.config import Config
from gateway.folders import hold_lock, live_path, services_folder
from gateway.journal_reader import JournalReader
from gateway.sinks.historian import Historian
from gateway.sinks.influx import InfluxSink
from gateway.site import plan_of
from gateway.supervise import keep_running

LOG: Final = logging.getLogger("firedamp.services")
GRACE_S: Final = 3
"""Given to answers under way when the server stops [s]; streams are ended before."""
STALLED_MS: Final = 20_000
"""A client that takes nothing for so long loses its connection, by the kernel's hand [ms]."""
HEALTH_EVERY_S: Final = 5.0
_TOLD_WITHIN_S: Final = 5.0


class _Server(uvicorn.Server):
    """Uvicorn without its own signal handlers: the process has one, which ends streams first."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def listen(host: str, port: int) -> socket.socket:
    """Open the listening socket.

    Its connections inherit the limit on what the other side does not take: without it a client
    that never reads would keep a socket and its buffers for hours.

    Raises
    ------
    OSError
        If the address cannot be had.
    """
    family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0][0]
    opened = socket.socket(family, socket.SOCK_STREAM)
    try:
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, STALLED_MS)
        opened.bind((host, port))
        opened.listen(128)
        opened.setblocking(False)
    except OSError as error:
        opened.close()
        raise OSError(error.errno, f"[api] {host}:{port}: {error.strerror}") from error
    return opened


class Services:
    """Everything of the services process, put together once."""

    def __init__(self, config: Config) -> None:
        self.config = config
        self.rng = random.Random()  # noqa: S311 - jitter of pauses, not a secret
        self.historian: Historian | None = None
        if config.historian is not None:
            self.historian = Historian(config.historian, config.journal.path)
        self.sources = Sources(config, plan_of(config), live_path(config), self.historian)
        self.app = build(self.sources)
        self.stopping = asyncio.Event()
        self.served = asyncio.Event()
        self.server: _Server | None = None
        self.port = 0
        self.sinks: dict[str, InfluxSink | Historian] = {}
        self.failed: dict[str, str] = {}
        if self.historian is not None:
            self.sinks["historian"] = self.historian
        if config.influxdb is not None:
            self.sinks["influxdb"] = InfluxSink(
                config.influxdb,
                JournalReader(config.journal.path),
                services_folder(config) / "influxdb.cursor",
                site=config.site.id,
                rng=self.rng,
            )

    def parts(self) -> dict[str, Callable[[], Awaitable[None]]]:
        """Return what runs, by name; each is restarted alone."""
        return {
            "api": self.run_api,
            "stream states": self.sources.hub.run_states,
            "stream rows": self.sources.hub.run_rows,
            "health": self.run_health,
            **{name: sink.run for name, sink in self.sinks.items()},
        }

    async def run_api(self) -> None:
        """Serve until stopped or cancelled.

        Raises
        ------
        OSError
            If the address cannot be had.
        """
        listening = listen(self.config.api.host, self.config.api.port)
        self.port = listening.getsockname()[1]
        self.server = _Server(
            uvicorn.Config(
                self.app,
                log_config=None,
                access_log=False,
                server_header=False,
                lifespan="off",
                ws="none",
                timeout_graceful_shutdown=GRACE_S,
            )
        )
        self.served.clear()
        LOG.info("API and page at http://%s:%d", self.config.api.host, self.port)
        try:
            await self.server.serve(sockets=[listening])
        finally:
            self.server = None
            self.served.set()
            listening.close()
        if self.stopping.is_set():
            await asyncio.Event().wait()  # until cancelled: ending now is not a failure

    async def run_health(self) -> None:
        """Tell the core whether the sinks work; its silence is an alarm there."""
        while True:
            ok, reason = self.sinks_health()
            said = {"kind": "health", "part": "sink", "ok": ok, "reason": reason}
            try:
                async with asyncio.timeout(_TOLD_WITHIN_S):
                    await commands.ask(self.config.commands.socket, said)
            except (OSError, ValueError) as error:
                LOG.debug("the core cannot be told: %s", error)
            await asyncio.sleep(HEALTH_EVERY_S)

    def sinks_health(self) -> tuple[bool, str]:
        """Return whether all sinks work, and what is wrong."""
        wrong = [
            f"{name}: {self.failed.get(name) or sink.status.reason}"
            for name, sink in self.sinks.items()
            if name in self.failed or not sink.status.ok
        ]
        return not wrong, "; ".join(wrong)

    def _part_state(self, name: str) -> Callable[[bool, str], None]:
        def say(works: bool, reason: str) -> None:
            if works:
                self.failed.pop(name, None)
            else:
                self.failed[name] = reason

        return say

    async def run(self) -> None:
        """Run until SIGTERM or SIGINT; then end the streams, the server and the sinks."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.stopping.set)
        try:
            async with asyncio.TaskGroup() as group:
                tasks = [
                    group.create_task(
                        keep_running(name, part, self._part_state(name), self.rng), name=name
                    )
                    for name, part in self.parts().items()
                ]
                await self.stopping.wait()
                await self._end_server()
                for task in tasks:
                    task.cancel()
        finally:
            self.sources.gate.close()

    async def _end_server(self) -> None:
        """Streams first: a server waits for its open answers."""
        self.sources.hub.close()
        server = self.server
        if server is not None:
            server.should_exit = True
            with suppress(TimeoutError):
                async with asyncio.timeout(GRACE_S + 2):
                    await self.served.wait()


async def serve(config: Config) -> None:
    """Run the services of a site until SIGTERM or SIGINT.

    Raises
    ------
    AlreadyRunningError
        If other services run on this site.
    """
    lock = hold_lock(services_folder(config), "services")
    try:
        await Services(config).run()
    finally:
        lock.close()
