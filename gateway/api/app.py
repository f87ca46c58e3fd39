"""The web application: routes, the page, one shape for every error, headers that shut doors."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final

from fastapi import Depends, FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway.api.answers import ErrorAnswer
from gateway.api.journal_gate import JournalUnavailableError
from gateway.api.routes import READERS, Json, api, needs, watch
from gateway.api.sources import ProblemError, Sources
from gateway.api.views import SUPERVISORY

PAGE: Final = Path(__file__).parent / "page"
_MEDIA: Final = {".html": "text/html", ".css": "text/css", ".js": "text/javascript"}
_SHORT: Final = {"index.html": "/", "docs.html": "/docs"}
_POLICY: Final = (
    b"default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    b"img-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_HEADERS: Final = (
    (b"content-security-policy", _POLICY),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cache-control", b"no-store"),
)
_log = logging.getLogger("firedamp.api")


def build(sources: Sources) -> FastAPI:
    """Return the application."""
    app = FastAPI(
        title="Firedamp",
        version="1",
        description=SUPERVISORY,
        docs_url=None,  # the stock page loads its scripts from the Internet; ours is /docs
        redoc_url=None,
        openapi_url=None,
    )
    app.state.sources = sources
    app.include_router(api)
    app.include_router(watch)
    # The files of the page hold no data: anybody may have them.
    for file in sorted(PAGE.iterdir()):
        path = _SHORT.get(file.name, f"/{file.name}")
        app.add_api_route(path, _file(file), methods=["GET"], include_in_schema=False)
    app.add_api_route(
        "/openapi.json",
        _openapi,
        methods=["GET"],
        include_in_schema=False,
        dependencies=[Depends(needs(*READERS))],
    )
    app.add_exception_handler(HTTPException, _problem)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(JournalUnavailableError, _no_journal)
    app.add_exception_handler(HTTPStatus.INTERNAL_SERVER_ERROR, _bug)
    app.add_middleware(_Headers)
    return app


def _file(file: Path) -> Callable[[], Awaitable[Response]]:
    content, kind = file.read_bytes(), _MEDIA[file.suffix]

    async def serve() -> Response:
        return Response(content, media_type=kind)

    return serve


async def _openapi(request: Request) -> Response:
    return Json(request.app.openapi())


def _error(status: int, code: str, detail: str, headers: Any = None) -> Response:  # noqa: ANN401
    answer: ErrorAnswer = {"status": status, "error": code, "detail": detail}
    return Json(answer, status, headers)


async def _problem(_request: Request, error: Exception) -> Response:
    if not isinstance(error, HTTPException):
        raise error
    code = error.code if isinstance(error, ProblemError) else HTTPStatus(error.status_code).phrase
    return _error(
        error.status_code, code.lower().replace(" ", "_"), str(error.detail), error.headers
    )


async def _invalid(_request: Request, error: Exception) -> Response:
    if not isinstance(error, RequestValidationError):
        raise error
    wrong = "; ".join(
        f"{'.'.join(str(part) for part in row['loc'][1:])}: {row['msg']}" for row in error.errors()
    )
    return _error(HTTPStatus.UNPROCESSABLE_ENTITY, "bad_parameter", wrong)


async def _no_journal(_request: Request, error: Exception) -> Response:
    return _error(
        HTTPStatus.SERVICE_UNAVAILABLE, "journal_unavailable", str(error), {"retry-after": "2"}
    )


async def _bug(_request: Request, error: Exception) -> Response:
    _log.error("a request failed", exc_info=error)
    return _error(
        HTTPStatus.INTERNAL_SERVER_ERROR, "internal", "a fault of the gateway: see its log"
    )


class _Headers:
    """Adds the headers that every answer carries."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                present = {name for name, _ in message["headers"]}
                added = [pair for pair in _HEADERS if pair[0] not in present]
                message = {**message, "headers": [*message["headers"], *added]}
            await send(message)

        await self._app(scope, receive, with_headers)
