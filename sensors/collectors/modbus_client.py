"""pymodbus behind proof: no reply is believed that does not belong to its request.

pymodbus (3.16) finds the transaction id, and nothing else, worth checking: a reply with another
function code, or with fewer registers than asked for, counts as a success; a reply with transaction
id 0 answers anything; what is left of a late reply that came in two pieces is read as the beginning
of the next. So the framer is replaced by one that checks every byte of the header and the length
before the library may decode, and counts what it throws away.
"""

from __future__ import annotations

import asyncio
import logging
import struct
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from pymodbus.client import AsyncModbusTcpClient
from pymodbus.exceptions import ConnectionException, ModbusIOException
from pymodbus.framer.socket import FramerSocket
from pymodbus.pdu import DecodePDU, ExceptionResponse, ModbusPDU

from sensors.ports import READS, READS_BITS, WRITE_COIL, WRITE_REGISTER, FunctionCode, Request

_HEADER: Final = struct.Struct(">HHH")  # transaction, protocol, length of what follows
_SHORTEST: Final = 3  # unit, function and one byte
_LONGEST: Final = 254  # of an ADU of 260 bytes
_COIL_ON: Final = 0xFF00
_BUFFER_BYTES: Final = 65_536  # the library drops all it has, good replies too, beyond 264
_NEVER: Final = 1 << 30

# Everything worth knowing is counted by class; the library would print a line for each.
logging.getLogger("pymodbus.logging").setLevel(logging.CRITICAL)


@dataclass(frozen=True, slots=True)
class Reply:
    """A proven reply: `values`. Or none: `failure` is its class, and `values` is None.

    `answered` tells that the device, or the bridge before it, said *something* in time.
    """

    values: tuple[int, ...] | None
    failure: str = ""
    answered: bool = True


class _Refused(ModbusPDU):
    """Stands for a reply to our transaction that is not an answer to our request."""

    def __init__(self, failure: str) -> None:
        super().__init__()
        self.failure = failure


class _ProvingFramer(FramerSocket):
    """Cuts the byte stream into frames and lets through only what proves itself.

    `asked` is the request under way, None between requests. `broken`: the stream cannot be trusted
    to be cut at the right places any more; only a new connection helps.
    """

    def __init__(self, count: Callable[[str], None]) -> None:
        super().__init__(DecodePDU(is_server=False))
        self.asked: Request | None = None
        self.broken = False
        self._count = count

    def handleFrame(  # noqa: N802 - the library's name
        self, data: bytes, exp_devid: int, exp_tid: int
    ) -> tuple[int, ModbusPDU | None]:
        """Take frames off `data`; return how many bytes they were and the reply, if it is there."""
        used = 0
        reply: ModbusPDU | None = None
        if self.broken:
            return len(data), None
        while len(data) - used >= _HEADER.size:
            transaction, protocol, length = _HEADER.unpack_from(data, used)
            if protocol != 0 or not _SHORTEST <= length <= _LONGEST:
                self.broken = True
                if self.asked is not None:
                    reply = self._end(self._refuse("bad-header"), exp_tid, exp_devid)
                return len(data), reply
            frame = data[used + _HEADER.size : used + _HEADER.size + length]
            if len(frame) < length:
                break
            used += _HEADER.size + length
            if transaction != exp_tid:
                self._count("late" if 0 < transaction < exp_tid else "wrong-transaction")
            elif self.asked is None:
                self._count("unasked" if reply else "late")
            else:
                reply = self._end(self._prove(self.asked, frame), exp_tid, exp_devid)
        return used, reply

    def _end(self, reply: ModbusPDU, transaction: int, unit: int) -> ModbusPDU:
        self.asked = None
        reply.transaction_id, reply.dev_id = transaction, unit
        return reply

    def _refuse(self, failure: str) -> ModbusPDU:
        return _Refused(failure)

    def _prove(self, asked: Request, frame: bytes) -> ModbusPDU:
        """Return the decoded reply if `frame` answers `asked` in every respect."""
        unit, function, body = frame[0], frame[1], frame[2:]
        if unit != asked.unit:
            return self._refuse("wrong-unit")
        if function == asked.function | 0x80:
            return self._decoded(frame) if len(body) == 1 else self._refuse("wrong-length")
        if function != asked.function:
            return self._refuse("wrong-function")
        if asked.function in READS:
            size = (asked.count + 7) // 8 if asked.function in READS_BITS else 2 * asked.count
            if body[0] != size:
                return self._refuse("wrong-count")
            return self._decoded(frame) if len(body) == 1 + size else self._refuse("wrong-length")
        return self._decoded(frame) if body == _echo(asked) else self._refuse("wrong-echo")

    def _decoded(self, frame: bytes) -> ModbusPDU:
        return self.decoder.decode(frame[1:]) or self._refuse("undecodable")


def _echo(asked: Request) -> bytes:
    """Return what a device repeats of a write: the address, and the value or the count."""
    second = asked.count
    if asked.function == WRITE_COIL:
        second = _COIL_ON if asked.values[0] else 0
    elif asked.function == WRITE_REGISTER:
        second = asked.values[0]
    return struct.pack(">HH", asked.address, second)


class ModbusClient:
    """One TCP connection; made, used by one task, closed, thrown away.

    Parameters
    ----------
    count : callable
        Called with the class of each frame that had to be thrown away.
    """

    def __init__(
        self, host: str, port: int, timeout_s: float, count: Callable[[str], None]
    ) -> None:
        self._framer = _ProvingFramer(count)
        self._client = AsyncModbusTcpClient(
            host,
            port=port,
            timeout=timeout_s,
            retries=0,
            reconnect_delay=0,
            trace_connect=self._connection_changed,
        )
        self._client.set_max_no_responses(_NEVER)
        self._client.ctx.framer = self._framer
        self._client.ctx.max_buffer_size = _BUFFER_BYTES

    async def connect(self) -> bool:
        """Connect once; tell whether it worked."""
        connected = await self._client.connect()
        _honour_cancellation()
        return connected

    def close(self) -> None:
        """Close for good."""
        self._client.close()

    @property
    def usable(self) -> bool:
        """Connected, and the byte stream is in step."""
        return self._client.connected and not self._framer.broken

    async def ask(self, request: Request) -> Reply:
        """Make one request and wait for its proven reply, at most the time-out of the link."""
        if self._client.ctx.recv_buffer:
            # Half of a late reply. The library would forget it and take the other half, when it
            # comes, for the head of the next reply.
            self._framer.broken = True
        if not self.usable:
            return Reply(None, "desync" if self._framer.broken else "closed", answered=False)
        self._framer.asked = request
        try:
            pdu = await _ASK[request.function](self._client, request)
        except ModbusIOException:
            return Reply(None, "timeout", answered=False)
        except ConnectionException:
            return Reply(None, "closed", answered=False)
        finally:
            self._framer.asked = None
            _honour_cancellation()
        if isinstance(pdu, _Refused):
            return Reply(None, pdu.failure)
        if isinstance(pdu, ExceptionResponse):
            return Reply(None, f"exception-{pdu.exception_code}")
        if request.function in READS_BITS:
            return Reply(tuple(map(int, pdu.bits[: request.count])))
        return Reply(tuple(pdu.registers) if request.function in READS else request.values)

    def _connection_changed(self, connected: bool) -> None:
        """Let the waiting request know at once; the library would wait for its time-out."""
        waiting = self._client.ctx.response_future
        if not connected and self._framer.asked is not None and not waiting.done():
            waiting.set_exception(ConnectionException("closed by the other side"))


def _honour_cancellation() -> None:
    """Raise the cancellation that the library may just have swallowed.

    It waits with `asyncio.wait_for`, which up to Python 3.11 drops a cancellation that comes in the
    same turn of the loop as the result. The link's task would go on for ever.
    """
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError


def _bits(request: Request) -> list[bool]:
    return [bool(value) for value in request.values]


_Ask = Callable[[AsyncModbusTcpClient, Request], Awaitable[Any]]

_ASK: Final[Mapping[FunctionCode, _Ask]] = {
    1: lambda c, r: c.read_coils(r.address, count=r.count, device_id=r.unit),
    2: lambda c, r: c.read_discrete_inputs(r.address, count=r.count, device_id=r.unit),
    3: lambda c, r: c.read_holding_registers(r.address, count=r.count, device_id=r.unit),
    4: lambda c, r: c.read_input_registers(r.address, count=r.count, device_id=r.unit),
    5: lambda c, r: c.write_coil(r.address, bool(r.values[0]), device_id=r.unit),
    6: lambda c, r: c.write_register(r.address, r.values[0], device_id=r.unit),
    15: lambda c, r: c.write_coils(r.address, _bits(r), device_id=r.unit),
    16: lambda c, r: c.write_registers(r.address, list(r.values), device_id=r.unit),
}
