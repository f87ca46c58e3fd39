"""The arithmetic of `sensors.source_time` against its slow twin, the standard library."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sensors.source_time import parse_source_time

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def twin(moment: datetime) -> int:
    """Nanoseconds since 1970, by the standard library's exact timedelta."""
    return ((moment - EPOCH) // timedelta(microseconds=1)) * 1000


zones = st.integers(-23 * 60 - 59, 23 * 60 + 59).map(lambda m: timezone(timedelta(minutes=m)))
moments = st.datetimes(datetime(1990, 1, 2), datetime(2255, 1, 1), timezones=zones)  # noqa: DTZ001


@given(moments, st.sampled_from("T t"))
def test_every_rfc3339_text_equals_the_twin(moment: datetime, separator: str) -> None:
    assert parse_source_time(moment.isoformat(sep=separator)) == twin(moment)


@given(st.text("0123456789-:TZ+. ", max_size=30) | st.text(max_size=30))
def test_any_other_text_gives_none_or_what_the_twin_reads(text: str) -> None:
    ours = parse_source_time(text)
    if ours is not None:
        assert re.match(r"[0-9]{4}-", text)
        assert ours // 1000 * 1000 == twin(datetime.fromisoformat(text))


@given(moments)
def test_epoch_seconds_and_milliseconds(moment: datetime) -> None:
    ns = twin(moment)
    assert parse_source_time(ns // 1_000_000_000) == ns // 1_000_000_000 * 1_000_000_000
    assert parse_source_time(ns // 1_000_000) == ns // 1_000_000 * 1_000_000
    as_float = parse_source_time(ns / 1e9)
    assert as_float is not None
    assert abs(as_float - ns) <= 2_000  # a float of seconds holds no more


@pytest.mark.parametrize(
    ("stated", "ns"),
    [
        ("2026-11-22T23:57:01Z", 1_795_391_821_000_000_000),
        ("2026-11-23T07:57:01.25+08:00", 1_795_391_821_250_000_000),
        ("2026-11-22t19:57:01.000000001-04:00", 1_795_391_821_000_000_001),
        ("2000-02-29 00:00:00Z", 951_782_400_000_000_000),
        ("2016-12-31T23:59:60Z", 1_483_228_800_000_000_000),
        (1_795_391_821, 1_795_391_821_000_000_000),
        (1_795_391_821_250, 1_795_391_821_250_000_000),
        (1_795_391_821.25, 1_795_391_821_250_000_000),
    ],
)
def test_written_out_by_hand(stated: object, ns: int) -> None:
    assert parse_source_time(stated) == ns


@pytest.mark.parametrize(
    "stated",
    [
        None,
        True,
        0,
        86_400,  # an uptime counter
        -1_795_391_821,
        10**400,
        float("nan"),
        float("inf"),
        [],
        {},
        "1795391821",
        "2026-11-22T23:57:01",  # no offset: whose local time?
        "2026-11-22",
        "2026-11-31T00:00:00Z",
        "2025-02-29T00:00:00Z",
        "2100-02-29T00:00:00Z",
        "2026-00-10T00:00:00Z",
        "2026-11-22T24:00:00Z",
        "2026-11-22T23:60:00Z",
        "2026-11-22T23:57:61Z",
        "2026-11-22T23:57:01+24:00",
        "1970-01-01T00:00:12Z",  # an unset clock
        "0001-01-01T00:00:00Z",
        "\uff12\uff10\uff12\uff16-11-22T23:57:01Z",
        " 2026-11-22T23:57:01Z",
    ],
)
def test_no_time_is_none(stated: object) -> None:
    assert parse_source_time(stated) is None
