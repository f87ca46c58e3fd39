from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Final

import httpx
import pytest
from fastapi.routing import APIRoute
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.api import views
from tests.gateway.api.pretend import CO, NOW, PLAN, LiveMine, T, row, shown
from tests.gateway.api.served import Served, serve

ALL: Final = {"none": 200, "bad": 200, "regulator": 200, "operator": 200}
READERS: Final = {"none": 401, "bad": 401, "regulator": 200, "operator": 200}
# Every route and who may: one that is missing here, or not there, fails.
MATRIX: Final[dict[str, dict[str, int]]] = {
    "/": ALL,
    "/docs": ALL,
    "/page.css": ALL,
    "/page.js": ALL,
    "/truth.js": ALL,
    "/draw.js": ALL,
    "/words.js": ALL,
    "/zones.js": ALL,
    "/marks.js": ALL,
    "/link.js": ALL,
    "/messages.js": ALL,
    "/docs.js": ALL,
    "/healthz": ALL,
    "/metrics": READERS,
    "/openapi.json": READERS,
    "/api/v1/status": READERS,
    "/api/v1/zones": READERS,
    "/api/v1/points": READERS,
    "/api/v1/points/{point}": READERS,
    "/api/v1/points/{point}/history": READERS,
    "/api/v1/alarms": READERS,
    "/api/v1/events": READERS,
    "/api/v1/outputs": READERS,
    "/api/v1/links": READERS,
    "/api/v1/limits": READERS,
    "/api/v1/stream": READERS,
}
GOOD: Final[dict[str, str]] = {
    "/api/v1/points/{point}": "/api/v1/points/T1.gas",
    "/api/v1/points/{point}/history": (
        "/api/v1/points/T1.gas/history?start=2026-11-23T00:00:00Z&end=2026-11-23T01:00:00Z"
    ),
}


@pytest.fixture
def served(tmp_path: Path) -> Served:
    served = serve(tmp_path)
    live = LiveMine()
    live.evacuation()
    served.publish(live)
    return served


def routes_of(served: Served) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for route in flat(served.app.routes):
        found.setdefault(route.path, set()).update(route.methods or ())
    return found


def flat(routes: Iterable[object]) -> Iterator[APIRoute]:
    """Yield all routes; an included router keeps its own."""
    for route in routes:
        if isinstance(route, APIRoute):
            yield route
        else:
            yield from flat(route.original_router.routes)  # type: ignore[attr-defined]


async def get(served: Served, role: str | None, path: str) -> httpx.Response:
    async with served.client(role) as client:
        return await client.get(path)


def is_error(answer: httpx.Response) -> bool:
    body = answer.json()
    return set(body) == {"status", "error", "detail"} and body["status"] == answer.status_code


async def test_every_route_lets_in_whom_the_matrix_says(served: Served) -> None:
    served.sources.hub.closing = True  # so that the stream's answer ends: 429 to whom it lets in
    assert {path: {"GET"} for path in MATRIX} == routes_of(served)
    for path, expected in MATRIX.items():
        for role, status in expected.items():
            answer = await get(served, None if role == "none" else role, GOOD.get(path, path))
            let_in = 429 if path.endswith("/stream") and status == 200 else status
            assert answer.status_code == let_in, (path, role, answer.text)
            if status == 401:
                assert is_error(answer)
                assert answer.headers["www-authenticate"] == "Bearer"


async def test_nobody_changes_anything(served: Served) -> None:
    async with served.client("operator") as client:
        for path in MATRIX:
            for method in ("POST", "PUT", "PATCH", "DELETE"):
                answer = await client.request(method, GOOD.get(path, path))
                assert answer.status_code == 405
                assert is_error(answer)


async def test_the_answers_are_the_views(served: Served) -> None:
    live = LiveMine()
    live.evacuation()
    pic = shown(live)
    expected = {
        "status": views.status(served.sources.book, pic, NOW),
        "zones": views.zones(pic),
        "points": views.points(pic),
        "points/C1.co": views.point_detail(pic, CO),
        "alarms": views.alarms(pic),
        "alarms?all=true": views.alarms(pic, everything=True),
        "outputs": views.outputs(pic),
        "links": views.links(pic),
        "limits": list(served.sources.book.limits.values()),
    }
    for path, answer in expected.items():
        assert (await get(served, "regulator", f"/api/v1/{path}")).json() == answer, path


async def test_each_answer_has_the_declared_shape(served: Served) -> None:
    schema = (await get(served, "regulator", "/openapi.json")).json()
    shapes = schema["components"]["schemas"]
    for path in MATRIX:
        if not path.startswith("/api/") or path.endswith("/stream"):
            continue
        answer = (await get(served, "regulator", GOOD.get(path, path))).json()
        declared = schema["paths"][path]["get"]["responses"]["200"]["content"]
        assert_shape(answer, declared["application/json"]["schema"], shapes, path)


def assert_shape(value: object, schema: dict[str, Any], shapes: dict[str, Any], where: str) -> None:
    if "$ref" in schema:
        schema = shapes[schema["$ref"].rsplit("/", 1)[1]]
    if "anyOf" in schema:
        schema = next(s for s in schema["anyOf"] if (s.get("type") == "null") == (value is None))
        return assert_shape(value, schema, shapes, where)
    kinds = {"object": "dict", "array": "list", "string": "str", "boolean": "bool"}
    kinds |= {"integer": "int", "number": "int float", "null": "NoneType"}
    assert type(value).__name__ in kinds[schema["type"]].split(), where
    if isinstance(value, list):
        for item in value:
            assert_shape(item, schema["items"], shapes, where)
    elif isinstance(value, dict) and "properties" in schema:
        assert set(value) == set(schema["properties"]), where
        for key, item in value.items():
            assert_shape(item, schema["properties"][key], shapes, f"{where}.{key}")
    return None


BAD: Final = (
    ("points/nowhere", 404),
    ("points/T1.gas%00", 404),
    ("points/" + "x" * 5_000, 422),
    ("nothing", 404),
    ("points/T1.gas/history", 422),
    ("points/T1.gas/history?start=yesterday&end=2026-11-23T01:00:00Z", 422),
    ("points/T1.gas/history?start=2026-11-23T00:00:00&end=2026-11-23T01:00:00Z", 422),
    ("points/T1.gas/history?start=2026-11-23T01:00:00Z&end=2026-11-23T00:00:00Z", 422),
    ("points/T1.gas/history?start=2026-11-23T01:00:00Z&end=2026-11-23T01:00:00Z", 422),
    ("points/T1.gas/history?start=2026-11-23T00:00:00Z&end=2026-11-24T00:00:00Z&step=0.1", 422),
    ("points/T1.gas/history?start=2026-11-23T00:00:00Z&end=2026-11-23T01:00:00Z&step=0", 422),
    ("points/T1.gas/history?start=2026-11-23T00:00:00Z&end=2026-11-23T01:00:00Z&step=nan", 422),
    ("points/T1.gas/history?start=2026-11-23T00:00:00Z&end=2026-11-23T01:00:00Z&step=inf", 422),
    ("points/nowhere/history?start=2026-11-23T00:00:00Z&end=2026-11-23T01:00:00Z", 404),
    ("events?after=-1", 422),
    ("events?after=x", 422),
    ("events?after=99999999999999999999999", 422),
    ("events?limit=0", 422),
    ("events?limit=100000", 422),
    ("alarms?all=perhaps", 422),
)


@pytest.mark.parametrize(("path", "status"), BAD, ids=[path[:70] for path, _ in BAD])
async def test_bad_input_is_answered_with_what_is_wrong(
    served: Served, path: str, status: int
) -> None:
    answer = await get(served, "regulator", f"/api/v1/{path}")
    assert answer.status_code == status
    assert is_error(answer)


async def test_a_bad_last_event_id_is_bad_input(served: Served) -> None:
    async with served.client() as client:
        for bad in ("x", "-1", "9" * 30):
            answer = await client.get("/api/v1/stream", headers={"last-event-id": bad})
            assert answer.status_code == 422
            assert is_error(answer)


@settings(
    max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None
)
@given(text=st.text(min_size=1, max_size=40), number=st.text(max_size=20))
async def test_no_input_makes_a_server_error(served: Served, text: str, number: str) -> None:
    async with served.client() as client:
        for path, values in (
            ("points/T1.gas/history", {"start": text, "end": number, "step": number}),
            ("events", {"after": number, "limit": text}),
            ("alarms", {"all": text}),
        ):
            answer = await client.get(f"/api/v1/{path}", params=values)
            assert answer.status_code < 500, answer.text


async def test_events_come_in_pages_and_in_order(served: Served) -> None:
    served.journal([row(seq, t_ns=T + seq) for seq in range(1, 8)])
    seen: list[int] = []
    after, more = 0, True
    while more:
        page = (await get(served, "regulator", f"/api/v1/events?after={after}&limit=3")).json()
        assert len(page["events"]) <= 3
        seen += [event["seq"] for event in page["events"]]
        after, more = page["next_after"], page["more"]
    assert seen == list(range(1, 8))
    first = (await get(served, "regulator", "/api/v1/events?limit=1")).json()["events"][0]
    assert first == views.event(row(1, t_ns=T + 1))


async def test_without_a_live_state_the_status_says_so_and_the_rest_is_503(tmp_path: Path) -> None:
    served = serve(tmp_path)
    status = (await get(served, "regulator", "/api/v1/status")).json()
    assert (status["core"]["state"], status["core"]["core_down"]) == ("none", True)
    for path in ("zones", "points", "points/T1.gas", "alarms", "outputs", "links"):
        answer = await get(served, "regulator", f"/api/v1/{path}")
        assert answer.status_code == 503
        assert is_error(answer)
        assert answer.json()["error"] == "none"
    for path in ("limits", "events"):
        assert (await get(served, "regulator", f"/api/v1/{path}")).status_code == 200
    assert (await get(served, None, "/healthz")).status_code == 503
    assert "firedamp_core_down 1" in (await get(served, "regulator", "/metrics")).text


async def test_another_configuration_gives_no_values(served: Served) -> None:
    served.publish(LiveMine(digest="d2"))
    status = (await get(served, "regulator", "/api/v1/status")).json()
    assert status["core"]["state"] == "other_configuration"
    assert (status["digest"], status["core"]["digest"]) == ("d1", "d2")
    answer = await get(served, "regulator", "/api/v1/points")
    assert answer.status_code == 503
    assert "another configuration" in answer.json()["detail"]
    health = (await get(served, None, "/healthz")).json()
    assert "another configuration" in health["failing"][0]


async def test_while_the_core_is_down_its_last_state_is_served_and_marked(served: Served) -> None:
    served.later(20)
    status = (await get(served, "regulator", "/api/v1/status")).json()
    assert (status["core"]["state"], status["core"]["silent_s"]) == ("down", 20.0)
    assert status["leave"]  # what was ordered stays ordered
    point = (await get(served, "regulator", "/api/v1/points/T1.gas")).json()
    assert (point["value"], point["quality"], point["age_s"]) == (1.73, "STALE", 21.0)
    zones = (await get(served, "regulator", "/api/v1/zones")).json()
    assert "NORMAL" not in {zone["level"] for zone in zones}
    assert (await get(served, None, "/healthz")).status_code == 503


async def test_a_broken_journal_is_said_and_live_answers_go_on(served: Served) -> None:
    served.journal([row(1)])
    for name in ("events.db", "events.db-wal", "events.db-shm"):
        (served.folder / "journal" / name).unlink(missing_ok=True)
    (served.folder / "journal" / "events.db").write_bytes(b"not a database" * 1_000)
    answer = await get(served, "regulator", "/api/v1/events")
    assert answer.status_code == 503
    assert answer.json()["error"] == "journal_unavailable"
    assert (await get(served, "regulator", "/api/v1/points")).status_code == 200


async def test_an_answer_that_fails_is_an_error_of_the_declared_shape(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(type(served.sources), "found")
    answer = await get(served, "regulator", "/api/v1/status")
    assert answer.status_code == 500
    assert is_error(answer)
    assert "found" not in answer.text


async def test_nothing_on_the_page_comes_from_elsewhere(served: Served) -> None:
    for path, who in MATRIX.items():
        if who is ALL and path != "/healthz":
            answer = await get(served, None, path)
            text = answer.text.replace("http://www.w3.org/2000/svg", "")
            assert "://" not in text, path
            assert "script-src 'self'" in answer.headers["content-security-policy"]


async def test_answers_are_not_kept_by_caches(served: Served) -> None:
    for path in ("/api/v1/status", "/", "/healthz"):
        answer = await get(served, "regulator", path)
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["x-content-type-options"] == "nosniff"


async def test_the_api_is_described(served: Served) -> None:
    schema = json.loads((await get(served, "operator", "/openapi.json")).text)
    assert set(schema["paths"]) == {p for p, who in MATRIX.items() if "/api/" in p} | {
        "/metrics",
        "/healthz",
    }
    assert "lock-outs" in schema["info"]["description"]
    described = [about["get"].get("description") for about in schema["paths"].values()]
    assert all(described)
    assert len(PLAN.points) == 6
