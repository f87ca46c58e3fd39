"""The lifecycle state of every alarm, and the rows that its transitions write. Shape (A,)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from alarms.alarm_table import AlarmSpec, demand_bits
from alarms.events import Row, State
from alarms.lifecycle import TRANSITIONS, Event, after_pause, in_force
from alarms.plan import Demand, Level
from sensors.freshness import NEVER

Bools = NDArray[np.bool_]


_SHOWN: Final = np.array(
    [in_force(state, latching=True, condition=False) for state in State], dtype=np.bool_
)


@dataclass(frozen=True, slots=True)
class Why:
    """What a row says beside the transition itself."""

    reason: str
    value: float | None = None
    quality: str = ""
    actor: str = ""


@dataclass(frozen=True, slots=True)
class Move:
    """One row of an alarm, and whether the alarm was in force before and after it."""

    alarm: int
    rule: str
    seq: int
    was: bool
    now: bool


def demand_words(bits: int) -> tuple[str, ...]:
    """Return the demands as words, in the order SOUND, CUT_POWER, WITHDRAW."""
    return tuple(str(d.name) for d in Demand if bits & d)


class AlarmStates:
    """Lifecycle of all alarms; `rows` collects what happened since it was last taken."""

    PERSIST: Final = (
        "state",
        "condition",
        "until",
        "acked_at",
        "since",
        "raised_at",
        "last_seq",
        "moved_seq",
        "value",
    )

    def __init__(
        self, specs: tuple[AlarmSpec, ...], point_ids: tuple[str, ...], zone_ids: tuple[str, ...]
    ) -> None:
        n = len(specs)
        self.specs = specs
        self.index = {spec.id: i for i, spec in enumerate(specs)}
        self.point_ids, self.zone_ids = point_ids, zone_ids
        self.latching = np.array([s.latching for s in specs], dtype=np.bool_)
        self.demand_bits = [int(demand_bits(s.demands)) for s in specs]
        self.state = np.full(n, State.NORMAL, dtype=np.int8)
        self.condition = np.zeros(n, dtype=np.bool_)
        self.until = np.full(n, NEVER, dtype=np.int64)
        self.acked_at = np.full(n, NEVER, dtype=np.int64)
        self.since = np.zeros(n, dtype=np.int64)
        self.raised_at = np.zeros(n, dtype=np.int64)
        self.last_seq = np.zeros(n, dtype=np.int64)
        self.moved_seq = np.zeros(n, dtype=np.int64)
        self.value = np.full(n, np.nan)
        self.acked_by: dict[str, list[str | int]] = {}
        self.seq = 0
        self.rows: list[Row] = []
        self.moved: list[Move] = []

    def in_force(self) -> Bools:
        """Return which alarms have their level and demands, shape (A,)."""
        plain = self.condition & (self.state != int(State.OUT_OF_SERVICE))
        return np.where(self.latching, _SHOWN[self.state], plain)

    def _forced(self, alarm: int, state: State, *, condition: bool) -> bool:
        return in_force(state, latching=bool(self.latching[alarm]), condition=condition)

    def move(self, t_ns: int, alarm: int, after: State, why: Why, *, condition: bool) -> None:
        """Put an alarm into a state, with its condition, and write the row."""
        before = State(self.state[alarm])
        was = self._forced(alarm, before, condition=bool(self.condition[alarm]))
        now = self._forced(alarm, after, condition=condition)
        self.state[alarm] = after
        self.condition[alarm] = condition
        if after != before:
            self.since[alarm] = t_ns
            self.acked_at[alarm] = t_ns if after == State.ACKED else NEVER
            if after in (State.NORMAL, State.UNACKED):
                self.acked_by.pop(self.specs[alarm].id, None)
            if after not in (State.SHELVED, State.OUT_OF_SERVICE):
                self.until[alarm] = NEVER
        self._write(t_ns, alarm, before, after, was=was, now=now, why=why)
        self.moved_seq[alarm] = self.seq
        self.moved.append(Move(alarm, self.specs[alarm].id, self.seq, was, now))

    def happen(self, t_ns: int, alarm: int, event: Event, why: Why, *, condition: bool) -> bool:
        """Apply an event by the table; return False where the table says "-"."""
        key = (bool(self.latching[alarm]), State(self.state[alarm]), event)
        after = TRANSITIONS[key]
        if after is None:
            return False
        if event == Event.RAISE:
            self.value[alarm] = np.nan if why.value is None else why.value
            if self.state[alarm] == State.NORMAL:
                self.raised_at[alarm] = t_ns
        self.move(t_ns, alarm, after, why, condition=condition)
        return True

    def resume(self, t_ns: int, alarm: int, why: Why) -> None:
        """End a shelf or an OUT: UNACKED if the condition is true, else NORMAL."""
        condition = bool(self.condition[alarm])
        self.move(t_ns, alarm, after_pause(condition=condition), why, condition=condition)

    def refuse(self, t_ns: int, alarm: int | None, target: tuple[str, str], why: Why) -> None:
        """Write the row of a refused command; `target` is (point, zone) where there is no alarm."""
        if alarm is None:
            self._append(t_ns, "", target, ("", ""), ("", ""), (), why, cause=0)
            return
        state = State(self.state[alarm])
        now = self._forced(alarm, state, condition=bool(self.condition[alarm]))
        self._write(t_ns, alarm, state, state, was=now, now=now, why=why)

    def _write(
        self,
        t_ns: int,
        alarm: int,
        before: State,
        after: State,
        *,
        was: bool,
        now: bool,
        why: Why,
    ) -> None:
        spec = self.specs[alarm]
        single = spec.kind in ("limit", "trend", "fault", "maintenance")
        place = (
            self.point_ids[spec.points[0]] if single else "",
            self.zone_ids[spec.zone] if spec.zone >= 0 else "",
        )
        levels = (
            (spec.level if was else Level.NORMAL).name,
            (spec.level if now else Level.NORMAL).name,
        )
        demands = demand_words(self.demand_bits[alarm]) if now else ()
        cause = int(self.last_seq[alarm])
        self._append(
            t_ns, spec.id, place, (before.name, after.name), levels, demands, why, cause=cause
        )
        self.last_seq[alarm] = self.seq

    def zone_row(
        self, t_ns: int, zone: int, levels: tuple[int, int], bits: int, cause: int, reason: str
    ) -> None:
        """Write the row of a change of a zone's level or demands."""
        names = (Level(levels[0]).name, Level(levels[1]).name)
        place = ("", self.zone_ids[zone])
        self._append(t_ns, "", place, ("", ""), names, demand_words(bits), Why(reason), cause=cause)

    def _append(
        self,
        t_ns: int,
        rule: str,
        place: tuple[str, str],
        states: tuple[str, str],
        levels: tuple[str, str],
        demands: tuple[str, ...],
        why: Why,
        *,
        cause: int,
    ) -> None:
        self.seq += 1
        value = why.value if why.value is not None and np.isfinite(why.value) else None
        self.rows.append(
            Row(
                self.seq,
                t_ns,
                rule,
                *place,
                *states,
                *levels,
                demands,
                why.reason,
                value,
                why.quality,
                why.actor,
                cause,
            )
        )

    def next_deadline(self, realarm_ns: int) -> int:
        """Return the next end of a shelf or OUT, or the next re-alarm [ns]."""
        due = int(self.until.min(initial=NEVER))
        if realarm_ns:
            acked = self.condition & (self.state == int(State.ACKED))
            due = min(due, int(self.acked_at[acked].min(initial=NEVER)) + realarm_ns)
        return due
