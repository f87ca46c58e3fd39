"""Device types: one TOML file each, read into frozen tables.

A file says which registers a device has, how each is laid out, and what its status words mean for
the quality of its values. A new device type is one new file in `sensors/devices/`; no Python.
`sensors/devices/README.md` explains every key.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Final, Literal, cast, get_args

from sensors.quality import Quality
from sensors.quantities import QUANTITIES
from sensors.toml_table import Table, TomlError
from sensors.units import UNITS

Function = Literal["holding", "input", "coil", "discrete"]
WireType = Literal["int16", "uint16", "int32", "uint32", "float32", "bit", "bits"]
Order = Literal["ABCD", "CDAB", "BADC", "DCBA"]

FUNCTIONS: Final[tuple[Function, ...]] = get_args(Function)
WIRE_TYPES: Final[tuple[WireType, ...]] = get_args(WireType)
ORDERS: Final[tuple[Order, ...]] = get_args(Order)
BIT_FUNCTIONS: Final = ("coil", "discrete")
TWO_REGISTERS: Final = ("int32", "uint32", "float32")
LAST_ADDRESS: Final = 65_535
SIGN_BIT: Final = 0x8000


@dataclass(frozen=True, slots=True)
class Register:
    """Where one raw number stands on the wire and how it is laid out.

    Parameters
    ----------
    function : Function
        ``holding`` (FC 3), ``input`` (FC 4), ``coil`` (FC 1) or ``discrete`` (FC 2).
    address : int
        Wire address, counted from 0 (manuals mostly count from 1).
    type : WireType
        ``bit``: one bit, of a register the bit `bit`; ``bits``: the field under `mask`, shifted
        down to its lowest set bit.
    order : Order
        Order in which the bytes of the big-endian number ABCD come. For a 16-bit number BADC and
        DCBA swap its two bytes.
    bit : int
        Bit number for ``bit`` in a register; 0 is the least significant.
    mask : int
        Bits that count for ``bits`` and in a status row.
    """

    function: Function
    address: int
    type: WireType
    order: Order = "ABCD"
    bit: int = 0
    mask: int = 0xFFFF

    @property
    def count(self) -> int:
        """Registers (or coils) that the number takes."""
        return 2 if self.type in TWO_REGISTERS else 1


@dataclass(frozen=True, slots=True)
class UnitCode:
    """A register in which the device says the unit it uses now; another code is DECODE_ERROR."""

    at: Register
    units: Mapping[int, str]


@dataclass(frozen=True, slots=True)
class PointRow:
    """One value of a device: ``raw * scale + offset`` [unit].

    `quantity` empty: the site must say what is measured. `unit` empty: the quantity's own unit.
    `sentinels` are raw values that are no measurement but a quality. `range` is in `unit`.
    """

    key: str
    at: Register
    quantity: str = ""
    unit: str = ""
    scale: float = 1.0
    offset: float = 0.0
    sentinels: tuple[tuple[float, Quality], ...] = ()
    range: tuple[float, float] | None = None
    unit_code: UnitCode | None = None
    note: str = ""


@dataclass(frozen=True, slots=True)
class StatusRow:
    """A register that decides the quality of values: the worst that applies wins.

    ``raw & mask`` is looked up in `ranges` (inclusive); in none of them: `other`. Each set bit in
    `bits` adds its quality. `keys` empty: all values of the device. `normal` is what a healthy
    device says.
    """

    at: Register
    ranges: tuple[tuple[int, int, Quality], ...] = ()
    other: Quality = Quality.GOOD
    bits: tuple[tuple[int, Quality], ...] = ()
    keys: tuple[str, ...] = ()
    normal: int = 0
    note: str = ""

    def quality(self, raw: int) -> Quality:
        """Return what this row says about a raw register value."""
        masked = raw & self.at.mask
        if self.at.type == "int16" and masked >= SIGN_BIT:
            masked -= 2 * SIGN_BIT
        found = next((q for low, high, q in self.ranges if low <= masked <= high), self.other)
        return max(found, *(q for bit, q in self.bits if masked >> bit & 1), Quality.GOOD)


@dataclass(frozen=True, slots=True)
class HeartbeatRow:
    """A register that a living device changes; unchanged for `still_s` [s] means `quality`."""

    at: Register
    still_s: float
    quality: Quality = Quality.STUCK


@dataclass(frozen=True, slots=True)
class DeviceType:
    """One kind of device.

    `max_gap` and `max_count` bound block reads: registers (or coils) read over between two that
    are needed, and registers in one read.
    """

    id: str
    name: str
    source: str
    points: Mapping[str, PointRow]
    status: tuple[StatusRow, ...] = ()
    heartbeat: HeartbeatRow | None = None
    max_gap: int = 8
    max_count: int = 125


def load_types(folder: Path | Traversable | None = None) -> Mapping[str, DeviceType]:
    """Read all device types of a folder; without one, those that come with the gateway.

    Raises
    ------
    TomlError
        With every error of every file: file, row, key, reason and remedy.
    """
    where = files("sensors") / "devices" if folder is None else folder
    types: dict[str, DeviceType] = {}
    errors: list[str] = []
    for file in sorted(where.iterdir(), key=lambda f: f.name):
        if not file.name.endswith(".toml"):
            continue
        try:
            types[file.name[:-5]] = parse_type(file.read_text("utf-8"), file.name)
        except UnicodeDecodeError as error:
            errors.append(f"{file.name}: not UTF-8 text ({error.reason}); save the file as UTF-8")
        except TomlError as error:
            errors.extend(error.errors)
    if errors:
        raise TomlError(errors)
    return types


def parse_type(text: str, file: str) -> DeviceType:
    """Read one device type from TOML text; `file` is named in errors and gives the type its id.

    Raises
    ------
    TomlError
        With every error found.
    """
    errors: list[str] = []
    try:
        top = Table(tomllib.loads(text), file, errors)
    except tomllib.TOMLDecodeError as error:
        raise TomlError([f"{file}: not TOML: {error}"]) from error
    rows = [row for t in top.tables("point") for row in _points(t)]
    points = {row.key: row for row in rows}
    if not rows:
        top.wrong("point", "a device type needs at least one [[point]] row")
    if len(points) < len(rows):
        keys = [row.key for row in rows]
        twice = sorted({key for key in keys if keys.count(key) > 1})
        top.wrong("point", f"keys used twice: {', '.join(twice)}; give each row its own key")
    found = DeviceType(
        id=file.removesuffix(".toml"),
        name=top.text("name"),
        source=top.text("source"),
        points=points,
        status=tuple(_status(t, points) for t in top.tables("status")),
        heartbeat=next((_heartbeat(t) for t in top.tables("heartbeat", most=1)), None),
        max_gap=top.integer("max_gap", 8, 0, 2000),
        max_count=top.integer("max_count", 125, 2, 125),
    )
    top.finish()
    if errors:
        raise TomlError(errors)
    return found


def _points(t: Table) -> Iterable[PointRow]:
    """One row, or `repeat` rows ``<key>0, <key>1, …`` at addresses that follow each other."""
    key, repeat = t.text("key"), t.integer("repeat", 0, 0, 256)
    quantity = t.choice("quantity", "", ("", *QUANTITIES))
    unit = t.choice("unit", "", ("", *UNITS))
    at = _register(t, "uint16")
    span = t.numbers("range", 2)
    row = PointRow(
        key=key,
        at=at,
        quantity=quantity,
        unit=unit,
        scale=t.number("scale", 1.0),
        offset=t.number("offset", 0.0),
        sentinels=tuple(
            (s.number("raw"), s.quality("quality", Quality.DEVICE_FAULT))
            for s in t.ends("sentinels")
        ),
        range=(span[0], span[1]) if span else None,
        unit_code=next((_unit_code(c) for c in t.tables("unit_code", most=1)), None),
        note=t.text("note", ""),
    )
    if row.scale == 0:
        t.wrong("scale", "0 would make every value the same; leave it out for 1")
    if row.range and row.range[0] >= row.range[1]:
        t.wrong("range", "the first number must be below the second")
    t.finish()
    if not repeat:
        return (row,)
    return tuple(
        PointRow(
            f"{key}{n}",
            Register(at.function, at.address + n * at.count, at.type, at.order, at.bit, at.mask),
            *(row.quantity, row.unit, row.scale, row.offset, row.sentinels, row.range),
            *(row.unit_code, row.note),
        )
        for n in range(repeat)
    )


def _unit_code(t: Table) -> UnitCode:
    at = _register(t, "uint16")
    units = {int(c.number("code")): c.choice("unit", None, tuple(UNITS)) for c in t.ends("units")}
    if not units:
        t.wrong("units", "name at least one code: units = [{ code = 3, unit = '%vol' }]")
    t.finish()
    return UnitCode(at, units)


def _status(t: Table, points: Mapping[str, PointRow]) -> StatusRow:
    keys = t.texts("keys")
    if unknown := sorted(set(keys) - set(points)):
        t.wrong("keys", f"no [[point]] row for {', '.join(unknown)}")
    row = StatusRow(
        at=_register(t, "uint16"),
        ranges=tuple(
            (s.integer("from", None), s.integer("to", None), s.quality("quality"))
            for s in t.ends("ranges")
        ),
        other=t.quality("other", Quality.GOOD),
        bits=tuple((s.integer("bit", None, 0, 15), s.quality("quality")) for s in t.ends("bits")),
        keys=keys,
        normal=t.integer("normal", None),
        note=t.text("note", ""),
    )
    if row.at.type not in ("int16", "uint16") and row.at.function not in BIT_FUNCTIONS:
        t.wrong("type", "a status register is int16 or uint16; use mask and bits for its parts")
    if row.other == Quality.GOOD and not row.bits and all(q == 0 for *_, q in row.ranges):
        t.wrong("ranges", "the row can never say anything but GOOD; give ranges, bits or other")
    if row.quality(row.normal) != Quality.GOOD:
        t.wrong("normal", f"{row.normal} is read as {row.quality(row.normal).name}, not GOOD")
    t.finish()
    return row


def _heartbeat(t: Table) -> HeartbeatRow:
    at = _register(t, "uint16")
    row = HeartbeatRow(at, t.number("still_s"), t.quality("quality", Quality.STUCK))
    if row.still_s <= 0:
        t.wrong("still_s", "must be above 0: some three times the device's own period")
    t.finish()
    return row


def _register(t: Table, default: WireType) -> Register:
    function = cast("Function", t.choice("function", None, FUNCTIONS))
    natural: WireType = "bit" if function in BIT_FUNCTIONS else default
    wire_type = cast("WireType", t.choice("type", natural, WIRE_TYPES))
    if function in BIT_FUNCTIONS and wire_type != "bit":
        t.wrong("type", f"a {function} holds one bit; leave type out")
    at = Register(
        function,
        t.integer("address", None, 0, LAST_ADDRESS),
        wire_type,
        cast("Order", t.choice("order", "ABCD", ORDERS)),
        t.integer("bit", 0, 0, 15),
        t.integer("mask", 0xFFFF, 1, 0xFFFF),
    )
    if at.address + at.count - 1 > LAST_ADDRESS:
        t.wrong("address", f"{at.address} leaves no room for {at.count} registers")
    return at
