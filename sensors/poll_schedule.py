"""When to poll which unit of a link: earliest deadline first; dead ones parked and probed.

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
    rest_until_s : float
        Until when the others have the link to themselves after its last failure [s].
    """

    poll_s: float
    due_s: float = 0.0
    failures: int = 0
    probe_s: float = 0.0
    rest_until_s: float = float("-inf")

    @property
    def parked(self) -> bool:
        """Whether only a small probe is worth its time now."""
        return self.failures >= PARKED_AFTER

    def succeeded(self, now_s: float) -> None:
        """Note a poll that was answered; a probe's answer makes a full poll due at once."""
        if self.parked:
            self.due_s = now_s
        else:
            # Keep the beat; after a delay begin a new one, without making up for lost turns.
            self.due_s = max(self.due_s + self.poll_s, now_s)
        self.failures, self.probe_s = 0, 0.0

    def failed(self, now_s: float, took_s: float = 0.0) -> None:
        """Note a poll or probe without an answer, and how long it took of everybody's time."""
        self.failures += 1
        self.rest_until_s = now_s + took_s
        if self.parked:
            self.probe_s = min(max(2.0 * self.probe_s, self.poll_s), PROBE_CAP_S)
            self.due_s = now_s + self.probe_s
        else:
            self.due_s = max(self.due_s + self.poll_s, now_s)


def next_turn(turns: Sequence[UnitTurn], now_s: float, probe_s: float) -> int:
    """Return which turn is next; it may not be due yet.

    Of the living units that are due, the earliest deadline. One that did not answer last time has
    its turn when none of the living is due, or when it is late by its period; a parked one when
    none of the living falls due while its probe may take up to `probe_s` [s], or when it has waited
    for `PROBE_CAP_S`. But after each failure the living have as long to themselves as it took:
    with half a cable dead the dead alone would fill all the time there is.
    """
    living = [n for n, turn in enumerate(turns) if turn.failures == 0]
    due = [n for n in living if turns[n].due_s <= now_s]
    free_s = min((turns[n].due_s for n in living), default=float("inf"))
    fits = not due and free_s >= now_s + probe_s
    rested = not due or now_s >= max(turn.rest_until_s for turn in turns)
    overdue = []
    for n, turn in enumerate(turns):
        patience_s = PROBE_CAP_S if turn.parked else 0.0 if not due else turn.poll_s
        if turn.failures and rested and now_s - turn.due_s >= (0.0 if fits else patience_s):
            overdue.append(n)
    if overdue:
        return min(overdue, key=lambda n: turns[n].due_s)
    if due:
        return min(due, key=lambda n: turns[n].due_s + turns[n].poll_s)
    return min(living or range(len(turns)), key=lambda n: turns[n].due_s)


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
