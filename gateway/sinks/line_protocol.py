"""Readings and events as lines of InfluxDB line protocol; pure.

::

    reading,site=<id>,zone=<id>,point=<id>,quantity=<key>,device=<id> q=<code>i,v=<value> <ns>
    event,site=<id>,zone=<id>,rule=<id>,point=<id> seq=<n>i,to_state="<word>",... <ns>

* The quality code `q` stands in every line: a reading without a usable value is written too.
* `v` stands wherever the value is finite, whatever its quality: an over-range value *is* the
  exceedance. It is always a float: a field that is sometimes an integer is refused by the server.
* `src` is the source time [ns] if the device sent one, ``retained=true`` marks what a broker kept.
* A server overwrites a line of the same series and time. Times are therefore made unique, in a way
  that gives the same result when the same readings are sent again (`unique_times`).
* Escaping takes care of separators. Line breaks and other control characters, which no server
  agrees about, become a blank, and so does a backslash in a tag.

References
----------
InfluxDB line protocol reference, "Special characters" and "Naming restrictions".
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from alarms.events import Row
from gateway.readings_codec import Readings
from sensors.frame import NO_SOURCE_TIME

_TAG_UNSAFE: Final = re.compile(r"[\x00-\x1f\x7f\\]")
_TAG_SPECIAL: Final = re.compile(r"([,= ])")
_TEXT_UNSAFE: Final = re.compile(r"[\x00-\x1f\x7f]")
_TEXT_SPECIAL: Final = re.compile(r'(["\\])')


def series(measurement: str, tags: Mapping[str, str]) -> bytes:
    """Return measurement and tags of a line; an empty tag is left out, as the format wants it."""
    written = [f",{key}={_tag(value)}" for key, value in tags.items() if value]
    return f"{measurement}{''.join(written)}".encode(errors="replace")


def reading_lines(
    prefixes: Sequence[bytes], readings: Readings, times_ns: NDArray[np.int64]
) -> list[bytes]:
    """Return one line per reading.

    Parameters
    ----------
    prefixes : sequence of bytes
        What `series` made for each point index.
    readings : Readings
        Columns of shape (n,).
    times_ns : int64 (n,)
        Times of the lines [ns since 1970 UTC].
    """
    lines = []
    columns = (readings.point, times_ns, readings.value, readings.quality, readings.source_ns)
    for point, t_ns, value, quality, source_ns, retained in zip(
        *(column.tolist() for column in columns), readings.retained.tolist(), strict=True
    ):
        fields = f" q={quality}i"
        if math.isfinite(value):
            fields += f",v={value!r}"
        if source_ns != NO_SOURCE_TIME:
            fields += f",src={source_ns}i"
        if retained:
            fields += ",retained=true"
        lines.append(prefixes[point] + f"{fields} {t_ns}".encode())
    return lines


def unique_times(
    point: NDArray[np.int32], t_ns: NDArray[np.int64], carried: Mapping[int, int]
) -> tuple[NDArray[np.int64], dict[int, int]]:
    """Give each reading a time that no earlier reading of its point has.

    Inbox stamps rise strictly, so that only a point that stands twice in one batch has a time
    twice: its later reading moves one nanosecond on, and what it may then hit moves on as well.

    Parameters
    ----------
    point : int32 (n,)
    t_ns : int64 (n,)
        Inbox stamps [ns], not decreasing.
    carried : mapping
        What this function returned for the readings before these; a batch may be cut in two.

    Returns
    -------
    times_ns : int64 (n,)
        `t_ns`, moved on where necessary.
    carried : dict
        Newest time per point, where a later reading could still hit it.
    """
    if not len(point):
        return t_ns, dict(carried)
    order = np.lexsort((np.arange(len(point)), point))
    twice = (np.diff(point[order]) == 0) & (np.diff(t_ns[order]) <= 0)
    times = t_ns.copy()
    newest: dict[int, int] = {}
    if twice.any() or max(carried.values(), default=-1) >= t_ns[0]:
        newest |= carried
        for i, (who, when) in enumerate(zip(point.tolist(), t_ns.tolist(), strict=True)):
            times[i] = newest[who] = max(when, newest.get(who, when - 1) + 1)
    else:
        at_end = t_ns == t_ns[-1]
        newest = dict.fromkeys(point[at_end].tolist(), int(t_ns[-1]))
    return times, {who: when for who, when in newest.items() if when >= t_ns[-1]}


def event_line(site: str, row: Row, t_ns: int) -> bytes:
    """Return the line of one event row at time `t_ns` [ns]."""
    tags = {"site": site, "zone": row.zone, "rule": row.rule, "point": row.point}
    fields = [f"seq={row.seq}i", f"cause_seq={row.cause_seq}i"]
    words = {
        "from_state": row.from_state,
        "to_state": row.to_state,
        "from_level": row.from_level,
        "to_level": row.to_level,
        "demands": " ".join(row.demands),
        "reason": row.reason,
        "quality": row.quality,
        "actor": row.actor,
    }
    fields += [f'{key}="{_text(word)}"' for key, word in words.items() if word]
    if row.value is not None and math.isfinite(row.value):
        fields.append(f"value={float(row.value)!r}")
    return series("event", tags) + f" {','.join(fields)} {t_ns}".encode(errors="replace")


def _tag(value: str) -> str:
    return _TAG_SPECIAL.sub(r"\\\1", _TAG_UNSAFE.sub(" ", value))


def _text(value: str) -> str:
    return _TEXT_SPECIAL.sub(r"\\\1", _TEXT_UNSAFE.sub(" ", value))
