"""From the picture of the mine to the answers of the API; pure: dictionaries out.

What a reader must never be led to believe is decided here: a zone with an unusable point is
never NORMAL, nothing is NORMAL while the core is silent, and what is missing is null.
"""

from __future__ import annotations

from collections import Counter
from typing import Any, Final

import numpy as np

from alarms.alarm_state import demand_words
from alarms.alarm_table import demand_bits
from alarms.events import Row, State
from alarms.plan import Demand, Level
from gateway.api.answers import (
    AlarmAnswer,
    CoreAnswer,
    CountsAnswer,
    EventAnswer,
    LinksAnswer,
    OutputAnswer,
    PointAnswer,
    PointDetail,
    SiteAnswer,
    StatusAnswer,
    TickAnswer,
    ZoneAnswer,
)
from gateway.api.catalogue import Catalogue, priority
from gateway.api.picture import Now, Picture, finite, iso, iso_ns
from sensors.quality import Quality
from sensors.quantities import QUANTITIES

SUPERVISORY: Final = (
    "Firedamp is a supervisory layer. The hardware lock-outs that cut power within 2 s without "
    "a host remain in force; nothing shown here replaces them."
)
_UNACKED: Final = (State.UNACKED, State.RETURNED_UNACKED)
_ASIDE: Final = (State.SHELVED, State.OUT_OF_SERVICE)
_URGENCY: Final = ("", "F", "3", "2", "1")


def point(pic: Picture, index: int) -> PointAnswer:
    """Return one point."""
    spec = pic.book.plan.points.specs[index]
    quantity = QUANTITIES[spec.quantity]
    return {
        **pic.reading(index),
        "id": spec.id,
        "zone": pic.book.plan.zones[spec.zone].id,
        "device": spec.device,
        "location": spec.location,
        "description": spec.description,
        "quantity": spec.quantity,
        "label": quantity.label,
        "decimals": quantity.decimals,
        "range_low": finite(spec.range_low),
        "range_high": finite(spec.range_high),
        "max_age_s": spec.max_age_s,
        "poll_s": spec.poll_s,
        "level": Level(int(pic.level[index])).name,
        "limits": list(pic.book.limits_of_point[index]),
    }


def points(pic: Picture) -> list[PointAnswer]:
    """Return all points, in configuration order."""
    return [point(pic, i) for i in range(len(pic.book.plan.points))]


def point_detail(pic: Picture, index: int) -> PointDetail:
    """Return one point with its limits in full."""
    answer = point(pic, index)
    return {**answer, "limits_in_full": [pic.book.limits[name] for name in answer["limits"]]}


def zones(pic: Picture) -> list[ZoneAnswer]:
    """Return all zones, worst first; equals in configuration order."""

    def worst_first(zone: ZoneAnswer) -> tuple[int, int, int]:
        return -_URGENCY.index(zone["priority"]), -Level[zone["level"]], -zone["unacked"]

    return sorted((_zone(pic, z) for z in range(len(pic.book.plan.zones))), key=worst_first)


def _zone(pic: Picture, index: int) -> ZoneAnswer:
    zone = pic.book.plan.zones[index]
    unusable = _unusable(pic, index)
    level = int(pic.arrays["zone_level"][index])
    if unusable or pic.core["core_down"]:
        level = max(level, Level.FAULT)
    demands = int(pic.arrays["zone_demands"][index])
    mine = pic.book.alarms_of_zone[index]
    return {
        "id": zone.id,
        "name": zone.name,
        "class": zone.zone_class,
        "priority": priority(level, demands),
        "level": Level(level).name,
        "demands": list(demand_words(demands)),
        "must_leave": bool(demands & Demand.WITHDRAW),
        "people": _people(pic, index),
        "downwind": [pic.book.plan.zones[z].id for z in zone.downwind],
        "points": len(pic.book.points_of_zone[index]),
        "unusable_points": [pic.book.plan.points.ids[p] for p in unusable],
        "alarms": [pic.book.alarms[a].id for a in mine if pic.arrays["alarm_in_force"][a]],
        "unacked": sum(int(pic.arrays["alarm_state"][a]) in _UNACKED for a in mine),
    }


def _unusable(pic: Picture, zone: int) -> list[int]:
    """Points of a zone whose value may not clear; UNDEFINED only says that a formula rests."""
    trusted = pic.usable | (pic.quality == Quality.UNDEFINED)
    return [p for p in pic.book.points_of_zone[zone] if not trusted[p]]


def _people(pic: Picture, zone: int) -> float | None:
    """Return the people in a zone; None unless somebody counts and every count is usable."""
    specs = pic.book.plan.points.specs
    counts = [p for p in pic.book.points_of_zone[zone] if specs[p].quantity == "people"]
    if not counts or not all(pic.usable[p] for p in counts):
        return None
    return float(sum(float(pic.arrays["point_value"][p]) for p in counts))


def alarms(pic: Picture, *, everything: bool = False) -> list[AlarmAnswer]:
    """Return the alarms that are not normal (or all): worst, unacknowledged and newest first."""
    columns = pic.arrays
    shown = (columns["alarm_state"] != State.NORMAL) | (columns["alarm_condition"] != 0)
    which = range(len(pic.book.alarms)) if everything else np.flatnonzero(shown).tolist()

    def worst_first(alarm: AlarmAnswer) -> tuple[bool, bool, int, bool, int]:
        state = State[alarm["state"]]
        return (
            state == State.NORMAL,
            state in _ASIDE,
            -_URGENCY.index(alarm["priority"]),
            state not in _UNACKED,
            -alarm["last_seq"],
        )

    return sorted((_alarm(pic, a) for a in which), key=worst_first)


def _alarm(pic: Picture, index: int) -> AlarmAnswer:
    spec = pic.book.alarms[index]
    columns = pic.arrays
    plan = pic.book.plan
    only = spec.points[0] if len(spec.points) == 1 else None
    about = None if only is None else plan.points.specs[only]
    since = int(columns["alarm_since_ns"][index])
    raised = int(columns["alarm_raised_ns"][index])
    begun = raised or since
    seq = int(columns["alarm_last_seq"][index])
    ack = pic.meta["acks"].get(spec.id)
    return {
        "id": spec.id,
        "kind": spec.kind,
        "priority": priority(spec.level, demand_bits(spec.demands)),
        "level": spec.level.name,
        "state": State(int(columns["alarm_state"][index])).name,
        "condition": bool(columns["alarm_condition"][index]),
        "in_force": bool(columns["alarm_in_force"][index]),
        "latching": spec.latching,
        "two_persons": spec.two_persons,
        "demands": pic.book.demands[index],
        "zone": plan.zones[spec.zone].id if spec.zone >= 0 else "all",
        "zone_name": plan.zones[spec.zone].name if spec.zone >= 0 else "",
        "points": [plan.points.ids[p] for p in spec.points],
        "description": about.description if about else "",
        "quantity": about.quantity if about else "",
        "decimals": QUANTITIES[about.quantity].decimals if about else 0,
        "value_at_alarm": finite(columns["alarm_value"][index]),
        "now": None if only is None else pic.reading(only),
        "limit": pic.book.limits.get(spec.id),
        "raised": pic.wall(raised),
        "since": pic.wall(since),
        "age_s": round(max(pic.t_ns - begun, 0) / 1e9, 1) if begun > 0 else None,
        "until": pic.wall(int(columns["alarm_until_ns"][index])),
        "ack": {"actor": str(ack["actor"]), "time": pic.wall(int(ack["t_ns"]))} if ack else None,
        "guidance": spec.guidance,
        "last_seq": seq,
        "committed": seq <= int(pic.meta["committed_seq"]),
    }


def outputs(pic: Picture) -> list[OutputAnswer]:
    """Return all outputs, in configuration order."""
    return [_output(pic, o) for o in range(len(pic.book.plan.outputs))]


def _tristate(value: int) -> bool | None:
    return None if value < 0 else bool(value)


def _output(pic: Picture, index: int) -> OutputAnswer:
    output = pic.book.plan.outputs[index]
    columns = pic.arrays
    commanded = _tristate(int(columns["output_commanded"][index]))
    read_back = _tristate(int(columns["output_readback"][index]))
    known = commanded is not None and read_back is not None
    feed = output.feed_point if output.feed_point >= 0 else None
    return {
        "id": output.id,
        "name": output.name,
        "demand": "FAULT" if output.on_fault else str(output.demand.name),
        "zones": [pic.book.plan.zones[z].id for z in output.zones],
        "commanded": commanded,
        "read_back": read_back,
        "agrees": commanded == read_back if known else None,
        "since": pic.wall(int(columns["output_since_ns"][index])),
        "feed_point": None if feed is None else pic.book.plan.points.ids[feed],
        "feed": None if feed is None else pic.reading(feed),
    }


def links(pic: Picture) -> LinksAnswer:
    """Return field connections and output controllers, with ages brought up to now."""
    silent_s = pic.core["silent_s"] or 0.0
    rows: list[Any] = [dict(row) for row in pic.meta["links"]]
    for row in rows:
        if row["last_good_age_s"] is not None:
            row["last_good_age_s"] = round(row["last_good_age_s"] + silent_s, 1)
    return {"links": rows, "peers": list(pic.meta["peers"])}


def status(book: Catalogue, found: Picture | CoreAnswer, now: Now) -> StatusAnswer:
    """Return the mine at a glance; what only a picture shows is null without one."""
    site = book.config.site
    site_answer: SiteAnswer = {
        "id": site.id,
        "name": site.name,
        "profile": site.profile,
        "gas_category": site.gas_category,
        "timezone": site.timezone,
        "language": site.language,
    }
    answer: StatusAnswer = {
        "time": iso(now.wall_ns),
        "site": site_answer,
        "digest": book.config.digest,
        "core": found.core if isinstance(found, Picture) else found,
        "level": None,
        "leave": None,
        "counts": None,
        "last_seq": None,
        "committed_seq": None,
        "uncommitted": None,
        "health": None,
        "supervisory": SUPERVISORY,
    }
    if isinstance(found, Picture):
        shown = zones(found)
        last, committed = int(found.meta["last_seq"]), int(found.meta["committed_seq"])
        answer["level"] = max((Level[z["level"]] for z in shown), default=Level.NORMAL).name
        answer["leave"] = [
            {"zone": z["id"], "name": z["name"], "people": z["people"]}
            for z in shown
            if z["must_leave"]
        ]
        answer["counts"] = _counts(found)
        answer["last_seq"], answer["committed_seq"] = last, committed
        answer["uncommitted"] = max(last - committed, 0)
        answer["health"] = dict(found.meta["health"])
    return answer


def _counts(pic: Picture) -> CountsAnswer:
    state = pic.arrays["alarm_state"].tolist()
    by_quality = Counter(Quality(q).name for q in pic.quality.tolist())
    by_level = Counter(a.level.name for a, s in zip(pic.book.alarms, state, strict=True) if s)
    return {
        "points": len(pic.quality),
        "usable": int(np.count_nonzero(pic.usable)),
        "by_quality": dict(by_quality),
        "alarms": dict(by_level),
        "unacked": sum(s in _UNACKED for s in state),
    }


def tick(book: Catalogue, found: Picture | CoreAnswer, now: Now) -> TickAnswer:
    """Return what the stream sends each second; points as columns in the order of `/points`."""
    answer: TickAnswer = {
        "status": status(book, found, now),
        "monotonic_ms": now.monotonic_ns // 1_000_000,
        "points": None,
        "zones": None,
        "alarms": None,
        "outputs": None,
        "links": None,
    }
    if isinstance(found, Picture):
        answer["points"] = {
            "value": [finite(v) for v in found.arrays["point_value"].tolist()],
            "quality": [Quality(q).name for q in found.quality.tolist()],
            "age_s": [None if a != a else round(a, 1) for a in found.age_s.tolist()],  # noqa: PLR0124
            "level": [Level(v).name for v in found.level.tolist()],
        }
        answer["zones"] = zones(found)
        answer["alarms"] = alarms(found)
        answer["outputs"] = outputs(found)
        answer["links"] = links(found)
    return answer


def event(row: Row) -> EventAnswer:
    """Return one committed row; its time is the stamp that the journal and a replay show."""
    return {
        "seq": row.seq,
        "time": iso_ns(row.t_ns),
        "t_ns": row.t_ns,
        "rule": row.rule,
        "point": row.point,
        "zone": row.zone,
        "from_state": row.from_state,
        "to_state": row.to_state,
        "from_level": row.from_level,
        "to_level": row.to_level,
        "demands": list(row.demands),
        "reason": row.reason,
        "value": row.value,
        "quality": row.quality,
        "actor": row.actor,
        "cause_seq": row.cause_seq,
    }
