"""Live state: what the core knows now, in a memory-mapped file that others read without asking.

Two slots, each under a sequence lock. The writer fills the slot that is not in use and then
turns to it: it never waits for a reader, and if it dies in the middle of a publication the last
whole state stays readable. A reader copies the slot in use, and takes the copy only if the
slot's sequence was even, did not move meanwhile, and the checksum over the copy fits; so a torn
copy is never returned. (The checksum is not only for a flipped bit: Python offers no memory
barrier, so on a weakly ordered processor the sequence alone would prove nothing.)

File: head ``magic, slot capacity, slot in use``, then per slot ``sequence, length, crc32`` and
the payload: ``length of index, index as JSON, columns one after the other``. Little endian.
"""

from __future__ import annotations

import json
import mmap
import os
import struct
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeAlias

import numpy as np
import orjson
from numpy.typing import NDArray

_MAGIC: Final = b"FDLIVE01"
_HEAD: Final = struct.Struct("<8sQQ")
_IN_USE_AT: Final = 16
_U64: Final = struct.Struct("<Q")
_SLOT: Final = struct.Struct("<QQQ")
_ALIGN: Final = 64
_TRIES: Final = 1_000

Array: TypeAlias = NDArray[Any]
Json: TypeAlias = Mapping[str, Any]


class LiveStateFullError(ValueError):
    """A publication larger than the slots of the file."""


@dataclass(frozen=True, slots=True)
class LiveState:
    """One publication of the core: names and columns as it passed them to `publish`."""

    meta: Json
    arrays: Mapping[str, Array]


class LiveWriter:
    """The only writer of the file; never waits.

    The state of an earlier run stays readable until the first publication.

    Parameters
    ----------
    path : Path
        The file; made if absent or of another capacity.
    capacity : int
        Largest publication [bytes]; twice as much is allocated at once, so that a disk that
        fills up later cannot end the process with a bus error.

    Raises
    ------
    OSError
        If the file cannot be made.
    """

    def __init__(self, path: Path, capacity: int) -> None:
        self.capacity = _aligned(capacity)
        size = _slot_at(2, self.capacity)
        if not _is_ours(path, self.capacity, size):
            _make(path, self.capacity, size)
        with path.open("r+b") as file:
            self._map = mmap.mmap(file.fileno(), size)
        in_use = _U64.unpack_from(self._map, _IN_USE_AT)[0]
        self._slot = int(in_use) & 1
        sequences = [_SLOT.unpack_from(self._map, _slot_at(i, self.capacity))[0] for i in (0, 1)]
        self._sequence = (max(sequences) | 1) + 1

    def publish(self, meta: Json, arrays: Mapping[str, Array]) -> None:
        """Make this the state that readers see.

        Raises
        ------
        LiveStateFullError
            If it is larger than the capacity; readers then keep the state before.
        """
        payload = _packed(meta, arrays)
        if len(payload) > self.capacity:
            raise LiveStateFullError(
                f"live state of {len(payload)} bytes does not fit into {self.capacity}: "
                "open LiveWriter with a larger capacity"
            )
        slot = 1 - self._slot
        at = _slot_at(slot, self.capacity)
        _U64.pack_into(self._map, at, self._sequence + 1)  # odd: being written
        begin = at + _SLOT.size
        self._map[begin : begin + len(payload)] = payload
        self._sequence += 2
        _SLOT.pack_into(self._map, at, self._sequence, len(payload), zlib.crc32(payload))
        _U64.pack_into(self._map, _IN_USE_AT, slot)
        self._slot = slot

    def close(self) -> None:
        """Let go of the file; the last state stays in it."""
        self._map.close()


class LiveReader:
    """Reads the file from any process; follows it when a new core replaces it."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._map: mmap.mmap | None = None
        self._identity = (0, 0)
        self.retries = 0

    def read(self) -> LiveState | None:
        """Return the newest whole state, or None if there is none (yet)."""
        if not self._open():
            return None
        for _ in range(_TRIES):
            payload = self._copy()
            if payload is not None:
                return _unpacked(payload)
            self.retries += 1
        return None

    def close(self) -> None:
        """Let go of the file."""
        if self._map is not None:
            self._map.close()
            self._map = None

    def _copy(self, *, checked: bool = True) -> bytes | None:
        """Copy the slot in use; None if it was being written. `checked` is for a control test."""
        mapped = self._map
        if mapped is None:
            return None
        _, capacity, in_use = _HEAD.unpack_from(mapped)
        at = _slot_at(in_use & 1, capacity)
        sequence, length, crc = _SLOT.unpack_from(mapped, at)
        if sequence % 2 or not 0 < length <= capacity:
            return None
        begin = at + _SLOT.size
        payload = mapped[begin : begin + length]
        if checked and (_U64.unpack_from(mapped, at)[0] != sequence or zlib.crc32(payload) != crc):
            return None
        return payload

    def _open(self) -> bool:
        try:
            found = self._path.stat()
        except FileNotFoundError:
            self.close()
            return False
        identity = (found.st_ino, found.st_size)
        if self._map is None or identity != self._identity:
            self.close()
            with self._path.open("rb") as file:
                size = os.fstat(file.fileno()).st_size
                if size < _HEAD.size:
                    return False
                mapped = mmap.mmap(file.fileno(), size, access=mmap.ACCESS_READ)
            magic, capacity, _ = _HEAD.unpack_from(mapped)
            if magic != _MAGIC or size != _slot_at(2, capacity):
                mapped.close()
                return False
            self._map, self._identity = mapped, identity
        return True


def _packed(meta: Json, arrays: Mapping[str, Array]) -> bytes:
    columns = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
    about = {
        "meta": meta,
        "columns": [[name, a.dtype.str, list(a.shape)] for name, a in columns.items()],
    }
    try:
        index = orjson.dumps(about)
    except TypeError:  # a text from outside that UTF-8 cannot hold, or a number of 65 bits
        index = json.dumps(about, ensure_ascii=False, default=str).encode("utf-8", "replace")
    return b"".join((_U64.pack(len(index)), index, *(a.tobytes() for a in columns.values())))


def _unpacked(payload: bytes) -> LiveState:
    (length,) = _U64.unpack_from(payload)
    at = _U64.size + length
    index = orjson.loads(payload[_U64.size : at])
    arrays: dict[str, Array] = {}
    for name, kind, shape in index["columns"]:
        count = int(np.prod(shape, dtype=np.int64))
        arrays[name] = np.frombuffer(payload, np.dtype(kind), count, at).reshape(shape)
        at += arrays[name].nbytes
    return LiveState(index["meta"], arrays)


def _aligned(size: int) -> int:
    return -(-size // _ALIGN) * _ALIGN


def _slot_at(slot: int, capacity: int) -> int:
    """Offset of a slot [bytes]; that of slot 2 is the size of the file."""
    return _ALIGN + slot * _aligned(_SLOT.size + capacity)


def _is_ours(path: Path, capacity: int, size: int) -> bool:
    try:
        with path.open("rb") as file:
            head = file.read(_HEAD.size)
            return os.fstat(file.fileno()).st_size == size and (
                head[:_IN_USE_AT] == _MAGIC + _U64.pack(capacity)
            )
    except FileNotFoundError:
        return False


def _make(path: Path, capacity: int, size: int) -> None:
    """Put a new file in the place of the old one; readers of the old one keep theirs."""
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_name(path.name + ".new")
    with fresh.open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, size)
        file.write(_HEAD.pack(_MAGIC, capacity, 0))
    fresh.replace(path)
