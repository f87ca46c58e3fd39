"""What survives a restart: saved by column and id, restored by id."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from alarms.events import Row, State
from alarms.plan import Level, LimitRule
from alarms.snapshot import Snapshot
from sensors.freshness import NEVER

if TYPE_CHECKING:
    from alarms.engine import Engine


class LoosenedError(ValueError):
    """The new configuration would remove or loosen an alarm that is in force."""


def _groups(engine: Engine) -> dict[str, tuple[object, tuple[str, ...], tuple[str, ...]]]:
    """Return per group: the object with the columns, the ids of its rows, the column names."""
    plan = engine.plan
    zones = tuple(z.id for z in plan.zones)
    points = plan.points.ids
    stages = ("sections", "mine")[: len(engine.ladder.condition)]
    limits = tuple(r.id for r in plan.limits)
    return {
        "points": (engine.points, points, engine.points.PERSIST),
        "frame": (engine.points.frame, points, ("value", "received_ns", "source_ns")),
        "limits": (engine.limits, limits, engine.limits.PERSIST),
        "trends": (engine.trends, tuple(r.id for r in plan.trends), ("condition",)),
        "votes": (engine.votes, tuple(v.id for v in plan.votes), ("condition",)),
        "faults": (engine.faults, points, engine.faults.PERSIST),
        "loss": (engine.loss, zones, engine.loss.PERSIST),
        "counted": (engine.loss, points, ("counted",)),
        "airflow": (engine.airflow, zones, ("bad",)),
        "ladder": (engine.ladder, stages, ("condition",)),
        "alarms": (engine.states, tuple(a.id for a in engine.alarms), engine.states.PERSIST),
        "out": (engine, points, ("out_count",)),
    }


def _effect(engine: Engine, alarm: int) -> str:
    """Return what an alarm in force does, by name: to see whether a new plan loosens it."""
    spec = engine.alarms[alarm]
    zones = [z.id for z in engine.plan.zones]
    scopes = [
        f"{demand.name}:{','.join(sorted(zones[z] for z in scope))}"
        for demand, scope in spec.demands
    ]
    return f"{spec.level.name} {' '.join(sorted(scopes))}"


def _limits_in_force(engine: Engine, forced: list[int]) -> dict[str, list[Any]]:
    rules = [engine.plan.limits[engine.alarms[a].index_in_kind] for a in forced if a < _n(engine)]
    return {r.id: [r.op, r.set, r.reset_op, r.reset, r.off_delay_s] for r in rules}


def _n(engine: Engine) -> int:
    """Return the number of limit rules; their alarms are the first."""
    return len(engine.plan.limits)


def _is_looser(rule: LimitRule, saved: list[Any]) -> bool:
    """Tell whether an alarm in force would be raised later or cleared earlier than before."""
    op, limit, reset_op, reset, off_delay_s = saved
    if (rule.op, rule.reset_op) != (op, reset_op):
        return True
    sign = 1 if op in (">", ">=") else -1
    later = sign * (rule.set - limit) > 0
    return bool(later or sign * (rule.reset - reset) > 0 or rule.off_delay_s < off_delay_s)


def ids_line(engine: Engine) -> bytes:
    """Return the ids of every group as one line of JSON."""
    return json.dumps({group: ids for group, (_, ids, _) in _groups(engine).items()}).encode()


def save(engine: Engine) -> bytes:
    """Return the state of the engine as bytes."""
    arrays: dict[str, Any] = {}
    for group, (holder, _, columns) in _groups(engine).items():
        for column in columns:
            arrays[f"{group}.{column}"] = getattr(holder, column)
    forced = np.flatnonzero(engine.states.in_force()).tolist()
    small = {
        "first_stop": engine.ladder.first_stop,
        "acked_by": engine.states.acked_by,
        "windows": {
            rule.id: list(window)
            for rule, window in zip(engine.plan.trends, engine.trends.window, strict=True)
        },
        "voted": {
            vote.id: [engine.plan.limits[m].id for m in sorted(voted)]
            for vote, voted in zip(engine.plan.votes, engine.votes.voted, strict=True)
        },
        "effects": {engine.alarms[a].id: _effect(engine, a) for a in forced},
        "limits": _limits_in_force(engine, forced),
    }
    saved = Snapshot(engine.t_ns, engine.states.seq, engine.ids_line, arrays, small)
    return saved.to_bytes()


def _refuse_loosening(engine: Engine, saved: Snapshot) -> None:
    bad = []
    for name, effect in saved.small["effects"].items():
        alarm = engine.states.index.get(name)
        if alarm is None:
            bad.append(f"{name} (in force) is not in the new configuration")
        elif _effect(engine, alarm) != effect:
            bad.append(f"{name} (in force) changes from {effect!r} to {_effect(engine, alarm)!r}")
    rules = {rule.id: rule for rule in engine.plan.limits}
    for name, limit in saved.small["limits"].items():
        if name in rules and _is_looser(rules[name], limit):
            bad.append(f"{name} (in force) gets a looser limit than {limit[0]} {limit[1]:g}")
    if bad:
        message = (
            "a configuration change must not remove or loosen an alarm in force; "
            "start with the previous configuration, end the alarm there, then change: "
            + "; ".join(bad)
        )
        raise LoosenedError(message)


def restore(engine: Engine, data: bytes) -> None:
    """Put a saved state into a new engine.

    Raises
    ------
    LoosenedError
        If an alarm in force is missing or has other effects in the engine's plan.
    """
    saved = Snapshot.from_bytes(data)
    _refuse_loosening(engine, saved)
    for group, (holder, names, columns) in _groups(engine).items():
        saved.columns(group, names, columns).into(holder)
    _count_out(engine)  # anew: what an OUT takes out of service may be other points today
    engine.t_ns = saved.t_ns
    engine.states.seq = saved.seq
    engine.states.acked_by = dict(saved.small["acked_by"])
    engine.ladder.first_stop = int(saved.small["first_stop"])
    for rule, window in zip(engine.plan.trends, engine.trends.window, strict=True):
        window.clear()
        window.extend((int(t), float(v)) for t, v in saved.small["windows"].get(rule.id, ()))
    index = {rule.id: i for i, rule in enumerate(engine.plan.limits)}
    for vote, voted in zip(engine.plan.votes, engine.votes.voted, strict=True):
        voted.clear()
        voted.update(index[m] for m in saved.small["voted"].get(vote.id, ()) if m in index)
    engine.effects.evaluate(
        engine.states.in_force(), air_off=engine.ladder.air_is_off, bad=engine.airflow.bad
    )


def _count_out(engine: Engine) -> None:
    """Count for each point the alarms that are out of service and take it out with them."""
    engine.out_count.fill(0)
    for alarm in np.flatnonzero(engine.states.state == int(State.OUT_OF_SERVICE)).tolist():
        engine.out_count[list(engine.alarms[alarm].points)] += 1


def follow(engine: Engine, rows: Sequence[Row]) -> None:
    """Set the lifecycle of alarms from event rows alone, where nothing better is left.

    Clocks and measured conditions are unknown then; an alarm that was active counts as true
    until a sample clears it. So are the ends of shelves and OUTs: these end at once.
    """
    states = engine.states
    for row in rows:
        states.seq = max(states.seq, row.seq)
        engine.t_ns = max(engine.t_ns, row.t_ns)
        alarm = states.index.get(row.rule)
        if alarm is None:
            continue
        state = State[row.to_state]
        states.state[alarm] = state
        # A plain alarm on the shelf keeps its level while its condition is true.
        shelved_true = state == State.SHELVED and row.to_level != Level.NORMAL.name
        states.condition[alarm] = state in (State.UNACKED, State.ACKED) or shelved_true
        states.last_seq[alarm] = states.moved_seq[alarm] = row.seq
        if row.from_state == row.to_state:
            continue
        states.since[alarm] = row.t_ns
        states.acked_at[alarm] = row.t_ns if state == State.ACKED else NEVER
        paused = state in (State.SHELVED, State.OUT_OF_SERVICE)
        states.until[alarm] = row.t_ns if paused else NEVER
        if row.from_state == State.NORMAL.name:
            states.raised_at[alarm] = row.t_ns
        if row.rule == "ladder/sections":
            # First stop to reset: an acknowledgement does not give the mine's minutes anew.
            if row.from_state == State.LATCHED.name and state == State.NORMAL:
                engine.ladder.forget()
            elif state == State.UNACKED and engine.ladder.first_stop == NEVER:
                engine.ladder.first_stop = row.t_ns
    _count_out(engine)
    _conditions_from_states(engine)


def _conditions_from_states(engine: Engine) -> None:
    """Give the conditions of the alarms back to the parts that measure them."""
    states = engine.states
    for alarm, spec in enumerate(engine.alarms):
        condition, at = bool(states.condition[alarm]), spec.index_in_kind
        holder = {
            "limit": engine.limits.condition,
            "trend": engine.trends.condition,
            "vote": engine.votes.condition,
            "fault": engine.faults.condition,
            "maintenance": engine.faults.maintenance,
            "lost": engine.loss.condition,
            "ladder": engine.ladder.condition,
        }.get(spec.kind)
        if holder is not None:
            holder[at] = condition
        if spec.kind == "lost" and condition:
            engine.loss.lost_since[at] = states.since[alarm]
