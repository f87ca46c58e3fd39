"""A quiet day raises nothing: 24 virtual hours against every limit and trend of the profile."""

from __future__ import annotations

import operator
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from alarms.trends import theil_sen_per_min
from gateway import site
from gateway.replay import replay_csv
from simulators import record
from simulators.mine import Mine, S
from simulators.record import CSV_HEADER, csv_line
from tests.simulators.mines import shipped

HOURS = 24
OPERATORS = {">": operator.gt, ">=": operator.ge, "<": operator.lt, "<=": operator.le}
SEEDS = (1, 2)


@cache
def day(seed: int) -> tuple[tuple[str, ...], NDArray[np.float64]]:
    """Every point every 10 s of a day, shape (8640, points)."""
    mine = Mine(shipped(), seed, step_s=1.0)
    ids = tuple(point.id for point in mine.points)
    rows = [list(mine.update(t * 10 * S).values()) for t in range(HOURS * 360)]
    return ids, np.array(rows)


@pytest.mark.parametrize("seed", SEEDS)
def test_no_reading_reaches_a_limit(seed: int) -> None:
    ids, values = day(seed)
    plan = site.build(shipped()).plan
    rules = [rule for rule in plan.limits if plan.points.ids[rule.point] in ids]
    assert len(rules) > 80
    for rule in rules:
        column = values[:, ids.index(plan.points.ids[rule.point])]
        assert not np.any(OPERATORS[rule.op](column, rule.set)), rule.id


@pytest.mark.parametrize("seed", SEEDS)
def test_no_reading_leaves_its_range(seed: int) -> None:
    ids, values = day(seed)
    points = site.build(shipped()).plan.points
    for column, point in enumerate(ids):
        at = points.index[point]
        assert values[:, column].min() >= points.range_low[at], point
        assert values[:, column].max() < points.range_high[at] or points.range_high[at] == 1.0, (
            point
        )


@pytest.mark.parametrize("seed", SEEDS)
def test_no_rise_is_half_as_fast_as_an_abnormal_emission(seed: int) -> None:
    ids, values = day(seed)
    plan = site.build(shipped()).plan
    for rule in plan.trends:
        column = values[:, ids.index(plan.points.ids[rule.point])]
        size = round(rule.window_s / 10)
        times = (np.arange(size) * 10 * S).astype(np.int64)
        windows = (column[at : at + size] for at in range(0, len(column) - size, 6))
        fastest = max(theil_sen_per_min(times, window) for window in windows)
        assert fastest < rule.rise_per_min / 2, rule.id


def test_everything_moves_a_little() -> None:
    """A flat line would be a stuck sensor; only switches and counts may stand still."""
    ids, values = day(1)
    points = site.build(shipped()).plan.points
    for column, point in enumerate(ids):
        if points.specs[points.index[point]].quantity not in (
            "fan_run", "call_point", "feed", "smoke", "air_duct", "door", "people",
        ):  # fmt: skip
            assert len(np.unique(values[:100, column])) > 90, point


def test_the_engine_says_nothing_for_half_an_hour(tmp_path: Path) -> None:
    recording = tmp_path / "quiet.csv"
    lines = (csv_line(reading) for reading in record(shipped(), "quiet-day", 1800.0))
    recording.write_text(CSV_HEADER + "".join(lines), "utf-8")
    plan = site.build(shipped()).own_plan()
    assert [row for _, rows in replay_csv([recording], plan) for row in rows] == []
