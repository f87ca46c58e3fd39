from __future__ import annotations

import json
import math
from collections.abc import Callable
from typing import Any

import aiomqtt
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sensors.frame import NO_SOURCE_TIME, Batch
from sensors.payloads import (
    MAX_PAYLOAD_BYTES,
    MqttDeviceSpec,
    PayloadDecoder,
    decode,
    is_topic_filter,
    topic_matches,
)
from sensors.quality import Quality

GOOD, FAULT, ERROR = Quality.GOOD, Quality.DEVICE_FAULT, Quality.DECODE_ERROR
NS = 1_000_000_000
# The unusable twins of a value: whatever the policy table lets neither set nor clear.
UNUSABLE = {FAULT, ERROR}


def device(**changes: object) -> MqttDeviceSpec:
    """A node with four values at four kinds of place."""
    fields: dict[str, object] = {
        "id": "node-7",
        "type": "json-node",
        "topic": "mine/node-7/state",
        "qos": 1,
        "points": {"ch4": 11, "co": 3, "fan": 8, "t": 5},
        "paths": {"ch4": "values.ch4", "co": "sensors.0.v", "fan": "run"},
        "units": {"ch4": "%LEL", "t": "degF"},
        "quantities": {"ch4": "CH4", "co": "CO", "fan": "fan_run", "t": "temperature"},
        "lel_pct_vol": 5.0,
    }
    return MqttDeviceSpec(**{**fields, **changes})  # type: ignore[arg-type]


def message(**changes: object) -> bytes:
    whole = {"values": {"ch4": 20.0}, "sensors": [{"v": 24}], "run": True, "t": 212}
    return json.dumps({**whole, **changes}).encode()


def read(payload: bytes, **changes: object) -> Batch:
    return decode(device(**changes), payload, retained=False)


def qualities(batch: Batch) -> list[Quality]:
    return [Quality(q) for q in batch.quality]


def one(payload: bytes, quantity: str = "CH4", **changes: object) -> tuple[float, Quality]:
    """Decode a payload for a device with the single path ``v``."""
    fields: dict[str, object] = {
        "points": {"v": 0},
        "paths": {},
        "units": {},
        "quantities": {"v": quantity},
    }
    batch = read(payload, **{**fields, **changes})
    return float(batch.value[0]), Quality(batch.quality[0])


def test_a_whole_message_in_canonical_units_and_configured_order() -> None:
    batch = read(message())
    assert batch.point.tolist() == [11, 3, 8, 5]
    assert batch.value.tolist() == pytest.approx([1.0, 24.0, 1.0, 100.0])
    assert qualities(batch) == [GOOD] * 4
    assert batch.source_ns.tolist() == [NO_SOURCE_TIME] * 4
    assert batch.retained.tolist() == [False] * 4


def test_zero_is_a_reading_and_false_is_off() -> None:
    batch = read(message(values={"ch4": 0}, run=False))
    assert batch.value.tolist()[:3] == [0.0, 24.0, 0.0]
    assert qualities(batch) == [GOOD] * 4


def test_retained_is_marked() -> None:
    assert decode(device(), message(), retained=True).retained.tolist() == [True] * 4


@pytest.mark.parametrize(
    ("payload", "expected"),
    [
        (b'{"v": 0.53}', GOOD),
        (b'{"v": -0.1}', GOOD),
        (b'{"v": 1e2}', GOOD),
        (b"{}", ERROR),
        (b'{"V": 0.5}', ERROR),
        (b'{"v": null}', FAULT),
        (b'{"v": "0.53"}', ERROR),
        (b'{"v": ""}', ERROR),
        (b'{"v": true}', ERROR),
        (b'{"v": false}', ERROR),
        (b'{"v": [0.5]}', ERROR),
        (b'{"v": {"v": 0.5}}', ERROR),
        (b'{"v": NaN}', ERROR),
        (b'{"v": Infinity}', ERROR),
        (b'{"v": -Infinity}', ERROR),
        (b'{"v": 1e999}', ERROR),
        (b'{"v": ' + b"9" * 400 + b"}", ERROR),
        (b'{"v": ' + b"9" * 5_000 + b"}", ERROR),
        (b'{"v": 0.5, "v": 0.1}', ERROR),
        (b'{"v": 0.5, "\\u0076": 0.1}', ERROR),
        (b'{"v": 0.5, "error": 0}', GOOD),
        (b'{"v": 0.5, "error": null}', GOOD),
        (b'{"v": 0.5, "error": 2014}', FAULT),
        (b'{"v": 0.5, "error": "no answer"}', FAULT),
        (b'{"v": 0.5', ERROR),
        (b'{"v": 0.5}}', ERROR),
        (b'{"v": 0,5}', ERROR),
        (b"{'v': 0.5}", ERROR),
        (b"[0.5]", ERROR),
        (b"0.5", ERROR),
        (b"null", ERROR),
        (b"", ERROR),
        (b"\x00", ERROR),
        (b'\xff\xfe{"v": 0.5}', ERROR),
        ('{"v": 0.5}'.encode("utf-16"), ERROR),
        (b"[" * 100_000, ERROR),
        (b"[" * 60_000, ERROR),
        (b'{"v":' * 10_000, ERROR),
    ],
)
def test_one_value(payload: bytes, expected: Quality) -> None:
    value, quality = one(payload)
    assert quality == expected
    assert math.isnan(value) == (expected != GOOD)


def test_a_bool_is_a_reading_only_of_an_on_off_quantity() -> None:
    assert one(b'{"v": true}', "smoke") == (1.0, GOOD)
    assert one(b'{"v": false}', "smoke") == (0.0, GOOD)
    assert one(b'{"v": 1}', "smoke") == (1.0, GOOD)
    assert one(b'{"v": true}', "CO")[1] == ERROR


def test_two_maps_and_a_list_of_tags_with_errors() -> None:
    two: dict[str, object] = {"points": {"a": 0, "b": 1}, "units": {}, "quantities": {}}
    maps = {"a": "values.a", "b": "values.b"}
    batch = read(b'{"values": {"a": 1}, "errors": {"b": 2014}}', paths=maps, **two)
    assert qualities(batch) == [GOOD, FAULT]
    batch = read(b'{"values": {"a": 1}, "errors": {"a": 1}}', paths=maps, **two)
    assert qualities(batch) == [FAULT, ERROR]
    listed = {"a": "tags.0.value", "b": "tags.1.value"}
    tags = b'{"tags": [{"name": "a", "value": 7}, {"name": "b", "error": 3002}]}'
    assert qualities(read(tags, paths=listed, **two)) == [GOOD, FAULT]


@pytest.mark.parametrize("path", ["sensors.-1.v", "sensors.1.v", "sensors.00000000.v", "sensors.x"])
def test_an_index_outside_the_array_is_an_error(path: str) -> None:
    batch = read(message(), points={"co": 3}, paths={"co": path}, units={}, quantities={})
    assert qualities(batch) == [ERROR]


def test_one_bad_value_does_not_touch_its_neighbours() -> None:
    batch = read(message(sensors=[]))
    assert qualities(batch) == [GOOD, ERROR, GOOD, GOOD]


def test_an_oversize_payload_is_refused_whole() -> None:
    just = b'{"v": 1}' + b" " * (MAX_PAYLOAD_BYTES - 8)
    assert one(just)[1] == GOOD
    assert one(just + b" ")[1] == ERROR


@pytest.mark.parametrize(
    ("time", "source_ns"),
    [
        ("1795391821", 1_795_391_821 * NS),
        ("1795391821250", 1_795_391_821 * NS + NS // 4),
        ('"2026-11-22T23:57:01Z"', 1_795_391_821 * NS),
    ],
)
def test_source_time(time: str, source_ns: int) -> None:
    batch = read(b'{"m": {"t": %s}, "run": true}' % time.encode(), time_path="m.t")
    assert batch.source_ns.tolist() == [source_ns] * 4
    assert qualities(batch) == [ERROR, ERROR, GOOD, ERROR]


@pytest.mark.parametrize("time", ["null", '"yesterday"', "true", "12345", '"2026-11-22T23:57:01"'])
def test_a_value_without_a_readable_time_may_raise_but_not_clear(time: str) -> None:
    payload = b'{"m": {"t": %s}, "run": true, "t": null}' % time.encode()
    batch = read(payload, time_path="m.t")
    assert qualities(batch) == [ERROR, ERROR, Quality.BAD_CLOCK, FAULT]
    assert batch.source_ns.tolist() == [NO_SOURCE_TIME] * 4
    assert batch.value[2] == 1.0


@pytest.mark.parametrize(
    ("payload", "value"),
    [(b"0.53", 0.53), (b" -12\n", -12.0), (b"1e-2", 0.01), (b"+3", 3.0), (b"0", 0.0)],
)
def test_plain(payload: bytes, value: float) -> None:
    assert one(payload, type="plain") == (value, GOOD)


@pytest.mark.parametrize(
    "payload",
    [b"", b" ", b"nan", b"inf", b"1e999", b"0,5", b"1_000", b"0x10", b"on", b"1 2", b"\xb2", b".5"],
)
def test_plain_refused(payload: bytes) -> None:
    assert one(payload, type="plain")[1] == ERROR


def test_a_wrong_specification_is_refused_when_compiled() -> None:
    for changes, reason in (
        ({"type": "xml"}, "type 'xml'"),
        ({"type": "plain"}, "one value"),
        ({"units": {"ch4": "mg/m3"}}, "no conversion from mg"),
        ({"lel_pct_vol": None}, "lel_pct_vol"),
        ({"quantities": {}}, "no quantity"),
    ):
        with pytest.raises(ValueError, match=reason):
            PayloadDecoder(device(**changes))


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(["values", "ch4", "sensors", "v", "run", "t", "error", "errors", "x"]),
            inner,
            max_size=6,
        )
    ),
    max_leaves=25,
)


def holds_for_any_payload(batch: Batch) -> None:
    assert batch.point.tolist() == [11, 3, 8, 5]
    for value, quality in zip(batch.value, batch.quality, strict=True):
        usable = Quality(quality) not in UNUSABLE
        assert math.isfinite(value) == usable
        assert Quality(quality) in {GOOD, Quality.BAD_CLOCK, *UNUSABLE}


@given(st.binary(max_size=200), st.booleans())
def test_any_bytes_give_exactly_one_quality_per_point(payload: bytes, retained: bool) -> None:
    batch = decode(device(time_path="t"), payload, retained=retained)
    holds_for_any_payload(batch)
    assert (batch.retained == retained).all()


def slow_read(
    root: Any,  # noqa: ANN401
    path: str,
) -> float | None:
    """The twin: the number at `path`, or None; errors beside it are looked for by hand."""
    try:
        node = root
        *above, last = path.split(".")
        for name in above:
            node = node[int(name)] if isinstance(node, list) else node[name]
        if isinstance(node, dict) and node.get("error"):
            return None
        if above:
            outer = root
            for name in above[:-1]:
                outer = outer[int(name)] if isinstance(outer, list) else outer[name]
            errors = outer.get("errors") if isinstance(outer, dict) else None
            if isinstance(errors, dict) and errors.get(last):
                return None
        found = node[int(last)] if isinstance(node, list) else node[last]
    except (KeyError, IndexError, ValueError, TypeError):
        return None
    if not isinstance(found, int | float) or (isinstance(found, bool) and path != "run"):
        return None
    try:
        return float(found) if math.isfinite(found) else None
    except OverflowError:
        return None


@given(json_values)
def test_any_json_equals_the_twin(root: object) -> None:
    text = json.dumps(root)
    spec = device(units={}, paths={"ch4": "values.ch4", "co": "sensors.0.v", "fan": "run"})
    batch = decode(spec, text.encode(), retained=False)
    holds_for_any_payload(batch)
    readable = "NaN" not in text and "Infinity" not in text
    for path, value in zip(["values.ch4", "sensors.0.v", "run", "t"], batch.value, strict=True):
        expected = slow_read(root, path) if readable else None
        assert math.isnan(value) if expected is None else value == expected


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_every_finite_number_arrives_bit_for_bit(number: float) -> None:
    value, quality = one(json.dumps({"v": number}).encode())
    assert quality == GOOD
    assert np.float64(value).tobytes() == np.float64(number).tobytes() or number == 0.0


def test_control_a_lenient_decoder_is_caught_by_these_tests() -> None:
    """What `json.loads` alone would have done with three of the payloads above."""
    lenient: Callable[[str], Any] = json.loads
    assert lenient('{"v": 0.5, "v": 0.1}')["v"] == 0.1
    assert math.isnan(lenient('{"v": NaN}')["v"])
    assert float(lenient('{"v": true}')["v"]) == 1.0


@pytest.mark.parametrize(
    ("topic_filter", "topic", "matches"),
    [
        ("mine/a/state", "mine/a/state", True),
        ("mine/a/state", "mine/a", False),
        ("mine/a", "mine/a/state", False),
        ("mine/+/state", "mine/a/state", True),
        ("mine/+/state", "mine//state", True),
        ("mine/+/state", "mine/a/b/state", False),
        ("mine/+", "mine", False),
        ("mine/#", "mine/a/b", True),
        ("mine/#", "mine", True),
        ("#", "a", True),
        ("#", "$SYS/uptime", False),
        ("+/uptime", "$SYS/uptime", False),
        ("$SYS/#", "$SYS/uptime", True),
        ("/+", "/a", True),
        ("+", "/a", False),
    ],
)
def test_topic_filters_as_the_standard_has_them(
    topic_filter: str, topic: str, matches: bool
) -> None:
    assert topic_matches(topic_filter, topic) is matches


levels = st.sampled_from(["a", "b", "", "mine"])


@given(st.lists(levels | st.just("+"), min_size=1, max_size=5), st.booleans(), st.data())
def test_topic_filters_equal_the_library_s_matcher(
    parts: list[str], tail: bool, data: st.DataObject
) -> None:
    topic = "/".join(data.draw(st.lists(levels, min_size=1, max_size=6)))
    topic_filter = "/".join([*parts, "#"] if tail else parts)
    assert is_topic_filter(topic_filter) == bool(topic_filter)
    if topic and topic_filter:
        assert topic_matches(topic_filter, topic) == aiomqtt.Topic(topic).matches(topic_filter)


def test_a_topic_of_a_thousand_levels_is_matched_without_recursion() -> None:
    assert topic_matches("#", "/".join("a" * 5_000))
    assert not topic_matches("/".join("+" * 4_999), "/".join("a" * 5_000))


@pytest.mark.parametrize("text", ["", "a/#/b", "a#", "#a", "a+/b", "a\x00", "a" * 65_536, "##"])
def test_no_topic_filter(text: str) -> None:
    assert not is_topic_filter(text)
