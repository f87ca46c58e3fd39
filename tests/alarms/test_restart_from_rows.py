"""Where a damaged journal leaves nothing but event rows, alarms stand as these say."""

from __future__ import annotations

from dataclasses import replace

from alarms import restart
from alarms.engine import Engine, StepResult
from alarms.events import Command, CommandKind, Row, State
from alarms.plan import Demand, Demands, LadderRule, OutputSpec, Plan, ZoneSpec
from sensors.frame import Batch
from sensors.points import PointTable
from tests.alarms.hand import limit, ns, point

SOUND = ((Demand.SOUND, ()),)
WITHDRAW = ((Demand.WITHDRAW, ()),)


class Kept:
    """An engine, and every row that it made."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.engine = Engine(plan)
        self.rows: list[Row] = list(self.engine.start(ns(0)).rows)

    def at(self, seconds: float, value: float) -> None:
        self._keep(self.engine.step(ns(seconds), Batch.of(0, value)))

    def ask(self, seconds: float, kind: CommandKind, target: str, until: float = 0.0) -> None:
        command = Command(kind, target, "Ann", "dust", "Bob", "handheld", ns(until), 10_000)
        result = self.engine.step(ns(seconds), None, (command,))
        assert result.refusals == (None,)
        self._keep(result)

    def _keep(self, result: StepResult) -> None:
        self.rows += result.rows

    def again(self, seconds: float) -> Engine:
        """Start from the rows alone."""
        lost = Engine(self.plan)
        restart.follow(lost, self.rows)
        engine = Engine(self.plan)
        engine.start(ns(seconds), lost.snapshot())
        return engine


def one_alarm(demands: Demands = SOUND) -> Kept:
    outputs = (OutputSpec("siren", (0,), Demand.SOUND),)
    zones = (ZoneSpec("z", "heading"),)
    plan = Plan(PointTable.of((point(),)), zones, (limit("gas", demands=demands),), outputs=outputs)
    return Kept(plan)


def state(engine: Engine, alarm: str) -> State:
    return State(engine.states.state[engine.states.index[alarm]])


def test_a_shelf_whose_end_nobody_knows_ends_and_its_siren_sounds_on() -> None:
    kept = one_alarm()
    kept.at(1, 2.0)
    kept.ask(2, "shelve", "gas", until=600)
    assert kept.engine.effects.outputs.tolist() == [True]
    engine = kept.again(3)
    assert state(engine, "gas") == State.UNACKED
    assert engine.effects.outputs.tolist() == [True]


def test_an_out_of_service_whose_end_nobody_knows_ends() -> None:
    kept = one_alarm(WITHDRAW)
    kept.at(1, 0.5)
    kept.ask(2, "out", "gas", until=600)
    engine = kept.again(3)
    assert state(engine, "gas") == State.NORMAL
    assert engine.out_count.tolist() == [0]
    engine.step(ns(4), Batch.of(0, 2.0))
    assert state(engine, "gas") == State.UNACKED


def test_an_acknowledgement_does_not_give_the_mine_its_minutes_anew() -> None:
    zones = (ZoneSpec("fan", "main_fan"), ZoneSpec("s", "heading"))
    stopped = limit("fan-off", 0, "<", 0.5, ">=", 0.5)
    ladder = LadderRule(0, (0,), (1,), 60.0)
    kept = Kept(Plan(PointTable.of((point(),)), zones, (stopped,), ladder=ladder))
    kept.at(1, 0.0)
    kept.ask(50, "ack", "ladder/sections")
    engine = kept.again(51)
    engine.step(ns(61), Batch.of(0, 0.0))
    assert state(engine, "ladder/mine") == State.UNACKED


def test_points_are_out_of_service_only_with_an_alarm_that_is() -> None:
    """An alarm that is OUT goes with its rule; its point must not stay lost for ever."""
    kept = one_alarm(WITHDRAW)
    other = limit("other", at=3.0, back=2.0)
    kept.plan = replace(kept.plan, limits=(*kept.plan.limits, other))
    kept.engine = Engine(kept.plan)
    kept.engine.start(ns(0))
    kept.at(1, 0.5)
    kept.ask(2, "out", "gas", until=600)
    assert kept.engine.out_count.tolist() == [1]
    engine = Engine(replace(kept.plan, limits=(other,)))
    engine.start(ns(3), kept.engine.snapshot())
    assert engine.out_count.tolist() == [0]
