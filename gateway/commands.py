"""The one door into the core for people: a local socket, one JSON object a line each way.

The operating system says who is calling; a name in the request only says who stands beside the
keyboard. A reply is sent when the command, or its refusal, is durable in the journal.
"""

from __future__ import annotations

import asyncio
import json
import os
import pwd
import socket
import struct
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, get_args

from alarms.events import Command, CommandKind
from gateway.pipeline import Reply

LINE_LIMIT: Final = 65_536
TEXT_LIMIT: Final = 1_000
REPLY_WITHIN_S: Final = 30.0
CALLERS_A_USER: Final = 32
REPORTED: Final = ("sink",)
"""What the services process may speak for; the core knows all else by itself."""
PERSON_KINDS: Final = tuple(k for k in get_args(CommandKind) if k != "found")

Answer = dict[str, Any]


class RequestError(ValueError):
    """A request that cannot become a command; its text goes back to the caller."""


@dataclass(frozen=True, slots=True)
class Caller:
    """Who is at the other end, as the operating system says."""

    uid: int
    user: str


def _uid(writer: asyncio.StreamWriter) -> int:
    sock: socket.socket = writer.get_extra_info("socket")
    size = struct.calcsize("3i")
    _, uid, _ = struct.unpack("3i", sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, size))
    return int(uid)


def _caller(uid: int) -> Caller:
    try:
        return Caller(uid, pwd.getpwuid(uid).pw_name)
    except KeyError:
        return Caller(uid, f"uid {uid}")


def _text(request: Answer, key: str) -> str:
    value = request.get(key, "")
    if not isinstance(value, str) or len(value) > TEXT_LIMIT or "\0" in value:
        message = f"{key}: a text of at most {TEXT_LIMIT} characters is needed"
        raise RequestError(message)
    try:
        value.encode()
    except UnicodeEncodeError as error:  # half a character: JSON can hold it, UTF-8 cannot
        message = f"{key}: not a text ({error.reason})"
        raise RequestError(message) from error
    return value.strip()


def _number(request: Answer, key: str, highest: float) -> float:
    value = request.get(key, 0)
    # bool is an int in Python: true is not a number of seconds.
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= highest:
        message = f"{key}: a number between 0 and {highest:g} is needed"
        raise RequestError(message)
    return value


_KEYS: Final = frozenset(
    {"kind", "target", "name", "second", "reason", "measure", "for_s", "seen_seq"}
)
_LONGEST_S: Final = 90 * 86_400


def command_from(request: Answer, caller: Caller, now_ns: int) -> Command:
    """Turn a request into a command; raises RequestError with what to change."""
    unknown = sorted(set(request) - _KEYS)
    if unknown:
        message = f"unknown key {unknown[0]!r}; known: {', '.join(sorted(_KEYS))}"
        raise RequestError(message)
    kind: Any = request.get("kind")
    if kind not in PERSON_KINDS:
        message = f"unknown kind {kind!r}; known: {', '.join(PERSON_KINDS)}"
        raise RequestError(message)
    name = _text(request, "name")
    actor = f"{name} ({caller.user})" if name else caller.user
    second = _text(request, "second")
    if second.casefold() in (name.casefold(), caller.user.casefold()):
        second = actor if second else ""  # one person twice; the engine refuses that, as a row
    for_s = _number(request, "for_s", _LONGEST_S)
    return Command(
        kind,
        _text(request, "target"),
        actor,
        reason=_text(request, "reason"),
        second=second,
        measure=_text(request, "measure"),
        until_ns=now_ns + round(for_s * 1e9) if for_s else 0,
        seen_seq=int(_number(request, "seen_seq", 2**62)),
    )


class CommandServer:
    """Listens on the socket; `submit` gives a command to the inbox.

    The account `reporter` may say how the services are, and nothing else.
    """

    def __init__(
        self,
        path: Path,
        operators: tuple[str, ...],
        submit: Callable[[Command, int], bool],
        now_ns: Callable[[], int],
        on_health: Callable[[str, bool, str], None],
        reporter: str = "",
    ) -> None:
        self._path = path
        self._reporter = reporter
        self._operators = frozenset(operators)
        self._submit = submit
        self._now_ns = now_ns
        self._on_health = on_health
        self._waiting: dict[int, asyncio.Future[Reply]] = {}
        self._ticket = 0
        self._callers: Counter[int] = Counter()
        self._naming: dict[int, asyncio.Lock] = {}

    async def run(self) -> None:
        """Serve until cancelled."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._path.unlink(missing_ok=True)
        server = await asyncio.start_unix_server(self._serve, str(self._path), limit=LINE_LIMIT)
        self._path.chmod(0o660)
        try:
            async with server:
                await server.serve_forever()
        finally:
            self._path.unlink(missing_ok=True)

    def reply(self, reply: Reply) -> None:
        """Take the pump's answer for a ticket."""
        waiting = self._waiting.pop(reply.ticket, None)
        if waiting is not None and not waiting.done():
            waiting.set_result(reply)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer line by line; one user's connections are bounded, for files are too."""
        uid = _uid(writer)
        self._callers[uid] += 1
        try:
            if self._callers[uid] > CALLERS_A_USER:
                return
            # In a thread, one for a user: a directory service that does not answer must neither
            # stop the loop nor take all threads.
            async with self._naming.setdefault(uid, asyncio.Lock()):
                caller = await asyncio.to_thread(_caller, uid)
            while line := await reader.readline():
                answer = await self._answer(line, caller)
                writer.write(json.dumps(answer).encode() + b"\n")
                await writer.drain()
        except (ValueError, ConnectionError):
            # A line over the limit, or a caller that went away: nothing to answer.
            pass
        finally:
            self._callers[uid] -= 1
            writer.close()

    def _may(self, caller: Caller) -> bool:
        return caller.uid in (0, os.getuid()) or caller.user in self._operators

    def _may_report(self, caller: Caller) -> bool:
        return self._may(caller) or (bool(self._reporter) and caller.user == self._reporter)

    async def _answer(self, line: bytes, caller: Caller) -> Answer:
        if not self._may_report(caller):
            return _no(f"{caller.user} is not in [commands] operators")
        try:
            request = json.loads(line)
            if not isinstance(request, dict):
                return _no("a JSON object is needed")
            if request.get("kind") == "health":
                return self._health(request)
            if not self._may(caller):
                return _no(f"{caller.user} may only report: it is not in [commands] operators")
            command = command_from(request, caller, self._now_ns())
        except RequestError as error:
            return _no(str(error))
        except (ValueError, RecursionError) as error:
            return _no(f"not a JSON object on one line: {error}")
        return await self._order(command)

    def _health(self, request: Answer) -> Answer:
        part, fine = _text(request, "part"), request.get("ok")
        if part not in REPORTED:
            return _no(f"part: one of {', '.join(REPORTED)} is needed")
        if not isinstance(fine, bool):
            return _no("ok: true or false is needed")
        self._on_health(part, fine, _text(request, "reason"))
        return {"accepted": True, "reason": "", "seq": 0}

    async def _order(self, command: Command) -> Answer:
        self._ticket += 1
        ticket = self._ticket
        answer: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
        self._waiting[ticket] = answer
        if not self._submit(command, ticket):
            self._waiting.pop(ticket)
            return _no("too many commands are waiting; try again")
        try:
            async with asyncio.timeout(REPLY_WITHIN_S):
                reply = await answer
        except TimeoutError:
            self._waiting.pop(ticket, None)
            return _no(
                f"given to the alarm path, but not confirmed by the journal in"
                f" {REPLY_WITHIN_S:g} s: look at the alarm list before you rely on it"
            )
        return {
            "accepted": reply.refusal is None,
            "reason": reply.refusal or "",
            "seq": reply.seq,
        }


def _no(reason: str) -> Answer:
    return {"accepted": False, "reason": reason, "seq": 0}


async def ask(path: Path, request: Answer) -> Answer:
    """Send one request to a core and return its answer.

    Raises
    ------
    ConnectionError
        If no core listens there.
    """
    try:
        reader, writer = await asyncio.open_unix_connection(str(path), limit=LINE_LIMIT)
    except (FileNotFoundError, ConnectionError, PermissionError) as error:
        message = f"no core answers at {path}: {error}"
        raise ConnectionError(message) from error
    try:
        writer.write(json.dumps(request).encode() + b"\n")
        await writer.drain()
        line = await reader.readline()
    finally:
        writer.close()
    if not line:
        message = f"the core at {path} closed the connection without an answer"
        raise ConnectionError(message)
    answer: Answer = json.loads(line)
    return answer
