"""One Modbus TCP link: one task that owns the connection, reads its units and writes its outputs.

Writes go before reads, and between two reads. A reply counts only if it proves itself
(`sensors.collectors.modbus_client`). A unit that does not answer loses its points at once, is
parked after a few polls and probed in between, so that it cannot hold up the others. A link that
fails is tried again for ever, after a pause that only a good reply makes short again.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

from sensors.collectors.modbus_client import ModbusClient, Reply
from sensors.decode import HeartState, decode, heart_is_still
from sensors.device_decoder import DeviceDecoder, DeviceImage, compile_device
from sensors.device_types import DeviceType, Function
from sensors.frame import Batch
from sensors.link_status import LinkStatus
from sensors.poll_schedule import Backoff, UnitTurn, next_turn
from sensors.ports import (
    READ_COILS,
    READ_DISCRETE,
    READ_HOLDING,
    READ_INPUT,
    Deliver,
    FunctionCode,
    LinkOutputs,
    Request,
)
from sensors.quality import Quality
from sensors.reading_plan import Block, ModbusLinkSpec, plan_device, split_block

SILENT_REQUESTS: Final = 4
"""Requests in a row without any answer after which the connection is thought dead and renewed."""

RETRY_FOR_OUTPUT_S: Final = 1.0
"""A changed output may cut the pause before the next attempt to connect down to this [s]."""

_CODES: Final[Mapping[Function, FunctionCode]] = {
    "coil": READ_COILS,
    "discrete": READ_DISCRETE,
    "holding": READ_HOLDING,
    "input": READ_INPUT,
}
# Exceptions 10 and 11 are a bridge saying that the device is out of reach. Any other is the device
# saying that it is there but has no value.
_OUT_OF_REACH: Final = ("exception-10", "exception-11")
# "Illegal data address" and "value": perhaps only of a register read over in a gap.
_ILLEGAL: Final = ("exception-2", "exception-3")


@dataclass(frozen=True, slots=True, eq=False)
class _Read:
    """One block read, and which words of its reply go to which slots of the image."""

    block: Block
    request: Request
    slots: NDArray[np.intp]
    words: NDArray[np.intp]


@dataclass(slots=True)
class _Unit:
    """One device on the link and how its polling goes."""

    number: int
    decoder: DeviceDecoder
    reads: tuple[_Read, ...]
    probe: _Read
    turn: UnitTurn
    heart: HeartState = field(default_factory=HeartState)
    lost_at_s: float = -np.inf
    lost: bool = False


class ModbusLink:
    """Reads and writes everything behind one TCP connection.

    Parameters
    ----------
    spec : ModbusLinkSpec
    types : mapping
        Device types by name.
    deliver : callable
        Takes a `Batch` for each poll of a unit, and for each unit that was lost.
    outputs : LinkOutputs, optional
        Coils, heartbeats and permissives on this link.
    rng : random.Random, optional
        Spreads the attempts to connect.

    Raises
    ------
    ValueError
        If a device asks for what its type does not have.
    """

    def __init__(
        self,
        spec: ModbusLinkSpec,
        types: Mapping[str, DeviceType],
        deliver: Deliver,
        outputs: LinkOutputs | None = None,
        rng: random.Random | None = None,
    ) -> None:
        self.spec = spec
        self.status = LinkStatus()
        self._deliver = deliver
        self._outputs = outputs
        self._rng = rng or random.Random()  # noqa: S311 - spreads, does not hide
        self._units = []
        for device in spec.devices:
            decoder = compile_device(device, types[device.type])
            blocks = plan_device(decoder.spans, types[device.type])
            reads = _reads(device.unit, decoder, blocks)
            first = decoder.spans[0]
            (probe,) = _reads(
                device.unit, decoder, [Block(first.function, first.address, first.count)]
            )
            self._units.append(_Unit(device.unit, decoder, reads, probe, UnitTurn(device.poll_s)))
        self._turns = [unit.turn for unit in self._units]
        self._proofs = 0
        self._silent = 0
        self._wake = asyncio.Event()
        if outputs is not None:
            outputs.bind(self._wake.set)

    async def run(self) -> None:
        """Keep the link going; ends only by cancellation."""
        backoff = Backoff()
        while True:
            proofs = self._proofs
            await self._connection()
            if self._proofs > proofs:
                backoff.reset()
            else:
                self._lose_all()
            await self._pause(backoff.next_s(self._rng.random()))

    async def _connection(self) -> None:
        """Use one connection for as long as it is any good."""
        client = ModbusClient(
            self.spec.host, self.spec.port, self.spec.timeout_s, self.status.count
        )
        try:
            if not await client.connect():
                self.status.count("refused")
                return
            self.status.connected = True
            self._silent = 0
            if self._outputs is not None:
                self._outputs.link_up(self._now_s())
                await self._write_due(client, whole=True)
            while client.usable and self._silent < SILENT_REQUESTS:
                await self._work(client)
        finally:
            client.close()
            if self.status.connected:
                self.status.connected = False
                self.status.reconnects += 1

    async def _work(self, client: ModbusClient) -> None:
        """Do the next thing that is due, or wait for it."""
        await self._write_due(client)
        turn_s = np.inf
        if self._units and client.usable:
            unit = self._units[next_turn(self._turns, self._now_s(), self.spec.timeout_s)]
            if unit.turn.due_s <= self._now_s():
                await self._poll(client, unit)
                return
            turn_s = unit.turn.due_s
        write_s = np.inf if self._outputs is None else self._outputs.next_due_s()
        await self._wait_until(min(turn_s, write_s, self._now_s() + 1.0))

    async def _write_due(self, client: ModbusClient, *, whole: bool = False) -> None:
        """Make the requests of the outputs that are due; they go before every read.

        But outputs that do not answer, or more of them than a slow link can serve, must not keep
        the reads waiting for ever: these have their turn when a request comes round again, or was
        not answered (`whole`: not before each was made once). What has changed waits for no read.
        """
        self._wake.clear()
        made: set[tuple[int, int, int]] = set()
        while self._outputs is not None and client.usable:
            request = self._outputs.next_request(self._now_s())
            if request is None:
                return
            reply = await self._ask(client, request)
            self._outputs.answer(request, reply.values, self._now_s())
            key = (request.function, request.unit, request.address)
            over = key in made or not (whole or reply.answered)
            if over and self._outputs.next_due_s() > -np.inf:
                return
            if request.values or not reply.answered:
                made.add(key)

    async def _poll(self, client: ModbusClient, unit: _Unit) -> None:
        """Read all of one unit and hand over what came; of a parked unit read one small piece."""
        probing, began_s = unit.turn.parked, self._now_s()
        image = unit.decoder.image()
        self.status.polls += 1
        alive = whole = True
        for read in (unit.probe,) if probing else unit.reads:
            await self._write_due(client)
            reply = await self._ask(client, read.request)
            if reply.values is None:
                whole = False
                alive = alive and _is_alive(reply)
                self._note_failure(unit, image, read, reply)
                if not reply.answered:
                    break
            else:
                image.words[read.slots] = np.array(reply.values, dtype=np.uint16)[read.words]
                image.failed[read.slots] = Quality.GOOD
        now_s = self._now_s()
        if alive:
            unit.turn.succeeded(now_s)
        else:
            unit.turn.failed(now_s, now_s - began_s)
        self.status.good += whole
        if np.all(image.failed == Quality.COMMS_LOST):
            self._lose(unit, now_s)
        elif not probing:
            unit.lost = False
            still = heart_is_still(unit.decoder, image, unit.heart, now_s)
            value, quality = decode(unit.decoder, image, still=still)
            self._deliver(Batch.of(unit.decoder.points, value, quality))

    def _note_failure(self, unit: _Unit, image: DeviceImage, read: _Read, reply: Reply) -> None:
        """Say in the image why the words of a read are missing; read around what is refused."""
        missing = Quality.DEVICE_FAULT if _is_alive(reply) else Quality.COMMS_LOST
        image.failed[read.slots] = missing
        pieces = split_block(read.block, unit.decoder.spans)
        if reply.failure in _ILLEGAL and len(pieces) > 1 and read in unit.reads:
            where = unit.reads.index(read)
            smaller = _reads(unit.number, unit.decoder, pieces)
            unit.reads = (*unit.reads[:where], *smaller, *unit.reads[where + 1 :])

    async def _ask(self, client: ModbusClient, request: Request) -> Reply:
        """Make one request and keep the books."""
        reply = await client.ask(request)
        if reply.values is not None:
            self._proofs += 1
            self.status.last_good_monotonic_ns = round(self._now_s() * 1e9)
        else:
            self.status.count(reply.failure)
        self._silent = 0 if reply.answered else self._silent + 1
        if self.spec.spacing_s > 0:
            await asyncio.sleep(self.spec.spacing_s)
        return reply

    def _lose_all(self) -> None:
        """Nothing was proven on the last connection, or there was none."""
        now_s = self._now_s()
        for unit in self._units:
            self._lose(unit, now_s)
            unit.turn.due_s = min(unit.turn.due_s, now_s)  # the first to look at afterwards
        if self._outputs is not None:
            self._outputs.link_down(now_s)

    def _lose(self, unit: _Unit, now_s: float) -> None:
        """Deliver COMMS_LOST: at once on the edge, then at most once per poll period."""
        if unit.lost and now_s - unit.lost_at_s < unit.turn.poll_s:
            return
        unit.lost, unit.lost_at_s = True, now_s
        self._deliver(Batch.of(unit.decoder.points, np.nan, Quality.COMMS_LOST))

    async def _pause(self, pause_s: float) -> None:
        """Wait before the next attempt to connect; a changed output does not wait long."""
        self._wake.clear()
        await asyncio.sleep(min(pause_s, RETRY_FOR_OUTPUT_S))
        await self._wait_until(self._now_s() + pause_s - RETRY_FOR_OUTPUT_S)

    async def _wait_until(self, when_s: float) -> None:
        """Wait for a time on the loop's clock, or until an output wants something."""
        try:
            async with asyncio.timeout_at(when_s):
                await self._wake.wait()
        except TimeoutError:
            return

    def _now_s(self) -> float:
        return asyncio.get_running_loop().time()


def _reads(unit: int, decoder: DeviceDecoder, blocks: Iterable[Block]) -> tuple[_Read, ...]:
    return tuple(
        _Read(
            block,
            Request(_CODES[block.function], unit, block.address, block.count),
            *decoder.slots_of(block),
        )
        for block in blocks
    )


def _is_alive(reply: Reply) -> bool:
    """Tell whether the *unit* spoke: a value, or an exception of its own."""
    if reply.values is not None:
        return True
    return reply.failure.startswith("exception-") and reply.failure not in _OUT_OF_REACH
