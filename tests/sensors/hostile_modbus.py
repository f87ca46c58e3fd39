"""A Modbus TCP server that can lie, written from the protocol and nothing else.

It shares no code with the gateway or with any Modbus library. A test gives it a `script`, which
gets every request and decides what bytes go back, when, and in how many pieces.
"""

from __future__ import annotations

import asyncio
import struct
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass


@dataclass(frozen=True)
class Ask:
    """One request as it came."""

    transaction: int
    unit: int
    function: int
    address: int
    second: int  # count, or value of a single write
    data: bytes


def adu(transaction: int, unit: int, pdu: bytes) -> bytes:
    return struct.pack(">HHHB", transaction, 0, len(pdu) + 1, unit) + pdu


def packed(bits: Iterable[int]) -> bytes:
    text = "".join(str(bit) for bit in bits)
    eights = [text[n : n + 8] for n in range(0, len(text), 8)]
    return bytes(int(eight[::-1], 2) for eight in eights)


class Wire:
    """One connection, for a script to answer on."""

    def __init__(self, server: HostileServer, writer: asyncio.StreamWriter) -> None:
        self.server = server
        self.writer = writer
        self.number = server.connections

    async def send(self, data: bytes) -> None:
        if not self.writer.is_closing():
            self.writer.write(data)

    async def honest(self, ask: Ask) -> None:
        await self.send(adu(ask.transaction, ask.unit, self.server.answer(ask)))

    def close(self) -> None:
        self.writer.close()


Script = Callable[[Ask, Wire], Awaitable[None]]


async def honest(ask: Ask, wire: Wire) -> None:
    await wire.honest(ask)


class HostileServer:
    """Registers and coils per unit, and a script; it notes every request."""

    def __init__(self) -> None:
        self.script: Script = honest
        self.greet: Callable[[Wire], bool] = lambda _wire: True
        self.words: dict[tuple[int, int, int], int] = {}
        self.bits: dict[tuple[int, int], int] = defaultdict(int)
        self.asked: list[Ask] = []
        self.connections = 0
        self.port = 0
        self._server: asyncio.Server | None = None
        self._wires: set[Wire] = set()

    def answer(self, ask: Ask) -> bytes:
        """Return the PDU of an honest reply; a register not set is 1000 times its unit."""
        head = bytes([ask.function])
        places = range(ask.address, ask.address + ask.second)
        if ask.function in (1, 2):
            body = packed(self.bits[ask.unit, place] for place in places)
            return head + bytes([len(body)]) + body
        if ask.function in (3, 4):
            found = [self.words.get((ask.unit, ask.function, a), 1000 * ask.unit) for a in places]
            return head + bytes([2 * len(found)]) + struct.pack(f">{len(found)}H", *found)
        if ask.function == 5:
            self.bits[ask.unit, ask.address] = int(ask.second == 0xFF00)
        elif ask.function == 6:
            self.words[ask.unit, 3, ask.address] = ask.second
        elif ask.function == 15:
            for n, place in enumerate(places):
                self.bits[ask.unit, place] = ask.data[1 + n // 8] >> n % 8 & 1
        return head + struct.pack(">HH", ask.address, ask.second)

    async def start(self, port: int = 0) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        if self._server is not None:
            self._server.close()
        for wire in list(self._wires):
            wire.writer.transport.abort()
        if self._server is not None:
            await self._server.wait_closed()
        self._server = None

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        wire = Wire(self, writer)
        self._wires.add(wire)
        try:
            while self.greet(wire):
                head = await reader.readexactly(7)
                transaction, _, length, unit = struct.unpack(">HHHB", head)
                pdu = await reader.readexactly(length - 1)
                function, address, second = struct.unpack(">BHH", pdu[:5])
                ask = Ask(transaction, unit, function, address, second, pdu[5:])
                self.asked.append(ask)
                await self.script(ask, wire)
        except (asyncio.IncompleteReadError, asyncio.CancelledError, OSError):
            pass  # the other side went away, or the test is over
        finally:
            self._wires.discard(wire)
            writer.close()


@asynccontextmanager
async def hostile() -> AsyncIterator[HostileServer]:
    server = HostileServer()
    await server.start()
    try:
        yield server
    finally:
        await server.stop()
