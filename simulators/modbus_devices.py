"""A Modbus TCP server for the pretend devices: frames, function codes, exceptions.

Written from the Modbus Application Protocol and the Modbus Messaging on TCP/IP guide, without a
Modbus library: the gateway's library must not be tested against itself.
"""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Mapping, Sequence
from typing import Final, Literal, Protocol

from simulators.device_registers import Area

ILLEGAL_FUNCTION: Final = 1
ILLEGAL_ADDRESS: Final = 2
ILLEGAL_VALUE: Final = 3
NO_RESPONSE_FROM_TARGET: Final = 11
LinkState = Literal["up", "cut", "silent", "garbled"]
LINK_STATES: Final[tuple[LinkState, ...]] = ("up", "cut", "silent", "garbled")

_READ_BITS: Final[dict[int, Area]] = {1: "coil", 2: "discrete"}
_READ_WORDS: Final[dict[int, Area]] = {3: "holding", 4: "input"}
_MOST_BITS_READ, _MOST_WORDS_READ = 2000, 125
_MOST_BITS_WRITTEN, _MOST_WORDS_WRITTEN = 1968, 123
_COIL_STATES: Final = {0x0000: False, 0xFF00: True}
_LONGEST_BODY: Final = 254


class RefusedError(Exception):
    """A request that is answered with a Modbus exception code."""

    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code


class Unit(Protocol):
    """Something with registers behind one unit address."""

    def wait_s(self) -> float | None:
        """Return how long its answers take [s]; None: it does not answer."""

    def read(self, area: Area, address: int, count: int) -> Sequence[int] | None:
        """Return `count` bits or words; None if there are none at such addresses."""

    def write(self, area: Area, address: int, values: Sequence[int]) -> bool:
        """Write bits or words; False if none can be written there."""


def answer(unit: Unit, pdu: bytes) -> bytes:
    """Return the reply to a request, both without MBAP header; pure but for the unit's state."""
    function = pdu[0]
    try:
        return bytes([function]) + _perform(unit, function, pdu[1:])
    except RefusedError as refused:
        return bytes([function | 0x80, refused.code])
    except struct.error:
        return bytes([function | 0x80, ILLEGAL_VALUE])


def _perform(unit: Unit, function: int, data: bytes) -> bytes:
    if function in _READ_BITS:
        bits = _read(unit, _READ_BITS[function], data, _MOST_BITS_READ)
        packed = sum((bit & 1) << n for n, bit in enumerate(bits))
        size = (len(bits) + 7) // 8
        return bytes([size]) + packed.to_bytes(size, "little")
    if function in _READ_WORDS:
        words = _read(unit, _READ_WORDS[function], data, _MOST_WORDS_READ)
        return struct.pack(f">B{len(words)}H", 2 * len(words), *words)
    if function in (5, 6):
        address, value = struct.unpack(">HH", data)
        if function == 5 and value not in _COIL_STATES:  # noqa: PLR2004 - write single coil
            raise RefusedError(ILLEGAL_VALUE)
        single = [int(_COIL_STATES[value])] if function == 5 else [value]  # noqa: PLR2004
        _write(unit, "coil" if function == 5 else "holding", address, single)  # noqa: PLR2004
        return data
    if function in (15, 16):
        address, count, size = struct.unpack(">HHB", data[:5])
        area: Area = "coil" if function == 15 else "holding"  # noqa: PLR2004
        _write(unit, area, address, _written(area, count, size, data[5:]))
        return data[:4]
    raise RefusedError(ILLEGAL_FUNCTION)


def _read(unit: Unit, area: Area, data: bytes, most: int) -> Sequence[int]:
    address, count = struct.unpack(">HH", data)
    if not 1 <= count <= most:
        raise RefusedError(ILLEGAL_VALUE)
    found = unit.read(area, address, count)
    if found is None:
        raise RefusedError(ILLEGAL_ADDRESS)
    return found


def _written(area: Area, count: int, size: int, data: bytes) -> list[int]:
    """Return the values of a multiple write."""
    bits = area == "coil"
    most = _MOST_BITS_WRITTEN if bits else _MOST_WORDS_WRITTEN
    needed = (count + 7) // 8 if bits else 2 * count
    if not 1 <= count <= most or size != needed or len(data) != needed:
        raise RefusedError(ILLEGAL_VALUE)
    if not bits:
        return list(struct.unpack(f">{count}H", data))
    packed = int.from_bytes(data, "little")
    return [packed >> n & 1 for n in range(count)]


def _write(unit: Unit, area: Area, address: int, values: Sequence[int]) -> None:
    if not unit.write(area, address, values):
        raise RefusedError(ILLEGAL_ADDRESS)


class LinkSwitch:
    """The state of one link, changed by people and scenarios.

    ``up``; ``cut``: no connection is possible; ``silent``: connections stand, nothing is
    answered; ``garbled``: each reply bears the number of another request.
    """

    def __init__(self) -> None:
        self.state: LinkState = "up"
        self._changed = asyncio.Event()

    def set(self, state: LinkState) -> None:
        """Change the state."""
        self.state = state
        self._changed.set()

    async def until(self, *, cut: bool) -> None:
        """Wait until the link is, or is no longer, cut."""
        while (self.state == "cut") != cut:
            self._changed.clear()
            await self._changed.wait()


class ModbusServer:
    """One link: a listening TCP port with several units behind it, as behind a converter."""

    def __init__(self, units: Mapping[int, Unit], link: LinkSwitch) -> None:
        self._units = units
        self._link = link
        self._writers: set[asyncio.StreamWriter] = set()
        self.requests = 0

    async def run(self, host: str, port: int) -> None:
        """Serve until cancelled; while the link is cut the port is shut.

        Raises
        ------
        OSError
            If the port cannot be listened on.
        """
        while True:
            await self._link.until(cut=False)
            server = await asyncio.start_server(self._serve, host, port)
            try:
                await self._link.until(cut=True)
            finally:
                server.close()
                for writer in tuple(self._writers):
                    writer.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        try:
            while True:
                await self._exchange(reader, writer)
        except (asyncio.IncompleteReadError, ConnectionError, ValueError):
            pass  # the master has gone, or does not speak Modbus: a device just hangs up
        finally:
            self._writers.discard(writer)
            writer.close()

    async def _exchange(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readexactly(7)
        transaction, protocol, length, unit_address = struct.unpack(">HHHB", head)
        if protocol != 0 or not 2 <= length <= _LONGEST_BODY:  # noqa: PLR2004 - unit and function
            raise ValueError(head)
        pdu = await reader.readexactly(length - 1)
        self.requests += 1
        state = self._link.state
        if state in ("cut", "silent"):
            return
        unit = self._units.get(unit_address)
        if unit is None:
            reply = bytes([pdu[0] | 0x80, NO_RESPONSE_FROM_TARGET])
        else:
            wait_s = unit.wait_s()
            if wait_s is None:
                return
            if wait_s > 0.0:
                await asyncio.sleep(wait_s)
            reply = answer(unit, pdu)
        if state == "garbled":
            transaction ^= 0x5A5A
        writer.write(struct.pack(">HHHB", transaction, 0, len(reply) + 1, unit_address) + reply)
        await writer.drain()
