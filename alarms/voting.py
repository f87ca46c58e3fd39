"""Votes: at least M of the member rules, degrading as members are lost, never below one."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from alarms.plan import LimitRule, VoteRule
from sensors.freshness import Freshness
from sensors.quality import MAY_CLEAR, Quality

Bools = NDArray[np.bool_]


class VoteState:
    """Conditions and voters of all votes."""

    def __init__(self, votes: tuple[VoteRule, ...], rules: tuple[LimitRule, ...]) -> None:
        self.votes = votes
        self.members = [np.array(v.members, dtype=np.intp) for v in votes]
        self.points = [np.array([rules[m].point for m in v.members], dtype=np.intp) for v in votes]
        self.condition = np.zeros(len(votes), dtype=np.bool_)
        self.voted: list[set[int]] = [set() for _ in votes]

    def evaluate(
        self,
        points: Freshness,
        *,
        rule_condition: Bools,
        sampled: Bools,
        out: Bools,
    ) -> tuple[Bools, list[int]]:
        """Return (conditions, votes that gained a new voter while already true).

        votes = members whose condition is true, held ones included; lost = members that may not
        clear and do not vote; true when ``votes >= max(1, M - lost)``. It falls only at a sample
        of a member's point.
        """
        gained: list[int] = []
        if not self.votes:
            return self.condition, gained
        quality = points.frame.quality
        unseen = (quality == Quality.NO_DATA) | (quality == Quality.RETAINED)
        unusable = ~MAY_CLEAR[quality] & (quality != Quality.UNDEFINED)
        # After a start a member is lost only when the fault of its point is due.
        unusable &= ~(unseen & points.in_grace)
        unusable |= out
        for i, vote in enumerate(self.votes):
            ballot = rule_condition[self.members[i]]
            lost = int((unusable[self.points[i]] & ~ballot).sum())
            voters = {m for m, yes in zip(vote.members, ballot.tolist(), strict=True) if yes}
            true = len(voters) >= max(1, vote.m - lost)
            if true and not self.condition[i]:
                self.condition[i] = True
                self.voted[i] = voters
            elif self.condition[i] and not true and sampled[self.points[i]].any():
                self.condition[i] = False
            elif self.condition[i] and voters - self.voted[i]:
                self.voted[i] |= voters
                gained.append(i)
        return self.condition, gained
