"""The alarms and their lifecycle: section 5.9, the table typed in by hand."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal

from alarms.events import State
from alarms.plan import Demand, Demands, LadderRule, Level, Plan

Kind = Literal[
    "limit", "trend", "vote", "fault", "maintenance", "lost", "ladder", "manual", "found"
]
Event = Literal["RAISE", "RETURN", "CAUSE", "ACK", "RESET", "SHELVE", "OUT"]

N, U, A, R = State.NORMAL, State.UNACKED, State.ACKED, State.RETURNED_UNACKED
L, S, X = State.LATCHED, State.SHELVED, State.OUT_OF_SERVICE
EVENTS: tuple[Event, ...] = ("RAISE", "RETURN", "CAUSE", "ACK", "RESET", "SHELVE", "OUT")

# One column per event; None is "-". Two tables, because P and L differ in the text.
PLAIN: dict[State, tuple[State | None, ...]] = {
    #   RAISE RETURN CAUSE ACK   RESET SHELVE OUT
    N: (U,    None,  None, None, None, S,     X),
    U: (None, R,     U,    A,    None, S,     X),
    A: (None, N,     U,    None, None, S,     X),
    R: (U,    None,  None, N,    None, S,     X),
    S: (S,    S,     S,    None, None, None,  X),
    X: (X,    X,     X,    None, None, None,  None),
}  # fmt: skip
LATCHING: dict[State, tuple[State | None, ...]] = {
    N: (U,    None,  None, None, None, None,  X),
    U: (None, R,     U,    A,    None, None,  X),
    A: (None, L,     U,    None, None, None,  X),
    R: (U,    None,  None, L,    None, None,  X),
    L: (U,    None,  None, None, N,    None,  X),
    X: (X,    X,     X,    None, None, None,  None),
}  # fmt: skip


@dataclass
class Alarm:
    """One alarm: what it is, and where it stands."""

    id: str
    kind: Kind
    number: int  # index in its kind
    zone: int  # -1: the mine's
    points: tuple[int, ...]
    level: Level
    demands: Demands = ()
    two_persons: bool = False
    always_latching: bool = False
    state: State = State.NORMAL
    condition: bool = False
    causes: set[int] = field(default_factory=set)
    last_row: int = 0  # seq of its newest row, refusals included
    last_move: int = 0  # seq of its newest transition
    until_ns: int | None = None  # end of the shelf or of the OUT
    acked_ns: int | None = None

    @property
    def latching(self) -> bool:
        heavy = Demand.CUT_POWER | Demand.WITHDRAW
        return self.always_latching or any(demand & heavy for demand, _ in self.demands)

    @property
    def in_force(self) -> bool:
        if self.latching:
            return self.state in {U, A, R, L}
        return self.condition and self.state != X

    @property
    def level_in_force(self) -> Level:
        return self.level if self.in_force else Level.NORMAL

    def words_in_force(self) -> tuple[str, ...]:
        """Names of the demands in force, in the order of the text."""
        asked = [demand for demand, _ in self.demands] if self.in_force else []
        order = (Demand.SOUND, Demand.CUT_POWER, Demand.WITHDRAW)
        return tuple(str(d.name) for d in order if any(d & a for a in asked))

    def after(self, event: Event) -> State | None:
        """Look the next state up; None is a dash."""
        if self.kind == "manual" and event == "RESET":
            return N if self.state == A else None
        if self.kind == "manual" and event == "OUT":
            return None
        table = LATCHING if self.latching else PLAIN
        return table[self.state][EVENTS.index(event)]


def guarding(plan: Plan, zone: int) -> tuple[int, ...]:
    """Points of the zone that count for loss of monitoring: those that guard and have a rule."""
    ruled = {rule.point for rule in plan.limits} | {rule.point for rule in plan.trends}
    specs = plan.points.specs
    return tuple(
        p for p, spec in enumerate(specs) if spec.zone == zone and spec.guards and p in ruled
    )


def whole_mine(plan: Plan) -> tuple[int, ...]:
    """Every zone of the mine."""
    return plan.all_zones or tuple(range(len(plan.zones)))


def _of_rules(plan: Plan) -> Iterator[Alarm]:
    specs = plan.points.specs
    for i, limit in enumerate(plan.limits):
        zone = specs[limit.point].zone
        yield Alarm(limit.id, "limit", i, zone, (limit.point,), limit.level, limit.demands)
    for i, trend in enumerate(plan.trends):
        zone = specs[trend.point].zone
        yield Alarm(trend.id, "trend", i, zone, (trend.point,), trend.level, trend.demands)
    for i, vote in enumerate(plan.votes):
        points = tuple(dict.fromkeys(plan.limits[m].point for m in vote.members))
        yield Alarm(vote.id, "vote", i, vote.zone, points, vote.level, vote.demands)


def _of_sight(plan: Plan) -> Iterator[Alarm]:
    specs = plan.points.specs
    for i, spec in enumerate(specs):
        yield Alarm(f"{spec.id}/fault", "fault", i, spec.zone, (i,), Level.FAULT)
    for i, spec in enumerate(specs):
        yield Alarm(f"{spec.id}/maintenance", "maintenance", i, spec.zone, (i,), Level.ALERT)
    for i, zone in enumerate(plan.zones):
        if zone.loss is not None:
            points, loss = guarding(plan, i), zone.loss
            yield Alarm(f"{zone.id}/monitoring", "lost", i, i, points, loss.level, loss.demands)


def _sound_and_withdraw(scope: tuple[int, ...]) -> Demands:
    return ((Demand.SOUND, scope), (Demand.WITHDRAW, scope))


def _of_ladder(plan: Plan, ladder: LadderRule) -> Iterator[Alarm]:
    fan_points = [plan.limits[r].point for r in ladder.fan_rules]
    feeding = tuple(dict.fromkeys([*fan_points, *guarding(plan, ladder.zone)]))
    for i, (name, scope) in enumerate(
        (("ladder/sections", ladder.sections), ("ladder/mine", whole_mine(plan)))
    ):
        demands = _sound_and_withdraw(scope)
        yield Alarm(name, "ladder", i, ladder.zone, feeding, Level.DANGER, demands)


def _of_people(plan: Plan) -> Iterator[Alarm]:
    for i, zone in enumerate(plan.zones):
        demands = _sound_and_withdraw((i,))
        yield Alarm(f"manual/{zone.id}", "manual", i, i, (), Level.DANGER, demands)
    demands = _sound_and_withdraw(whole_mine(plan))
    yield Alarm("manual/all", "manual", len(plan.zones), -1, (), Level.DANGER, demands)


def _of_outputs(plan: Plan) -> Iterator[Alarm]:
    for i, output in enumerate(plan.outputs):
        found = Alarm(f"{output.id}/found", "found", i, output.zones[0], (), Level.ALARM)
        found.always_latching = True
        found.two_persons = bool(output.demand & Demand.WITHDRAW)
        yield found


def alarm_book(plan: Plan) -> list[Alarm]:
    """Lay out every alarm of the plan, in the order of its rows."""
    book = [*_of_rules(plan), *_of_sight(plan)]
    if plan.ladder is not None:
        book += _of_ladder(plan, plan.ladder)
    book += [*_of_people(plan), *_of_outputs(plan)]
    for alarm in book:
        if any(demand & Demand.WITHDRAW for demand, _ in alarm.demands):
            alarm.two_persons = True
    return book
