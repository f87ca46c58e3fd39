"""The decision: samples, time and commands in; event rows and the state of every output out.

Pure: no clock, no I/O. Rows depend only on the inputs and their stamps, never on when or how
often `step` is called, because every evaluation happens at a stamp or at an exact deadline.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from alarms import orders, restart
from alarms.alarm_state import AlarmStates, Why
from alarms.alarm_table import AlarmSpec, alarm_table
from alarms.demands import Airflow, Effects
from alarms.events import Command, Row, State
from alarms.ladder import LadderState
from alarms.lifecycle import Event
from alarms.limits import LimitState
from alarms.monitoring import FaultState, LossState
from alarms.plan import Plan
from alarms.reasons import describe
from alarms.trends import TrendState
from alarms.voting import VoteState
from sensors.frame import Batch
from sensors.freshness import NEVER, Accepted, Freshness, groups
from sensors.quality import MAY_CLEAR, Quality

Bools = NDArray[np.bool_]
Points = NDArray[np.intp]
_NOTHING: Points = np.zeros(0, dtype=np.intp)


@dataclass(frozen=True, slots=True)
class StepResult:
    """What one step decided: rows in order, the state of every output, refused commands."""

    rows: list[Row]
    outputs: Bools
    refusals: tuple[str | None, ...] = ()


class Engine:
    """All alarm state of one site. Not thread-safe: the pump is its only caller."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.alarms: tuple[AlarmSpec, ...] = alarm_table(plan)
        self.points = Freshness(plan.points)
        self.limits = LimitState(plan.limits)
        self.trends = TrendState(plan.trends)
        self.votes = VoteState(plan.votes, plan.limits)
        self.faults = FaultState(len(plan.points))
        self.loss = LossState(plan)
        self.ladder = LadderState(plan.ladder)
        self.airflow = Airflow(plan)
        self.states = AlarmStates(self.alarms, plan.points.ids, tuple(z.id for z in plan.zones))
        self.effects = Effects(plan, self.alarms)
        self.out_count = np.zeros(len(plan.points), dtype=np.int64)
        self.evaluations = 0
        self.t_ns = -NEVER
        self._realarm = round(plan.realarm_s * 1e9)
        self._due = NEVER
        self._air = (False, b"")
        self.ids_line = restart.ids_line(self)
        kinds = [spec.kind for spec in self.alarms]
        self._first = {kind: kinds.index(kind) for kind in dict.fromkeys(kinds)}
        self._lost_zones = np.array(
            [spec.zone for spec in self.alarms if spec.kind == "lost"], dtype=np.intp
        )
        # Manual and found alarms have no measured condition: commands alone move them.
        self._measured = sum(kind not in ("manual", "found") for kind in kinds)
        self._sampled = np.zeros(len(plan.points), dtype=np.bool_)

    def start(
        self, t_ns: int, snapshot: bytes | None = None, *, clock_proved: bool = True
    ) -> StepResult:
        """Start, or restart from a snapshot, at `t_ns`.

        Deadlines that passed while down fall due now. `clock_proved` false: the time down is not
        known, so the minutes of the fan ladder are over.
        """
        if snapshot is not None:
            restart.restore(self, snapshot)
        self._resume_at(t_ns)
        if not clock_proved:
            self.ladder.downtime_unknown(t_ns)
        self.points.start(t_ns)
        self.limits.start()
        self.loss.none_since.fill(NEVER)
        self._evaluate(t_ns, _NOTHING)
        return self._result(())

    def load(self, snapshot: bytes) -> None:
        """Continue exactly where a snapshot was taken, freshness and off clocks included.

        For redoing the journalled inputs that came after it; `start` then says "restarted".
        """
        restart.restore(self, snapshot)
        self._resume_at(self.t_ns)

    def snapshot(self) -> bytes:
        """Return everything that `load` or a restart needs."""
        return restart.save(self)

    def _resume_at(self, t_ns: int) -> None:
        self.t_ns = t_ns
        self.points.advance(t_ns)
        self._find_due()

    def _find_due(self) -> None:
        self._due = min(
            self.points.next_deadline(self.t_ns),
            self.limits.next_deadline(),
            self.loss.next_deadline(),
            self.ladder.next_deadline(),
            self.states.next_deadline(self._realarm),
        )

    def step(
        self, t_ns: int, batch: Batch | None = None, commands: Sequence[Command] = ()
    ) -> StepResult:
        """Evaluate the deadlines up to `t_ns`, then the samples, then the commands of that stamp.

        Parameters
        ----------
        t_ns : int
            Stamp of the inputs [ns], not before the last one.
        batch : Batch, optional
            Samples in order of arrival; a point may repeat.
        commands : sequence of Command
            In order of arrival; each is followed by an evaluation.

        Raises
        ------
        ValueError
            If `t_ns` goes backwards.
        """
        if t_ns < self.t_ns:
            message = f"step at {t_ns} ns after {self.t_ns} ns: stamps must not go backwards"
            raise ValueError(message)
        while self._due <= t_ns:
            due = self._due
            self.points.advance(due)
            self._evaluate(due, _NOTHING)
        self.t_ns = t_ns
        if batch is not None:
            for group in groups(batch):
                accepted = self.points.accept(t_ns, group)
                self._evaluate(t_ns, accepted.fresh, accepted)
        refusals: list[str | None] = []
        for command in commands:
            refusals.append(orders.apply(self, t_ns, command))
            self.points.advance(t_ns)
            self._evaluate(t_ns, _NOTHING)
        self.evaluations += 1
        return self._result(tuple(refusals))

    def unusable(self) -> Bools:
        """Tell which points cannot be used now: not GOOD, UNCERTAIN or UNDEFINED. Shape (N,)."""
        quality = self.points.frame.quality
        unusable: Bools = ~MAY_CLEAR[quality] & (quality != int(Quality.UNDEFINED))
        return unusable

    def permissive(self, zones: Sequence[int]) -> bool:
        """Tell whether the peer of these zones may stay energised.

        Only while every rule of the zones is evaluated on usable values and no zone carries a
        demand (de-energise to trip).
        """
        at = list(zones)
        if self.effects.demands[at].any():
            return False
        behind = self.loss.ruled & np.isin(self.plan.points.zone, at)
        return not bool((behind & (self.unusable() | (self.out_count > 0))).any())

    def _result(self, refusals: tuple[str | None, ...]) -> StepResult:
        rows, self.states.rows = self.states.rows, []
        return StepResult(rows, self.effects.outputs.copy(), refusals)

    def _evaluate(self, t_ns: int, fresh: Points, accepted: Accepted | None = None) -> None:
        """Bring every rule, alarm, zone and output to `t_ns`."""
        ended = np.flatnonzero(self.states.until <= t_ns)
        for alarm in ended.tolist():
            if self.states.state[alarm] == State.OUT_OF_SERVICE:
                self.out_count[list(self.alarms[alarm].points)] -= 1
        self._sampled.fill(False)
        self._sampled[fresh] = True
        condition, cause, late = self._conditions(t_ns, fresh, accepted)
        self._transitions(t_ns, condition, cause, late)
        for alarm in ended.tolist():
            shelved = self.states.state[alarm] == State.SHELVED
            what = "shelf" if shelved else "out of service"
            self.states.resume(t_ns, alarm, Why(f"end of {what}"))
        bad = self.airflow.evaluate(self.points, self._sampled)
        self._zones(t_ns, bad)
        self.t_ns = t_ns
        self._find_due()

    def _conditions(
        self, t_ns: int, fresh: Points, accepted: Accepted | None
    ) -> tuple[Bools, Bools, dict[int, Why]]:
        """Return conditions and new causes, shape (A,), and the words of late samples."""
        sampled, points, out = self._sampled, self.points, self.out_count > 0
        late: dict[int, Why] = {}
        if accepted is not None and len(accepted.late):
            for rule, i in self.limits.late(accepted):
                value = float(accepted.late_value[i])
                late[rule] = Why("late sample over the limit", value, "LATE")
        limits = self.limits.evaluate(t_ns, points, sampled)
        trends = self.trends.evaluate(points, fresh)
        votes, gained = self.votes.evaluate(points, rule_condition=limits, sampled=sampled, out=out)
        self.faults.evaluate(points, sampled)
        lost, further = self.loss.evaluate(t_ns, points, sampled=sampled, out=out)
        ladder = self.ladder.evaluate(t_ns, limits, lost)
        condition = np.concatenate(
            (
                limits,
                trends,
                votes,
                self.faults.condition,
                self.faults.maintenance,
                lost[self._lost_zones],
                ladder,
                self.states.condition[self._measured :],
            )
        )
        cause = np.zeros(len(condition), dtype=np.bool_)
        if gained:
            cause[[self._first["vote"] + i for i in gained]] = True
        if further.any():
            first = self._first["lost"]
            cause[first : first + len(self._lost_zones)] = further[self._lost_zones]
        if self._realarm:
            cause |= (self.states.state == int(State.ACKED)) & (
                self.states.acked_at + self._realarm <= t_ns
            )
        return condition, cause, late

    def _transitions(self, t_ns: int, condition: Bools, cause: Bools, late: dict[int, Why]) -> None:
        before = self.states.condition
        moves = (condition != before) | (cause & condition)
        if not moves.any():
            return
        for alarm in np.flatnonzero(moves).tolist():
            now = bool(condition[alarm])
            if now == bool(before[alarm]):
                event = Event.CAUSE
            else:
                event = Event.RAISE if now else Event.RETURN
            why = late.get(alarm) or describe(self, alarm, event)
            if not self.states.happen(t_ns, alarm, event, why, condition=now):
                state = State(self.states.state[alarm]).name
                message = f"{event.name} of {self.alarms[alarm].id} in {state} cannot occur"
                raise AssertionError(message)

    def _zones(self, t_ns: int, bad: Bools) -> None:
        """Recompute levels, demands and outputs, and write a row for every zone that changed."""
        effects, states = self.effects, self.states
        air = (self.ladder.air_is_off, bad.tobytes())
        if not states.moved and air == self._air:
            return
        self._air = air
        level, demands = effects.level.copy(), effects.demands.copy()
        effects.evaluate(states.in_force(), air_off=air[0], bad=bad)
        moved, states.moved = states.moved, []
        changed = np.flatnonzero((level != effects.level) | (demands != effects.demands))
        movers = effects.movers(changed.tolist(), moved, air_off=air[0], bad=bad)
        for zone, mover in movers.items():
            levels = (int(level[zone]), int(effects.level[zone]))
            cause, reason = (0, "airflow") if mover is None else (mover.seq, mover.rule)
            states.zone_row(t_ns, zone, levels, int(effects.demands[zone]), cause, reason)
