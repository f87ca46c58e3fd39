"""The demonstration's broker as a child process that can be stopped and started."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
from pathlib import Path


class BrokerProcess:
    """The broker as a child process; it ends with its parent, even one that is killed."""

    def __init__(self, host: str, port: int) -> None:
        self._host, self._port = host, port
        self._process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        """Start it, unless it runs, and wait until it listens.

        Raises
        ------
        RuntimeError
            If it ends instead, most likely because the port is taken.
        """
        if self._process is not None:
            return
        self._process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "simulators.broker", self._host, str(self._port)),
            stdin=asyncio.subprocess.PIPE,
            env=_environment(),
        )
        while not await self._listens():
            if self._process.returncode is not None:
                self._process = None
                raise RuntimeError(f"no broker on {self._host}:{self._port}: is the port taken?")
            await asyncio.sleep(0.05)

    async def _listens(self) -> bool:
        try:
            _, writer = await asyncio.open_connection(self._host, self._port)
        except OSError:
            return False
        writer.transport.abort()
        return True

    async def stop(self) -> None:
        """Kill it, as a power failure would, and wait for its end."""
        process, self._process = self._process, None
        if process is not None:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()


def _environment() -> dict[str, str]:
    """Return our own environment, in which this package is found wherever we were started."""
    here = str(Path(__file__).resolve().parent.parent)
    path = os.pathsep.join([here, *filter(None, [os.environ.get("PYTHONPATH")])])
    return {**os.environ, "PYTHONPATH": path}
