"""Files of readings: what is refused with file and line, and what comes out of good ones."""

from __future__ import annotations

import gzip
from contextlib import suppress
from pathlib import Path

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from alarms.events import Row
from alarms.plan import Plan
from gateway import config_file, site
from gateway.replay import ReadingsFileError, event_json, paced, replay_csv

SMALL = Path(__file__).parents[1] / "data" / "small.toml"


def plan() -> Plan:
    return site.build(config_file.load(SMALL)).own_plan()


def rows_of(folder: Path, text: str, name: str = "readings.csv") -> list[Row]:
    path = folder / name
    data = text.encode()
    path.write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
    return [row for _, rows in replay_csv([path], plan()) for row in rows]


LONG = """time,point,value
2026-02-01T08:00:00Z,T1.gas,0.2
2026-02-01T08:00:00Z,T2.gas,0.1
2026-02-01T08:00:00Z,IO1.di0,0
2026-02-01T08:00:01Z,T1.gas,1.0
2026-02-01T08:00:02Z,T1.gas,1.6
"""
WIDE = """time,T1.gas,T2.gas,IO1.di0,barometer
0,0.2,0.1,0,1005
1,1.0,,,1005
2,1.6,,,1005
"""


@pytest.mark.parametrize("name", ["readings.csv", "readings.csv.gz"])
def test_long_and_wide_give_the_same_events_at_their_own_times(tmp_path: Path, name: str) -> None:
    long, wide = rows_of(tmp_path, LONG, name), rows_of(tmp_path, WIDE, name)
    rules = [row.rule for row in long if row.rule]
    assert rules == ["T1.gas/alarm", "T1.gas/power-off", "T1.gas/withdraw"]
    assert [(r.rule, r.to_state, r.value) for r in long] == [
        (r.rule, r.to_state, r.value) for r in wide
    ]
    begin = 1_769_932_800_000_000_000  # 2026-02-01T08:00:00Z
    assert [r.t_ns - begin for r in long] == [r.t_ns for r in wide]


def test_an_event_as_json_has_the_fields_of_the_contract(tmp_path: Path) -> None:
    row = rows_of(tmp_path, LONG)[0]
    event = orjson.loads(event_json(row))
    assert event["time"] == "2026-02-01T08:00:01.000000000Z"
    assert event["t_ns"] == 1_769_932_801_000_000_000
    assert (event["rule"], event["to_state"]) == ("T1.gas/alarm", "UNACKED")
    assert set(event) == {"time", *Row.__slots__}


@pytest.mark.parametrize("text", ["", "nonsense", "NaN", "1,6", "inf"])
def test_a_cell_that_is_no_number_is_a_fault_and_never_zero(tmp_path: Path, text: str) -> None:
    value = f'"{text}"' if "," in text else text
    rows = rows_of(tmp_path, f"time,point,value\n0,T1.gas,0.2\n1,T1.gas,{value}\n")
    faults = [row for row in rows if row.rule == "T1.gas/fault"]
    assert [(f.t_ns, f.value, f.quality) for f in faults] == [(10**9, None, "DECODE_ERROR")]


def test_an_empty_wide_cell_is_no_reading(tmp_path: Path) -> None:
    assert rows_of(tmp_path, "time,T1.gas,T2.gas,IO1.di0\n0,0.2,0.1,0\n1,,0.1,0\n") == []


def test_a_quality_in_the_file_has_its_consequence(tmp_path: Path) -> None:
    head = "time,point,value,quality\n0,T1.gas,0.2,GOOD\n"
    rows = rows_of(tmp_path, head + "1,T1.gas,2.0,CALIBRATION\n")
    assert [row.rule for row in rows if row.rule] == ["T1.gas/fault"]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", r"readings.csv:1: first column must be 'time'"),
        ("when,point,value\n", r"readings.csv:1: first column must be 'time'"),
        ("time,point,value\nyesterday,T1.gas,1\n", r":2: column 'time': 'yesterday' is not a time"),
        (
            "time,point,value\n2026-02-01T08:00:00,T1.gas,1\n",
            r":2: .* is not a time; use seconds, or ISO",
        ),
        ("time,point,value\n0,T9.gas,1\n", r":2: column 'point': no point 'T9.gas'"),
        ("time,point,value\n0,T1.gas\n", r":2: needs time,point,value; got 2 cells"),
        (
            "time,point,value,quality\n0,T1.gas,1,FINE\n",
            r":2: column 'quality': 'FINE' is not one of",
        ),
        ("time,point,value\n5,T1.gas,1\n4,T1.gas,1\n", r":3: time goes backwards; sort the rows"),
        ("time,T1.gas\n0,1,2\n", r":2: has 3 cells, the header has 2"),
        ("time,barometer\n0,1005\n", r"no column is a point of the configuration"),
        ("time,point,value\n1e400,T1.gas,1\n", r":2: column 'time': '1e400' is not a time"),
        ("time,point,value\nnan,T1.gas,1\n", r":2: column 'time': 'nan' is not a time"),
        ("time,point,value\n1e30,T1.gas,1\n", r":2: column 'time': '1e30' is not a time"),
    ],
)
def test_what_cannot_be_used_is_named_by_file_and_line(
    tmp_path: Path, text: str, says: str
) -> None:
    with pytest.raises(ReadingsFileError, match=says):
        rows_of(tmp_path, text)


def test_a_file_that_is_no_text_or_is_cut_off_is_named(tmp_path: Path) -> None:
    path = tmp_path / "readings.csv"
    path.write_bytes(b"time,point,value\n0,\xff\xfe,1\n")
    with pytest.raises(ReadingsFileError, match="cannot be read as CSV"):
        list(replay_csv([path], plan()))
    packed = gzip.compress(LONG.encode())
    path.write_bytes(packed[:-12])
    with pytest.raises(ReadingsFileError, match="cannot be read as CSV"):
        list(replay_csv([path], plan()))
    with pytest.raises(ReadingsFileError, match="cannot be read as CSV"):
        list(replay_csv([tmp_path / "absent.csv"], plan()))


@given(st.binary(max_size=300))
def test_any_bytes_end_in_events_or_in_a_named_error(
    tmp_path_factory: pytest.TempPathFactory, data: bytes
) -> None:
    path = tmp_path_factory.mktemp("bytes") / "readings.csv"
    path.write_bytes(b"time,point,value\n" + data)
    with suppress(ReadingsFileError):
        list(replay_csv([path], plan()))


def test_times_of_19_digits_are_exact(tmp_path: Path) -> None:
    rows = rows_of(
        tmp_path,
        "time,point,value\n1769932800.000000001,T1.gas,0.1\n1769932800.123456789,T1.gas,1.2\n",
    )
    assert rows[0].t_ns == 1_769_932_800_123_456_789


def test_replay_keeps_the_recorded_pace(tmp_path: Path) -> None:
    path = tmp_path / "readings.csv"
    path.write_text("time,point,value\n0,T1.gas,0.2\n0.2,T1.gas,0.2\n", encoding="utf-8")
    stamps = [stamp for stamp, _ in paced(replay_csv([path], plan()), 1.0)]
    assert stamps == [0, 0, 200_000_000]
