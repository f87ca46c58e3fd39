from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from alarms.events import Row
from gateway.readings_codec import Readings, stamped
from gateway.sinks.line_protocol import event_line, reading_lines, series, unique_times
from sensors.frame import NO_SOURCE_TIME, Batch
from sensors.quality import Quality
from tests.gateway.sinks.lines import parse_line

T = 1_795_391_821_000_000_000


def readings(*samples: tuple[int, int, float, int, int, bool]) -> Readings:
    """Columns from rows of (point, t_ns, value, quality, source_ns, retained)."""
    batches = [
        (t_ns, Batch.of(point, value, quality, source_ns, retained=retained))
        for point, t_ns, value, quality, source_ns, retained in samples
    ]
    return stamped(batches)


def lines_of(given_readings: Readings, prefixes: list[bytes]) -> list[bytes]:
    return reading_lines(prefixes, given_readings, given_readings.t_ns)


def test_a_reading_written_out() -> None:
    prefix = series("reading", {"site": "S", "zone": "LW101", "point": "T1.gas", "device": ""})
    assert prefix == b"reading,site=S,zone=LW101,point=T1.gas"
    whole = readings(
        (0, T, 0.53, 0, NO_SOURCE_TIME, False),
        (0, T + 1, 5.0, Quality.OVER_RANGE, T - 7, False),
        (0, T + 2, math.nan, Quality.COMMS_LOST, NO_SOURCE_TIME, False),
        (0, T + 3, math.inf, Quality.DECODE_ERROR, NO_SOURCE_TIME, False),
        (0, T + 4, 0.0, 0, T, True),
    )
    assert [line.removeprefix(prefix) for line in lines_of(whole, [prefix])] == [
        b" q=0i,v=0.53 1795391821000000000",
        b" q=15i,v=5.0,src=1795391820999999993i 1795391821000000001",
        b" q=9i 1795391821000000002",
        b" q=14i 1795391821000000003",
        b" q=0i,v=0.0,src=1795391821000000000i,retained=true 1795391821000000004",
    ]


def test_an_event_written_out() -> None:
    row = Row(
        *(7, T, "T1.gas/cut", "T1.gas", "LW 101", "NORMAL", "UNACKED", "NORMAL", "DANGER"),
        demands=("CUT_POWER", "WITHDRAW"),
        reason='said "stop"\nnow\\',
        value=1.0,
        quality="GOOD",
        actor="",
        cause_seq=3,
    )
    assert event_line("S,1", row, T + 9) == (
        rb"event,site=S\,1,zone=LW\ 101,rule=T1.gas/cut,point=T1.gas seq=7i,cause_seq=3i,"
        rb'from_state="NORMAL",to_state="UNACKED",from_level="NORMAL",to_level="DANGER",'
        rb'demands="CUT_POWER WITHDRAW",reason="said \"stop\" now\\",quality="GOOD",value=1.0 '
        b"1795391821000000009"
    )


words = st.text(max_size=12)
numbers = st.floats(allow_nan=True, allow_infinity=True)
times = st.integers(-(2**63) + 1, 2**63 - 1)


def printable(text: str) -> str:
    """What of a word the format can carry."""
    blank = "".join(" " if ord(c) < 32 or ord(c) == 127 else c for c in text)
    return blank.encode(errors="replace").decode()


@given(
    st.dictionaries(st.sampled_from(["site", "zone", "point"]), words, min_size=1),
    numbers,
    st.integers(0, 18),
    st.none() | times,
    st.booleans(),
    times,
)
def test_any_reading_comes_back_bit_for_bit(
    tags: dict[str, str], value: float, quality: int, source: int | None, kept: bool, t_ns: int
) -> None:
    source_ns = NO_SOURCE_TIME if source is None else source
    whole = readings((0, t_ns, value, quality, source_ns, kept))
    line = parse_line(lines_of(whole, [series("reading", tags)])[0])
    assert line.measurement == "reading"
    assert line.tags == {k: printable(v).replace("\\", " ") for k, v in tags.items() if v}
    assert line.time_ns == t_ns
    expected: dict[str, object] = {"q": quality}
    if math.isfinite(value):
        expected["v"] = value
        assert isinstance(line.fields["v"], float), "never an integer field"
    if source is not None:
        expected["src"] = source
    if kept:
        expected["retained"] = True
    assert line.fields == expected


@given(words, words, words, st.none() | numbers, st.lists(words, max_size=3))
def test_any_event_comes_back(
    rule: str, reason: str, actor: str, value: float | None, demands: list[str]
) -> None:
    row = Row(
        *(7, T, rule, "", "", "A", "B", "C", "D", tuple(demands)),
        *(reason, value, "GOOD", actor, 3),
    )
    raw = event_line("S", row, T)
    assert b"\n" not in raw
    line = parse_line(raw)
    assert line.tags == {"site": "S"} | (
        {"rule": printable(rule).replace("\\", " ")} if rule else {}
    )
    assert line.fields.get("reason", "") == printable(reason)
    assert line.fields.get("actor", "") == printable(actor)
    assert line.fields.get("demands", "") == printable(" ".join(demands))
    assert (line.fields["seq"], line.fields["cause_seq"]) == (7, 3)
    assert line.fields.get("value") == (
        value if value is not None and math.isfinite(value) else None
    )


def test_control_an_unescaped_space_would_have_been_caught() -> None:
    with pytest.raises(ValueError, match="unpack"):
        parse_line(b"reading,zone=LW 101 q=0i 1")


def slow_times(point: list[int], t_ns: list[int]) -> list[int]:
    """The twin: the whole journal at once, looking for the next free time of the point."""
    newest: dict[int, int] = {}
    made = []
    for who, when in zip(point, t_ns, strict=True):
        newest[who] = when if when > newest.get(who, -1) else newest[who] + 1
        made.append(newest[who])
    return made


@given(
    st.lists(
        st.tuples(st.integers(0, 3), st.lists(st.integers(0, 2), min_size=1, max_size=5)),
        max_size=20,
    ),
    st.sets(st.integers(1, 60)),
)
def test_times_are_unique_per_point_however_the_readings_are_cut(
    batches: list[tuple[int, list[int]]], cuts: set[int]
) -> None:
    """Batches with a rising stamp, points twice in a batch, cut anywhere into commits."""
    point, t_ns, now = [], [], T
    for pause, points in batches:
        now += 1 + pause
        point += points
        t_ns += [now] * len(points)
    edges = [0, *sorted(c for c in cuts if c < len(point)), len(point)]
    made: list[int] = []
    carried: dict[int, int] = {}
    for begin, end in itertools.pairwise(edges):
        part, carried = unique_times(
            np.array(point[begin:end], dtype=np.int32),
            np.array(t_ns[begin:end], dtype=np.int64),
            carried,
        )
        made += part.tolist()
    assert made == slow_times(point, t_ns)
    assert len({*zip(point, made, strict=True)}) == len(point)


def test_what_is_carried_stays_small() -> None:
    point = np.arange(1_000, dtype=np.int32)
    _, carried = unique_times(point, np.arange(1_000, dtype=np.int64) + T, {})
    assert carried == {999: T + 999}
