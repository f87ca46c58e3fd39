"""Cost of one evaluation: the engine against a plain Python loop, in one run.

Each step brings a fresh sample of every point. The plain loop does the limit rules alone, the
engine everything it has to do (freshness, limits, faults, loss of monitoring, lifecycle, zones).

    .venv/bin/python bench/hot_path.py [--json FILE]
"""

from __future__ import annotations

import math
import sys
import time
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from alarms.engine import Engine
from alarms.plan import Demand, Level, LimitRule, LossRule, Plan, ZoneSpec
from bench.record import report
from sensors.frame import Batch
from sensors.points import PointSpec, PointTable

SECOND_NS = 1_000_000_000
RULES_A_POINT = 2


def plan_of(n_rules: int) -> Plan:
    """Return a plan with two limit rules a point and ten zones."""
    n = n_rules // RULES_A_POINT
    points = PointTable.of(
        tuple(PointSpec(f"p{i}", "CH4", i % 10, range_high=100.0) for i in range(n))
    )
    loss = LossRule(60, 5, Level.DANGER, ((Demand.WITHDRAW, ()),))
    zones = tuple(ZoneSpec(f"z{i}", "heading_face", loss=loss) for i in range(10))
    sound, cut = ((Demand.SOUND, ()),), ((Demand.CUT_POWER, ()),)
    rules = []
    for i in range(n):
        rules.append(LimitRule(f"p{i}/a", i, ">=", 1.0, "<", 1.0, Level.ALARM, sound))
        rules.append(LimitRule(f"p{i}/c", i, ">=", 1.5, "<", 1.0, Level.DANGER, cut))
    return Plan(points, zones, tuple(rules))


def engine_ns(n_rules: int, steps: int) -> float:
    """Return ns a rule row and step of the engine."""
    engine = Engine(plan_of(n_rules))
    engine.start(0)
    n = n_rules // RULES_A_POINT
    rng = np.random.default_rng(1)
    batches = [Batch.of(np.arange(n), rng.uniform(0.1, 0.9, n)) for _ in range(8)]
    begun = time.perf_counter_ns()
    for step in range(1, steps + 1):
        engine.step(step * SECOND_NS, batches[step % 8])
    return (time.perf_counter_ns() - begun) / steps / n_rules


def loop_ns(n_rules: int, steps: int) -> float:
    """Return ns a rule row and step of an obvious loop over rules with hysteresis."""
    n = n_rules // RULES_A_POINT
    rng = np.random.default_rng(1)
    values = [rng.uniform(0.1, 0.9, n).tolist() for _ in range(8)]
    rules = [
        {"point": i // 2, "set": (1.0, 1.5)[i % 2], "reset": 1.0, "on": False}
        for i in range(n_rules)
    ]
    begun = time.perf_counter_ns()
    for step in range(1, steps + 1):
        now = values[step % 8]
        for rule in rules:
            value = now[rule["point"]]
            if math.isnan(value):
                continue
            if value >= rule["set"] or abs(value - rule["set"]) <= 1e-6 * rule["set"]:
                rule["on"] = True
            elif rule["on"] and value < rule["reset"]:
                rule["on"] = False
    return (time.perf_counter_ns() - begun) / steps / n_rules


def copy_ns(n_rules: int, steps: int) -> float:
    """Return ns a rule row for one numpy copy of the columns that the limits read and write."""
    columns = [np.zeros(n_rules) for _ in range(10)]
    begun = time.perf_counter_ns()
    for _ in range(steps):
        for column in columns:
            column.copy()
    return (time.perf_counter_ns() - begun) / steps / n_rules


def main() -> None:
    """Measure and print."""
    rows = []
    for n_rules, steps in ((100, 2_000), (1_000, 1_000), (10_000, 200), (100_000, 20)):
        ours = min(engine_ns(n_rules, steps) for _ in range(3))
        loop = min(loop_ns(n_rules, max(3, steps // 20)) for _ in range(3))
        copy = min(copy_ns(n_rules, steps) for _ in range(3))
        rows.append(
            {
                "rule_rows": n_rules,
                "steps": steps,
                "engine_ns_per_row": round(ours, 1),
                "python_loop_ns_per_row": round(loop, 1),
                "loop_over_engine": round(loop / ours, 2),
                "engine_over_copy": round(ours / copy, 1),
            }
        )
    report("hot_path", rows)


if __name__ == "__main__":
    main()
