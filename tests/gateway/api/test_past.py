"""The recorded past of a point, as it is answered: with and without a historian."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gateway.config import HistorianConfig
from gateway.sinks.historian import Historian
from sensors.frame import Batch
from sensors.quality import Quality
from tests.gateway.api.pretend import CO, GAS, S, T
from tests.gateway.api.served import Served, serve


@pytest.fixture(params=["journal", "historian"])
def keeping(request: pytest.FixtureRequest, tmp_path: Path) -> Served:
    """A gateway without and with a historian; both must give the same past."""
    historian = None
    if request.param == "historian":
        historian = Historian(HistorianConfig(tmp_path / "history"), tmp_path / "journal")
    return serve(tmp_path, historian=historian)


async def history(served: Served, query: str) -> Any:  # noqa: ANN401 - JSON
    async with served.client() as client:
        return (await client.get(f"/api/v1/points/T1.gas/history?{query}")).json()


def readings(n: int, spike_at: int) -> list[tuple[int, Batch]]:
    """One reading a second of the gas, one of them a spike, and a gap without an answer."""
    made = []
    for i in range(n):
        value = 4.2 if i == spike_at else 0.40
        quality = Quality.OVER_RANGE if i == spike_at else Quality.GOOD
        if i == spike_at + 5:
            value, quality = np.nan, Quality.COMMS_LOST
        made.append((T + i * S, Batch.of([GAS, CO], [value, 3.0], [quality, Quality.GOOD])))
    return made


async def test_an_envelope_keeps_the_spike_and_a_gap_stays_a_gap(keeping: Served) -> None:
    served = keeping
    served.journal(readings=[*readings(60, 31), (T + 1800 * S, Batch.of(GAS, 0.1))])
    query = "start=2026-11-23T00:00:00Z&end=2026-11-23T01:00:00Z&step=30"
    answer = await history(served, query)
    assert (answer["unit"], answer["step_s"], answer["next_start"]) == ("%vol", 30.0, None)
    assert answer["samples"] is None
    keys = ("time", "samples", "usable", "min", "max", "mean", "last", "worst")
    assert [tuple(step[key] for key in keys) for step in answer["steps"]] == [
        ("2026-11-23T00:00:00.000Z", 30, 30, 0.4, 0.4, pytest.approx(0.4), 0.4, "GOOD"),
        ("2026-11-23T00:00:30.000Z", 30, 28, 0.4, 4.2, pytest.approx(15.4 / 29), 0.4, "OVER_RANGE"),
        ("2026-11-23T00:30:00.000Z", 1, 1, 0.1, 0.1, 0.1, 0.1, "GOOD"),
    ]


async def test_samples_come_as_they_were_recorded(keeping: Served) -> None:
    served = keeping
    served.journal(readings=readings(60, 31))
    query = "start=2026-11-23T08:00:31 08:00&end=2026-11-23T08:00:37%2B08:00"
    answer = await history(served, query)
    found = [(s["time"], s["value"], s["quality"]) for s in answer["samples"]]
    assert found == [
        ("2026-11-23T00:00:31.000000000Z", 4.2, "OVER_RANGE"),
        *((f"2026-11-23T00:00:3{i}.000000000Z", 0.4, "GOOD") for i in range(2, 6)),
        ("2026-11-23T00:00:36.000000000Z", None, "COMMS_LOST"),
    ]


async def test_history_is_in_wall_time_though_the_clock_was_stepped(keeping: Served) -> None:
    step = ("clock_step", T + 5 * S, {"step_ns": 3600 * S, "offset_ns": 3600 * S})
    keeping.journal(readings=readings(10, 3), records=[step])
    query = "start=2026-11-23T00:00:00Z&end=2026-11-23T02:00:00Z"
    answer = await history(keeping, query)
    times = [(s["time"][11:19], s["receive_time"][11:19]) for s in answer["samples"]]
    assert times == [
        *((f"00:00:0{i}", f"00:00:0{i}") for i in range(5)),
        *((f"01:00:0{i}", f"01:00:0{i}") for i in range(5, 10)),
    ]


async def test_a_long_history_comes_in_parts_that_join(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    served = serve(tmp_path)
    monkeypatch.setattr("gateway.api.past.MAX_SAMPLES", 7)
    # Three samples of one instant lie on the border of a part.
    twins = [(T + 6 * S, Batch.of([GAS], [0.1 * i])) for i in range(3)]
    served.journal(
        readings=[*readings(6, 1), *twins, *((T + i * S, Batch.of(GAS, 9.0)) for i in range(7, 30))]
    )
    start, seen = "2026-11-23T00:00:00Z", []
    while start:
        query = f"start={start}&end=2026-11-23T00:00:20Z"
        answer = await history(served, query)
        seen += [s["time"][17:19] for s in answer["samples"]]
        assert answer["next_start"] != start
        start = answer["next_start"]
    expected = [*range(6), 6, 6, 6, *range(7, 20)]
    assert seen == [f"{second:02d}" for second in expected]
