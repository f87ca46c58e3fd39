"""Requests and replies typed in from the Modbus Application Protocol V1.1b3, chapter 6."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from simulators.device_registers import Area
from simulators.modbus_devices import answer


class Registers:
    """A unit whose areas hold given values from given addresses on."""

    def __init__(self, area: Area, first: int, values: Sequence[int]) -> None:
        self.area, self.first, self.values = area, first, list(values)

    def wait_s(self) -> float | None:
        return 0.0

    def read(self, area: Area, address: int, count: int) -> Sequence[int] | None:
        start = address - self.first
        if area != self.area or start < 0 or start + count > len(self.values):
            return None
        return self.values[start : start + count]

    def write(self, area: Area, address: int, values: Sequence[int]) -> bool:
        if self.read(area, address, len(values)) is None:
            return False
        start = address - self.first
        self.values[start : start + len(values)] = values
        return True


def bits(*octets: int, count: int) -> list[int]:
    return [octets[n // 8] >> n % 8 & 1 for n in range(count)]


@pytest.mark.parametrize(
    ("unit", "request_hex", "reply_hex"),
    [
        # 6.1 read coils 20-38: CD 6B 05
        (Registers("coil", 19, bits(0xCD, 0x6B, 0x05, count=19)), "01 0013 0013", "01 03 CD6B05"),
        # 6.2 read discrete inputs 197-218: AC DB 35
        (
            Registers("discrete", 196, bits(0xAC, 0xDB, 0x35, count=22)),
            "02 00C4 0016",
            "02 03 ACDB35",
        ),
        # 6.3 read holding registers 108-110: 555, 0, 100
        (Registers("holding", 107, [555, 0, 100]), "03 006B 0003", "03 06 022B 0000 0064"),
        # 6.4 read input register 9: 10
        (Registers("input", 8, [10]), "04 0008 0001", "04 02 000A"),
        # 6.5 write coil 173 ON
        (Registers("coil", 172, [0]), "05 00AC FF00", "05 00AC FF00"),
        # 6.6 write register 2 = 3
        (Registers("holding", 1, [0]), "06 0001 0003", "06 0001 0003"),
        # 6.11 write coils 20-29: CD 01
        (Registers("coil", 19, [0] * 10), "0F 0013 000A 02 CD01", "0F 0013 000A"),
        # 6.12 write registers 2-3 = 000A 0102
        (Registers("holding", 1, [0, 0]), "10 0001 0002 04 000A 0102", "10 0001 0002"),
    ],
)
def test_the_examples_of_the_specification(
    unit: Registers, request_hex: str, reply_hex: str
) -> None:
    assert answer(unit, bytes.fromhex(request_hex)) == bytes.fromhex(reply_hex)


def test_what_is_written_is_there() -> None:
    coils = Registers("coil", 19, [0] * 10)
    answer(coils, bytes.fromhex("0F 0013 000A 02 CD01"))
    assert coils.values == bits(0xCD, 0x01, count=10)
    answer(coils, bytes.fromhex("05 0013 0000"))
    assert coils.values[0] == 0
    words = Registers("holding", 1, [0, 0])
    answer(words, bytes.fromhex("10 0001 0002 04 000A 0102"))
    assert words.values == [10, 258]


@pytest.mark.parametrize(
    ("request_hex", "reply_hex"),
    [
        ("07", "87 01"),  # a function it has not
        ("2B 0E 01 00", "AB 01"),
        ("03 0064 0001", "83 02"),  # an address it has not
        ("03 0004 0002", "83 02"),  # one register too many
        ("04 0000 0001", "84 02"),
        ("03 0000 0000", "83 03"),  # no register at all
        ("03 0000 007E", "83 03"),  # 126 registers: too many for one reply
        ("01 0000 07D1", "81 03"),  # 2001 coils
        ("05 0000 0001", "85 03"),  # neither ON nor OFF
        ("03 0000", "83 03"),  # cut short
        ("10 0000 0001 02 00", "90 03"),  # fewer bytes than it says
        ("10 0000 0001 03 000000", "90 03"),
        ("0F 0000 0000 00", "8F 03"),
        ("06 0010 0001", "86 02"),
    ],
)
def test_wrong_requests_get_the_exception_of_the_specification(
    request_hex: str, reply_hex: str
) -> None:
    unit = Registers("holding", 0, [0] * 5)
    assert answer(unit, bytes.fromhex(request_hex)) == bytes.fromhex(reply_hex)
    assert unit.values == [0] * 5
