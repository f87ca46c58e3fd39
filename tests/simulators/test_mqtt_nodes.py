from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

from gateway.config import DeviceConfig
from simulators.faults import OnTheWire
from simulators.mqtt_nodes import payload

WALL_NS = 1_767_225_600_123_456_789  # 2026-01-01T00:00:00.123Z


def node(points: dict[str, str], time_path: str = "") -> DeviceConfig:
    return DeviceConfig("N", "json-node", "Z", topic="mine/n", points=points, time_path=time_path)


def sent(device: DeviceConfig, **values: float) -> dict[str, Any]:
    made = payload(device, {key: OnTheWire(value) for key, value in values.items()}, WALL_NS)
    assert made is not None
    message: dict[str, Any] = json.loads(made)
    return message


def test_values_stand_under_their_keys_with_the_time() -> None:
    device = node({"temperature": "temperature", "dust": "dust"}, time_path="time")
    assert sent(device, temperature=21.5, dust=1.25) == {
        "time": "2026-01-01T00:00:00.123Z",
        "temperature": 21.5,
        "dust": 1.25,
    }


def test_paths_units_arrays_and_switches() -> None:
    device = replace(
        node({"p": "pressure", "c": "CH4", "d": "door", "n": "people"}, "meta.t"),
        paths={"p": "fan.pressure", "c": "sensors.0.v", "d": "sensors.1.v"},
        units={"p": "kPa", "c": "ppm"},
    )
    assert sent(device, p=2200.0, c=0.5, d=1.0, n=14.0) == {
        "meta": {"t": "2026-01-01T00:00:00.123Z"},
        "fan": {"pressure": 2.2},
        "sensors": [{"v": 5000.0}, {"v": 1}],
        "n": 14,
    }


def test_a_plain_node_sends_the_number_alone() -> None:
    device = DeviceConfig("N", "plain", "Z", topic="t", points={"value": "CH4"})
    assert payload(device, {"value": OnTheWire(0.25)}, WALL_NS) == b"0.25"


def test_a_dropped_value_is_left_out_and_an_empty_message_is_not_sent() -> None:
    device = node({"a": "CH4", "b": "CO"})
    gone, there = OnTheWire(1.0, missing=True), OnTheWire(2.0)
    assert json.loads(payload(device, {"a": gone, "b": there}, WALL_NS) or b"") == {"b": 2.0}
    assert payload(device, {"a": gone, "b": gone}, WALL_NS) is None


def test_a_corrupt_message_is_no_json() -> None:
    made = payload(node({"a": "CH4"}), {"a": OnTheWire(1.0, corrupt=True)}, WALL_NS)
    assert made is not None
    try:
        json.loads(made)
    except ValueError:
        return
    raise AssertionError(made)
