"""The historian: readings a second into Parquet, bytes a reading, and the time of a query.

A day of 100 points at 1 Hz, read in devices of ten points that share their stamps.

    .venv/bin/python bench/historian.py [FOLDER]
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from bench.record import report
from gateway.config import HistorianConfig, JournalConfig
from gateway.journal import JournalWriter
from gateway.sinks.historian import Historian
from sensors.frame import Batch

POINTS = 100
DEVICE_POINTS = 10
DAY_S = 86_400
NS = 1_000_000_000
START_NS = 1_800_000_000 // 3_600 * 3_600 * NS


def fill(folder: Path, seconds: int) -> None:
    """Journal a day of readings with two decimals and jittered stamps."""
    rng = np.random.default_rng(1)
    writer = JournalWriter(
        JournalConfig(folder),
        on_commit=lambda _: None,
        on_state=lambda _: None,
        queue_bytes=2**33,
    )
    writer.put_record("config", START_NS, {"points": [f"T{n}.gas" for n in range(POINTS)]})
    value = np.full(POINTS, 0.5)
    writer.start()
    for second in range(seconds):
        value += rng.normal(0, 0.004, POINTS)
        for device in range(POINTS // DEVICE_POINTS):
            point = np.arange(device * DEVICE_POINTS, (device + 1) * DEVICE_POINTS)
            t_ns = START_NS + second * NS + device * NS // 20 + int(rng.integers(5_000_000))
            writer.put_readings(t_ns, Batch.of(point, np.round(value[point], 2)))
    if not writer.close(600):
        raise SystemExit("the journal could not be filled")


def timed(query: Any) -> float:  # noqa: ANN401
    """Return the best of three [ms]."""
    taken = []
    for _ in range(3):
        begin = time.perf_counter()
        query()
        taken.append((time.perf_counter() - begin) * 1e3)
    return round(min(taken), 1)


def main() -> None:
    parent = sys.argv[1] if len(sys.argv) > 1 else None
    with tempfile.TemporaryDirectory(dir=parent) as name:
        folder = Path(name)
        fill(folder / "journal", DAY_S + 1_800)
        historian = Historian(HistorianConfig(folder / "history"), folder / "journal")
        begin = time.perf_counter()
        historian.advance()
        write_s = time.perf_counter() - begin
        size = sum(path.stat().st_size for path in (folder / "history").rglob("*.parquet"))
        written = (DAY_S + 1_800) * POINTS - historian.status.waiting
        end_ns = START_NS + (DAY_S + 1_800) * NS
        day_ns = end_ns - DAY_S * NS
        rows = [
            {
                "readings": written,
                "readings_per_s": round(written / write_s),
                "bytes_per_reading": round(size / written, 2),
                "day_of_a_point_ms": timed(lambda: historian.history("T7.gas", day_ns, end_ns)),
                "day_by_minute_ms": timed(
                    lambda: historian.envelope("T7.gas", day_ns, end_ns, 60 * NS)
                ),
                "half_hour_of_tail_ms": timed(
                    lambda: historian.history("T7.gas", end_ns - 1_800 * NS, end_ns)
                ),
            }
        ]
        historian.close()
    report("historian", rows)


if __name__ == "__main__":
    main()
