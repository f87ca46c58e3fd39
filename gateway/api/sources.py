"""What answers are made from: the live state, the journal, the site's tables and the clock."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from http import HTTPStatus
from pathlib import Path
from typing import Final

from starlette.exceptions import HTTPException

from alarms.plan import Plan
from gateway.api import history, views
from gateway.api.answers import CoreAnswer, EventAnswer, HistoryAnswer, TickAnswer
from gateway.api.auth import Tokens
from gateway.api.catalogue import Catalogue
from gateway.api.health import Movement
from gateway.api.journal_gate import JournalGate
from gateway.api.picture import Now, Picture, iso_ns, picture
from gateway.api.stream import Hub
from gateway.clock import WallClock
from gateway.config import Config
from gateway.journal_reader import JournalReader
from gateway.journal_rows import History
from gateway.live_state import LiveReader
from sensors.quantities import QUANTITIES

_SLICE_NS: Final = 600_000_000_000
"""History is read in slices of ten minutes, so that no read of the journal lasts long."""
_LATE_NS: Final = 600_000_000_000
"""What a device sent later than this is not looked for: it is in the historian's files."""
_LONGEST_NS: Final = 2_000_000_000


class ProblemError(HTTPException):
    """An answer that is not 2xx: what is wrong, and what to do about it."""

    def __init__(
        self, status: HTTPStatus, code: str, detail: str, headers: dict[str, str] | None = None
    ) -> None:
        super().__init__(status, detail, headers)
        self.code = code


def system_now() -> Now:
    """Return this instant by the system's clocks."""
    return Now(WallClock.monotonic_ns(), WallClock.wall_ns())


class Sources:
    """Everything that a request may ask; one per process.

    Parameters
    ----------
    config, plan : Config, Plan
        The site, and what it was compiled to.
    live_path : Path
        File of the live state.
    now : callable
        Returns the instant of an answer.
    """

    def __init__(
        self, config: Config, plan: Plan, live_path: Path, now: Callable[[], Now] = system_now
    ) -> None:
        self.book = Catalogue.of(config, plan)
        self.now = now
        self.tokens = Tokens(config.api.tokens_file)
        self.movement = Movement()
        self.gate = JournalGate()
        self._live = LiveReader(live_path)
        self._journal = JournalReader(config.journal.path)
        self.hub = Hub(self.tick, self.events_after, self.last_seq, config.api.max_streams)

    def found(self) -> Picture | CoreAnswer:
        """Return the picture of the mine now, or why there is none."""
        return picture(self.book, self._live.read(), self.now())

    def picture(self) -> Picture:
        """Return the picture of the mine now.

        Raises
        ------
        ProblemError
            503, if there is no live state of this configuration.
        """
        found = self.found()
        if isinstance(found, Picture):
            return found
        raise ProblemError(
            HTTPStatus.SERVICE_UNAVAILABLE, found["state"], found["reason"], {"retry-after": "2"}
        )

    def tick(self) -> TickAnswer:
        """Return the state of this instant; looks at what moves on the way."""
        now = self.now()
        found = self.found()
        self.movement.observe(found, now)
        return views.tick(self.book, found, now)

    async def last_seq(self) -> int:
        """Return the newest committed seq."""
        return await self.gate.read(self._journal.last_event_seq)

    async def events_after(self, seq: int, limit: int) -> list[EventAnswer]:
        """Return committed rows in order."""
        rows = await self.gate.read(lambda: self._journal.events_after(seq, limit))
        return [views.event(row) for row in rows]

    async def history(
        self, point: int, start_ns: int, end_ns: int, step_ns: int | None
    ) -> HistoryAnswer:
        """Return the recorded past of a point, ``start_ns <= time < end_ns``."""
        spec = self.book.plan.points.specs[point]
        found, read_to_ns = await self._recorded(spec.id, start_ns, end_ns, step_ns)
        answer: HistoryAnswer = {
            "point": spec.id,
            "unit": QUANTITIES[spec.quantity].unit,
            "start": iso_ns(start_ns),
            "end": iso_ns(end_ns),
            "step_s": None,
            "samples": None,
            "steps": None,
            "next_start": None,
        }
        if step_ns is None:
            # A page ends between two instants, so that the next begins with all of one.
            if len(found) > history.MAX_SAMPLES:
                read_to_ns = int(found.time_ns[history.MAX_SAMPLES])
            whole = history.before(found, read_to_ns)
            answer["samples"] = history.samples(whole)
        else:
            answer["step_s"] = step_ns / 1e9
            answer["steps"] = history.envelope(found, start_ns, step_ns)
        answer["next_start"] = iso_ns(read_to_ns) if read_to_ns < end_ns else None
        return answer

    async def _recorded(
        self, name: str, start_ns: int, end_ns: int, step_ns: int | None
    ) -> tuple[History, int]:
        """Read slice by slice until the end, enough samples, or out of time; say how far.

        Slices are whole steps, so that an answer in parts has no step in two of them.
        """
        slice_ns = _SLICE_NS if step_ns is None else -(-_SLICE_NS // step_ns) * step_ns
        began_ns = self.now().monotonic_ns
        parts: list[History] = []
        at = start_ns
        while at < end_ns:
            to = min(at + slice_ns, end_ns)
            read = partial(self._journal.history, name, at, to, late_ns=_LATE_NS)
            parts.append(await self.gate.read(read))
            at = to
            many = step_ns is None and sum(map(len, parts)) > history.MAX_SAMPLES
            if many or self.now().monotonic_ns - began_ns > _LONGEST_NS:
                break
        return history.joined(parts), at
