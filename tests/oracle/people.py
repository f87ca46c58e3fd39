"""What people may ask: sections 5.9 and 5.11."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from alarms.events import Command, Row, State
from sensors.quality import Quality
from tests.oracle.book import Alarm, Event

if TYPE_CHECKING:
    from tests.oracle.machine import Oracle


def obey(oracle: Oracle, c: Command) -> None:
    """Carry one command out, or refuse it with a row."""
    c = replace(c, actor=c.actor.strip(), second=c.second.strip())
    reason = _refusal(oracle, c)
    if reason:
        _refuse(oracle, c, reason)
        return
    if c.kind in {"calibrate", "recalibrated"}:
        point = oracle.points[oracle.plan.points.index[c.target]]
        if c.kind == "calibrate":
            point.calibration_until_ns = c.until_ns
        else:
            point.recalibrated = point.latched
    elif c.kind == "found":
        # An output found on that the caller cannot explain: asserted, and at once returned.
        found = oracle.by_id[f"{c.target}/found"]
        oracle.move(found, "RAISE", condition=True, actor=c.actor)
        oracle.move(found, "RETURN", condition=False, actor=c.actor)
    else:
        _move(oracle, c, _alarm_of(oracle, c))


def _move(oracle: Oracle, c: Command, alarm: Alarm) -> None:
    actor = f"{c.actor} + {c.second}" if c.second else c.actor
    condition = alarm.condition
    match c.kind:
        case "evacuate":
            oracle.move(alarm, "CAUSE" if condition else "RAISE", condition=True, actor=actor)
        case "ack":
            oracle.move(alarm, "ACK", condition=condition, actor=actor)
        case "shelve" | "out":
            event: Event = "SHELVE" if c.kind == "shelve" else "OUT"
            oracle.move(alarm, event, condition=condition, actor=actor)
            alarm.until_ns = c.until_ns
        case "reset":
            if alarm.id == "ladder/sections" and oracle.ladder is not None:
                oracle.ladder.forget()
            oracle.move(alarm, "RESET", condition=False, actor=actor)
        case _:
            oracle.bring_back(alarm, reason=c.kind, actor=actor)


def _alarm_of(oracle: Oracle, c: Command) -> Alarm:
    return oracle.by_id[f"manual/{c.target}" if c.kind == "evacuate" else c.target]


def _refusal(oracle: Oracle, c: Command) -> str:
    """Say why the command is refused; empty: it is not."""
    if not c.actor:
        return "a name is needed"
    if c.kind in {"calibrate", "recalibrated"}:
        if c.target not in oracle.plan.points.index:
            return "no such point"
        endless = c.kind == "calibrate" and c.until_ns <= oracle.now
        return "an end is needed" if endless else ""
    if c.kind == "found":
        known = any(o.id == c.target for o in oracle.plan.outputs)
        return "" if known else "no such output"
    if c.kind == "evacuate":
        return "" if f"manual/{c.target}" in oracle.by_id else "no such zone"
    if c.target not in oracle.by_id:
        return "no such alarm"
    return REFUSALS[c.kind](oracle, c, oracle.by_id[c.target])


def _refuse_ack(_oracle: Oracle, c: Command, alarm: Alarm) -> str:
    if alarm.after("ACK") is None:
        return "not in this state"
    return "it has moved since" if alarm.last_move > c.seen_seq else ""


def _refuse_shelve(oracle: Oracle, c: Command, alarm: Alarm) -> str:
    if alarm.after("SHELVE") is None:
        return "not in this state"
    if alarm.last_move > c.seen_seq:
        return "it has moved since"
    return "an end is needed" if c.until_ns <= oracle.now else ""


def _two_people(c: Command) -> bool:
    return c.second.casefold() not in {"", c.actor.casefold()}


def _refuse_out(oracle: Oracle, c: Command, alarm: Alarm) -> str:
    if alarm.after("OUT") is None:
        return "not in this state"
    if not c.reason.strip() or not c.measure.strip() or c.until_ns <= oracle.now:
        return "reason, measure and end are needed"
    if alarm.latching and not _two_people(c):
        return "two people are needed"
    return ""


def _refuse_reset(oracle: Oracle, c: Command, alarm: Alarm) -> str:
    if alarm.after("RESET") is None:
        return "not in this state"
    if alarm.condition and alarm.kind != "manual":
        return "the condition is still true"
    if any(oracle.points[p].quality(oracle.now) != Quality.GOOD for p in alarm.points):
        return "a feeding point is not good"
    if (alarm.two_persons or alarm.kind == "manual") and not _two_people(c):
        return "two people are needed"
    return ""


def _refuse_unshelve(_oracle: Oracle, _c: Command, alarm: Alarm) -> str:
    return "" if alarm.state == State.SHELVED else "not shelved"


def _refuse_in(_oracle: Oracle, _c: Command, alarm: Alarm) -> str:
    return "" if alarm.state == State.OUT_OF_SERVICE else "not out of service"


REFUSALS: dict[str, Callable[[Oracle, Command, Alarm], str]] = {
    "ack": _refuse_ack,
    "shelve": _refuse_shelve,
    "out": _refuse_out,
    "reset": _refuse_reset,
    "unshelve": _refuse_unshelve,
    "in": _refuse_in,
}


def _refuse(oracle: Oracle, c: Command, reason: str) -> None:
    """Write the row of a refused command: states equal."""
    name = f"manual/{c.target}" if c.kind == "evacuate" else c.target
    if c.kind not in {"calibrate", "recalibrated", "found"} and name in oracle.by_id:
        alarm = oracle.by_id[name]
        level = alarm.level_in_force
        oracle.rows.append(oracle.alarm_row(alarm, alarm.state, level, c.actor, reason))
        return
    about_point = c.kind in {"calibrate", "recalibrated"}
    known = about_point and c.target in oracle.plan.points.index
    oracle.seq += 1
    oracle.rows.append(
        Row(
            seq=oracle.seq,
            t_ns=oracle.now,
            rule="",
            point=c.target if known else "",
            zone="",
            from_state="",
            to_state="",
            from_level="",
            to_level="",
            demands=(),
            reason=reason,
            value=None,
            quality="",
            actor=c.actor,
            cause_seq=0,
        )
    )
