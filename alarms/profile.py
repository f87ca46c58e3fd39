"""A regulatory profile: the limits of one jurisdiction, as tables.

Limits depend on the place, the operator ("reaches" or "exceeds"), the gas category of the mine and
what must follow; so a row carries all of these, and where it comes from.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

from alarms.plan import Demand, Level, Op, Source

GasCategory = Literal["low", "high", "outburst"]
GAS_CATEGORIES: Final = ("low", "high", "outburst")
EVERYWHERE: Final = "*"
OWN: Final = "own"
ALL: Final = "all"
VERIFIED: Final = ("yes", "partly", "no")
OPS: Final = (">", ">=", "<", "<=")
# Steps of one operator: what may follow it as a reset, on the safe side of the limit.
RESET_OPS: Final[Mapping[str, tuple[str, ...]]] = {
    ">": ("<", "<="),
    ">=": ("<", "<="),
    "<": (">", ">="),
    "<=": (">", ">="),
}

ScopedDemands = tuple[tuple[Demand, tuple[str, ...]], ...]
"""Pairs of a demand and the words of its scope: ``own``, a zone class, ``all:<class>``, ``all``."""


@dataclass(frozen=True, slots=True)
class ProfileLimit:
    """One limit of the law; values in the canonical unit of `quantity`."""

    quantity: str
    locations: frozenset[str]
    gas_categories: frozenset[str]
    step: str
    op: Op
    value: float
    reset_op: Op
    reset: float
    level: Level
    demands: ScopedDemands
    on_delay_s: float
    off_delay_s: float
    source: Source
    guidance: str

    def applies(self, quantity: str, location: str, gas_category: str) -> bool:
        """Tell whether the row is for a point of that quantity at that place."""
        return (
            quantity == self.quantity
            and (location in self.locations or EVERYWHERE in self.locations)
            and gas_category in self.gas_categories
        )


@dataclass(frozen=True, slots=True)
class ProfileLoss:
    """Loss of monitoring in zones of some classes."""

    zone_classes: frozenset[str]
    lost_after_s: float
    back_after_s: float
    level: Level
    demands: ScopedDemands
    source: Source
    guidance: str


@dataclass(frozen=True, slots=True)
class ProfileLadder:
    """Main-fan ladder: which limit says "stopped", which zones are sections, the mine's minutes."""

    zone_class: str
    quantity: str
    location: str
    step: str
    sections: frozenset[str]
    mine_after_s: float
    source: Source


@dataclass(frozen=True, slots=True)
class Profile:
    """A jurisdiction's limits."""

    id: str
    name: str
    edition: str
    limits: tuple[ProfileLimit, ...]
    losses: tuple[ProfileLoss, ...]
    ladder: ProfileLadder

    def limits_for(
        self, quantity: str, location: str, gas_category: str
    ) -> tuple[ProfileLimit, ...]:
        """Return the rows for a point, in the order of the file; each step at most once."""
        return tuple(r for r in self.limits if r.applies(quantity, location, gas_category))

    def loss_for(self, zone_class: str) -> ProfileLoss | None:
        """Return the row for loss of monitoring in zones of a class."""
        return next((r for r in self.losses if zone_class in r.zone_classes), None)


def overlaps(op: str, value: float, reset_op: str, reset: float) -> bool:
    """Tell whether a value could both raise and clear; equal means within 1e-6 (relative)."""
    equal = abs(value - reset) <= 2e-6 * max(abs(value), abs(reset), 1e-9)
    if reset_op not in RESET_OPS[op]:
        return True
    if equal:
        return op.endswith("=") and reset_op.endswith("=")
    return (reset > value) if op.startswith(">") else (reset < value)
