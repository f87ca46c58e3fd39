"""The pump acts first and records then; what a person lowers is released after its commit."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from alarms.engine import Engine
from alarms.events import Command, Row
from alarms.plan import Demand, Level, LimitRule, LossRule, OutputSpec, Plan, ZoneSpec
from gateway.inbox import Inbox
from gateway.pipeline import Pipeline, Reply
from sensors.frame import Batch
from sensors.points import PointSpec, PointTable

S = 1_000_000_000


class HandClock:
    def __init__(self) -> None:
        self.t_ns = 0

    def now_ns(self) -> int:
        return self.t_ns


class Log:
    """A journal and an actuator that note what came, in one list, in order."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, Any]] = []
        self.durable_ticket = 0
        self.ticket = 0

    def _note(self, kind: str, what: object) -> int:
        self.seen.append((kind, what))
        self.ticket += 1
        return self.ticket

    def put_readings(self, t_ns: int, batch: Batch) -> int:
        return self._note("readings", (t_ns, batch.value.tolist()))

    def put_rows(self, rows: Sequence[Row]) -> int:
        return self._note("rows", [r.rule for r in rows]) if rows else self.ticket

    def put_record(self, kind: str, t_ns: int, data: object) -> int:
        return self._note(kind, (t_ns, data))

    def put_snapshot(self, t_ns: int, data: bytes) -> int:
        return self._note("snapshot", (t_ns, len(data) > 0))

    def set(self, states: Sequence[bool], beats: Sequence[tuple[int, bool]]) -> None:
        self.seen.append(("set", (list(states), list(beats))))

    def take(self) -> list[tuple[str, Any]]:
        seen, self.seen = self.seen, []
        return seen


def plan() -> Plan:
    points = PointTable.of((PointSpec("T1.gas", "CH4", 0, range_high=10.0, max_age_s=5.0),))
    loss = LossRule(60.0, 5.0, Level.DANGER, ((Demand.WITHDRAW, ()),))
    zones = (ZoneSpec("H1", "heading", loss=loss),)
    withdraw = ((Demand.WITHDRAW, ()),)
    rules = (LimitRule("w", 0, ">=", 1.5, "<", 1.0, Level.DANGER, withdraw),)
    return Plan(points, zones, rules, outputs=(OutputSpec("siren", (0,), Demand.WITHDRAW),))


def running() -> tuple[Pipeline, Inbox, HandClock, Log, list[Reply]]:
    clock, log = HandClock(), Log()
    replies: list[Reply] = []
    inbox = Inbox(clock, 1, np.zeros(1, dtype=np.bool_), lambda: None)
    engine = Engine(plan())
    engine.start(0)
    pipeline = Pipeline(engine, inbox, log, [log], [(0,)], "digest")
    pipeline.on_reply = replies.append
    return pipeline, inbox, clock, log, replies


def test_the_siren_is_told_before_anything_is_recorded() -> None:
    pipeline, inbox, clock, log, _ = running()
    clock.t_ns = 1 * S
    inbox.put(Batch.of(0, 2.0))
    pipeline.pump()
    kinds = [kind for kind, _ in log.take()]
    assert kinds[:3] == ["set", "readings", "rows"]
    assert pipeline.required.tolist() == [True]


def test_the_permissive_falls_with_a_demand_and_with_an_unusable_point() -> None:
    pipeline, inbox, clock, log, _ = running()
    clock.t_ns = 1 * S
    inbox.put(Batch.of(0, 0.2))
    pipeline.pump()
    assert log.take()[-1][0] == "snapshot"
    assert pipeline.beats()[0][1] is True
    before = pipeline.beats()[0][0]
    pipeline.pump()
    assert pipeline.beats()[0][0] > before, "the heartbeat is the number of the last evaluation"
    clock.t_ns = 7 * S  # stale
    pipeline.pump()
    assert pipeline.beats()[0][1] is False
    inbox.put(Batch.of(0, 1.6))
    pipeline.pump()
    assert pipeline.beats()[0][1] is False


def _latched(pipeline: Pipeline, inbox: Inbox, clock: HandClock) -> None:
    for value in (2.0, 0.5):
        clock.t_ns += S
        inbox.put(Batch.of(0, value))
        pipeline.pump()
    inbox.order(Command("ack", "w", "joe", seen_seq=99), 1)
    pipeline.pump()


def test_a_reset_is_released_and_confirmed_only_after_its_commit() -> None:
    pipeline, inbox, clock, log, replies = running()
    _latched(pipeline, inbox, clock)
    log.durable_ticket = log.ticket
    pipeline.committed()
    assert [r.refusal for r in replies] == [None]
    log.take()

    inbox.order(Command("reset", "w", "joe", second="ann"), 2)
    pipeline.pump()
    assert pipeline.engine.effects.outputs.tolist() == [False]
    assert pipeline.required.tolist() == [True], "the journal does not have it yet"
    assert all(what[0] == [True] for kind, what in log.take() if kind == "set")
    pipeline.committed()  # a commit of something else
    assert len(replies) == 1
    assert pipeline.required.tolist() == [True]

    log.durable_ticket = log.ticket
    pipeline.committed()
    assert replies[1].ticket == 2
    assert replies[1].refusal is None
    assert pipeline.required.tolist() == [False]


def test_without_a_journal_a_siren_stays_on() -> None:
    pipeline, inbox, clock, log, replies = running()
    _latched(pipeline, inbox, clock)
    inbox.order(Command("reset", "w", "joe", second="ann"), 2)
    for _ in range(100):
        clock.t_ns += S // 10
        pipeline.pump()
    assert replies == []
    assert pipeline.required.tolist() == [True]
    assert log.durable_ticket == 0


def test_a_refused_command_is_recorded_and_answered_with_its_reason() -> None:
    pipeline, inbox, clock, log, replies = running()
    clock.t_ns = S
    inbox.order(Command("reset", "w", "joe"), 5)
    pipeline.pump()
    records = [what for kind, what in log.take() if kind == "command"]
    assert records[0][1]["refusal"] == "ending a withdrawal needs a second, different person"
    log.durable_ticket = log.ticket
    pipeline.committed()
    assert replies[0].refusal == records[0][1]["refusal"]


def test_samples_that_wait_together_are_stepped_one_after_the_other() -> None:
    pipeline, inbox, clock, log, _ = running()
    clock.t_ns = S
    for value in (0.1, 2.0, 0.1):
        inbox.put(Batch.of(0, value))
    pipeline.pump()
    assert [what for kind, what in log.take() if kind == "rows"] == [["w", ""], ["w"]]
    assert pipeline.required.tolist() == [True]


def test_after_an_evaluation_that_broke_off_nothing_is_evaluated_any_more() -> None:
    """Also where a link's task ran it, in which an exception only restarts the link."""
    pipeline, inbox, clock, _, _ = running()
    publish = pipeline.on_publish

    def breaks(_t_ns: int) -> None:
        raise ZeroDivisionError

    pipeline.on_publish = breaks
    clock.t_ns = S
    inbox.put(Batch.of(0, 0.2))
    with pytest.raises(ZeroDivisionError):
        pipeline.pump()
    pipeline.on_publish = publish
    with pytest.raises(RuntimeError, match="broke off"):
        pipeline.pump()
