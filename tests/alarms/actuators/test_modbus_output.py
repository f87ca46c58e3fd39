"""The state machine of outputs and peers, on virtual time; and the same over real TCP."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from itertools import pairwise

import pytest

from alarms.actuators.modbus_output import (
    FIND_TRIES,
    HEARTBEAT_S,
    MISMATCH_S,
    REFRESH_S,
    RETRY_CAP_S,
    CoilOutput,
    ModbusOutputs,
    PeerPort,
)
from sensors.collectors.modbus import ModbusLink
from sensors.device_types import load_types
from sensors.ports import Request
from sensors.reading_plan import ModbusDeviceSpec, ModbusLinkSpec
from tests.sensors.hostile_modbus import Ask, HostileServer, Wire, adu, honest, hostile
from tests.sensors.waiting import running, until

SIRENS = (
    CoilOutput(0, unit=9, address=0, readback=True),
    CoilOutput(2, unit=9, address=1, readback=True),
    CoilOutput(1, unit=9, address=5, readback=True),
)
PEER = PeerPort(0, unit=9, heartbeat=100, permissive=20)
OFF = [False, False, False]


class Told:
    """What the outputs said of themselves."""

    def __init__(self) -> None:
        self.found: list[tuple[int, bool | None]] = []
        self.agreement: list[tuple[int, bool | None]] = []

    def outputs(
        self, outputs: tuple[CoilOutput, ...] = SIRENS, peers: tuple[PeerPort, ...] = ()
    ) -> ModbusOutputs:
        return ModbusOutputs(
            outputs,
            peers,
            lambda index, state: self.found.append((index, state)),
            lambda index, agrees: self.agreement.append((index, agrees)),
        )


class Plc:
    """Obeys requests in memory; a coil in `stuck` keeps its state."""

    def __init__(self, coils: tuple[int, ...] = ()) -> None:
        self.coils = set(coils)
        self.stuck: set[int] = set()
        self.words: dict[int, int] = {}
        self.dead = False
        self.log: list[Request] = []

    def obey(self, request: Request) -> tuple[int, ...] | None:
        self.log.append(request)
        if self.dead:
            return None
        places = range(request.address, request.address + request.count)
        if request.function == 1:
            return tuple(int(place in self.coils) for place in places)
        for place, value in zip(places, request.values, strict=True):
            if request.function == 6:
                self.words[place] = value
            elif place not in self.stuck:
                (self.coils.add if value else self.coils.discard)(place)
        return request.values

    def serve(self, outputs: ModbusOutputs, now_s: float) -> list[Request]:
        """Do all that is due now."""
        start = len(self.log)
        while (request := outputs.next_request(now_s)) is not None:
            outputs.answer(request, self.obey(request), now_s)
        return self.log[start:]


def read(address: int, count: int) -> Request:
    return Request(1, 9, address, count)


def test_read_before_the_first_write_then_written_whole_and_read_back() -> None:
    told, plc = Told(), Plc(coils=(1,))
    outputs = told.outputs()
    outputs.link_up(0.0)
    assert plc.serve(outputs, 0.0) == [read(0, 2), read(5, 1)]
    assert told.found == [(0, False), (2, True), (1, False)]
    assert outputs.readback.tolist() == [0, 1, 0]
    assert plc.serve(outputs, 50.0) == []  # nothing is written before there is a state to write
    outputs.set([True, False, False], [])
    assert plc.serve(outputs, 50.0) == [
        Request(15, 9, 0, 2, (1, 0)),
        Request(5, 9, 5, 1, (0,)),
        read(0, 2),
        read(5, 1),
    ]
    assert plc.coils == {0}
    assert told.agreement == [(0, True), (2, True), (1, True)]
    assert outputs.readback.tolist() == [1, 0, 0]


def test_a_state_set_before_the_link_is_up_still_waits_for_the_read_back() -> None:
    told, plc = Told(), Plc(coils=(0, 1, 5))
    outputs = told.outputs()
    outputs.set(OFF, [])
    outputs.link_up(0.0)
    functions = [request.function for request in plc.serve(outputs, 0.0)]
    assert functions == [1, 1, 15, 5, 1, 1]
    assert told.found == [(0, True), (2, True), (1, True)]


def test_unreadable_at_the_first_try_is_written_anyway() -> None:
    told, plc = Told(), Plc()
    outputs = told.outputs()
    outputs.set([True, True, True], [])
    outputs.link_up(0.0)
    for _ in range(2):
        request = outputs.next_request(0.0)
        assert request is not None
        outputs.answer(request, None, 0.0)
    assert told.found == [(0, None), (2, None), (1, None)]
    plc.serve(outputs, 0.0)
    assert plc.coils == {0, 1, 5}
    assert told.found == [(0, None), (2, None), (1, None)]  # what it reads now is its own writing


def test_a_unit_that_is_away_at_first_is_read_before_it_is_switched_off() -> None:
    """Its siren may be on for a reason that nobody here remembers."""
    told, plc = Told(), Plc(coils=(0,))
    plc.dead = True
    outputs = told.outputs(SIRENS[:1])
    outputs.set(OFF, [])
    outputs.link_up(0.0)
    for now in range(60):
        plc.serve(outputs, float(now))
    assert told.found == [(0, None)]
    plc.dead = False
    plc.serve(outputs, 70.0)
    assert told.found == [(0, None), (0, True)]


def test_a_coil_that_can_never_be_read_is_switched_off_after_some_tries() -> None:
    told, plc = Told(), Plc(coils=(0,))
    outputs = told.outputs((CoilOutput(0, 9, 0, readback=False),))
    outputs.set([False], [])
    outputs.link_up(0.0)
    reads = 0
    for now in range(20):
        while (request := outputs.next_request(float(now))) is not None:
            reads += request.function == 1
            obeyed = None if request.function == 1 else plc.obey(request)
            outputs.answer(request, obeyed, float(now))
    assert reads == FIND_TRIES
    assert plc.coils == set()


def test_a_siren_is_not_kept_waiting_by_a_coil_that_cannot_be_read() -> None:
    told, plc = Told(), Plc()
    outputs = told.outputs(SIRENS[:1])
    outputs.set(OFF, [])
    outputs.link_up(0.0)
    request = outputs.next_request(0.0)
    assert request == read(0, 1)
    outputs.answer(request, None, 0.0)
    assert plc.serve(outputs, 0.1) == []
    outputs.set([True, False, False], [])
    assert plc.serve(outputs, 0.2)[0] == Request(5, 9, 0, 1, (1,))
    assert plc.coils == {0}
    assert told.found == [(0, None)]


def test_a_dead_unit_does_not_stop_the_heart_of_a_living_one() -> None:
    dead = tuple(CoilOutput(n, 10 + n, 0, readback=True) for n in range(2))
    outputs, plc = Told().outputs(dead, (PEER,)), Plc()
    outputs.set([True, True], [(1, True)])
    outputs.link_up(0.0)
    beats, now = 0, 0.0
    while now < 100.0:  # a try takes longer than the longest pause between two tries
        request = outputs.next_request(now)
        if request is None:
            now += 0.1
        elif request.unit != PEER.unit:
            now += RETRY_CAP_S + 1.0
            outputs.answer(request, None, now)
        else:
            beats += request.function == 6
            outputs.answer(request, plc.obey(request), now)
    assert beats >= 10


def test_no_link_at_start_and_found_on_later() -> None:
    told, plc = Told(), Plc(coils=(0,))
    outputs = told.outputs()
    outputs.set(OFF, [])
    outputs.link_down(0.0)
    outputs.link_down(1.0)
    assert told.found == [(0, None), (2, None), (1, None)]
    assert told.agreement == 2 * [(0, None), (2, None), (1, None)]
    outputs.link_up(2.0)
    assert plc.serve(outputs, 2.0)[0] == read(0, 2)
    assert told.found[3:] == [(0, True), (2, False), (1, False)]


def test_rewritten_every_second_and_at_once_on_a_change() -> None:
    told, plc = Told(), Plc()
    outputs = told.outputs()
    woken: list[int] = []
    outputs.bind(lambda: woken.append(1))
    outputs.set(OFF, [])
    outputs.link_up(0.0)
    plc.serve(outputs, 0.0)
    assert plc.serve(outputs, 0.9 * REFRESH_S) == []
    assert outputs.next_due_s() == REFRESH_S
    assert [r.function for r in plc.serve(outputs, REFRESH_S)] == [15, 5, 1, 1]
    woken.clear()
    outputs.set(OFF, [])
    assert woken == []
    outputs.set([False, True, False], [])
    assert woken == [1]
    assert outputs.next_due_s() < 0.0
    assert plc.serve(outputs, 1.1 * REFRESH_S) == [Request(5, 9, 5, 1, (1,)), read(5, 1)]


def test_a_change_during_a_request_goes_before_its_read_back() -> None:
    told, plc = Told(), Plc()
    outputs = told.outputs(SIRENS[:1])
    outputs.set(OFF, [])
    outputs.link_up(0.0)
    plc.serve(outputs, 0.0)
    outputs.set([True], [])
    request = outputs.next_request(0.1)
    assert request == Request(5, 9, 0, 1, (1,))
    outputs.set([False], [])  # newest wins
    outputs.answer(request, plc.obey(request), 0.1)
    assert plc.serve(outputs, 0.1) == [Request(5, 9, 0, 1, (0,)), read(0, 1)]
    assert told.agreement[-1] == (0, True)


def test_a_mismatch_is_told_and_written_again_soon() -> None:
    told, plc = Told(), Plc()
    plc.stuck = {1}
    outputs = told.outputs()
    outputs.set([True, False, True], [])
    outputs.link_up(0.0)
    plc.serve(outputs, 0.0)
    assert told.agreement == [(0, True), (2, False), (1, True)]
    assert outputs.readback.tolist() == [1, 0, 0]
    plc.stuck = set()
    assert Request(15, 9, 0, 2, (1, 1)) in plc.serve(outputs, MISMATCH_S)
    assert told.agreement[-1] == (2, True)


def test_a_dead_unit_is_tried_less_often_but_at_once_on_a_change() -> None:
    told, plc = Told(), Plc()
    outputs = told.outputs(SIRENS[:1])
    outputs.set(OFF, [])
    outputs.link_up(0.0)
    plc.serve(outputs, 0.0)
    plc.dead = True
    tries = [now for now in range(60) if plc.serve(outputs, float(now))]
    assert tries[:4] == [1, 2, 4, 8]
    assert max(b - a for a, b in pairwise(tries)) <= RETRY_CAP_S
    assert told.agreement[-1] == (0, None)
    assert outputs.readback.tolist() == [-1]
    outputs.set([True], [])
    assert plc.serve(outputs, 59.1) == [Request(5, 9, 0, 1, (1,))]


def test_everything_is_asserted_again_on_a_fresh_connection() -> None:
    told, plc = Told(), Plc()
    outputs = told.outputs(peers=(PEER,))
    outputs.set([True, True, True], [(7, True)])
    outputs.link_up(0.0)
    plc.serve(outputs, 0.0)
    plc.coils.clear()  # the PLC was restarted
    outputs.link_up(0.1)
    again = plc.serve(outputs, 0.1)
    assert plc.coils == {0, 1, 5, 20}
    assert again[-1] == Request(6, 9, 100, 1, (7,))
    assert all(request.function != 1 for request in again[:3])  # written first, then read back


def test_without_read_back_the_acknowledgement_is_all_there_is() -> None:
    told, plc = Told(), Plc()
    outputs = told.outputs((CoilOutput(0, 9, 0, readback=False),))
    outputs.set([True], [])
    outputs.link_up(0.0)
    assert [r.function for r in plc.serve(outputs, 0.0)] == [1, 5]
    assert told.agreement == [(0, True)]
    plc.dead = True
    plc.serve(outputs, 2.0)
    assert told.agreement[-1] == (0, None)


def test_heartbeats_carry_the_newest_number() -> None:
    told, plc = Told(), Plc()
    outputs = told.outputs((), (PEER,))
    outputs.set([], [(65_541, True)])
    outputs.link_up(0.0)
    assert plc.serve(outputs, 0.0) == [
        Request(5, 9, 20, 1, (1,)),
        read(20, 1),
        Request(6, 9, 100, 1, (5,)),
    ]
    outputs.set([], [(65_560, True)])
    assert plc.serve(outputs, 0.9 * HEARTBEAT_S) == []
    assert plc.serve(outputs, HEARTBEAT_S) == [Request(6, 9, 100, 1, (24,))]


def test_no_heartbeat_while_the_peer_may_hold_an_older_permissive() -> None:
    """Else its watchdog would be kept happy by a gateway that could not withdraw its consent."""
    told, plc = Told(), Plc()
    outputs = told.outputs((), (PEER,))
    outputs.set([], [(1, True)])
    outputs.link_up(0.0)
    plc.serve(outputs, 0.0)
    plc.stuck = {20}
    beats = []
    for tick in range(1, 40):
        outputs.set([], [(1 + tick, False)])
        beats += [r for r in plc.serve(outputs, 0.1 * tick) if r.function == 6]
    assert beats == []
    plc.stuck = set()
    outputs.set([], [(99, False)])
    assert Request(6, 9, 100, 1, (99,)) in plc.serve(outputs, 5.0)
    assert 20 not in plc.coils


def test_nothing_is_sent_to_a_peer_before_the_first_evaluation() -> None:
    told, plc = Told(), Plc()
    outputs = told.outputs((), (PEER,))
    outputs.link_up(0.0)
    assert plc.serve(outputs, 0.0) == []
    assert outputs.next_due_s() == float("inf")


# --- over real TCP ------------------------------------------------------------------------------


@pytest.fixture(name="server")
async def _server() -> AsyncIterator[HostileServer]:
    async with hostile() as server:
        yield server


def link_with(server: HostileServer, outputs: ModbusOutputs, timeout_s: float = 20.0) -> ModbusLink:
    devices = tuple(
        ModbusDeviceSpec(
            f"D{unit}", "rs485-gas", unit, {"gas": unit}, 0.02, quantities={"gas": "CO"}
        )
        for unit in (1, 2)
    )
    spec = ModbusLinkSpec("plc", "127.0.0.1", server.port, timeout_s, 0.0, devices)
    return ModbusLink(spec, load_types(), lambda _: None, outputs, random.Random(1))


async def test_outputs_before_polls_and_between_them(server: HostileServer) -> None:
    told = Told()
    outputs = told.outputs(peers=(PEER,))
    outputs.set([True, False, False], [(1, True)])
    async with running(link_with(server, outputs)):
        await until(lambda: len(server.asked) > 30)
        first_poll = next(n for n, ask in enumerate(server.asked) if ask.unit != 9)
        assert [(a.function, a.address) for a in server.asked[:first_poll]] == [
            *((1, 0), (1, 5), (15, 0), (5, 5), (5, 20), (1, 0), (1, 5), (1, 20), (6, 100)),
        ]
        assert {address for (unit, address), bit in server.bits.items() if bit} == {0, 20}
        seen = len(server.asked)
        outputs.set([True, True, True], [(2, False)])
        await until(lambda: server.bits[9, 5] == 1 and server.bits[9, 20] == 0)
        asked = [(ask.unit, ask.function, ask.address) for ask in server.asked[seen:]]
        before = asked[: asked.index((9, 5, 20))]
        await until(lambda: server.words.get((9, 3, 100)) == 2)
    assert [ask for ask in before if ask[0] == 9][-2:] == [(9, 15, 0), (9, 5, 5)]
    assert sum(unit != 9 for unit, *_ in before) <= 1  # one read may have been on its way
    assert set(told.agreement) == {(0, True), (1, True), (2, True)}


async def test_a_plc_that_restarts_gets_its_state_back(server: HostileServer) -> None:
    told = Told()
    outputs = told.outputs()
    outputs.set([True, False, True], [])
    async with running(link_with(server, outputs)):
        await until(lambda: server.bits[9, 0] == 1 and server.bits[9, 1] == 1)
        await server.stop()
        await until(lambda: (0, None) in told.agreement)
        server.bits.clear()
        await server.start(server.port)
        await until(lambda: server.bits[9, 0] == 1 and server.bits[9, 1] == 1)
    assert told.found == [(0, False), (2, False), (1, False)]


async def test_a_change_does_not_wait_for_the_whole_pause(
    server: HostileServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sensors.poll_schedule.BACKOFF_FIRST_S", 3_600.0)
    monkeypatch.setattr("sensors.poll_schedule.BACKOFF_CAP_S", 3_600.0)
    told = Told()
    outputs = told.outputs()
    outputs.set(OFF, [])
    port = server.port
    await server.stop()
    link = link_with(server, outputs)
    async with running(link):
        await until(lambda: link.status.errors.get("refused", 0) == 1)
        await server.start(port)
        await asyncio.sleep(0.1)
        outputs.set([True, True, True], [])
        await until(lambda: server.bits[9, 0] == 1)  # an hour later without the change


LIES = {
    "refused": lambda ask: adu(ask.transaction, 9, bytes([ask.function | 0x80, 4])),
    "another coil": lambda ask: adu(ask.transaction, 9, b"\x0f\x00\x07\x00\x02"),
    "another unit": lambda ask: adu(ask.transaction, 8, b"\x0f\x00\x00\x00\x02"),
}


@pytest.mark.parametrize("lie", LIES)
async def test_a_write_that_is_not_proven_is_unknown(server: HostileServer, lie: str) -> None:
    async def script(ask: Ask, wire: Wire) -> None:
        await (wire.send(LIES[lie](ask)) if ask.function == 15 else wire.honest(ask))

    server.script = script
    told = Told()
    outputs = told.outputs(SIRENS[:2])
    outputs.set([True, False, True], [])
    async with running(link_with(server, outputs)):
        await until(lambda: (0, None) in told.agreement and (2, None) in told.agreement)
        assert not [agrees for _, agrees in told.agreement if agrees]
        server.script = honest
        await until(lambda: (0, True) in told.agreement and (2, True) in told.agreement)


async def test_a_coil_that_does_not_obey_is_a_mismatch(server: HostileServer) -> None:
    async def script(ask: Ask, wire: Wire) -> None:
        await wire.honest(ask)
        server.bits[9, 1] = 0

    server.script = script
    told = Told()
    outputs = told.outputs(SIRENS[:2])
    outputs.set([True, False, True], [])
    async with running(link_with(server, outputs)):
        await until(lambda: (2, False) in told.agreement and (0, True) in told.agreement)
        server.script = honest
        await until(lambda: (2, True) in told.agreement)


async def test_outputs_that_do_not_answer_do_not_keep_the_reads_waiting(
    server: HostileServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A string of dead sirens behind a bridge takes longer to try than the pause between tries."""
    monkeypatch.setattr("alarms.actuators.modbus_output.REFRESH_S", 0.05)
    monkeypatch.setattr("alarms.actuators.modbus_output.RETRY_CAP_S", 0.05)

    async def script(ask: Ask, wire: Wire) -> None:
        if ask.unit < 20:
            await wire.honest(ask)

    server.script = script
    sirens = tuple(CoilOutput(n, 20 + n, 0, readback=True) for n in range(3))
    told = Told()
    outputs = told.outputs((*sirens, CoilOutput(3, 9, 0, readback=True)))
    outputs.set([True, True, True, True], [])
    async with running(link_with(server, outputs, timeout_s=0.2)):
        await until(lambda: {ask.unit for ask in server.asked if ask.function == 3} == {1, 2})
        assert (3, True) in told.agreement
        await until(lambda: sum(ask.function == 3 for ask in server.asked) > 6)


async def test_a_silent_socket_with_nothing_but_outputs_is_renewed(
    server: HostileServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("alarms.actuators.modbus_output.REFRESH_S", 0.05)
    monkeypatch.setattr("alarms.actuators.modbus_output.RETRY_CAP_S", 0.05)

    async def script(ask: Ask, wire: Wire) -> None:
        if wire.number > 1:
            await wire.honest(ask)

    server.script = script
    told = Told()
    outputs = told.outputs()
    outputs.set([True, False, True], [])
    async with running(link_with(server, outputs, timeout_s=0.2)):
        await until(lambda: server.connections > 1 and (0, True) in told.agreement)
