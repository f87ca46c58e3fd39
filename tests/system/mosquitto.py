"""Debian's mosquitto on a free port of 127.0.0.1, and its command line publisher."""

from __future__ import annotations

import asyncio
import signal
import socket
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from tests.ports import free_port

DEADLINE_S = 30.0


async def until(condition: Callable[[], object], what: str) -> None:
    """Wait for a condition with a generous deadline; look often."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + DEADLINE_S
    while not condition():
        assert loop.time() < deadline, f"not within {DEADLINE_S} s: {what}"
        await asyncio.sleep(0.01)


class Mosquitto:
    """One broker process; it can be killed, frozen and started again on the same port."""

    def __init__(self, folder: Path, *options: str) -> None:
        self.port = free_port()
        self._file = folder / "mosquitto.conf"
        # `user root`: as root it would drop to a user who cannot read the folder of the test.
        lines = [f"listener {self.port} 127.0.0.1", "user root", "persistence false", *options]
        if not any(line.startswith("allow_anonymous") for line in lines):
            lines.append("allow_anonymous true")
        self._file.write_text("\n".join(lines) + "\n")
        self._process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        self._process = await asyncio.create_subprocess_exec(
            "/usr/sbin/mosquitto",
            "-c",
            str(self._file),
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
        )
        await until(self._listens, "mosquitto listens")

    def _listens(self) -> bool:
        assert self._process is not None
        assert self._process.returncode is None, "mosquitto ended; see its configuration"
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    async def kill(self) -> None:
        """Kill -9: no farewell to any client."""
        if self._process is not None and self._process.returncode is None:
            self._process.kill()
            await self._process.wait()

    def freeze(self) -> None:
        """Keep every socket open and say nothing: a half-open link."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    async def publish(self, topic: str, *messages: str, options: Sequence[str] = ()) -> None:
        """Publish with mosquitto_pub, one line of its standard input per message."""
        publisher = await asyncio.create_subprocess_exec(
            *("mosquitto_pub", "-h", "127.0.0.1", "-p", str(self.port), "-t", topic, "-l"),
            *options,
            stdin=asyncio.subprocess.PIPE,
        )
        await publisher.communicate("".join(f"{text}\n" for text in messages).encode())
        assert publisher.returncode == 0


@asynccontextmanager
async def mosquitto(folder: Path, *options: str) -> AsyncIterator[Mosquitto]:
    """Run a broker for the length of a block."""
    broker = Mosquitto(folder, *options)
    await broker.start()
    try:
        yield broker
    finally:
        await broker.kill()
