"""What answers are made from: the live state, the journal, the site's tables and the clock."""

from __future__ import annotations

from collections.abc import Callable
from http import HTTPStatus
from pathlib import Path

from starlette.exceptions import HTTPException

from alarms.plan import Plan
from gateway.api import past, views
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
from gateway.live_state import LiveReader
from sensors.quantities import QUANTITIES


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
    historian : Recorded or None
        None: history comes from the journal alone.
    now : callable
        Returns the instant of an answer.
    """

    def __init__(
        self,
        config: Config,
        plan: Plan,
        live_path: Path,
        historian: past.Recorded | None = None,
        now: Callable[[], Now] = system_now,
    ) -> None:
        self.book = Catalogue.of(config, plan)
        self.now = now
        self.tokens = Tokens(config.api.tokens_file)
        self.movement = Movement()
        self.gate = JournalGate()
        self._live = LiveReader(live_path)
        self._journal = JournalReader(config.journal.path)
        self._past = past.Past(self.gate, self._journal, historian, now)
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
            samples, read_to_ns = await self._past.samples(spec.id, start_ns, end_ns)
            answer["samples"] = past.sample_answers(samples)
        else:
            steps, read_to_ns = await self._past.steps(spec.id, start_ns, end_ns, step_ns)
            answer["step_s"] = step_ns / 1e9
            answer["steps"] = past.step_answers(steps)
        answer["next_start"] = iso_ns(read_to_ns) if read_to_ns < end_ns else None
        return answer
