from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.readings_codec import CorruptReadingsError, Readings, decode, digest, encode, stamped
from sensors.frame import NO_SOURCE_TIME, Batch
from sensors.quality import Quality

INT64 = st.integers(-(2**63), 2**63 - 1)
BITS = st.integers(0, 2**64 - 1)
DECIMALS = st.integers(-(10**9), 10**9).map(lambda n: np.float64(n / 10_000).view(np.uint64).item())
ROWS = st.lists(
    st.tuples(
        st.integers(0, 2**31 - 1),
        INT64,
        st.one_of(BITS, DECIMALS),
        st.integers(0, 255),
        st.one_of(st.just(NO_SOURCE_TIME), INT64),
        st.booleans(),
    ),
    max_size=40,
)


def readings_of(rows: list[tuple[int, int, int, int, int, bool]]) -> Readings:
    columns = list(zip(*rows, strict=True)) or [(), (), (), (), (), ()]
    return Readings(
        np.array(columns[0], dtype=np.int32),
        np.array(columns[1], dtype=np.int64),
        np.array(columns[2], dtype=np.uint64).view(np.float64),
        np.array(columns[3], dtype=np.uint8),
        np.array(columns[4], dtype=np.int64),
        np.array(columns[5], dtype=np.bool_),
    )


def bits_of(readings: Readings) -> list[bytes]:
    return [
        readings.point.tobytes(),
        readings.t_ns.tobytes(),
        readings.value.tobytes(),
        readings.quality.tobytes(),
        readings.source_ns.tobytes(),
        readings.retained.tobytes(),
    ]


@given(ROWS, INT64)
def test_every_bit_comes_back(rows: list[tuple[int, int, int, int, int, bool]], n: int) -> None:
    readings = readings_of(rows)
    config_n, back = decode(encode(readings, n))
    assert config_n == n
    assert bits_of(back) == bits_of(readings)
    assert [c.dtype for c in (back.point, back.t_ns, back.value, back.quality)] == [
        np.int32,
        np.int64,
        np.float64,
        np.uint8,
    ]


def test_nan_payload_negative_zero_and_no_source_time_come_back() -> None:
    odd = np.array([0x7FF8DEADBEEF0001, 0x8000000000000000, 0xFFF0000000000000], dtype=np.uint64)
    batch = Batch.of([0, 1, 2], odd.view(np.float64), Quality.DECODE_ERROR, NO_SOURCE_TIME)
    _, back = decode(encode(stamped([(5, batch)]), 1))
    assert back.value.view(np.uint64).tolist() == odd.tolist()
    assert back.source_ns.tolist() == [NO_SOURCE_TIME] * 3
    assert back.t_ns.tolist() == [5, 5, 5]


@given(st.data())
def test_any_flipped_bit_is_found(data: st.DataObject) -> None:
    batch = Batch.of(range(20), np.linspace(0, 1, 20), source_ns=range(20))
    block = bytearray(encode(stamped([(7, batch)]), 3))
    block[data.draw(st.integers(0, len(block) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    with pytest.raises(CorruptReadingsError):
        decode(bytes(block))


def test_any_cut_block_is_found() -> None:
    block = encode(stamped([(7, Batch.of([1, 2], [0.5, 0.25]))]), 3)
    for length in range(len(block)):
        with pytest.raises(CorruptReadingsError):
            decode(block[:length])


def test_batches_are_laid_out_in_order_with_their_stamps() -> None:
    readings = stamped([(10, Batch.of([3, 1], [0.3, 0.1])), (20, Batch.of([3], [0.4]))])
    assert readings.point.tolist() == [3, 1, 3]
    assert readings.t_ns.tolist() == [10, 10, 20]
    assert Readings.joined([readings, readings]).value.tolist() == [0.3, 0.1, 0.4] * 2
    assert len(Readings.joined([])) == 0


def test_readings_of_a_transmitter_take_few_bytes() -> None:
    seeded = np.random.default_rng(1)
    batch = Batch.of(range(500), np.round(seeded.normal(0.5, 0.1, 500), 2), source_ns=1_000)
    block = encode(stamped([(2_000, batch)]), 1)
    assert len(block) / 500 < 4
    assert len(digest(block)) == 32
