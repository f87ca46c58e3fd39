"""The main-fan ladder: the sections leave at once, the mine when the fan stays down.

After 30 CFR 75.313: sections are withdrawn when a main fan stops with people underground, the
mine when ventilation is not restored within 15 minutes; other profiles set other minutes.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from alarms.plan import LadderRule
from sensors.freshness import NEVER


class LadderState:
    """First stop of the fan and the conditions of both stages, shape (2,)."""

    def __init__(self, rule: LadderRule | None) -> None:
        self.rule = rule
        self.mine_after = round(rule.mine_after_s * 1e9) if rule else 0
        self.condition = np.zeros(2 if rule else 0, dtype=np.bool_)
        self.first_stop = NEVER

    def evaluate(
        self, t_ns: int, rule_condition: NDArray[np.bool_], zone_lost: NDArray[np.bool_]
    ) -> NDArray[np.bool_]:
        """Return both stages; stopped: a fan rule is true, or the fan's zone is lost."""
        if self.rule is not None:
            stopped = bool(
                rule_condition[list(self.rule.fan_rules)].any() or zone_lost[self.rule.zone]
            )
            if stopped and self.first_stop == NEVER:
                self.first_stop = t_ns
            self.condition[0] = stopped
            self.condition[1] = stopped and self.first_stop + self.mine_after <= t_ns
        return self.condition

    def downtime_unknown(self, t_ns: int) -> None:
        """Say at a restart that the time down cannot be proved: the minutes are then over."""
        if self.first_stop != NEVER:
            self.first_stop = min(self.first_stop, t_ns - self.mine_after)

    @property
    def air_is_off(self) -> bool:
        """From the first stop until the sections' alarm is reset."""
        return self.first_stop != NEVER

    def forget(self) -> None:
        """Forget the first stop: the sections' alarm was reset with the fan running."""
        self.first_stop = NEVER

    def next_deadline(self) -> int:
        """Return the instant at which the mine's stage falls due [ns]."""
        if self.rule is None or not self.condition[0] or self.condition[1]:
            return NEVER
        return self.first_stop + self.mine_after
