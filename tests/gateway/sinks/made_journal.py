"""A journal written by the real writer, and what a database should hold of it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from alarms.events import Row
from gateway.config import JournalConfig
from gateway.journal import JournalWriter
from gateway.journal_reader import JournalReader
from sensors.frame import NO_SOURCE_TIME, Batch
from sensors.quality import Quality
from tests.gateway.sinks.lines import Field, parse_line

WAIT_S = 30.0
START_NS = 1_795_391_821_000_000_000
POINTS = ("T1.gas", "T1.temp", "fan.run", "gateway.journal")
ZONES = ("LW101", "LW101", "main fan", "gateway")
QUANTITIES = ("CH4", "temperature", "fan_run", "health")
DEVICES = ("T1", "T1", "fan", "")

Key = tuple[str, int]  # measurement with its tags, and time [ns]
Database = dict[Key, dict[str, Field]]


def site_record() -> dict[str, object]:
    return {
        "digest": "d",
        "points": list(POINTS),
        "zones": list(ZONES),
        "quantities": list(QUANTITIES),
        "devices": list(DEVICES),
        "text": "",
    }


def writer(folder: Path, commit_s: float = 0.005) -> JournalWriter:
    made = JournalWriter(
        JournalConfig(folder, readings_commit_s=commit_s),
        on_commit=lambda _: None,
        on_state=lambda _: None,
    )
    made.start()
    return made


def event(seq: int, t_ns: int, rule: str = "T1.gas/alarm", reason: str = "1.6 >= 1.5") -> Row:
    return Row(
        *(seq, t_ns, rule, "T1.gas", "LW101", "NORMAL", "UNACKED", "NORMAL", "DANGER"),
        *(("SOUND", "WITHDRAW"), reason, 1.6, "GOOD", "", max(0, seq - 1)),
    )


def some_readings(rng: np.random.Generator, size: int) -> Batch:
    """Readings of every kind: points twice in a batch, NaN, source times, retained."""
    value = np.round(rng.normal(0.5, 0.3, size), 2)
    value[rng.random(size) < 0.05] = np.nan
    value[rng.random(size) < 0.05] *= np.pi
    source = rng.integers(START_NS - 10**9, START_NS + 10**9, size)
    source[rng.random(size) < 0.5] = NO_SOURCE_TIME
    quality = rng.choice([Quality.GOOD, Quality.OVER_RANGE, Quality.COMMS_LOST], size)
    point = rng.integers(0, len(POINTS), size)
    return Batch.of(point, value, quality, source, retained=rng.random(size) < 0.05)


def fill(folder: Path, *, batches: int = 40, events: int = 5, seed: int = 1) -> None:
    """Write a journal as the core would, and close it."""
    made = writer(folder)
    rng = np.random.default_rng(seed)
    made.put_record("config", START_NS - 1, site_record())
    t_ns = START_NS
    for i in range(batches):
        t_ns += int(rng.integers(1, 4))  # close together, so that times meet
        made.put_readings(t_ns, some_readings(rng, int(rng.integers(1, 12))))
        if i < events:
            made.put_rows([event(2 * i + 1, t_ns), event(2 * i + 2, t_ns, rule="")])
    assert made.close(WAIT_S)


def expected_readings(folder: Path, site: str = "S") -> Database:
    """The twin: every reading of the journal one by one, the later of two at one time moved on."""
    reader = JournalReader(folder)
    database: Database = {}
    newest: dict[str, int] = {}
    for commit in reader.readings_after(0, 10**6):
        columns = (commit.point, commit.t_ns, commit.value, commit.quality, commit.source_ns)
        for i, t_ns, value, quality, source_ns, kept in zip(
            *(column.tolist() for column in columns), commit.retained.tolist(), strict=True
        ):
            tags = f"reading,device={DEVICES[i]},point={POINTS[i]},quantity={QUANTITIES[i]}"
            tags = f"{tags},site={site},zone={ZONES[i]}".replace("device=,", "")
            time_ns = t_ns if t_ns > newest.get(tags, -1) else newest[tags] + 1
            newest[tags] = time_ns
            fields: dict[str, Field] = {"q": quality}
            if np.isfinite(value):
                fields["v"] = value
            if source_ns != NO_SOURCE_TIME:
                fields["src"] = source_ns
            if kept:
                fields["retained"] = True
            assert (tags, time_ns) not in database
            database[tags, time_ns] = fields
    reader.close()
    return database


def event_seqs(folder: Path) -> list[int]:
    reader = JournalReader(folder)
    seqs = [row.seq for row in reader.events_after(0, 10**6)]
    reader.close()
    return seqs


def readings_of(database: Database) -> Database:
    return {key: fields for key, fields in database.items() if key[0].startswith("reading,")}


def events_of(database: Database) -> list[Field]:
    """The `seq` of every event of a database, in order of time."""
    events = [(key[1], fields) for key, fields in database.items() if key[0].startswith("event,")]
    return [fields["seq"] for _, fields in sorted(events, key=lambda pair: pair[0])]


def put(database: Database, lines: Sequence[bytes]) -> None:
    """Write lines into a pretend database: same series and time overwrite."""
    for raw in lines:
        line = parse_line(raw)
        tags = "".join(f",{k}={v}" for k, v in sorted(line.tags.items()))
        database.setdefault((line.measurement + tags, line.time_ns), {}).update(line.fields)
