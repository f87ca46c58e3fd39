"""The decoder against a slow, obvious twin, over all types, orders and raw values."""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass, replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sensors.decode import HeartState, decode, heart_is_still
from sensors.device_decoder import compile_device
from sensors.device_types import (
    ORDERS,
    WIRE_TYPES,
    DeviceType,
    Function,
    HeartbeatRow,
    Order,
    PointRow,
    Register,
    StatusRow,
    UnitCode,
    WireType,
)
from sensors.quality import Quality
from sensors.reading_plan import ModbusDeviceSpec

FORMATS = {"int16": ">h", "uint16": ">H", "int32": ">i", "uint32": ">I", "float32": ">f"}
# Where each byte of ABCD stands on the wire.
PLACES = {"ABCD": "0123", "CDAB": "2301", "BADC": "1032", "DCBA": "3210"}
USABLE = {"GOOD", "UNCERTAIN", "JUMP", "STUCK", "BAD_CLOCK", "UNRELIABLE"}


@dataclass(frozen=True)
class Told:
    """One point with what the wire and the status rows say."""

    row: PointRow
    wire: bytes
    failed: Quality
    status: int


def slow(told: Told, status: StatusRow, *, still: bool, heart: Quality) -> tuple[float, str]:
    """Decode one value the way one would by hand."""
    row, at = told.row, told.row.at
    raw: float
    if at.type in ("bit", "bits"):
        two = told.wire[::-1] if at.order in ("BADC", "DCBA") else told.wire
        word = two[0] * 256 + two[1]
        mask = 2**at.bit if at.type == "bit" else at.mask
        field = "".join(b for b, m in zip(f"{word:016b}", f"{mask:016b}", strict=True) if m == "1")
        low = f"{mask:016b}"[::-1].index("1")
        raw = (word & mask) // 2**low if field else 0
    elif len(told.wire) == 2:
        two = told.wire[::-1] if at.order in ("BADC", "DCBA") else told.wire
        raw = struct.unpack(FORMATS[at.type], two)[0]
    else:
        natural = bytes(told.wire[int(place)] for place in PLACES[at.order])
        raw = struct.unpack(FORMATS[at.type], natural)[0]
    qualities = [told.failed]
    qualities += [q for value, q in row.sentinels if value == raw]
    for low, high, q in status.ranges:
        if low <= told.status & status.at.mask <= high:
            qualities.append(q)
            break
    else:
        qualities.append(status.other)
    qualities += [q for bit, q in status.bits if told.status & status.at.mask & 2**bit]
    if still:
        qualities.append(heart)
    worst = max(qualities)
    value = raw * row.scale + row.offset if told.failed == Quality.GOOD else math.nan
    if not math.isfinite(value) and worst.name in USABLE:
        worst = Quality.DECODE_ERROR
    return value, worst.name


qualities = st.sampled_from([q for q in Quality if q != Quality.LATE])
floats = st.floats(width=32, allow_nan=True, allow_infinity=True)


@st.composite
def told_points(draw: st.DrawFn) -> Told:
    wire_type: WireType = draw(st.sampled_from(WIRE_TYPES))
    order: Order = draw(st.sampled_from(ORDERS))
    length = 4 if wire_type in ("int32", "uint32", "float32") else 2
    wire = draw(st.binary(min_size=length, max_size=length))
    if wire_type == "float32" and draw(st.booleans()):
        wire = struct.pack(">f", draw(floats))
    at = Register(
        "holding", 0, wire_type, order, draw(st.integers(0, 15)), draw(st.integers(1, 65_535))
    )
    sentinel = draw(st.sampled_from([0.0, -1.0, 1.0, 32_767.0, -32_768.0, 65_535.0]))
    row = PointRow(
        "p",
        at,
        quantity="CO",
        scale=draw(st.sampled_from([1.0, 0.1, -2.0, 1e6])),
        offset=draw(st.sampled_from([0.0, 1.0, -273.15])),
        sentinels=((sentinel, draw(qualities)),),
    )
    failed = draw(st.sampled_from([Quality.GOOD] * 3 + [Quality.COMMS_LOST, Quality.DEVICE_FAULT]))
    return Told(row, wire, failed, draw(st.integers(0, 65_535)))


@given(
    st.lists(told_points(), min_size=1, max_size=6),
    qualities,
    qualities,
    st.integers(0, 15),
    qualities,
    st.booleans(),
)
def test_twin(
    points: list[Told], inside: Quality, other: Quality, bit: int, heart: Quality, still: bool
) -> None:
    rows, statuses = {}, []
    for n, told in enumerate(points):
        rows[f"p{n}"] = replace(told.row, key=f"p{n}", at=replace(told.row.at, address=10 * n))
        statuses.append(
            StatusRow(
                Register("input", n, "uint16", mask=0xFFF0),
                ((0x100, 0x7FF0, inside),),
                other,
                ((bit, inside),),
                (f"p{n}",),
            )
        )
    beat = HeartbeatRow(Register("input", 100, "uint16"), 15.0, heart)
    kind = DeviceType("t", "", "", rows, tuple(statuses), beat)
    spec = ModbusDeviceSpec("T", "t", 1, {key: n for n, key in enumerate(rows)}, 1.0)
    decoder = compile_device(spec, kind)
    image = decoder.image()
    image.failed[:] = Quality.GOOD
    for n, told in enumerate(points):
        for k, word in enumerate(struct.unpack(f">{len(told.wire) // 2}H", told.wire)):
            slot = decoder.slots["holding", 10 * n + k]
            image.words[slot], image.failed[slot] = word, told.failed
        image.words[decoder.slots["input", n]] = told.status
    value, quality = decode(decoder, image, still=still)
    for n, told in enumerate(points):
        number, name = slow(told, statuses[n], still=still, heart=heart)
        assert Quality(quality[n]).name == name
        np.testing.assert_allclose(value[n], number, rtol=1e-9)


def device(*rows: PointRow, heartbeat: HeartbeatRow | None = None) -> DeviceType:
    return DeviceType("t", "", "", {row.key: row for row in rows}, (), heartbeat)


def spec_of(key: str = "gas", **changes: object) -> ModbusDeviceSpec:
    spec = ModbusDeviceSpec("T0-101", "t", 7, {key: 3}, 1.0, quantities={key: "CH4"})
    return replace(spec, **changes)  # type: ignore[arg-type]


GAS = PointRow("gas", Register("holding", 0, "float32"))


def test_lel_becomes_vol_only_on_a_configured_basis() -> None:
    kind = device(replace(GAS, unit="%LEL"))
    with pytest.raises(ValueError, match=r"T0-101: points\.gas: %LEL.*lel_pct_vol"):
        compile_device(spec_of(), kind)
    decoder = compile_device(spec_of(lel_pct_vol=4.4), kind)
    image = decoder.image()
    image.words[:], image.failed[:] = (0x42C8, 0x0000), Quality.GOOD  # 100.0
    assert decode(decoder, image)[0] == pytest.approx([4.4])


@pytest.mark.parametrize("words", [(0x7FA0, 0x0001), (0xFF80, 0x0001), (0x7FC0, 0x0000)])
def test_a_signalling_nan_is_a_nan_and_no_warning(words: tuple[int, int]) -> None:
    decoder = compile_device(spec_of(), device(GAS))
    image = decoder.image()
    image.words[:], image.failed[:] = words, Quality.GOOD
    value, quality = decode(decoder, image)
    assert np.isnan(value).all()
    assert quality.tolist() == [Quality.DECODE_ERROR]


def test_unit_codes_of_which_none_can_be_used_are_refused_at_start() -> None:
    code = UnitCode(Register("holding", 9, "uint16"), {1: "mm", 2: "degC"})
    with pytest.raises(ValueError, match=r"points\.gas: no conversion from mm to %vol"):
        compile_device(spec_of(), device(replace(GAS, unit_code=code)))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"points": {"gaz": 3}}, "no value 'gaz'; it has: gas"),
        ({"order": "DCAB"}, "order 'DCAB' is unknown; one of: ABCD, CDAB, BADC, DCBA"),
        ({"quantities": {}}, 'name what it measures, for example points = { gas = "CH4" }'),
        ({"quantities": {"gas": "gold"}}, "name what it measures"),
    ],
)
def test_a_wrong_configuration_names_the_device_and_the_remedy(
    changes: dict[str, object], words: str
) -> None:
    with pytest.raises(ValueError, match="T0-101: ") as caught:
        compile_device(spec_of(**changes), device(GAS))  # type: ignore[arg-type]
    assert words in str(caught.value)


def test_the_sites_order_is_for_32_bit_numbers_only() -> None:
    word = PointRow("gas", Register("holding", 0, "uint16"))
    decoder = compile_device(spec_of(order="DCBA"), device(word))
    image = decoder.image()
    image.words[:], image.failed[:] = 0x0BE8, Quality.GOOD
    assert decode(decoder, image)[0] == [3048.0]


def test_a_poll_that_brought_nothing_is_comms_lost() -> None:
    decoder = compile_device(spec_of(), device(GAS))
    value, quality = decode(decoder, decoder.image())
    assert np.isnan(value).all()
    assert quality.tolist() == [Quality.COMMS_LOST]


def test_registers_of_a_status_that_guards_nothing_are_not_read() -> None:
    rows = device(GAS, PointRow("other", Register("input", 5, "uint16"), quantity="CO"))
    status = StatusRow(Register("coil", 77, "bit"), bits=((0, Quality.INHIBITED),), keys=("other",))
    decoder = compile_device(spec_of(), replace(rows, status=(status,)))
    assert [span.function for span in decoder.spans] == ["holding"]


@pytest.mark.parametrize("said", [q for q in Quality if q != Quality.LATE])
@pytest.mark.parametrize("words", [(0x7FC0, 0), (0x7F80, 0), (0xFF80, 0)])
def test_nan_and_inf_are_decode_errors_only_where_the_value_would_be_used(
    said: Quality, words: tuple[int, int]
) -> None:
    status = StatusRow(Register("input", 0, "uint16"), other=said)
    decoder = compile_device(spec_of(), replace(device(GAS), status=(status,)))
    image = decoder.image()
    image.words[:], image.failed[:] = (*words, 0), Quality.GOOD
    _, quality = decode(decoder, image)
    assert quality[0] == (Quality.DECODE_ERROR if said.name in USABLE else said)


def heart(function: Function = "holding") -> HeartbeatRow:
    return HeartbeatRow(Register(function, 9, "uint16"), 15.0)


def test_a_heartbeat_that_stands_still() -> None:
    decoder = compile_device(spec_of(), device(GAS, heartbeat=heart()))
    state, image = HeartState(), decoder.image()
    slot = decoder.slots["holding", 9]
    seen = []
    for now_s, beat, failed in [
        (100.0, 7, 0),
        (114.9, 7, 0),
        (115.0, 7, 0),
        (116.0, 8, 0),
        (131.5, 8, Quality.COMMS_LOST),  # not read: says nothing
        (132.0, 8, 0),
        (133.0, 0, 0),  # a restart, or the counter went round
    ]:
        image.words[slot], image.failed[slot] = beat, failed
        seen.append(heart_is_still(decoder, image, state, now_s))
    assert seen == [False, False, True, False, False, True, False]
