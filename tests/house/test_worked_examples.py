"""The worked example at the end of docs/alarm-semantics.md, row by row."""

from __future__ import annotations

import pytest

from alarms.engine import Engine
from alarms.events import Command, Row
from alarms.plan import Demand, Level, LimitRule, Plan, ZoneSpec
from sensors.frame import Batch
from sensors.points import PointSpec, PointTable
from sensors.quality import Quality

S = 1_000_000_000
POINT = "T1-101.gas"


@pytest.fixture
def engine() -> Engine:
    point = PointSpec(POINT, "CH4", zone=0, range_low=0.0, range_high=4.0, max_age_s=5.0)
    both = ((Demand.CUT_POWER, ()), (Demand.WITHDRAW, ()))
    warn = LimitRule("warn", 0, ">=", 1.0, "<", 1.0, Level.ALERT)
    power = LimitRule("power-off", 0, ">=", 1.5, "<", 1.0, Level.DANGER, both)
    engine = Engine(
        Plan(PointTable.of((point,)), (ZoneSpec("LW101", "longwall_face"),), (warn, power))
    )
    assert not engine.start(9 * S).rows
    return engine


def _sample(engine: Engine, t_s: int, value: float, quality: Quality = Quality.GOOD) -> list[str]:
    return [_words(row) for row in engine.step(t_s * S, Batch.of(0, value, quality)).rows]


def _order(engine: Engine, t_s: int, command: Command) -> list[str]:
    return [_words(row) for row in engine.step(t_s * S, commands=[command]).rows]


def _words(row: Row) -> str:
    if row.rule:
        return f"{row.rule}: {row.from_state} -> {row.to_state}"
    return f"zone: {row.from_level} -> {row.to_level} [{' '.join(row.demands)}]"


def test_the_worked_example(engine: Engine) -> None:
    assert _sample(engine, 10, 0.99999994) == [
        "warn: NORMAL -> UNACKED",
        "zone: NORMAL -> ALERT []",
    ]
    assert _sample(engine, 11, 1.6) == [
        "power-off: NORMAL -> UNACKED",
        "zone: ALERT -> DANGER [CUT_POWER WITHDRAW]",
    ]
    assert _sample(engine, 12, 0.2, Quality.STUCK) == [f"{POINT}/fault: NORMAL -> UNACKED"]
    assert _sample(engine, 13, 0.2) == [
        "warn: UNACKED -> RETURNED_UNACKED",
        "power-off: UNACKED -> RETURNED_UNACKED",
        f"{POINT}/fault: UNACKED -> RETURNED_UNACKED",
    ]
    seen = engine.states.seq
    assert _order(engine, 14, Command("ack", "power-off", "Li", seen_seq=seen)) == [
        "power-off: RETURNED_UNACKED -> LATCHED"
    ]
    assert _order(engine, 15, Command("reset", "power-off", "Li")) == [
        "power-off: LATCHED -> LATCHED"
    ]
    assert _order(engine, 16, Command("reset", "power-off", "Li", second="Wang")) == [
        "power-off: LATCHED -> NORMAL",
        "zone: DANGER -> NORMAL []",
    ]
    rows = engine.step(21 * S).rows
    assert [(row.t_ns, row.rule, row.quality) for row in rows] == [
        (18 * S + 1, f"{POINT}/fault", "STALE"),
        (18 * S + 1, "", ""),
    ]
