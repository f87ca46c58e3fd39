"""Which registers to read together: what the links are told, and how reads are planned.

A block read takes neighbours together, reads over small gaps, and never cuts a 32-bit number in
two (its halves would come from two moments).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from sensors.device_types import BIT_FUNCTIONS, FUNCTIONS, DeviceType, Function

MAX_BITS: Final = 2000
"""Coils or discrete inputs in one read, by the protocol."""


@dataclass(frozen=True, slots=True)
class ModbusDeviceSpec:
    """One unit on a link: its type name, and point index per key of that type.

    `quantities` names, per key, the quantity whose canonical unit the value gets; a key that is
    not in it takes the device type's own. `base_address` is added to every address of the type;
    `order` replaces the byte order of its 32-bit numbers.
    """

    id: str
    type: str
    unit: int
    points: Mapping[str, int]
    poll_s: float
    base_address: int = 0
    order: str = ""
    lel_pct_vol: float | None = None
    quantities: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ModbusLinkSpec:
    """One Modbus TCP connection and everything behind it."""

    id: str
    host: str
    port: int
    timeout_s: float
    spacing_s: float
    devices: tuple[ModbusDeviceSpec, ...]


@dataclass(frozen=True, slots=True, order=True)
class Span:
    """Registers (or coils) that belong to one number and must come in one reply."""

    function: Function
    address: int
    count: int = 1


@dataclass(frozen=True, slots=True)
class Block:
    """One read request: `count` registers (or coils) from `address`."""

    function: Function
    address: int
    count: int

    def holds(self, span: Span) -> bool:
        """Tell whether a reply to this read brings all of `span`."""
        return (
            span.function == self.function
            and self.address <= span.address
            and span.address + span.count <= self.address + self.count
        )


def plan_blocks(spans: Iterable[Span], max_gap: int, max_count: int) -> tuple[Block, ...]:
    """Cover `spans` with few reads, in order of function and address.

    Parameters
    ----------
    spans : iterable of Span
        In any order; they may overlap.
    max_gap : int
        Registers or coils that may be read over between two needed ones.
    max_count : int
        Registers in one read; coils and discrete inputs are bounded by `MAX_BITS`.
    """
    blocks: list[Block] = []
    for span in sorted(set(spans), key=_place):
        last = blocks[-1] if blocks else None
        if last is not None and last.function == span.function:
            end = max(last.address + last.count, span.address + span.count)
            gap = span.address - (last.address + last.count)
            limit = MAX_BITS if span.function in BIT_FUNCTIONS else max_count
            if gap <= max_gap and end - last.address <= limit:
                blocks[-1] = Block(span.function, last.address, end - last.address)
                continue
        blocks.append(Block(span.function, span.address, span.count))
    return tuple(blocks)


def _place(span: Span) -> tuple[int, int, int]:
    return FUNCTIONS.index(span.function), span.address, -span.count


def split_block(block: Block, spans: Iterable[Span]) -> tuple[Block, ...]:
    """Read the same without anything in between, for a device that refuses unused addresses."""
    return plan_blocks((s for s in spans if block.holds(s)), 0, block.count)


def plan_device(spans: Iterable[Span], device_type: DeviceType) -> tuple[Block, ...]:
    """Plan the reads of one poll of a device."""
    return plan_blocks(spans, device_type.max_gap, device_type.max_count)
