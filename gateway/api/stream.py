"""The live stream: a `state` each second, an `event` as each row commits; Server-Sent Events.

There is one newest state for all clients and no queue: a client that is slow skips states
(latest wins) and takes event rows from the journal at its own pace, by its own cursor. One that
takes nothing for `EVICT_AFTER_S` is put out; its socket is then ended by TCP_USER_TIMEOUT, see
`gateway.services`.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Iterator, MutableMapping
from contextlib import contextmanager
from typing import Any, Final

import orjson
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from gateway.api.answers import EventAnswer, TickAnswer
from gateway.api.journal_gate import JournalUnavailableError

TICK_S: Final = 1.0
LOOK_S: Final = 0.2
"""Period at which the journal is asked for new rows [s]."""
EVICT_AFTER_S: Final = 10.0
_PAGE: Final = 500
_KEPT: Final = 1_000

EventsAfter = Callable[[int, int], Awaitable[list[EventAnswer]]]
Reset = dict[str, int]
Give = Callable[[MutableMapping[str, Any]], Awaitable[None]]
_log = logging.getLogger("firedamp.api")


def frame(kind: str, data: TickAnswer | EventAnswer | Reset, seq: int | None = None) -> bytes:
    """Return one Server-Sent Event; `seq` becomes the id by which a client resumes."""
    head = f"event: {kind}\n" + (f"id: {seq}\n" if seq is not None else "")
    return head.encode() + b"data: " + orjson.dumps(data) + b"\n\n"


class Hub:
    """Makes each state once, whatever the number of clients, and wakes them.

    Parameters
    ----------
    make_tick : callable
        Returns the state of this instant.
    events_after : callable
        ``await events_after(seq, limit)`` returns committed rows in order.
    last_seq : callable
        ``await last_seq()`` returns the newest committed seq.
    max_streams : int
        Most clients at once.
    """

    def __init__(
        self,
        make_tick: Callable[[], TickAnswer],
        events_after: EventsAfter,
        last_seq: Callable[[], Awaitable[int]],
        max_streams: int,
    ) -> None:
        self._make_tick = make_tick
        self._events_after = events_after
        self._last_seq = last_seq
        self._max_streams = max_streams
        self._wakers: set[asyncio.Event] = set()
        self._rows: deque[tuple[int, bytes]] = deque()
        self._floor = 0
        self.newest_seq: int | None = None
        self.tick = b""
        self.ticks = 0
        self.closing = False
        self.evicted = 0

    @property
    def streams(self) -> int:
        """Number of clients."""
        return len(self._wakers)

    @property
    def full(self) -> bool:
        """True if no further client is taken."""
        return self.streams >= self._max_streams or self.closing

    async def run_states(self) -> None:
        """Make a state each second until cancelled; a stuck journal does not hold it up."""
        loop = asyncio.get_running_loop()
        due = loop.time()
        while True:
            self.tick = frame("state", self._make_tick())
            self.ticks += 1
            self._wake()
            due = max(due + TICK_S, loop.time())
            await asyncio.sleep(due - loop.time())

    async def run_rows(self) -> None:
        """Take rows as they commit until cancelled.

        Raises
        ------
        JournalUnavailableError
            If the journal cannot be read; to be started again.
        """
        while True:
            last = await self._last_seq()
            if self.newest_seq is None or last < self.newest_seq:
                # The first look, or a damaged journal was set aside and began anew.
                self._rows.clear()
                self.newest_seq = self._floor = last
            while last > self.newest_seq and await self._take_rows(self.newest_seq):
                pass
            await asyncio.sleep(LOOK_S)

    async def _take_rows(self, newest_seq: int) -> bool:
        rows = await self._events_after(newest_seq, _PAGE)
        for row in rows:
            self._rows.append((row["seq"], frame("event", row, row["seq"])))
            self.newest_seq = row["seq"]
            if len(self._rows) > _KEPT:
                self._floor = self._rows.popleft()[0]
        if rows:
            self._wake()
        return len(rows) == _PAGE

    def _wake(self) -> None:
        for waker in self._wakers:
            waker.set()

    def close(self) -> None:
        """End all streams, so that the server can stop at once."""
        self.closing = True
        self._wake()

    @contextmanager
    def client(self) -> Iterator[asyncio.Event]:
        """Be woken while inside."""
        waker = asyncio.Event()
        waker.set()
        self._wakers.add(waker)
        try:
            yield waker
        finally:
            self._wakers.discard(waker)

    async def rows_after(self, seq: int) -> tuple[list[bytes], int]:
        """Return rows newer than `seq` as frames, and the seq of the last of them."""
        if seq >= self._floor:
            newer = [(s, data) for s, data in self._rows if s > seq]
            return [data for _, data in newer], newer[-1][0] if newer else seq
        rows = await self._events_after(seq, _PAGE)
        frames = [frame("event", row, row["seq"]) for row in rows]
        return frames, rows[-1]["seq"] if rows else max(seq, self._floor)


class StreamResponse(Response):
    """One client's stream; ends when it leaves, is too slow, loses its right, or at shutdown.

    Parameters
    ----------
    hub : Hub
    after : int or None
        Seq of the newest row that the client has; None: only rows from now on.
    welcome : callable
        Asked at each state whether the client may still look.
    """

    def __init__(
        self,
        hub: Hub,
        after: int | None,
        welcome: Callable[[], bool],
        evict_after_s: float = EVICT_AFTER_S,
    ) -> None:
        super().__init__(media_type="text/event-stream", headers={"cache-control": "no-store"})
        del self.headers["content-length"]
        self._hub = hub
        self._after = after
        self._welcome = welcome
        self._evict_after_s = evict_after_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002
        """Serve the client until it or we end it."""

        async def leave() -> None:
            while (await receive())["type"] != "http.disconnect":
                pass

        with self._hub.client() as waker:
            async with asyncio.TaskGroup() as tasks:
                feed = tasks.create_task(self._feed(send, waker))
                gone = tasks.create_task(leave())
                await asyncio.wait({feed, gone}, return_when=asyncio.FIRST_COMPLETED)
                feed.cancel()
                gone.cancel()

    async def _feed(self, send: Send, waker: asyncio.Event) -> None:
        async def give(message: MutableMapping[str, Any]) -> None:
            async with asyncio.timeout(self._evict_after_s):
                await send(message)

        try:
            await give({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
            await self._follow(give, waker)
            await give({"type": "http.response.body", "body": b"", "more_body": False})
        except TimeoutError:
            self._hub.evicted += 1
            _log.warning("a stream took nothing for %g s and was put out", self._evict_after_s)

    async def _follow(self, give: Give, waker: asyncio.Event) -> None:
        hub = self._hub
        cursor = self._after
        placed = False
        sent = 0
        while not hub.closing:
            await waker.wait()
            waker.clear()
            if hub.ticks != sent and hub.tick:
                if not self._welcome():
                    return
                sent = hub.ticks
                await give(_body(hub.tick))
            if hub.newest_seq is None:
                continue
            if not placed:
                placed = True
                if cursor is not None and cursor > hub.newest_seq:
                    # The journal began anew since: what this client has is not ours to continue.
                    await give(_body(frame("reset", {"after": hub.newest_seq})))
                cursor = hub.newest_seq if cursor is None else min(cursor, hub.newest_seq)
            cursor = await self._catch_up(give, cursor or 0)

    async def _catch_up(self, give: Give, cursor: int) -> int:
        """Send the rows after `cursor`; return the new cursor."""
        try:
            frames, cursor = await self._hub.rows_after(cursor)
            while frames and not self._hub.closing:
                await give(_body(b"".join(frames)))
                frames, cursor = await self._hub.rows_after(cursor)
        except JournalUnavailableError as error:
            # States go on; the rows are asked for again at the next.
            _log.warning("a stream cannot be given its rows: %s", error)
        return cursor


def _body(data: bytes) -> dict[str, Any]:
    return {"type": "http.response.body", "body": data, "more_body": True}
