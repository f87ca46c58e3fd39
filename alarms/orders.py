"""What people may order: every command checked, applied, or refused with a reason, as a row."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from alarms.alarm_state import Why
from alarms.events import Command, CommandKind, State
from alarms.lifecycle import Event
from sensors.freshness import NEVER
from sensors.quality import Quality

if TYPE_CHECKING:
    from alarms.engine import Engine

Refusal = str | None


def _no_end(t_ns: int, command: Command) -> Refusal:
    """Refuse a shelf, a calibration or an OUT that does not end in a future that is near enough."""
    if not t_ns < command.until_ns < NEVER:
        return f"{command.kind} needs an end in the future"
    return None


def _same_person(one: str, other: str) -> bool:
    return one.strip().casefold() == other.strip().casefold()


def _why(command: Command) -> Why:
    actor = command.actor.strip()
    if command.second.strip():
        actor = f"{actor} + {command.second.strip()}"
    return Why(command.reason or command.kind, actor=actor)


def _moved_since(engine: Engine, alarm: int, command: Command) -> Refusal:
    if engine.states.moved_seq[alarm] > command.seen_seq:
        return "the alarm has moved since you looked at it: look again"
    return None


def _by_table(engine: Engine, t_ns: int, alarm: int, event: Event, command: Command) -> Refusal:
    """Apply a command that leaves the condition alone; refuse what the table refuses."""
    states = engine.states
    condition = bool(states.condition[alarm])
    if states.happen(t_ns, alarm, event, _why(command), condition=condition):
        return None
    return f"{command.kind} is not possible in state {State(states.state[alarm]).name}"


def _evacuate(engine: Engine, t_ns: int, command: Command) -> Refusal:
    alarm = engine.states.index.get(f"manual/{command.target}")
    if alarm is None:
        return f"no zone {command.target!r} (or 'all')"
    event = Event.CAUSE if engine.states.condition[alarm] else Event.RAISE
    engine.states.happen(t_ns, alarm, event, _why(command), condition=True)
    return None


def _ack(engine: Engine, t_ns: int, alarm: int, command: Command) -> Refusal:
    refusal = _moved_since(engine, alarm, command)
    if refusal is None:
        refusal = _by_table(engine, t_ns, alarm, Event.ACK, command)
    if refusal is None:
        engine.states.acked_by[engine.alarms[alarm].id] = [command.actor.strip(), t_ns]
    return refusal


def _shelve(engine: Engine, t_ns: int, alarm: int, command: Command) -> Refusal:
    refusal = _moved_since(engine, alarm, command)
    if refusal is None:
        refusal = _no_end(t_ns, command)
    if refusal is None and engine.alarms[alarm].latching:
        refusal = "an alarm that cuts power or withdraws people cannot be shelved"
    if refusal is None:
        refusal = _by_table(engine, t_ns, alarm, Event.SHELVE, command)
    if refusal is None:
        engine.states.until[alarm] = command.until_ns
    return refusal


def _unshelve(engine: Engine, t_ns: int, alarm: int, command: Command) -> Refusal:
    if engine.states.state[alarm] != State.SHELVED:
        return f"unshelve is not possible in state {State(engine.states.state[alarm]).name}"
    engine.states.resume(t_ns, alarm, _why(command))
    return None


def _persons(engine: Engine, alarm: int, command: Command) -> Refusal:
    if not engine.alarms[alarm].two_persons:
        return None
    if not command.second.strip() or _same_person(command.actor, command.second):
        return "ending a withdrawal needs a second, different person"
    return None


def _reset(engine: Engine, t_ns: int, alarm: int, command: Command) -> Refusal:
    spec, states = engine.alarms[alarm], engine.states
    refusal = _persons(engine, alarm, command)
    if refusal is not None:
        return refusal
    if spec.kind == "manual":
        if states.state[alarm] != State.ACKED:
            state = State(states.state[alarm]).name
            return f"reset is not possible in state {state}: acknowledge first"
        states.move(t_ns, alarm, State.NORMAL, _why(command), condition=False)
        return None
    if states.state[alarm] == State.LATCHED:
        bad = [
            engine.plan.points.ids[p]
            for p in spec.points
            if engine.points.frame.quality[p] != Quality.GOOD
        ]
        if bad:
            return "not every feeding point is GOOD: " + ", ".join(bad)
    refusal = _by_table(engine, t_ns, alarm, Event.RESET, command)
    if refusal is None and spec.kind == "ladder" and spec.index_in_kind == 0:
        engine.ladder.forget()
    return refusal


def _out(engine: Engine, t_ns: int, alarm: int, command: Command) -> Refusal:
    spec = engine.alarms[alarm]
    if spec.kind == "manual":
        return "a manual evacuation cannot be taken out of service"
    if not command.reason.strip() or not command.measure.strip():
        return "out of service needs a reason and a compensating measure"
    if no_end := _no_end(t_ns, command):
        return no_end
    if spec.latching and (
        not command.second.strip() or _same_person(command.actor, command.second)
    ):
        return "taking this alarm out of service needs a second, different person"
    refusal = _by_table(engine, t_ns, alarm, Event.OUT, command)
    if refusal is None:
        engine.states.until[alarm] = command.until_ns
        engine.out_count[list(spec.points)] += 1
    return refusal


def _in(engine: Engine, t_ns: int, alarm: int, command: Command) -> Refusal:
    if engine.states.state[alarm] != State.OUT_OF_SERVICE:
        return f"in is not possible in state {State(engine.states.state[alarm]).name}"
    engine.out_count[list(engine.alarms[alarm].points)] -= 1
    engine.states.resume(t_ns, alarm, _why(command))
    return None


def _calibrate(engine: Engine, t_ns: int, point: int, command: Command) -> Refusal:
    if no_end := _no_end(t_ns, command):
        return no_end
    engine.points.calibration_until[point] = command.until_ns
    engine.points.calibrating[point] = True
    return None


def _recalibrated(engine: Engine, _t_ns: int, point: int, _command: Command) -> Refusal:
    # Only a latch that exists is released: the record must not lie in wait for a later one.
    engine.points.recalibrated[point] = engine.points.latched[point]
    return None


def _found(engine: Engine, t_ns: int, command: Command) -> Refusal:
    alarm = engine.states.index.get(f"{command.target}/found")
    if alarm is None:
        return f"no output {command.target!r}"
    why = Why("found asserted at start; nothing restored explains it", actor=command.actor)
    engine.states.happen(t_ns, alarm, Event.RAISE, why, condition=True)
    engine.states.happen(t_ns, alarm, Event.RETURN, why, condition=False)
    return None


_OnAlarm = Callable[["Engine", int, int, Command], Refusal]
_OnPlace = Callable[["Engine", int, Command], Refusal]
_ON_ALARM: Final[dict[CommandKind, _OnAlarm]] = {
    "ack": _ack,
    "shelve": _shelve,
    "unshelve": _unshelve,
    "reset": _reset,
    "out": _out,
    "in": _in,
}
_ON_POINT: Final[dict[CommandKind, _OnAlarm]] = {
    "calibrate": _calibrate,
    "recalibrated": _recalibrated,
}
_ON_PLACE: Final[dict[CommandKind, _OnPlace]] = {"evacuate": _evacuate, "found": _found}


def _apply(engine: Engine, t_ns: int, command: Command) -> Refusal:
    if not command.actor.strip():
        return "a command needs the name of a person"
    if command.kind in _ON_PLACE:
        return _ON_PLACE[command.kind](engine, t_ns, command)
    if command.kind in _ON_POINT:
        point = engine.plan.points.index.get(command.target)
        if point is None:
            return f"no point {command.target!r}"
        return _ON_POINT[command.kind](engine, t_ns, point, command)
    alarm = engine.states.index.get(command.target)
    if alarm is None:
        return f"no alarm {command.target!r}"
    return _ON_ALARM[command.kind](engine, t_ns, alarm, command)


def apply(engine: Engine, t_ns: int, command: Command) -> Refusal:
    """Apply a command to the engine; a refusal becomes a row and is returned as its reason."""
    refusal = _apply(engine, t_ns, command)
    if refusal is not None:
        states = engine.states
        name = f"manual/{command.target}" if command.kind == "evacuate" else command.target
        alarm = None if command.kind in _ON_POINT else states.index.get(name)
        point = command.target if command.target in engine.plan.points.index else ""
        zone = command.target if command.target in states.zone_ids else ""
        why = Why(f"{command.kind} refused: {refusal}", actor=command.actor.strip())
        states.refuse(t_ns, alarm, (point, zone), why)
    return refusal
