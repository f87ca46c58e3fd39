"""The engine's memory as bytes: what a restart needs, by name, so that order may change.

Layout: a JSON line of ids, a JSON line of array names, dtypes, lengths and small values, then the
raw arrays. Written every few seconds on the alarm path, so no column is turned into Python
objects, and the line of ids, which never changes, is made once.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


@dataclass(slots=True)
class Snapshot:
    """Arrays by name (``group.column``), ids by group, and small values."""

    t_ns: int
    seq: int
    ids_line: bytes
    arrays: dict[str, Array]
    small: dict[str, Any] = field(default_factory=dict)

    def to_bytes(self) -> bytes:
        """Serialise; never fails for arrays of fixed-width types."""
        raw = [np.ascontiguousarray(a) for a in self.arrays.values()]
        layout = [[k, a.dtype.str, len(a)] for k, a in zip(self.arrays, raw, strict=True)]
        header = {
            "format": 1,
            "t_ns": self.t_ns,
            "seq": self.seq,
            "layout": layout,
            "small": self.small,
        }
        head = json.dumps(header).encode()
        return b"".join([self.ids_line, b"\n", head, b"\n", *(a.tobytes() for a in raw)])

    @staticmethod
    def from_bytes(data: bytes) -> Snapshot:
        """Read it back; raises ValueError where the bytes are not a snapshot."""
        ids_line, _, rest = data.partition(b"\n")
        head, newline, body = rest.partition(b"\n")
        if not newline:
            message = "not a snapshot of the engine: no header line"
            raise ValueError(message)
        header = json.loads(head)
        if header.get("format") != 1:
            message = f"snapshot format {header.get('format')!r} is not known to this version"
            raise ValueError(message)
        arrays: dict[str, Array] = {}
        at = 0
        for name, dtype, length in header["layout"]:
            size = np.dtype(dtype).itemsize * length
            arrays[name] = np.frombuffer(body[at : at + size], dtype=dtype).copy()
            at += size
        return Snapshot(header["t_ns"], header["seq"], ids_line, arrays, header["small"])

    def ids(self) -> dict[str, list[str]]:
        """Return the ids of each group."""
        found: dict[str, list[str]] = json.loads(self.ids_line)
        return found

    def columns(self, group: str, ids: tuple[str, ...], names: tuple[str, ...]) -> Rows:
        """Find where today's `ids` stood in the saved columns of a group."""
        where = {name: i for i, name in enumerate(self.ids().get(group, ()))}
        pairs = [(i, where[name]) for i, name in enumerate(ids) if name in where]
        now = np.array([a for a, _ in pairs], dtype=np.intp)
        then = np.array([b for _, b in pairs], dtype=np.intp)
        return Rows(now, {n: self.arrays[f"{group}.{n}"][then] for n in names})


@dataclass(frozen=True, slots=True)
class Rows:
    """Saved columns, cut to the ids that still exist; `now` is where they stand today."""

    now: NDArray[np.intp]
    column: dict[str, Array]

    def into(self, target: object) -> None:
        """Copy each column into the attribute of the same name."""
        for name, values in self.column.items():
            getattr(target, name)[self.now] = values
