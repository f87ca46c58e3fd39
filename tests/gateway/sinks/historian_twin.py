"""A journal that grows by random readings, and a slow, obvious twin of the historian."""

from __future__ import annotations

import random
import threading
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from gateway.config import JournalConfig
from gateway.history import Envelope
from gateway.journal import JournalWriter
from gateway.journal_rows import History
from gateway.sinks.historian import Historian
from sensors.frame import NO_SOURCE_TIME, Batch
from sensors.quality import MAY_CLEAR, Quality

S = 1_000_000_000
MINUTE = 60 * S
HOUR = 60 * MINUTE
DAY = 24 * HOUR
START = 1_795_392_000 * S + 20 * MINUTE  # 2026-11-23 00:20 UTC
OLD = (("a", "b", "c"), ("c", "new", "a", "b"))  # the points of two configurations
POINTS = ("a", "b", "c", "new")


@dataclass(frozen=True)
class Sample:
    """One reading as the slow twin knows it, in wall time."""

    point: str
    time: int
    value: float
    quality: int
    source: int
    received: int
    retained: bool


def twin_history(samples: list[Sample], point: str, start: int, end: int) -> list[Sample]:
    mine = [s for s in samples if s.point == point and start <= s.time < end]
    return sorted(mine, key=lambda s: s.time)


def twin_envelope(
    samples: list[Sample], point: str, start: int, end: int, step: int
) -> list[tuple[float, ...]]:
    rows: dict[int, list[Sample]] = {}
    for sample in twin_history(samples, point, start, end):
        rows.setdefault((sample.time - start) // step, []).append(sample)
    return [
        (
            start + k * step,
            min(finite, default=np.nan),
            max(finite, default=np.nan),
            sum(finite) / len(finite) if finite else np.nan,
            group[-1].value,
            max(s.quality for s in group),
            len(group),
            sum(bool(MAY_CLEAR[s.quality]) for s in group),
        )
        for k, group in sorted(rows.items())
        for finite in [[s.value for s in group if np.isfinite(s.value)]]
    ]


def as_samples(point: str, history: History) -> list[Sample]:
    columns = (
        history.time_ns,
        history.value,
        history.quality,
        history.source_ns,
        history.received_ns,
        history.retained,
    )
    return [Sample(point, *row) for row in zip(*(c.tolist() for c in columns), strict=True)]


def as_rows(found: Envelope) -> list[tuple[float, ...]]:
    columns = (
        found.time_ns,
        found.low,
        found.high,
        found.mean,
        found.last,
        found.worst,
        found.samples,
        found.usable,
    )
    return list(zip(*(c.tolist() for c in columns), strict=True))


class Mine:
    """A journal that grows by random readings, and the twin's list of them."""

    def __init__(self, folder: Path, seed: int) -> None:
        self.folder = folder
        self.samples: list[Sample] = []
        self.t_ns = START
        self._seeded = random.Random(seed)
        self._config = 0
        self._offset = 0
        self._times: set[tuple[str, int]] = set()

    def run(self, batches: int, *, step_ns: int = 4 * MINUTE) -> None:
        """Let some time pass, with a new configuration and a stepped wall clock on the way."""
        journal = JournalConfig(self.folder, readings_commit_s=0.0)
        committed = threading.Semaphore(0)
        writer = JournalWriter(
            journal, on_commit=lambda _: committed.release(), on_state=lambda _: None
        )
        writer.start()
        writer.put_record("config", self.t_ns, {"points": OLD[self._config]})
        for number in range(batches):
            self.t_ns += self._seeded.randrange(1, step_ns)
            if number == batches // 2:
                self._config = 1 - self._config
                writer.put_record("config", self.t_ns, {"points": OLD[self._config]})
                self._offset += self._seeded.choice((-90, 90)) * S
                writer.put_record("clock_step", self.t_ns, {"offset_ns": self._offset})
            writer.put_readings(self.t_ns, self._batch())
            if number % 3 == 0:  # so that there are many commits
                writer.put_record("note", self.t_ns, {})
                assert committed.acquire(timeout=30)
        assert writer.close(30.0)

    def _batch(self) -> Batch:
        names = OLD[self._config]
        chosen = self._seeded.sample(range(len(names)), self._seeded.randrange(1, len(names) + 1))
        values = [self._value() for _ in chosen]
        qualities = [self._seeded.randrange(len(Quality) - 1) for _ in chosen]
        sources = [self._source(names[i]) for i in chosen]
        retained = [self._seeded.random() < 0.1 for _ in chosen]
        for i, value, quality, source, kept in zip(
            chosen, values, qualities, sources, retained, strict=True
        ):
            true = source != NO_SOURCE_TIME and self.t_ns - 30 * DAY < source <= self.t_ns
            time = (source if true else self.t_ns) + self._offset
            wall = source if source == NO_SOURCE_TIME else source + self._offset
            received = self.t_ns + self._offset
            self.samples.append(Sample(names[i], time, value, quality, wall, received, kept))
        return Batch.of(chosen, values, qualities, sources, retained=retained)

    def _value(self) -> float:
        odd = (float("nan"), float("inf"), -float("inf"), 0.0, -0.0)
        return self._seeded.choice((*odd, *(self._seeded.gauss(1, 1) for _ in range(15))))

    def _source(self, point: str) -> int:
        """None, shortly before, hours before, in the future, or long ago; once for each point."""
        lag = self._seeded.choice((None, 0, 5 * MINUTE, 9 * HOUR, -2 * HOUR, 400 * DAY))
        if lag is None:
            return NO_SOURCE_TIME
        source = self.t_ns - self._seeded.randrange(lag + 1) if lag >= 0 else self.t_ns - lag
        unique = (point, source + self._offset) not in self._times
        self._times.add((point, source + self._offset))
        return source if unique else NO_SOURCE_TIME


def compare(historian: Historian, mine: Mine, seed: int = 0) -> None:
    """Compare everything, and random cuts of it, with the slow twin."""
    seeded = random.Random(seed)
    first = min(s.time for s in mine.samples) - HOUR
    last = max(s.time for s in mine.samples) + HOUR
    spans = [(first, last)]
    for _ in range(2):
        start, end = sorted((seeded.randrange(first, last), seeded.randrange(first, last)))
        spans.append((start, end))
    for point in (*POINTS, "unknown"):
        for start, end in spans:
            found = as_samples(point, historian.history(point, start, end))
            assert repr(found) == repr(twin_history(mine.samples, point, start, end))
            step = seeded.choice((S, 7 * MINUTE, HOUR, DAY, 1000 * DAY))
            rows = as_rows(historian.envelope(point, start, end, step))
            np.testing.assert_allclose(
                np.array(rows).reshape(-1, 8),
                np.array(twin_envelope(mine.samples, point, start, end, step)).reshape(-1, 8),
                rtol=1e-12,
                atol=1e-12,
            )
