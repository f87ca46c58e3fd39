"""One device compiled: which words its points and status rows need, and where they go."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final, cast

import numpy as np
from numpy.typing import NDArray

from sensors.device_types import (
    BIT_FUNCTIONS,
    LAST_ADDRESS,
    ORDERS,
    DeviceType,
    Function,
    HeartbeatRow,
    Order,
    PointRow,
    Register,
    StatusRow,
    WireType,
)
from sensors.quality import Quality
from sensors.quantities import QUANTITIES
from sensors.reading_plan import Block, ModbusDeviceSpec, Span
from sensors.units import conversion

SWAPS_BYTES: Final = ("BADC", "DCBA")
_SWAPS_WORDS: Final = ("CDAB", "DCBA")
NUMBER_TYPES: Final[tuple[WireType, ...]] = ("int16", "uint16", "int32", "uint32", "float32")


@dataclass(slots=True)
class DeviceImage:
    """What one poll brought.

    Parameters
    ----------
    words : uint16 (W,)
        One per register or coil that the decoder needs, in the order of its slots.
    failed : uint8 (W,)
        `Quality.GOOD` where the word was read in this poll, else why it was not.
    """

    words: NDArray[np.uint16]
    failed: NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class StatusAt:
    """A status row, the slot of its word, and the rows of the points that it guards."""

    row: StatusRow
    slot: int
    points: NDArray[np.intp]


@dataclass(frozen=True, slots=True)
class UnitCodeAt:
    """Factor and offset to the canonical unit for each code that the device may name."""

    at: Register
    slot: int
    affine: Mapping[int, tuple[float, float]]
    point: int


@dataclass(frozen=True, slots=True)
class DeviceDecoder:
    """One device's tables; n points, W words, M words that any point depends on.

    Parameters
    ----------
    points : int32 (n,)
        Point indices.
    spans : tuple of Span
        What has to be read.
    slots : mapping
        (function, address) to the word's place in a `DeviceImage`.
    first, second : intp (n,)
        Slots of the more and the less significant word; the same for 16-bit numbers.
    swap : bool (n,)
        Bytes within each word are swapped.
    kinds : tuple of (wire type, rows)
    mask, shift : uint16 (n,)
        For ``bit`` and ``bits``.
    factor, offset : float64 (n,)
        Raw number to canonical unit.
    needs, starts : intp (M,), (n,)
        Slots that a point depends on (its number, status, unit code, heartbeat), one after another,
        and where each point's begin.
    """

    device: str
    points: NDArray[np.int32]
    spans: tuple[Span, ...]
    slots: Mapping[tuple[Function, int], int]
    first: NDArray[np.intp]
    second: NDArray[np.intp]
    swap: NDArray[np.bool_]
    kinds: tuple[tuple[WireType, NDArray[np.intp]], ...]
    mask: NDArray[np.uint16]
    shift: NDArray[np.uint16]
    factor: NDArray[np.float64]
    offset: NDArray[np.float64]
    sentinels: tuple[tuple[int, float, Quality], ...]
    status: tuple[StatusAt, ...]
    unit_codes: tuple[UnitCodeAt, ...]
    heartbeat: HeartbeatRow | None
    needs: NDArray[np.intp]
    starts: NDArray[np.intp]

    def image(self) -> DeviceImage:
        """Return an image in which nothing has been read yet."""
        count = len(self.slots)
        lost = np.full(count, Quality.COMMS_LOST, dtype=np.uint8)
        return DeviceImage(np.zeros(count, dtype=np.uint16), lost)

    def slots_of(self, block: Block) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """Return which slots a block fills, and from which of its words."""
        pairs = [
            (slot, address - block.address)
            for (function, address), slot in self.slots.items()
            if function == block.function and 0 <= address - block.address < block.count
        ]
        columns = np.array(pairs, dtype=np.intp).reshape(-1, 2)
        return columns[:, 0], columns[:, 1]


def compile_device(spec: ModbusDeviceSpec, device_type: DeviceType) -> DeviceDecoder:
    """Lay out how the replies of one device become the values of its points.

    Raises
    ------
    ValueError
        If the configuration asks for what the type does not have, or for a unit that cannot be
        converted; the message says what to change.
    """
    rows = [_row(spec, device_type, key) for key in spec.points]
    said = [row for row in device_type.status if _guarded(row, spec)]
    said_at = [_moved(row.at, spec) for row in said]
    heartbeat = device_type.heartbeat
    if heartbeat is not None:
        heartbeat = replace(heartbeat, at=_moved(heartbeat.at, spec))
    unit_code_at = [_moved(row.unit_code.at, spec) if row.unit_code else None for row in rows]
    reads = [*(row.at for row in rows), *(at for at in unit_code_at if at), *said_at]
    reads += [heartbeat.at] if heartbeat else []
    spans = tuple(sorted({Span(at.function, at.address, at.count) for at in reads}))
    words = sorted({(s.function, s.address + n) for s in spans for n in range(s.count)})
    slots = {word: slot for slot, word in enumerate(words)}

    def at_slots(at: Register) -> list[int]:
        return [slots[at.function, at.address + n] for n in range(at.count)]

    status = tuple(
        StatusAt(row, at_slots(at)[0], np.array(_guarded(row, spec), dtype=np.intp))
        for row, at in zip(said, said_at, strict=True)
    )
    needs = [
        [
            *at_slots(row.at),
            *(at_slots(code) if (code := unit_code_at[n]) else ()),
            *(s.slot for s in status if n in s.points),
            *(at_slots(heartbeat.at) if heartbeat else ()),
        ]
        for n, row in enumerate(rows)
    ]
    affine = [_affine(spec, row) for row in rows]
    return DeviceDecoder(
        device=spec.id,
        points=np.array(list(spec.points.values()), dtype=np.int32),
        spans=spans,
        slots=slots,
        first=_ends(rows, at_slots, more=True),
        second=_ends(rows, at_slots, more=False),
        swap=np.array([row.at.order in SWAPS_BYTES for row in rows], dtype=np.bool_),
        kinds=_kinds(rows),
        mask=np.array([_mask(row.at) for row in rows], dtype=np.uint16),
        shift=np.array([_lowest(_mask(row.at)) for row in rows], dtype=np.uint16),
        factor=np.array([factor for factor, _ in affine], dtype=np.float64),
        offset=np.array([offset for _, offset in affine], dtype=np.float64),
        sentinels=tuple((n, raw, q) for n, row in enumerate(rows) for raw, q in row.sentinels),
        status=status,
        unit_codes=tuple(
            UnitCodeAt(at, at_slots(at)[0], _code_affine(spec, row), n)
            for n, (row, at) in enumerate(zip(rows, unit_code_at, strict=True))
            if at is not None
        ),
        heartbeat=heartbeat,
        needs=np.array([slot for row in needs for slot in row], dtype=np.intp),
        starts=np.cumsum([0, *(len(row) for row in needs)][:-1], dtype=np.intp),
    )


def _row(spec: ModbusDeviceSpec, device_type: DeviceType, key: str) -> PointRow:
    row = device_type.points.get(key)
    if row is None:
        known = ", ".join(device_type.points)
        raise ValueError(f"{spec.id}: type {spec.type} has no value {key!r}; it has: {known}")
    if spec.order and spec.order not in ORDERS:
        raise ValueError(f"{spec.id}: order {spec.order!r} is unknown; one of: {', '.join(ORDERS)}")
    at = _moved(row.at, spec)
    return replace(row, at=at)


def _moved(at: Register, spec: ModbusDeviceSpec) -> Register:
    """Return the register as this site has it: shifted, and 32-bit numbers in the site's order."""
    order = cast("Order", spec.order) if spec.order and at.count > 1 else at.order
    address = at.address + spec.base_address
    if not 0 <= address <= LAST_ADDRESS + 1 - at.count:
        raise ValueError(
            f"{spec.id}: base_address {spec.base_address} puts a register at {address}"
        )
    return replace(at, address=address, order=order)


def _guarded(status: StatusRow, spec: ModbusDeviceSpec) -> list[int]:
    return [n for n, key in enumerate(spec.points) if not status.keys or key in status.keys]


def _ends(
    rows: Sequence[PointRow], at_slots: Callable[[Register], list[int]], *, more: bool
) -> NDArray[np.intp]:
    """Slots of the more (or less) significant word of each row."""
    ends = [at_slots(row.at)[:: -1 if row.at.order in _SWAPS_WORDS else 1] for row in rows]
    return np.array([slots[0 if more else -1] for slots in ends], dtype=np.intp)


def _kinds(rows: Sequence[PointRow]) -> tuple[tuple[WireType, NDArray[np.intp]], ...]:
    found = (
        (kind, [n for n, row in enumerate(rows) if row.at.type == kind]) for kind in NUMBER_TYPES
    )
    return tuple((kind, np.array(where, dtype=np.intp)) for kind, where in found if where)


def _mask(at: Register) -> int:
    if at.function in BIT_FUNCTIONS:
        return 1
    return 1 << at.bit if at.type == "bit" else at.mask


def _lowest(mask: int) -> int:
    return (mask & -mask).bit_length() - 1


def _affine(spec: ModbusDeviceSpec, row: PointRow) -> tuple[float, float]:
    """Factor and offset from the raw number to the canonical unit of what the site measures."""
    return _to_canonical(spec, row, row.unit) if row.unit_code is None else (np.nan, np.nan)


def _code_affine(spec: ModbusDeviceSpec, row: PointRow) -> Mapping[int, tuple[float, float]]:
    """Return factor and offset for each unit that can be converted; one at least must be.

    The device may never be set to the others; if it is, the value is a DECODE_ERROR.
    """
    found: dict[int, tuple[float, float]] = {}
    reasons = []
    for code, unit in row.unit_code.units.items() if row.unit_code else ():
        try:
            found[code] = _to_canonical(spec, row, unit)
        except ValueError as error:
            reasons.append(error)
    if not found:
        raise reasons[0]
    return found


def _to_canonical(spec: ModbusDeviceSpec, row: PointRow, unit: str) -> tuple[float, float]:
    quantity = spec.quantities.get(row.key, row.quantity)
    if quantity not in QUANTITIES:
        raise ValueError(
            f"{spec.id}: points.{row.key}: name what it measures, "
            f'for example points = {{ {row.key} = "CH4" }}'
        )
    try:
        factor, offset = conversion(unit, quantity, spec.lel_pct_vol)
    except ValueError as error:
        raise ValueError(f"{spec.id}: points.{row.key}: {error}") from error
    return row.scale * factor, row.offset * factor + offset
