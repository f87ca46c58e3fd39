"""The same numbers for Prometheus, as text format 0.0.4; pure. What is unknown has no sample."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from alarms.plan import Level
from gateway.api.answers import CoreAnswer, HealthAnswer
from gateway.api.picture import Picture
from gateway.api.views import alarms, outputs, zones
from sensors.quality import Quality

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"

Sample = tuple[dict[str, str], float]
Metric = tuple[str, str, str, Sequence[Sample]]


def text(found: Picture | CoreAnswer, health: HealthAnswer, streams: int, evicted: int) -> str:
    """Return the page that a Prometheus server scrapes."""
    metrics: list[Metric] = [
        ("firedamp_healthy", "gauge", "1 if evaluation and polling move", [({}, health["ok"])]),
        ("firedamp_api_streams", "gauge", "Live streams", [({}, streams)]),
        ("firedamp_api_evicted_total", "counter", "Streams put out as too slow", [({}, evicted)]),
    ]
    if isinstance(found, Picture):
        metrics += [*_core(found), *_points(found), *_alarms(found), *_links(found)]
    else:
        metrics.append(("firedamp_core_down", "gauge", "1 if the core is silent", [({}, 1)]))
    return "".join(_lines(metrics))


def _core(pic: Picture) -> list[Metric]:
    meta = pic.meta
    silent = pic.core["silent_s"]
    return [
        ("firedamp_core_down", "gauge", "1 if the core is silent", [({}, pic.core["core_down"])]),
        (
            "firedamp_core_silent_seconds",
            "gauge",
            "Since the core last published",
            [] if silent is None else [({}, silent)],
        ),
        ("firedamp_steps_total", "counter", "Evaluations", [({}, meta["step"])]),
        ("firedamp_events_last_seq", "gauge", "Newest event", [({}, meta["last_seq"])]),
        (
            "firedamp_events_committed_seq",
            "gauge",
            "Newest event on disk",
            [({}, meta["committed_seq"])],
        ),
    ]


def _points(pic: Picture) -> list[Metric]:
    rows = [
        ({"point": spec.id, "zone": pic.book.plan.zones[spec.zone].id}, pic.reading(i))
        for i, spec in enumerate(pic.book.plan.points.specs)
    ]
    return [
        (
            "firedamp_point_value",
            "gauge",
            "Value in the point's own unit, whatever its quality",
            [({**at, "unit": r["unit"]}, r["value"]) for at, r in rows if r["value"] is not None],
        ),
        (
            "firedamp_point_quality",
            "gauge",
            "Quality code, 0 is GOOD",
            [(at, Quality[r["quality"]]) for at, r in rows],
        ),
        (
            "firedamp_point_age_seconds",
            "gauge",
            "Age of the value",
            [(at, r["age_s"]) for at, r in rows if r["age_s"] is not None],
        ),
    ]


def _alarms(pic: Picture) -> list[Metric]:
    active = alarms(pic)
    counted = {
        level.name: sum(a["in_force"] and a["level"] == level.name for a in active)
        for level in Level
        if level != Level.NORMAL
    }
    unacked = sum(a["state"] in ("UNACKED", "RETURNED_UNACKED") for a in active)
    switched = outputs(pic)
    told = [({"output": o["id"]}, o["commanded"]) for o in switched if o["commanded"] is not None]
    read = [({"output": o["id"]}, o["read_back"]) for o in switched if o["read_back"] is not None]
    return [
        (
            "firedamp_alarms_in_force",
            "gauge",
            "Alarms in force",
            [({"level": level}, n) for level, n in counted.items()],
        ),
        ("firedamp_alarms_unacked", "gauge", "Alarms not acknowledged", [({}, unacked)]),
        (
            "firedamp_zone_level",
            "gauge",
            "0 NORMAL 1 FAULT 2 ALERT 3 ALARM 4 DANGER",
            [({"zone": z["id"]}, Level[z["level"]]) for z in zones(pic)],
        ),
        (
            "firedamp_zone_withdraw",
            "gauge",
            "1 if people must leave",
            [({"zone": z["id"]}, z["must_leave"]) for z in zones(pic)],
        ),
        ("firedamp_output_commanded", "gauge", "1 if commanded on", told),
        ("firedamp_output_read_back", "gauge", "1 if read back as on", read),
    ]


def _links(pic: Picture) -> list[Metric]:
    rows = [({"link": str(link["id"])}, link) for link in pic.meta["links"]]
    return [
        (
            "firedamp_link_connected",
            "gauge",
            "1 if connected",
            [(at, link["connected"]) for at, link in rows],
        ),
        *(
            (f"firedamp_link_{key}_total", "counter", words, [(at, link[key]) for at, link in rows])
            for key, words in (
                ("polls", "Requests or messages"),
                ("good", "Good replies or messages"),
                ("reconnects", "Connections made anew"),
            )
        ),
        (
            "firedamp_link_errors_total",
            "counter",
            "Errors by class",
            [
                ({**at, "error": str(kind)}, n)
                for at, link in rows
                for kind, n in link["errors"].items()
            ],
        ),
    ]


def _lines(metrics: Iterable[Metric]) -> Iterable[str]:
    for name, kind, words, rows in metrics:
        if rows:
            yield f"# HELP {name} {words}\n# TYPE {name} {kind}\n"
        for labels, value in rows:
            inner = ",".join(f'{key}="{_escaped(word)}"' for key, word in labels.items())
            yield f"{name}{'{' + inner + '}' if inner else ''} {float(value):.17g}\n"


def _escaped(word: str) -> str:
    return word.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
