"""The registers of a pretend Modbus device, drawn from the same device-type file as the gateway's.

Only the file is shared; it is read here a second time, without the gateway's reader.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from typing import Any, Final, Literal

from gateway.config import DeviceConfig
from sensors.quantities import QUANTITIES
from simulators.encoding import encode, to_unit
from simulators.faults import OnTheWire

Area = Literal["coil", "discrete", "holding", "input"]
Row = dict[str, Any]
Image = dict[Area, dict[int, int]]

BITS: Final[tuple[Area, ...]] = ("coil", "discrete")
_TWO_REGISTERS: Final = ("int32", "uint32", "float32")
_HEARTBEAT_PERIOD_S: Final = 5.0
_OUT_OF_ALL_RANGES: Final = -1.0e12


@dataclass(frozen=True, slots=True)
class Cell:
    """Where one configured value stands and how it is laid out."""

    area: Area
    address: int
    wire_type: str
    order: str
    mask: int
    scale: float
    offset: float
    unit: str


class DeviceRegisters:
    """What one configured device shows on the wire.

    `says`: a quality that the device reports of itself in its status registers; empty if healthy.

    Raises
    ------
    KeyError
        If the device's type has no such key.
    FileNotFoundError
        If there is no such type.
    """

    def __init__(self, device: DeviceConfig) -> None:
        file = files("sensors") / "devices" / f"{device.type}.toml"
        self._type: Row = tomllib.loads(file.read_text("utf-8"))
        self._device = device
        self.says = ""
        rows = _expanded(self._type["point"])
        self._status: list[Row] = self._type.get("status", [])
        self._cells = {key: self._cell(rows[key], q) for key, q in device.points.items()}
        self._fixed = self._healthy(rows)
        self.extent = self._extent([*rows.values(), *self._status])

    def _cell(self, row: Row, quantity: str) -> Cell:
        wire_type = row.get("type", "uint16")
        order = row.get("order", "ABCD")
        if self._device.order and wire_type in _TWO_REGISTERS:
            order = self._device.order
        mask = 1 << row.get("bit", 0) if wire_type == "bit" else row.get("mask", 0xFFFF)
        return Cell(
            row["function"],
            self._at(row),
            wire_type,
            order,
            mask,
            float(row.get("scale", 1.0)),
            float(row.get("offset", 0.0)),
            _unit_code(row, quantity)[1] or row.get("unit", ""),
        )

    def _at(self, row: Row) -> int:
        return int(row["address"]) + self._device.base_address

    def _healthy(self, rows: Mapping[str, Row]) -> Image:
        """Return what a healthy device says in its status and unit registers."""
        image: Image = {}
        for status in self._status:
            image.setdefault(status["function"], {})[self._at(status)] = status["normal"]
        for key, quantity in self._device.points.items():
            code, unit = _unit_code(rows[key], quantity)
            if unit:
                where = rows[key]["unit_code"]
                image.setdefault(where["function"], {})[self._at(where)] = code
        return image

    def _extent(self, rows: list[Row]) -> dict[Area, tuple[int, int]]:
        """Return, per area, the first and last address that the device answers for."""
        rows = [*rows, *(row["unit_code"] for row in rows if "unit_code" in row)]
        if "heartbeat" in self._type:
            rows.append(self._type["heartbeat"])
        used: dict[Area, list[int]] = {}
        for row in rows:
            last = self._at(row) + _width(row) - 1
            used.setdefault(row["function"], []).extend((self._at(row), last))
        return {area: (min(at), max(at)) for area, at in used.items()}

    def image(self, values: Mapping[str, OnTheWire], t_s: float) -> Image:
        """Return the registers and bits that are not 0, per area and address.

        `values` are canonical, by key of the device type; `t_s` drives the heartbeat [s].
        """
        image: Image = {area: dict(self._fixed.get(area, {})) for area in self.extent}
        self._show_status(image)
        if "heartbeat" in self._type:
            beat = self._type["heartbeat"]
            image[beat["function"]][self._at(beat)] = int(t_s / _HEARTBEAT_PERIOD_S) & 0xFFFF
        for key, cell in self._cells.items():
            if key in values:
                _write(image[cell.area], cell, self._raw(key, cell, values[key]))
        return image

    def _raw(self, key: str, cell: Cell, wire: OnTheWire) -> float:
        if wire.corrupt:
            return float("nan") if cell.wire_type == "float32" else _OUT_OF_ALL_RANGES
        quantity = self._device.points[key]
        shown = to_unit(wire.value, quantity, cell.unit, self._device.lel_pct_vol)
        return (shown - cell.offset) / cell.scale

    def _show_status(self, image: Image) -> None:
        """Let the status registers say `says`, where the type has a code for it."""
        for status in self._status if self.says else []:
            area, address = image[status["function"]], self._at(status)
            for code in status.get("ranges", []):
                if code["quality"] == self.says:
                    area[address] = code["from"]
            for flag in status.get("bits", []):
                if flag["quality"] == self.says:
                    area[address] |= 1 << flag["bit"]

    def can_say(self) -> frozenset[str]:
        """Return the qualities that the device can report of itself."""
        return frozenset(
            row["quality"]
            for status in self._status
            for key in ("ranges", "bits")
            for row in status.get(key, [])
            if row["quality"] != "GOOD"
        )


def _write(area: dict[int, int], cell: Cell, raw: float) -> None:
    if cell.area in BITS:
        area[cell.address] = int(round(raw) > 0)
    elif cell.wire_type in ("bit", "bits"):
        shift = (cell.mask & -cell.mask).bit_length() - 1
        field = (max(0, round(raw)) << shift) & cell.mask
        area[cell.address] = area.get(cell.address, 0) & ~cell.mask | field
    else:
        for step, word in enumerate(encode(cell.wire_type, cell.order, raw)):
            area[cell.address + step] = word


def _unit_code(row: Row, quantity: str) -> tuple[int, str]:
    """Return the code and name of the quantity's unit, if the device says which unit it uses."""
    for code in row.get("unit_code", {}).get("units", []):
        if code["unit"] == QUANTITIES[quantity].unit:
            return code["code"], code["unit"]
    return 0, ""


def _width(row: Row) -> int:
    return 2 if row.get("type") in _TWO_REGISTERS else 1


def _expanded(rows: list[Row]) -> dict[str, Row]:
    """Return the rows by key; a row with `repeat` becomes that many, one after the other."""
    found: dict[str, Row] = {}
    for row in rows:
        for n in range(row.get("repeat", 1)):
            key = f"{row['key']}{n}" if "repeat" in row else row["key"]
            found[key] = {**row, "address": row["address"] + n * _width(row)}
    return found
