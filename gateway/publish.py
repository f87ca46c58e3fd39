"""What the core shows of itself, as columns and small values, for the mapped live state."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from alarms.engine import Engine
from gateway.clock import WallClock
from sensors.link_status import LinkStatus

Json = dict[str, Any]


@dataclass(slots=True)
class Health:
    """Parts of the gateway by name: (works, reason)."""

    parts: dict[str, tuple[bool, str]] = field(default_factory=dict)

    def say(self, part: str, *, works: bool, reason: str = "") -> None:
        """Note the state of a part."""
        self.parts[part] = (works, reason)

    def as_json(self) -> Json:
        """Return the parts as plain values."""
        return {
            part: {"ok": works, "reason": reason} for part, (works, reason) in self.parts.items()
        }


def link_row(name: str, kind: str, status: LinkStatus, now_ns: int) -> Json:
    """Return one link as plain values; the age of its last good reply in seconds."""
    age = None
    if status.last_good_monotonic_ns:
        age = round((now_ns - status.last_good_monotonic_ns) / 1e9, 3)
    return {
        "id": name,
        "kind": kind,
        "connected": status.connected,
        "polls": status.polls,
        "good": status.good,
        "errors": dict(status.errors),
        "reconnects": status.reconnects,
        "last_error": status.last_error,
        "last_good_age_s": age,
    }


def columns(
    engine: Engine,
    required: NDArray[np.bool_],
    readback: NDArray[np.int8],
    since: NDArray[np.int64],
) -> dict[str, NDArray[Any]]:
    """Return the live columns of points (N,), alarms (A,), zones (Z,) and outputs (O,)."""
    frame, states, effects = engine.points.frame, engine.states, engine.effects
    return {
        "point_value": frame.value,
        "point_quality": frame.quality,
        "point_received_ns": frame.received_ns,
        "point_source_ns": frame.source_ns,
        "alarm_state": states.state,
        "alarm_condition": states.condition.astype(np.uint8),
        "alarm_in_force": states.in_force().astype(np.uint8),
        "alarm_since_ns": states.since,
        "alarm_raised_ns": states.raised_at,
        "alarm_last_seq": states.last_seq,
        "alarm_value": states.value,
        "alarm_until_ns": states.until,
        "zone_level": effects.level,
        "zone_demands": effects.demands,
        "zone_lost_since_ns": engine.loss.lost_since,
        "output_commanded": required.astype(np.int8),
        "output_readback": readback,
        "output_since_ns": since,
    }


def meta(  # noqa: PLR0913 - one value each
    *,
    engine: Engine,
    clock: WallClock,
    t_ns: int,
    steps: int,
    digest: str,
    started_t_ns: int,
    committed_seq: int,
    links: Sequence[Json],
    health: Health,
    peers: Sequence[Json],
) -> Json:
    """Return the small values of the live state."""
    acks = {
        alarm: {"actor": actor, "t_ns": at} for alarm, (actor, at) in engine.states.acked_by.items()
    }
    return {
        "step": steps,
        "t_ns": t_ns,
        "wall_offset_ns": clock.offset_ns,
        "digest": digest,
        "started_t_ns": started_t_ns,
        "published_monotonic_ns": clock.monotonic_ns(),
        "last_seq": engine.states.seq,
        "committed_seq": committed_seq,
        "links": list(links),
        "health": health.as_json(),
        "acks": acks,
        "peers": list(peers),
        "last_step_ns": t_ns,
    }
