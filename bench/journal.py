"""The journal on this disk: bytes a reading, readings a second, and from `put_rows` to the disk.

Latency is measured under a steady load of 1,000 readings and 20 events a second.

    .venv/bin/python bench/journal.py [FOLDER]     (a folder on the disk to be measured)
"""

from __future__ import annotations

import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from alarms.events import Row
from bench.record import report
from gateway.config import JournalConfig
from gateway.journal import JournalWriter
from gateway.journal_reader import JournalReader
from sensors.frame import Batch

SECONDS = 20
BATCHES_PER_S = 50
READINGS_PER_BATCH = 20
BACKLOG_READINGS = 2_000_000
NS = 1_000_000_000
DAY_S = 86_400


def event(seq: int) -> Row:
    words = ("T1-101.gas/withdraw", "T1-101.gas", "LW101", "NORMAL", "UNACKED", "NORMAL", "DANGER")
    return Row(seq, seq, *words, ("SOUND", "WITHDRAW"), "1.62 >= 1.5 %vol", 1.62, "GOOD", "", 0)


def disk_bytes() -> int:
    """Return what this process has had written to the disk so far."""
    lines = Path("/proc/self/io").read_text(encoding="ascii").splitlines()
    return int(dict(line.split(": ") for line in lines)["write_bytes"])


def values_of(kind: str, n: int, rng: np.random.Generator) -> np.ndarray[Any, np.dtype[Any]]:
    """Return readings as transmitters send them: two decimals, or float32."""
    value = rng.normal(0.5, 0.05, n)
    return np.round(value, 2) if kind == "decimals" else value.astype(np.float32).astype(float)


def steady(folder: Path, kind: str) -> dict[str, Any]:
    """Run the steady load; return latencies of events and what it cost."""
    begun_s: dict[int, float] = {}
    taken_ms: list[float] = []
    newest = [0]

    def committed(seq: int) -> None:
        now = time.perf_counter()
        taken_ms.extend((now - begun_s[s]) * 1e3 for s in range(newest[0] + 1, seq + 1))
        newest[0] = seq

    writer = JournalWriter(JournalConfig(folder), on_commit=committed, on_state=lambda _: None)
    writer.start()
    writer.put_record("config", 0, {"points": [f"p{n}" for n in range(1_000)]})
    rng, clock, seq = np.random.default_rng(1), threading.Event(), 0
    before, begin = disk_bytes(), time.perf_counter()
    for turn in range(SECONDS * BATCHES_PER_S):
        first = turn * READINGS_PER_BATCH % 1_000
        point = np.arange(first, first + READINGS_PER_BATCH)
        t_ns = 1_800_000_000 * NS + time.perf_counter_ns()
        writer.put_readings(t_ns, Batch.of(point, values_of(kind, READINGS_PER_BATCH, rng)))
        if rng.random() < 20 / BATCHES_PER_S:
            seq += 1
            begun_s[seq] = time.perf_counter()
            writer.put_rows([event(seq)])
        clock.wait(max(0.0, begin + (turn + 1) / BATCHES_PER_S - time.perf_counter()))
    elapsed_s, written = time.perf_counter() - begin, disk_bytes() - before
    writer.close(60)
    readings = SECONDS * BATCHES_PER_S * READINGS_PER_BATCH
    size = (folder / "readings.db").stat().st_size
    latency = np.percentile(taken_ms, [50, 99, 100])
    return {
        "case": f"steady, {kind}",
        "readings": readings,
        "readings_per_s": BATCHES_PER_S * READINGS_PER_BATCH,
        "events": seq,
        "bytes_per_reading": round(size / readings, 2),
        "p50_ms": round(float(latency[0]), 2),
        "p99_ms": round(float(latency[1]), 2),
        "max_ms": round(float(latency[2]), 2),
        "disk_GB_per_day": round(written / elapsed_s * DAY_S / 1e9, 1),
    }


def quiet(folder: Path) -> dict[str, Any]:
    """Run the load without events: what the readings alone cost."""
    writer = JournalWriter(JournalConfig(folder), on_commit=lambda _: None, on_state=lambda _: None)
    writer.start()
    rng, clock = np.random.default_rng(1), threading.Event()
    before, begin = disk_bytes(), time.perf_counter()
    for turn in range(SECONDS * BATCHES_PER_S):
        first = turn * READINGS_PER_BATCH % 1_000
        point = np.arange(first, first + READINGS_PER_BATCH)
        t_ns = 1_800_000_000 * NS + time.perf_counter_ns()
        writer.put_readings(t_ns, Batch.of(point, values_of("decimals", READINGS_PER_BATCH, rng)))
        clock.wait(max(0.0, begin + (turn + 1) / BATCHES_PER_S - time.perf_counter()))
    elapsed_s, written = time.perf_counter() - begin, disk_bytes() - before
    writer.close(60)
    readings = SECONDS * BATCHES_PER_S * READINGS_PER_BATCH
    return {
        "case": "steady, no events",
        "readings": readings,
        "bytes_per_reading": round((folder / "readings.db").stat().st_size / readings, 2),
        "disk_GB_per_day": round(written / elapsed_s * DAY_S / 1e9, 1),
    }


def backlog(folder: Path) -> list[dict[str, Any]]:
    """Put as much as the queue takes at once, and read it all back."""
    writer = JournalWriter(
        JournalConfig(folder),
        on_commit=lambda _: None,
        on_state=lambda _: None,
        queue_bytes=2**30,
    )
    rng = np.random.default_rng(1)
    batch = Batch.of(np.arange(500), values_of("decimals", 500, rng))
    for turn in range(BACKLOG_READINGS // 500):
        writer.put_readings(1_800_000_000 * NS + turn * NS // 2, batch)
    begin = time.perf_counter()
    writer.start()
    writer.close(600)
    write_s = time.perf_counter() - begin
    reader, seq, found = JournalReader(folder), 0, 0
    begin = time.perf_counter()
    while page := reader.readings_after(seq):
        seq, found = page[-1].seq, found + sum(len(commit.readings) for commit in page)
    read_s = time.perf_counter() - begin
    return [
        {"case": "backlog written", "readings": found, "readings_per_s": round(found / write_s)},
        {"case": "backlog read", "readings": found, "readings_per_s": round(found / read_s)},
    ]


def main() -> None:
    parent = sys.argv[1] if len(sys.argv) > 1 else None
    with tempfile.TemporaryDirectory(dir=parent) as name:
        folder = Path(name)
        rows = [
            steady(folder / "a", "decimals"),
            steady(folder / "b", "float32"),
            quiet(folder / "c"),
            *backlog(folder / "d"),
        ]
    report("journal", rows)


if __name__ == "__main__":
    main()
