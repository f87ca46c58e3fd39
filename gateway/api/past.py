"""The recorded past of one point: from the historian's files, or from the journal alone.

Times are wall times. A long answer comes in parts, so that no request holds a thread for long.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields
from functools import partial
from typing import Final, Protocol

import numpy as np

from gateway.api.answers import SampleAnswer, StepAnswer
from gateway.api.journal_gate import JournalGate
from gateway.api.picture import Now, finite, iso, iso_ns
from gateway.history import Envelope, envelope, joined, sums
from gateway.journal_reader import JournalReader
from gateway.journal_rows import OFFSET_KINDS, History, WallOffsets
from sensors.frame import NO_SOURCE_TIME
from sensors.quality import Quality

MAX_SAMPLES: Final = 10_000
MAX_STEPS: Final = 5_000
_SLICE_NS: Final = 600_000_000_000
_LONGEST_NS: Final = 2_000_000_000
# Without the historian: what a device sent later than this is not looked for.
_LATE_NS: Final = 600_000_000_000


class Recorded(Protocol):
    """A historian: the past of one point, by its id, in wall time."""

    def history(self, point_id: str, start_ns: int, end_ns: int, /) -> History:
        """Return the samples with ``start_ns <= time < end_ns``."""
        ...

    def envelope(self, point_id: str, start_ns: int, end_ns: int, step_ns: int, /) -> Envelope:
        """Return the same, one row per step that holds a sample."""
        ...


class Past:
    """Reads history; `historian` None: only what the journal still holds."""

    def __init__(
        self,
        gate: JournalGate,
        journal: JournalReader,
        historian: Recorded | None,
        now: Callable[[], Now],
    ) -> None:
        self._gate = gate
        self._journal = journal
        self._historian = historian
        self._now = now

    async def samples(self, name: str, start_ns: int, end_ns: int) -> tuple[History, int]:
        """Return samples with ``start_ns <= time``, and up to when they are complete [ns].

        A part ends between two instants, so that the next begins with all of one.
        """
        found, read_to_ns = await self._slices(name, start_ns, end_ns, _SLICE_NS, MAX_SAMPLES)
        if len(found) > MAX_SAMPLES:
            read_to_ns = int(found.time_ns[MAX_SAMPLES])
        n = int(np.searchsorted(found.time_ns, read_to_ns))
        return History(*(getattr(found, f.name)[:n] for f in fields(History))), read_to_ns

    async def steps(
        self, name: str, start_ns: int, end_ns: int, step_ns: int
    ) -> tuple[Envelope, int]:
        """Return the envelope of each step that holds a sample, and up to when [ns]."""
        if self._historian is not None:
            read = partial(self._historian.envelope, name, start_ns, end_ns, step_ns)
            return await self._gate.read(read), end_ns
        # Slices are whole steps, so that an answer in parts has no step in two of them.
        slice_ns = -(-_SLICE_NS // step_ns) * step_ns
        found, read_to_ns = await self._slices(name, start_ns, end_ns, slice_ns, None)
        return envelope([sums(found, start_ns, step_ns)], start_ns, step_ns), read_to_ns

    async def _slices(
        self, name: str, start_ns: int, end_ns: int, slice_ns: int, enough: int | None
    ) -> tuple[History, int]:
        """Read slice by slice until the end, enough samples, or out of time; say how far."""
        read = self._from_journal if self._historian is None else self._historian.history
        began_ns = self._now().monotonic_ns
        parts: list[History] = []
        at = start_ns
        while at < end_ns:
            to = min(at + slice_ns, end_ns)
            parts.append(await self._gate.read(partial(read, name, at, to)))
            at = to
            if enough is not None and sum(map(len, parts)) > enough:
                break
            if self._now().monotonic_ns - began_ns > _LONGEST_NS:
                break
        return joined(parts), at

    def _from_journal(self, name: str, start_ns: int, end_ns: int) -> History:
        """Read what lies on the wall between two times; the journal has an axis of its own."""
        offsets = WallOffsets.of([r for kind in OFFSET_KINDS for r in self._journal.records(kind)])
        ahead = max(0, int(offsets.offset_ns.max(initial=0)))
        behind = min(0, int(offsets.offset_ns.min(initial=0)))
        found = self._journal.history(name, start_ns - ahead, end_ns - behind, late_ns=_LATE_NS)
        offset_ns = offsets.at(found.received_ns)
        time_ns = found.time_ns + offset_ns
        has_source = found.source_ns != NO_SOURCE_TIME
        source_ns = np.where(
            has_source, found.source_ns + np.where(has_source, offset_ns, 0), NO_SOURCE_TIME
        )
        moved = History(
            time_ns,
            found.value,
            found.quality,
            source_ns,
            found.received_ns + offset_ns,
            found.retained,
        )
        inside = (time_ns >= start_ns) & (time_ns < end_ns)
        return joined([History(*(getattr(moved, f.name)[inside] for f in fields(History)))])


def sample_answers(part: History) -> list[SampleAnswer]:
    """Return recorded samples as they are answered."""
    columns = (getattr(part, field.name).tolist() for field in fields(History))
    return [
        {
            "time": iso_ns(time_ns),
            "value": finite(value),
            "quality": Quality(quality).name,
            "source_time": None if source_ns == NO_SOURCE_TIME else iso_ns(source_ns),
            "receive_time": iso_ns(received_ns),
            "retained": retained,
        }
        for time_ns, value, quality, source_ns, received_ns, retained in zip(*columns, strict=True)
    ]


def step_answers(part: Envelope) -> list[StepAnswer]:
    """Return the envelope as it is answered."""
    columns = (getattr(part, field.name).tolist() for field in fields(Envelope))
    return [
        {
            "time": iso(time_ns),
            "samples": samples,
            "usable": usable,
            "min": finite(low),
            "max": finite(high),
            "mean": finite(mean),
            "last": finite(last),
            "worst": Quality(worst).name,
        }
        for time_ns, low, high, mean, last, worst, samples, usable in zip(*columns, strict=True)
    ]
