"""MQTT payloads to columns: one value, one quality and one source time per configured point.

Whatever arrives, each point of the device gets exactly one quality: a payload or a value that
cannot be understood is DECODE_ERROR, one that the device itself gives no value for (null, or an
error beside it) is DEVICE_FAULT, a value whose time cannot be read is BAD_CLOCK. Nothing raises,
nothing is skipped, and nothing becomes 0.

Two shapes of payload:

``json-node``
    A JSON object or array. Each key of the device has a path: names and array indices joined by
    dots, ``values.ch4`` or ``sensors.0.v``; without one the key itself is the path. An error is
    recognised beside the value (``{"value": …, "error": 7}``) and in the form with two maps
    (``{"values": {"ch4": …}, "errors": {"ch4": 2014}}``).
``plain``
    The payload is the number itself, as ASCII text; for one point only.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from sensors.frame import NO_SOURCE_TIME, Batch
from sensors.quality import Quality
from sensors.quantities import QUANTITIES
from sensors.source_time import parse_source_time
from sensors.units import conversion

MAX_PAYLOAD_BYTES: Final = 65_536
"""A longer payload is refused unread: no node of a mine sends that much in one reading."""

PAYLOAD_TYPES: Final = ("json-node", "plain")

_MAX_TOPIC_BYTES: Final = 65_535
_ARRAY_INDEX: Final = re.compile(r"0|[1-9][0-9]{0,5}")
_PLAIN_NUMBER: Final = re.compile(rb"\s*[+-]?[0-9]+(?:\.[0-9]+)?(?:[eE][+-]?[0-9]{1,3})?\s*")

Json = None | bool | int | float | str | list["Json"] | dict[str, "Json"]


@dataclass(frozen=True, slots=True)
class MqttDeviceSpec:
    """One subscription: a topic filter, and for each key a point index, JSON path and unit.

    `quantities` (key to quantity) gives the canonical unit that `units` (key to the unit the
    device states) is converted to, and whether true and false are readings of that point.
    """

    id: str
    type: str
    topic: str
    qos: int
    points: Mapping[str, int]
    paths: Mapping[str, str]
    units: Mapping[str, str]
    time_path: str = ""
    lel_pct_vol: float | None = None
    quantities: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class BrokerSpec:
    """One broker session. `password` is the secret itself, already read from its file."""

    host: str
    port: int
    client_id: str
    user: str
    password: str
    tls: bool
    ca_file: str
    cert_file: str
    key_file: str
    keepalive_s: int
    devices: tuple[MqttDeviceSpec, ...]


@dataclass(frozen=True, slots=True)
class _Slot:
    """One point of the device, compiled."""

    path: tuple[str, ...]
    scale: float
    offset: float
    on_off: bool


class PayloadDecoder:
    """The decoder of one device, compiled once.

    Raises
    ------
    ValueError
        An unknown type, a ``plain`` device with more than one point, a unit that cannot be
        converted, or one without its quantity.
    """

    def __init__(self, spec: MqttDeviceSpec) -> None:
        if spec.type not in PAYLOAD_TYPES:
            raise ValueError(f"device {spec.id}: type {spec.type!r} is not {PAYLOAD_TYPES}")
        if spec.type == "plain" and len(spec.points) != 1:
            raise ValueError(f"device {spec.id}: a plain payload is one value, so one point")
        self.spec = spec
        self.points = np.fromiter(spec.points.values(), dtype=np.int32, count=len(spec.points))
        self._slots = tuple(_slot(spec, key) for key in spec.points)
        self._time_path = tuple(spec.time_path.split(".")) if spec.time_path else ()

    def decode(self, payload: bytes, *, retained: bool) -> Batch:
        """Turn one payload into samples of every point of the device, in configured order."""
        root = _parse(payload) if self.spec.type == "json-node" else _parse_plain(payload)
        count = len(self._slots)
        values = np.full(count, np.nan)
        quality = np.full(count, Quality.DECODE_ERROR, dtype=np.uint8)
        source_ns = parse_source_time(_find(root, self._time_path)) if self._time_path else None
        if root is not _NOTHING:
            for i, slot in enumerate(self._slots):
                values[i], quality[i] = _read(root, slot)
            if self._time_path and source_ns is None:
                quality[quality == Quality.GOOD] = Quality.BAD_CLOCK
        return Batch(
            self.points.copy(),
            values,
            quality,
            np.full(count, NO_SOURCE_TIME if source_ns is None else source_ns, dtype=np.int64),
            np.full(count, retained, dtype=np.bool_),
        )


def decode(spec: MqttDeviceSpec, payload: bytes, *, retained: bool) -> Batch:
    """Decode one payload of `spec`; a caller with many payloads keeps a `PayloadDecoder`."""
    return PayloadDecoder(spec).decode(payload, retained=retained)


def read_flag(payload: bytes, name: str) -> bool | None:
    """Return the boolean member `name` of a JSON object; None for anything else."""
    found = _child(_parse(payload), name)
    return found if isinstance(found, bool) else None


def is_topic_filter(text: str) -> bool:
    """Say whether `text` is a valid topic filter of MQTT (3.1.1, section 4.7.1)."""
    levels = text.split("/")
    return (
        0 < len(text.encode(errors="surrogatepass")) <= _MAX_TOPIC_BYTES
        and "\x00" not in text
        and all(level in ("+", "#") or not {"+", "#"} & set(level) for level in levels)
        and "#" not in levels[:-1]
    )


def topic_matches(topic_filter: str, topic: str) -> bool:
    """Say whether a topic falls under a filter (section 4.7.2: wildcards never match ``$SYS``)."""
    wanted, given = topic_filter.split("/"), topic.split("/")
    if given[0].startswith("$") and wanted[0] in ("+", "#"):
        return False
    if wanted[-1] == "#":
        wanted = wanted[:-1]
        given = given[: len(wanted)]
    return len(wanted) == len(given) and all(
        want in ("+", got) for want, got in zip(wanted, given, strict=True)
    )


class _Nothing:
    """What a path finds where there is nothing; not None, which is a value of JSON."""


_NOTHING: Final = _Nothing()


def _slot(spec: MqttDeviceSpec, key: str) -> _Slot:
    path = tuple(spec.paths.get(key, key).split(".")) if spec.type == "json-node" else ()
    unit = spec.units.get(key, "")
    if key not in spec.quantities:
        if unit:
            raise ValueError(f"device {spec.id}: {key} has a unit but no quantity to convert it to")
        return _Slot(path, 1.0, 0.0, on_off=False)
    quantity = spec.quantities[key]
    scale, offset = conversion(unit, quantity, spec.lel_pct_vol)
    return _Slot(path, scale, offset, on_off=QUANTITIES[quantity].unit == "0/1")


def _parse(payload: bytes) -> Json | _Nothing:
    """Parse strictly: UTF-8, no NaN or Infinity, and no name twice in one object.

    A name given twice is two readings of one thing; which of them a parser keeps is an accident.
    """
    if len(payload) > MAX_PAYLOAD_BYTES:
        return _NOTHING
    try:
        root: Json = json.loads(
            payload.decode("utf-8"), object_pairs_hook=_object, parse_constant=_refuse
        )
    except (ValueError, RecursionError):
        return _NOTHING
    return root


def _object(pairs: list[tuple[str, Json]]) -> dict[str, Json]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("a name stands twice in one object")
    return members


def _refuse(word: str) -> Json:
    raise ValueError(f"{word} is not JSON")


def _parse_plain(payload: bytes) -> Json | _Nothing:
    if len(payload) > MAX_PAYLOAD_BYTES or _PLAIN_NUMBER.fullmatch(payload) is None:
        return _NOTHING
    return float(payload)


def _child(node: Json | _Nothing, name: str) -> Json | _Nothing:
    if isinstance(node, dict):
        return node.get(name, _NOTHING)
    if isinstance(node, list) and _ARRAY_INDEX.fullmatch(name):
        return node[int(name)] if int(name) < len(node) else _NOTHING
    return _NOTHING


def _find(root: Json | _Nothing, path: tuple[str, ...]) -> Json | _Nothing:
    node: Json | _Nothing = root
    for name in path:
        node = _child(node, name)
    return node


def _read(root: Json | _Nothing, slot: _Slot) -> tuple[float, Quality]:
    """Value in the canonical unit and quality; the value is NaN where there is none."""
    if slot.path and _has_error(root, slot.path):
        return math.nan, Quality.DEVICE_FAULT
    stated = _find(root, slot.path)
    if stated is None:
        return math.nan, Quality.DEVICE_FAULT
    if isinstance(stated, bool):
        return (float(stated), Quality.GOOD) if slot.on_off else (math.nan, Quality.DECODE_ERROR)
    if not isinstance(stated, int | float):
        return math.nan, Quality.DECODE_ERROR
    try:
        value = stated * slot.scale + slot.offset
    except OverflowError:  # an integer beyond any float
        return math.nan, Quality.DECODE_ERROR
    return (value, Quality.GOOD) if math.isfinite(value) else (math.nan, Quality.DECODE_ERROR)


def _has_error(root: Json | _Nothing, path: tuple[str, ...]) -> bool:
    beside = _child(_find(root, path[:-1]), "error")
    in_map: Json | _Nothing = _NOTHING
    if len(path) > 1:
        in_map = _child(_child(_find(root, path[:-2]), "errors"), path[-1])
    return any(found is not _NOTHING and bool(found) for found in (beside, in_map))
