"""The command socket: who may, what is refused, and that a reply waits for the journal."""

from __future__ import annotations

import asyncio
import getpass
import json
import pwd
import threading
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from alarms.events import Command
from gateway.commands import (
    CALLERS_A_USER,
    Caller,
    CommandServer,
    RequestError,
    ask,
    command_from,
)
from gateway.pipeline import Reply

ME = Caller(1000, "operator1")


class Core:
    """Stands where the inbox and the pump are: takes commands, answers when told."""

    def __init__(self, path: Path, *, answers: bool = True) -> None:
        self.commands: list[Command] = []
        self.health: list[tuple[str, bool, str]] = []
        self.answers = answers
        self.full = False
        self.server = CommandServer(path, (), self.submit, lambda: 1_000, self.say)

    def say(self, part: str, works: bool, reason: str) -> None:
        self.health.append((part, works, reason))

    def submit(self, command: Command, ticket: int) -> bool:
        if self.full:
            return False
        self.commands.append(command)
        if self.answers:
            refusal = "no such thing" if command.target == "nowhere" else None
            asyncio.get_running_loop().call_soon(self.server.reply, Reply(ticket, refusal, 42))
        return True


@pytest.fixture
async def core(tmp_path: Path) -> AsyncIterator[Core]:
    core = Core(tmp_path / "run" / "cmd.sock")
    async with asyncio.TaskGroup() as group:
        task = group.create_task(core.server.run())
        while not (tmp_path / "run" / "cmd.sock").exists():  # noqa: ASYNC110 - a file, not an event
            await asyncio.sleep(0.01)
        yield core
        task.cancel()


def socket_of(core: Core) -> Path:
    return core.server._path


async def test_an_evacuation_goes_through_with_the_name_the_system_knows(core: Core) -> None:
    answer = await ask(
        socket_of(core),
        {"kind": "evacuate", "target": "LW101", "name": "Li Wei", "reason": "fire"},
    )
    assert answer == {"accepted": True, "reason": "", "seq": 42}
    (command,) = core.commands
    assert command.actor == f"Li Wei ({getpass.getuser()})"
    assert (command.kind, command.target, command.reason) == ("evacuate", "LW101", "fire")


async def test_a_refusal_comes_back_with_its_reason(core: Core) -> None:
    answer = await ask(socket_of(core), {"kind": "reset", "target": "nowhere"})
    assert answer == {"accepted": False, "reason": "no such thing", "seq": 42}


@pytest.mark.parametrize(
    ("line", "says"),
    [
        (b"not json\n", "not a JSON object"),
        (b"[1, 2]\n", "a JSON object is needed"),
        (b'{"kind": "explode", "target": "x"}\n', "unknown kind 'explode'"),
        (b'{"kind": "found", "target": "siren"}\n', "unknown kind 'found'"),
        (b'{"kind": "ack", "target": "x", "sudo": true}\n', "unknown key 'sudo'"),
        (b'{"kind": "ack", "target": 5}\n', "target: a text"),
        (b'{"kind": "shelve", "target": "x", "for_s": -1}\n', "for_s: a number between 0"),
        (b'{"kind": "shelve", "target": "x", "for_s": true}\n', "for_s: a number between 0"),
        (b'{"kind": "shelve", "target": "x", "for_s": NaN}\n', "for_s: a number between 0"),
        (b'{"kind": "health", "part": "sink", "ok": 1}\n', "ok: true or false"),
        (b'{"kind": "health", "part": "journal", "ok": true}\n', "part: one of sink"),
        (b'{"kind": "health", "part": "sink", "ok": false, "reason": "\\ud800"}\n', "not a text"),
        (b'{"kind": "ack", "target": "x", "name": "\\udc80"}\n', "name: not a text"),
        (b"[" * 20_000 + b"\n", "not a JSON object"),
        (b"\xff\xfe\n", "not a JSON object"),
    ],
)
async def test_bad_requests_are_answered_and_change_nothing(
    core: Core, line: bytes, says: str
) -> None:
    reader, writer = await asyncio.open_unix_connection(str(socket_of(core)))
    writer.write(line)
    answer = json.loads(await reader.readline())
    assert answer["accepted"] is False
    assert says in answer["reason"]
    assert core.commands == []
    assert core.health == []
    # The same connection still works.
    writer.write(b'{"kind": "ack", "target": "x", "seen_seq": 3}\n')
    assert json.loads(await reader.readline())["accepted"] is True
    writer.close()
    await writer.wait_closed()


async def test_a_line_without_end_closes_the_connection_only(core: Core) -> None:
    reader, writer = await asyncio.open_unix_connection(str(socket_of(core)))
    writer.write(b"x" * 200_000)
    assert await reader.read() == b""
    writer.close()
    answer = await ask(socket_of(core), {"kind": "ack", "target": "x"})
    assert answer["accepted"] is True


async def test_too_many_waiting_commands_are_refused(core: Core) -> None:
    core.full = True
    answer = await ask(socket_of(core), {"kind": "ack", "target": "x"})
    assert answer["reason"] == "too many commands are waiting; try again"


async def test_health_of_the_services_is_taken(core: Core) -> None:
    request = {"kind": "health", "part": "sink", "ok": False, "reason": "401"}
    assert (await ask(socket_of(core), request))["accepted"] is True
    assert core.health == [("sink", False, "401")]


async def test_idle_callers_of_one_user_are_bounded(core: Core) -> None:
    idle = [await asyncio.open_unix_connection(str(socket_of(core))) for _ in range(CALLERS_A_USER)]
    with pytest.raises(ConnectionError):
        await ask(socket_of(core), {"kind": "ack", "target": "x"})
    idle[0][1].close()
    while True:  # as soon as the server has seen that
        try:
            answer = await ask(socket_of(core), {"kind": "ack", "target": "x"})
        except ConnectionError:
            continue
        break
    assert answer["accepted"] is True
    for _, writer in idle:
        writer.close()


async def test_a_directory_that_does_not_answer_does_not_stop_the_loop(
    core: Core, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers, turns = threading.Event(), 0
    lookup = pwd.getpwuid
    monkeypatch.setattr(pwd, "getpwuid", lambda uid: answers.wait(60) and lookup(uid))
    async with asyncio.TaskGroup() as group:
        asked = group.create_task(ask(socket_of(core), {"kind": "ack", "target": "x"}))
        for _ in range(50):  # the loop turns while the lookup stands
            await asyncio.sleep(0.001)
            turns += not asked.done()
        answers.set()
    assert turns == 50
    assert asked.result()["accepted"] is True


async def test_nobody_home(tmp_path: Path) -> None:
    with pytest.raises(ConnectionError, match="no core answers at"):
        await ask(tmp_path / "none.sock", {"kind": "ack", "target": "x"})


def test_a_stranger_is_refused(tmp_path: Path) -> None:
    server = CommandServer(
        tmp_path / "s", ("operator1",), lambda _c, _t: True, lambda: 0, lambda _p, _w, _r: None
    )
    assert server._may(Caller(4242, "operator1"))
    assert server._may(Caller(0, "root"))
    assert not server._may(Caller(4243, "mallory"))


def test_durations_become_ends_on_the_axis() -> None:
    command = command_from({"kind": "shelve", "target": "a", "for_s": 60.0}, ME, 5)
    assert command.until_ns == 60_000_000_005
    assert command.actor == "operator1"
    with pytest.raises(RequestError, match="for_s"):
        command_from({"kind": "shelve", "target": "a", "for_s": 1e12}, ME, 5)


@pytest.mark.parametrize("second", ["Li Wei", " li WEI ", "operator1"])
def test_one_person_is_not_two(second: str) -> None:
    """The engine compares the whole names, the account's in it: it must see that they are one."""
    request = {"kind": "reset", "target": "a", "name": "Li Wei", "second": second}
    command = command_from(request, ME, 0)
    assert command.second == command.actor == "Li Wei (operator1)"
    assert command_from(request | {"second": "Zhang Min"}, ME, 0).second == "Zhang Min"
    assert not command_from(request | {"second": ""}, ME, 0).second


async def test_the_services_account_may_report_and_nothing_else() -> None:
    said: list[str] = []
    server = CommandServer(
        Path("unused"),
        (),
        lambda _c, _t: True,
        lambda: 0,
        lambda part, _w, _r: said.append(part),
        "firedamp-services",
    )
    services = Caller(4244, "firedamp-services")
    report = b'{"kind": "health", "part": "sink", "ok": true}'
    assert (await server._answer(report, services))["accepted"]
    assert not (await server._answer(report, Caller(4243, "mallory")))["accepted"]
    order = await server._answer(b'{"kind": "evacuate", "target": "all"}', services)
    assert order["reason"].startswith("firedamp-services may only report")
    assert said == ["sink"]
