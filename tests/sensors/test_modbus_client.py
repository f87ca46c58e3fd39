"""Reply proof over real TCP against a server that lies; and the bare library as the control."""

from __future__ import annotations

import asyncio
import sys
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pymodbus.client import AsyncModbusTcpClient
from pymodbus.pdu import ExceptionResponse

from sensors.collectors.modbus_client import ModbusClient, _ProvingFramer, _Refused
from sensors.ports import Request
from tests.sensors.hostile_modbus import Ask, HostileServer, Wire, adu, hostile

READ = Request(3, unit=7, address=0, count=2)
BITS = Request(2, unit=7, address=0, count=10)
PATIENT_S = 20.0  # far longer than any reply takes on a busy machine
SHORT_S = 0.5  # for replies that never come

Bytes = Callable[[Ask], bytes]


@pytest.fixture(name="server")
async def _server() -> AsyncIterator[HostileServer]:
    async with hostile() as server:
        yield server


def sends(*frames: Bytes) -> Callable[[Ask, Wire], Awaitable[None]]:
    async def script(ask: Ask, wire: Wire) -> None:
        for frame in frames:
            await wire.send(frame(ask))

    return script


def reply(pdu: str, *, transaction: int = 0, unit: int = 7) -> Bytes:
    """Return a reply of these bytes, its transaction id off by `transaction`."""
    return lambda ask: adu(ask.transaction + transaction, unit, bytes.fromhex(pdu))


TRUE = "03 04 0BE8 00D1"
TRUE_VALUES = (0x0BE8, 0x00D1)


async def asked(
    server: HostileServer, request: Request = READ, timeout_s: float = PATIENT_S
) -> tuple[tuple[int, ...] | None, str, Counter[str]]:
    thrown: Counter[str] = Counter()
    client = ModbusClient(
        "127.0.0.1", server.port, timeout_s, lambda failure: thrown.update([failure])
    )
    assert await client.connect()
    try:
        answer = await client.ask(request)
    finally:
        client.close()
    return answer.values, answer.failure, thrown


async def test_true_replies(server: HostileServer) -> None:
    server.script = sends(reply(TRUE))
    assert await asked(server) == (TRUE_VALUES, "", Counter())
    server.script = sends(reply("02 02 CD 01"))
    assert (await asked(server, BITS))[0] == (1, 0, 1, 1, 0, 0, 1, 1, 1, 0)


LIES = {
    "another function": (READ, reply("04 04 0BE8 00D1"), "wrong-function"),
    "a write's function": (READ, reply("06 0000 0002"), "wrong-function"),
    "another unit": (READ, reply(TRUE, unit=8), "wrong-unit"),
    "unit 0": (READ, reply(TRUE, unit=0), "wrong-unit"),
    "one register of two": (READ, reply("03 02 0BE8"), "wrong-count"),
    "three registers of two": (READ, reply("03 06 0BE8 00D1 0001"), "wrong-count"),
    "an odd number of bytes": (READ, reply("03 03 0BE8 00"), "wrong-count"),
    "none at all": (READ, reply("03 00"), "wrong-count"),
    "says four bytes, brings two": (READ, reply("03 04 0BE8"), "wrong-length"),
    "says four bytes, brings six": (READ, reply("03 04 0BE8 00D1 FFFF"), "wrong-length"),
    "one byte of bits of two": (BITS, reply("02 01 CD"), "wrong-count"),
    "coils instead of inputs": (BITS, reply("01 02 CD 01"), "wrong-function"),
    "a long exception": (READ, reply("83 02 02"), "wrong-length"),
    "another coil": (Request(5, 7, 3, 1, (1,)), reply("05 0004 FF00"), "wrong-echo"),
    "the other state": (Request(5, 7, 3, 1, (1,)), reply("05 0003 0000"), "wrong-echo"),
    "another register": (Request(6, 7, 3, 1, (9,)), reply("06 0003 0008"), "wrong-echo"),
    "fewer coils": (Request(15, 7, 0, 3, (1, 1, 1)), reply("0F 0000 0002"), "wrong-echo"),
    "a request instead": (
        Request(15, 7, 0, 3, (1, 1, 1)),
        reply("0F 0000 0003 01 07"),
        "wrong-echo",
    ),
    "an unknown function": (READ, reply("63 04 0BE8 00D1"), "wrong-function"),
}


@pytest.mark.parametrize("lie", LIES)
async def test_a_lie_is_refused_by_its_class_and_at_once(server: HostileServer, lie: str) -> None:
    request, frame, failure = LIES[lie]
    server.script = sends(frame)
    values, found, thrown = await asked(server, request)
    assert (values, found, thrown) == (None, failure, Counter())


@pytest.mark.parametrize("code", range(1, 12))
async def test_exceptions_are_named_by_their_code(server: HostileServer, code: int) -> None:
    server.script = sends(reply(f"83 {code:02X}"))
    assert await asked(server) == (None, f"exception-{code}", Counter())


@pytest.mark.parametrize(
    ("first", "thrown"),
    [
        (reply(TRUE, transaction=1), "wrong-transaction"),
        (lambda _: adu(0, 7, bytes.fromhex("03 04 DEAD DEAD")), "wrong-transaction"),
        (lambda _: adu(65_000, 7, bytes.fromhex("03 04 DEAD DEAD")), "wrong-transaction"),
    ],
)
async def test_another_transaction_is_passed_over(
    server: HostileServer, first: Bytes, thrown: str
) -> None:
    server.script = sends(first, reply(TRUE))
    assert await asked(server) == (TRUE_VALUES, "", Counter({thrown: 1}))
    server.script = sends(first)
    assert await asked(server, timeout_s=SHORT_S) == (None, "timeout", Counter({thrown: 1}))


async def test_a_reply_in_many_pieces_counts(server: HostileServer) -> None:
    async def script(ask: Ask, wire: Wire) -> None:
        for byte in reply(TRUE)(ask):
            await wire.send(bytes([byte]))
            await wire.writer.drain()
            await asyncio.sleep(0.002)

    server.script = script
    assert (await asked(server))[0] == TRUE_VALUES


@pytest.mark.parametrize("junk", ["00 01 00 00 00 00 07", "FF FF FF FF FF FF FF FF", "30 31" * 9])
async def test_what_is_no_modbus_frame_ends_the_connection(
    server: HostileServer, junk: str
) -> None:
    server.script = sends(lambda _: bytes.fromhex(junk))
    client = ModbusClient("127.0.0.1", server.port, PATIENT_S, lambda _: None)
    assert await client.connect()
    assert (await client.ask(READ)).failure == "bad-header"
    assert not client.usable
    assert (await client.ask(READ)).failure == "desync"
    client.close()


async def test_closed_in_the_middle_of_a_reply_is_known_before_the_time_out(
    server: HostileServer,
) -> None:
    async def script(ask: Ask, wire: Wire) -> None:
        await wire.send(reply(TRUE)(ask)[:9])
        wire.close()

    server.script = script
    # Were it only known after the time-out, the time limit of the test would strike first.
    assert (await asked(server, timeout_s=1_000.0))[:2] == (None, "closed")


async def test_silence(server: HostileServer) -> None:
    server.script = sends()
    assert await asked(server, timeout_s=SHORT_S) == (None, "timeout", Counter())


async def test_nobody_there(server: HostileServer) -> None:
    await server.stop()
    client = ModbusClient("127.0.0.1", server.port, PATIENT_S, lambda _: None)
    assert not await client.connect()
    assert (await client.ask(READ)).failure == "closed"
    client.close()


async def two_requests(
    server: HostileServer, ask: Callable[[Request], Awaitable[object]]
) -> list[object]:
    """Answer the first request only when the second has come, before the second's own answer."""
    late: list[Ask] = []

    async def script(asked: Ask, wire: Wire) -> None:
        if not late:
            late.append(asked)
            return
        await wire.send(reply("03 04 1111 1111")(late[0]))
        await wire.send(reply("03 04 2222 2222")(asked))

    server.script = script
    return [await ask(READ), await ask(READ)]


async def test_a_late_reply_never_answers_the_next_request(server: HostileServer) -> None:
    thrown: Counter[str] = Counter()
    client = ModbusClient("127.0.0.1", server.port, 1.0, lambda failure: thrown.update([failure]))
    assert await client.connect()
    first, second = await two_requests(server, client.ask)
    client.close()
    assert first.failure == "timeout"  # type: ignore[attr-defined]
    assert second.values == (0x2222, 0x2222)  # type: ignore[attr-defined]
    assert thrown == Counter(late=1)


async def test_the_same_reply_twice_answers_once(server: HostileServer) -> None:
    replies = iter([[reply("03 04 1111 1111")] * 3, [reply("03 04 2222 2222")]])

    async def script(ask: Ask, wire: Wire) -> None:
        await wire.send(b"".join(frame(ask) for frame in next(replies)))

    server.script = script
    thrown: Counter[str] = Counter()
    client = ModbusClient("127.0.0.1", server.port, PATIENT_S, lambda f: thrown.update([f]))
    assert await client.connect()
    assert (await client.ask(READ)).values == (0x1111, 0x1111)
    assert (await client.ask(READ)).values == (0x2222, 0x2222)
    client.close()
    assert thrown == Counter(unasked=2)


# --- the worst case: half of a late reply, and the other half looks like the next reply ----------

WIDE = Request(3, unit=7, address=0, count=9)
POISON = 0xDEAD


async def half_late(
    server: HostileServer, ask: Callable[[Request], Awaitable[object]]
) -> tuple[object, object]:
    """Split a late reply where its values happen to be a whole frame for the next transaction."""
    late: list[Ask] = []
    arrived = asyncio.Event()

    async def script(asked: Ask, wire: Wire) -> None:
        if late:
            await wire.send(whole(late[0])[cut:])
            return
        late.append(asked)
        await asyncio.sleep(2 * SHORT_S)  # too late
        await wire.send(whole(asked)[:cut])
        arrived.set()

    def whole(asked: Ask) -> bytes:
        forged = adu(asked.transaction + 1, 7, bytes.fromhex(f"03 02 {POISON:04X}"))
        return adu(asked.transaction, 7, bytes([3, 18]) + b"\x00" * 7 + forged)

    cut = 7 + 2 + 7
    server.script = script
    first = await ask(WIDE)
    await arrived.wait()
    await asyncio.sleep(SHORT_S)  # the half is in our buffer by now
    return first, await ask(Request(3, unit=7, address=40, count=1))


async def test_half_of_a_late_reply_ends_the_connection(server: HostileServer) -> None:
    client = ModbusClient("127.0.0.1", server.port, SHORT_S, lambda _: None)
    assert await client.connect()
    first, second = await half_late(server, client.ask)
    assert first.failure == "timeout"  # type: ignore[attr-defined]
    assert (second.values, second.failure) == (None, "desync")  # type: ignore[attr-defined]
    assert not client.usable
    client.close()


pieces = st.one_of(
    st.binary(max_size=40),
    st.builds(
        adu,
        st.sampled_from([0, 4, 5, 6]),
        st.sampled_from([0, 7, 8]),
        st.one_of(
            st.binary(min_size=1, max_size=12),
            st.sampled_from(
                [bytes.fromhex(t) for t in (TRUE, "03 02 1111", "83 02", "04 04 0000 0000")]
            ),
        ),
    ),
)


@given(st.lists(pieces, max_size=6), st.integers(1, 50))
def test_whatever_comes_only_a_true_reply_gets_through(parts: list[bytes], step: int) -> None:
    framer = _ProvingFramer(lambda _: None)
    framer.asked = READ
    stream, buffer, replies = b"".join(parts), b"", []
    for start in range(0, len(stream), step):
        buffer += stream[start : start + step]
        used, pdu = framer.handleFrame(buffer, READ.unit, 5)
        buffer = buffer[used:]
        replies += [pdu] if pdu is not None else []
    assert len(replies) <= 1
    for pdu in replies:
        true = adu(5, 7, bytes([3, 4]) + b"".join(n.to_bytes(2) for n in pdu.registers))
        if isinstance(pdu, ExceptionResponse):
            true = adu(5, 7, bytes([0x83, pdu.exception_code]))
        assert isinstance(pdu, _Refused) or true in stream


async def cancelled_in_time(connects: Callable[[], Awaitable[object]]) -> int:
    """Cancel tasks that connect and ask without end, at every odd moment; count those that stop."""

    async def for_ever() -> None:
        while True:
            await connects()

    stopped = 0
    async with asyncio.TaskGroup() as group:
        for turns in range(60):
            task = group.create_task(for_ever())
            for _ in range(1 + turns % 15):
                await asyncio.sleep(0.0)
            task.cancel()
            for _ in range(2):  # one more request is forgiven, not two
                await connects()
            stopped += task.done()
            while not task.done():
                task.cancel()
                await asyncio.sleep(0.0)
    return stopped


async def test_cancelling_always_ends_it(server: HostileServer) -> None:
    async def connects() -> None:
        client = ModbusClient("127.0.0.1", server.port, PATIENT_S, lambda _: None)
        try:
            await client.connect()
            await client.ask(READ)
        finally:
            client.close()

    assert await cancelled_in_time(connects) == 60


async def test_control_the_library_alone_swallows_cancellations(server: HostileServer) -> None:
    async def connects() -> None:
        client = AsyncModbusTcpClient(
            "127.0.0.1", port=server.port, timeout=PATIENT_S, retries=0, reconnect_delay=0
        )
        try:
            await client.connect()
            await client.read_holding_registers(0, count=2, device_id=7)
        finally:
            client.close()

    swallows = sys.version_info < (3, 12)  # asyncio.wait_for was mended then
    assert (await cancelled_in_time(connects) < 60) == swallows


# --- controls: the same lies believed by the library alone ---------------------------------------


async def bare(server: HostileServer, timeout_s: float) -> AsyncModbusTcpClient:
    client = AsyncModbusTcpClient(
        "127.0.0.1", port=server.port, timeout=timeout_s, retries=0, reconnect_delay=0
    )
    assert await client.connect()
    return client


@pytest.mark.parametrize(
    ("frame", "believed"),
    [
        (LIES["one register of two"][1], [0x0BE8]),
        (LIES["another function"][1], [0x0BE8, 0x00D1]),
        (LIES["three registers of two"][1], [0x0BE8, 0x00D1, 1]),
        (lambda _: adu(0, 7, bytes.fromhex("03 04 DEAD DEAD")), [0xDEAD, 0xDEAD]),
    ],
)
async def test_control_the_library_alone_believes_it(
    server: HostileServer, frame: Bytes, believed: list[int]
) -> None:
    server.script = sends(frame)
    client = await bare(server, PATIENT_S)
    answer = await client.read_holding_registers(0, count=2, device_id=7)
    client.close()
    assert not answer.isError()
    assert answer.registers == believed


async def test_control_the_library_alone_takes_half_a_late_reply_for_the_next(
    server: HostileServer,
) -> None:
    client = await bare(server, SHORT_S)

    async def ask(request: Request) -> object:
        try:
            return await client.read_holding_registers(
                request.address, count=request.count, device_id=request.unit
            )
        except Exception as error:  # noqa: BLE001 - whatever the library says
            return error

    _, second = await half_late(server, ask)
    client.close()
    assert second.registers == [POISON]  # type: ignore[attr-defined]
