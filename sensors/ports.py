"""What a link's owner task offers and asks for: requests and outputs.

The task that owns a Modbus link does all its I/O. Outputs on that link live elsewhere and only say,
when asked, which request they want made next.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Literal, Protocol

from sensors.frame import Batch

Deliver = Callable[[Batch], None]
"""Hands a batch to the inbox, which stamps it; never blocks, never raises."""

FunctionCode = Literal[1, 2, 3, 4, 5, 6, 15, 16]

READ_COILS: Final = 1
READ_DISCRETE: Final = 2
READ_HOLDING: Final = 3
READ_INPUT: Final = 4
WRITE_COIL: Final = 5
WRITE_REGISTER: Final = 6
WRITE_COILS: Final = 15
WRITE_REGISTERS: Final = 16
READS_BITS: Final = (READ_COILS, READ_DISCRETE)
READS: Final = (READ_COILS, READ_DISCRETE, READ_HOLDING, READ_INPUT)


@dataclass(frozen=True, slots=True)
class Request:
    """One Modbus request. `values` (0 or 1 for coils) is empty for a read."""

    function: FunctionCode
    unit: int
    address: int
    count: int = 1
    values: tuple[int, ...] = ()


class LinkOutputs(Protocol):
    """Outputs behind one link, as its owner task sees them. Times are the task's own clock [s]."""

    def bind(self, wake: Callable[[], None]) -> None:
        """Take the function to call when a request cannot wait."""

    def link_up(self, now_s: float) -> None:
        """Note a fresh connection: everything is to be asserted again."""

    def link_down(self, now_s: float) -> None:
        """Note that nothing can be reached now."""

    def next_request(self, now_s: float) -> Request | None:
        """Return the next request that is due; each call is followed by `answer`."""

    def next_due_s(self) -> float:
        """Return when the next request falls due; may lie in the past."""

    def answer(self, request: Request, values: tuple[int, ...] | None, now_s: float) -> None:
        """Take the proven reply to `request`; None if there was none."""
