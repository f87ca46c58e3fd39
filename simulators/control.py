"""The control door: a local socket through which a running pretend mine can be broken.

One JSON object a line in, one line out; the messages are those of `simulators.messages`. Only
the account that runs the pretend mine can open it.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from simulators.messages import obey
from simulators.world import World

_LONGEST_LINE: Final = 1 << 20


async def serve_control(world: World, path: Path) -> None:
    """Serve the door until cancelled.

    Raises
    ------
    OSError
        If the socket cannot be made there.
    """

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, ValueError):  # gone, or an endless line
            while line := await reader.readline():
                writer.write(json.dumps(_reply(world, line)).encode() + b"\n")
                await writer.drain()
        writer.close()

    _make_room(path)
    mask = os.umask(0o077)
    try:
        server = await asyncio.start_unix_server(serve, path, limit=_LONGEST_LINE)
    finally:
        os.umask(mask)
    try:
        async with server:
            await server.serve_forever()
    finally:
        _make_room(path)


def _make_room(path: Path) -> None:
    """Remove a socket that a killed process left behind."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)


def _reply(world: World, line: bytes) -> dict[str, Any]:
    try:
        message = json.loads(line)
    except ValueError as error:
        return {"ok": False, "error": f"not JSON: {error}"}
    if not isinstance(message, dict):
        return {"ok": False, "error": "a message is a JSON object"}
    return obey(world, message)


async def send_control(path: Path, message: Mapping[str, Any]) -> dict[str, Any]:
    """Send one message to a running pretend mine and return its reply.

    Raises
    ------
    OSError
        If no pretend mine listens there.
    ConnectionError
        If it hangs up without a reply.
    """
    reader, writer = await asyncio.open_unix_connection(path, limit=_LONGEST_LINE)
    try:
        writer.write(json.dumps(message).encode() + b"\n")
        await writer.drain()
        line = await reader.readline()
    finally:
        writer.close()
    if not line:
        raise ConnectionError(f"{path}: the pretend mine hung up")
    reply: dict[str, Any] = json.loads(line)
    return reply
