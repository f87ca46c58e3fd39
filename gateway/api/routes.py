"""The routes under /api/v1, /metrics and /healthz: read a request, ask `Sources`, answer JSON.

Every route that is not `/healthz` or the page needs a token; regulators and operators may read
the same. Nothing here changes anything. Bad input is answered 4xx with `ErrorAnswer`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Annotated, Any, Final

import orjson
from fastapi import APIRouter, Depends, Header, Path, Query, Request
from fastapi.responses import JSONResponse, Response
from fastapi.security import HTTPBearer

from gateway.api import metrics, past, views
from gateway.api.answers import (
    AlarmAnswer,
    ErrorAnswer,
    EventsAnswer,
    HealthAnswer,
    HistoryAnswer,
    LimitAnswer,
    LinksAnswer,
    OutputAnswer,
    PointAnswer,
    PointDetail,
    StatusAnswer,
    ZoneAnswer,
)
from gateway.api.auth import Person, Role, bearer
from gateway.api.sources import ProblemError, Sources
from gateway.api.stream import StreamResponse
from sensors.source_time import parse_source_time

_MAX_SEQ: Final = 2**53
"""Above any seq, and a number that every JSON reader holds exactly."""


class Json(JSONResponse):
    """JSON by orjson."""

    def render(self, content: Any) -> bytes:  # noqa: ANN401 - starlette's signature
        """Return the body; NaN does not occur, it is null already."""
        return orjson.dumps(content)


def sources(request: Request) -> Sources:
    """Return what this app answers from."""
    found: Sources = request.app.state.sources
    return found


From = Annotated[Sources, Depends(sources)]


def needs(*roles: Role) -> Callable[[Request, Sources], Awaitable[Person]]:
    """Return a dependency that lets only these roles pass."""

    async def person(request: Request, source: From) -> Person:
        token = bearer(request.headers.get("authorization"))
        found = source.tokens.person(token, source.now().wall_ns) if token else None
        if found is None:
            raise ProblemError(
                HTTPStatus.UNAUTHORIZED,
                "no_valid_token",
                "send 'Authorization: Bearer <token>' with a token that is in the tokens file "
                "and has not expired",
                {"www-authenticate": "Bearer"},
            )
        if found.role not in roles:
            raise ProblemError(
                HTTPStatus.FORBIDDEN, "role_not_allowed", f"needs one of: {', '.join(roles)}"
            )
        return found

    return person


_ERRORS: Final[dict[int | str, dict[str, Any]]] = {
    status: {"model": ErrorAnswer} for status in (401, 403, 404, 422, 503)
}
# The scheme is declared for the OpenAPI document; `needs` does the checking.
_scheme = HTTPBearer(auto_error=False, description="a token of the tokens file")
READERS: Final[tuple[Role, ...]] = ("regulator", "operator")
_reader = needs(*READERS)
Reader = Annotated[Person, Depends(_reader)]
api = APIRouter(
    prefix="/api/v1",
    responses=_ERRORS,
    dependencies=[Depends(_scheme), Depends(_reader)],
    default_response_class=Json,
)
watch = APIRouter()


@api.get("/status", response_model=StatusAnswer)
async def status(source: From) -> Response:
    """Show the mine at a glance; also when the core is silent or runs something else."""
    return Json(views.status(source.book, source.found(), source.now()))


@api.get("/zones", response_model=list[ZoneAnswer])
async def zones(source: From) -> Response:
    """List all zones, worst first."""
    return Json(views.zones(source.picture()))


@api.get("/points", response_model=list[PointAnswer])
async def points(source: From) -> Response:
    """List all points in configuration order, each with unit, quality, times and age."""
    return Json(views.points(source.picture()))


PointId = Annotated[str, Path(max_length=200, description="as in /points")]


def _index(source: Sources, name: str) -> int:
    index = source.book.plan.points.index.get(name)
    if index is None:
        raise ProblemError(
            HTTPStatus.NOT_FOUND, "no_such_point", f"no point {name!r}: see /api/v1/points"
        )
    return index


@api.get("/points/{point}", response_model=PointDetail)
async def point(source: From, point: PointId) -> Response:
    """Show one point with its limits in full."""
    index = _index(source, point)
    return Json(views.point_detail(source.picture(), index))


def _time(name: str, text: str) -> int:
    """Read a time [ns]; a "+" that the query string turned into a space is put back."""
    repaired = text[:-6] + "+" + text[-5:] if text[-6:-5] == " " else text
    found = parse_source_time(repaired)
    if found is None:
        raise ProblemError(
            HTTPStatus.UNPROCESSABLE_ENTITY,
            "bad_time",
            f"{name}={text!r} is not RFC 3339 with an offset, such as 2026-11-22T08:00:00Z",
        )
    return found


@api.get("/points/{point}/history", response_model=HistoryAnswer)
async def point_history(
    source: From,
    point: PointId,
    start: Annotated[str, Query(max_length=40, description="RFC 3339, included")],
    end: Annotated[str, Query(max_length=40, description="RFC 3339, not included")],
    step: Annotated[
        float | None,
        Query(
            ge=0.1,
            le=86_400,
            allow_inf_nan=False,
            description="seconds per step of the min/max envelope; without it, samples",
        ),
    ] = None,
) -> Response:
    """Show the recorded past of one point.

    Long answers come in parts: go on with `start` = `next_start`.
    """
    index = _index(source, point)
    start_ns, end_ns = _time("start", start), _time("end", end)
    step_ns = None if step is None else round(step * 1e9)
    if end_ns <= start_ns:
        raise ProblemError(HTTPStatus.UNPROCESSABLE_ENTITY, "bad_span", "end must be after start")
    if step_ns is not None and (end_ns - start_ns) / step_ns > past.MAX_STEPS:
        least = (end_ns - start_ns) / past.MAX_STEPS / 1e9
        raise ProblemError(
            HTTPStatus.UNPROCESSABLE_ENTITY,
            "too_many_steps",
            f"at most {past.MAX_STEPS} steps in one answer: ask for step>={least:.1f}",
        )
    return Json(await source.history(index, start_ns, end_ns, step_ns))


@api.get("/alarms", response_model=list[AlarmAnswer])
async def alarms(
    source: From,
    *,
    everything: Annotated[bool, Query(alias="all", description="normal ones too")] = False,
) -> Response:
    """List the alarms that are not normal: worst first, then unacknowledged, then newest."""
    return Json(views.alarms(source.picture(), everything=everything))


@api.get("/events", response_model=EventsAnswer)
async def events(
    source: From,
    after: Annotated[int, Query(ge=0, le=_MAX_SEQ, description="newest seq you have")] = 0,
    limit: Annotated[int, Query(ge=1, le=1_000)] = 500,
) -> Response:
    """List committed rows after a seq, in order. What is served here stays."""
    rows = await source.events_after(after, limit)
    answer: EventsAnswer = {
        "events": rows,
        "next_after": rows[-1]["seq"] if rows else after,
        "more": len(rows) == limit,
    }
    return Json(answer)


@api.get("/outputs", response_model=list[OutputAnswer])
async def outputs(source: From) -> Response:
    """List sirens, beacons and power cuts: commanded, read back, what the load side says."""
    return Json(views.outputs(source.picture()))


@api.get("/links", response_model=LinksAnswer)
async def links(source: From) -> Response:
    """List field connections and output controllers."""
    return Json(views.links(source.picture()))


@api.get("/limits", response_model=list[LimitAnswer])
async def limits(source: From) -> Response:
    """List every rule, with profile, clause, edition and how far it was verified."""
    return Json(list(source.book.limits.values()))


@api.get(
    "/stream",
    response_class=Response,
    responses={200: {"content": {"text/event-stream": {}}}, 429: {"model": ErrorAnswer}},
)
async def stream(
    request: Request,
    source: From,
    last_event_id: Annotated[int | None, Header(ge=0, le=_MAX_SEQ)] = None,
) -> Response:
    """Stream Server-Sent Events: `state` each second, `event` as each row commits.

    Send Last-Event-ID to get the rows since; `reset` says that the journal began anew.
    """
    if source.hub.full:
        raise ProblemError(
            HTTPStatus.TOO_MANY_REQUESTS,
            "too_many_streams",
            "as many live pages are open as [api] max_streams allows",
            {"retry-after": "5"},
        )
    token = bearer(request.headers.get("authorization")) or ""

    def welcome() -> bool:
        return source.tokens.person(token, source.now().wall_ns) is not None

    return StreamResponse(source.hub, last_event_id, welcome)


@watch.get(
    "/metrics",
    response_class=Response,
    responses=_ERRORS | {200: {"content": {metrics.CONTENT_TYPE: {}}}},
    dependencies=[Depends(_scheme), Depends(_reader)],
)
async def prometheus(source: From) -> Response:
    """Show the numbers to a Prometheus server."""
    found = source.found()
    verdict = source.movement.verdict(found, source.now())
    page = metrics.text(found, verdict, source.hub.streams, source.hub.evicted)
    return Response(page, media_type=metrics.CONTENT_TYPE)


@watch.get("/healthz", response_model=HealthAnswer, responses={503: {"model": HealthAnswer}})
async def healthz(source: From) -> Response:
    """Tell whether evaluation and polling move: 200, or 503 with the reasons."""
    verdict = source.movement.verdict(source.found(), source.now())
    return Json(verdict, HTTPStatus.OK if verdict["ok"] else HTTPStatus.SERVICE_UNAVAILABLE)
