"""Readings as columns, and the compact block that the journal keeps of one commit.

A block is ``head | sha256 | zlib(columns)``: little endian, fixed-size head, the columns as byte
planes (all first bytes, then all second bytes, ...), because the upper bytes of neighbours
hardly differ and compress to nothing. The digest covers head and compressed columns: a flipped
bit is found before anything is decompressed, so no wrong value is ever served.

Values with at most four decimals, which is what most transmitters send, are kept as integers;
all others, including every NaN with its payload and -0.0, bit for bit as they are. Decoding
gives back exactly the bits that were encoded.
"""

from __future__ import annotations

import hashlib
import struct
import zlib
from dataclasses import dataclass, fields
from typing import Final, Self, TypeVar

import numpy as np
from numpy.typing import NDArray

from sensors.frame import NO_SOURCE_TIME, Batch

_MAGIC: Final = b"FDR1"
_HEAD: Final = struct.Struct("<4sIq")  # magic, number of readings, configuration number
_DIGEST_BYTES: Final = 32
_DECIMAL: Final = 1e4
_MAX_INTEGER: Final = 2.0**53
_LEVEL: Final = 3

_Int = TypeVar("_Int", np.int32, np.int64)
_Any = TypeVar("_Any", np.int32, np.int64, np.float64)

_RETAINED: Final = np.uint8(1)
_HAS_SOURCE: Final = np.uint8(2)
_DECIMAL_VALUE: Final = np.uint8(4)


class CorruptReadingsError(ValueError):
    """A block that is not what was written."""


@dataclass(frozen=True, slots=True)
class Readings:
    """Readings in the order in which they were put into the journal; columns of shape (n,).

    Parameters
    ----------
    point : int32 (n,)
        Point indices of the configuration under which they arrived.
    t_ns : int64 (n,)
        Inbox stamps [ns].
    value : float64 (n,)
        In the point's canonical unit.
    quality : uint8 (n,)
        `sensors.quality.Quality` codes as they arrived.
    source_ns : int64 (n,)
        Source times [ns since 1970 UTC], or `sensors.frame.NO_SOURCE_TIME`.
    retained : bool (n,)
        True for a message that the broker had kept.
    """

    point: NDArray[np.int32]
    t_ns: NDArray[np.int64]
    value: NDArray[np.float64]
    quality: NDArray[np.uint8]
    source_ns: NDArray[np.int64]
    retained: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.point)

    def take(self, which: slice | NDArray[np.intp] | NDArray[np.bool_]) -> Self:
        """Return the readings at `which`."""
        return type(self)(*(getattr(self, field.name)[which] for field in fields(Readings)))

    def batch(self) -> Batch:
        """Return the readings without their stamps, as the inbox got them."""
        return Batch(self.point, self.value, self.quality, self.source_ns, self.retained)

    @staticmethod
    def joined(parts: list[Readings]) -> Readings:
        """Return all readings of `parts` one after the other; an empty list is empty columns."""
        if len(parts) == 1:
            return parts[0]
        columns = [[getattr(part, field.name) for part in parts] for field in fields(Readings)]
        return Readings(*(np.concatenate(c) for c in columns)) if parts else stamped([])


def stamped(batches: list[tuple[int, Batch]]) -> Readings:
    """Lay batches with their inbox stamps [ns] out as columns, in the order given."""
    if not batches:
        empty = Batch.of([], [], [], [], retained=[])
        batches = [(0, empty)]
    sizes = [len(batch) for _, batch in batches]
    return Readings(
        np.concatenate([b.point for _, b in batches]),
        np.repeat(np.array([t_ns for t_ns, _ in batches], dtype=np.int64), sizes),
        np.concatenate([b.value for _, b in batches]),
        np.concatenate([b.quality for _, b in batches]),
        np.concatenate([b.source_ns for _, b in batches]),
        np.concatenate([b.retained for _, b in batches]),
    )


def encode(readings: Readings, config_n: int) -> bytes:
    """Pack readings that arrived under configuration `config_n` into one block."""
    value = readings.value
    with np.errstate(invalid="ignore", over="ignore"):
        scaled = np.rint(value * _DECIMAL)
    integer = np.where(np.abs(scaled) < _MAX_INTEGER, scaled, 0.0).astype(np.int64)
    decimal = _same_bits(integer / _DECIMAL, value)
    integer[~decimal] = 0
    has_source = readings.source_ns != NO_SOURCE_TIME
    lag = np.where(has_source, _minus(readings.source_ns, readings.t_ns), np.int64(0))
    flags = readings.retained * _RETAINED | has_source * _HAS_SOURCE | decimal * _DECIMAL_VALUE
    columns = (
        _planes(_steps(readings.point)),
        _planes(_steps(readings.t_ns)),
        _planes(_steps(integer)),
        _planes(lag),
        readings.quality.tobytes(),
        flags.astype(np.uint8).tobytes(),
        _planes(value[~decimal]),
    )
    head = _HEAD.pack(_MAGIC, len(readings), config_n)
    packed = zlib.compress(b"".join(columns), _LEVEL)
    return head + hashlib.sha256(head + packed).digest() + packed


def decode(block: bytes) -> tuple[int, Readings]:
    """Unpack a block into its configuration number and its readings.

    Raises
    ------
    CorruptReadingsError
        If the block is not, bit for bit, what `encode` made.
    """
    start = _HEAD.size + _DIGEST_BYTES
    if len(block) < start or block[:4] != _MAGIC:
        raise CorruptReadingsError("not a block of readings: its head is missing")
    head, digest, packed = block[: _HEAD.size], block[_HEAD.size : start], block[start:]
    if hashlib.sha256(head + packed).digest() != digest:
        raise CorruptReadingsError("a block of readings was altered: its digest does not match")
    _, n, config_n = _HEAD.unpack(head)
    return config_n, _unpack(zlib.decompress(packed), n)


def digest(block: bytes) -> bytes:
    """Return the SHA-256 digest [32 bytes] that a block carries of itself."""
    return block[_HEAD.size : _HEAD.size + _DIGEST_BYTES]


def _unpack(data: bytes, n: int) -> Readings:
    cuts = np.cumsum([0, 4 * n, 8 * n, 8 * n, 8 * n, n, n]).tolist()
    point, t_ns, integer, lag, quality, flags, rest = (
        data[a:b] for a, b in zip(cuts, [*cuts[1:], len(data)], strict=True)
    )
    flag = np.frombuffer(flags, dtype=np.uint8)
    stamp = np.cumsum(_columns(t_ns, np.int64), dtype=np.int64)
    value = np.cumsum(_columns(integer, np.int64), dtype=np.int64) / _DECIMAL
    value[(flag & _DECIMAL_VALUE) == 0] = _columns(rest, np.float64)
    source_ns = _minus(stamp, _minus(np.int64(0), _columns(lag, np.int64)))
    return Readings(
        np.cumsum(_columns(point, np.int32), dtype=np.int32),
        stamp,
        value,
        np.frombuffer(quality, dtype=np.uint8),
        np.where((flag & _HAS_SOURCE) != 0, source_ns, NO_SOURCE_TIME),
        (flag & _RETAINED) != 0,
    )


def _same_bits(a: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.bool_]:
    same: NDArray[np.bool_] = a.view(np.int64) == b.view(np.int64)
    return same


def _minus(a: NDArray[np.int64] | np.int64, b: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return ``a - b`` modulo 2^64: source times may be anything, and come back as they were."""
    return (np.asarray(a).view(np.uint64) - b.view(np.uint64)).view(np.int64)


def _steps(column: NDArray[_Int]) -> NDArray[_Int]:
    """Return differences to the reading before (the first to 0), modulo the width of the column."""
    return np.diff(column, prepend=column.dtype.type(0))


def _planes(column: NDArray[np.generic]) -> bytes:
    width = column.dtype.itemsize
    return np.ascontiguousarray(column).view(np.uint8).reshape(-1, width).T.tobytes()


def _columns(data: bytes, kind: type[_Any]) -> NDArray[_Any]:
    """Undo `_planes`."""
    width = np.dtype(kind).itemsize
    planes = np.frombuffer(data, dtype=np.uint8).reshape(width, -1)
    return np.ascontiguousarray(planes.T).view(kind).reshape(-1)
