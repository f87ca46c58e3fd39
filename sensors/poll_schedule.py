"""When to poll which unit of a link: earliest deadline first, dead units parked and probed.

Arithmetic on times that are passed in [s]; no clock here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

PARKED_AFTER: Final = 3
"""Failed polls in a row after which a unit is only probed, so that it does not hold up the rest."""

PROBE_CAP_S: Final = 10.0
"""Longest time between two probes of a parked unit [s]."""

BACKOFF_FIRST_S: Final = 0.2
BACKOFF_CAP_S: Final = 10.0


@dataclass(slots=True)
class UnitTurn:
    """When one unit is due.

    Parameters
    ----------
    poll_s : float
        Its period [s].
    due_s : float
        When its next poll or probe may begin [s].
    failures : int
        Failed polls in a row.
    probe_s : float
        Present time between probes [s]; grows while it stays dead.
    """

    poll_s: float
    due_s: float = 0.0
    failures: int = 0
    probe_s: float = 0.0

    @property
    def parked(self) -> bool:
        """Whether only a small probe is worth its time now."""
        return self.failures >= PARKED_AFTER

    @property
    def deadline_s(self) -> float:
        """When the turn should be over [s]; a probe can wait for every poll."""
        return self.due_s + (self.probe_s if self.parked else self.poll_s)

    def succeeded(self, now_s: float) -> None:
        """Note a poll that was answered; a probe's answer makes a full poll due at once."""
        if self.parked:
            self.due_s = now_s
        else:
            # Keep the beat; after a delay begin a new one, without making up for lost turns.
            self.due_s = max(self.due_s + self.poll_s, now_s)
        self.failures, self.probe_s = 0, 0.0

    def failed(self, now_s: float) -> None:
        """Note a poll or probe without an answer."""
        self.failures += 1
        if self.parked:
            self.probe_s = min(max(2.0 * self.probe_s, self.poll_s), PROBE_CAP_S)
            self.due_s = now_s + self.probe_s
        else:
            self.due_s = max(self.due_s + self.poll_s, now_s)


def next_turn(turns: Sequence[UnitTurn], now_s: float) -> int:
    """Return which turn is next: of those due, the earliest deadline; else the first to be due."""
    due = [n for n, turn in enumerate(turns) if turn.due_s <= now_s]
    if due:
        return min(due, key=lambda n: turns[n].deadline_s)
    return min(range(len(turns)), key=lambda n: turns[n].due_s)


@dataclass(slots=True)
class Backoff:
    """The growing pause between attempts to connect; reset only by a good reply."""

    tries: int = 0

    def next_s(self, spread: float) -> float:
        """Return the next pause [s]; `spread` in [0, 1) keeps links from knocking in step."""
        pause_s = min(BACKOFF_CAP_S, BACKOFF_FIRST_S * 2.0 ** min(self.tries, 16))
        self.tries += 1
        return pause_s * (0.5 + 0.5 * spread)

    def reset(self) -> None:
        """Begin again with the shortest pause."""
        self.tries = 0
