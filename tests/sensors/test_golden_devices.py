"""Every device type against bytes typed in from its manual, and every type has such bytes."""

from __future__ import annotations

import math
import tomllib
from pathlib import Path
from typing import Any

import pytest

from sensors.decode import decode
from sensors.device_decoder import compile_device
from sensors.device_types import load_types
from sensors.quality import Quality
from sensors.reading_plan import ModbusDeviceSpec

GOLDEN = Path(__file__).parent / "golden"
TYPES = load_types()
CASES = [
    pytest.param(file.stem, case, id=f"{file.stem}: {case['name']}")
    for file in sorted(GOLDEN.glob("*.toml"))
    for case in tomllib.loads(file.read_text("utf-8"))["case"]
]


def test_every_type_has_a_vector_and_every_vector_a_type() -> None:
    assert {file.stem for file in GOLDEN.glob("*.toml")} == set(TYPES)


@pytest.mark.parametrize(("kind", "case"), CASES)
def test_golden(kind: str, case: dict[str, Any]) -> None:
    keys = list(case["expect"])
    spec = ModbusDeviceSpec(
        id="T",
        type=kind,
        unit=1,
        points={key: n for n, key in enumerate(keys)},
        poll_s=1.0,
        base_address=case.get("base_address", 0),
        order=case.get("order", ""),
        lel_pct_vol=case.get("lel_pct_vol"),
        quantities=case["points"],
    )
    decoder = compile_device(spec, TYPES[kind])
    image = decoder.image()
    for (function, address), word in _words(case).items():
        slot = decoder.slots.get((function, address))  # type: ignore[arg-type]
        if slot is not None:
            image.words[slot], image.failed[slot] = word, Quality.GOOD
    value, quality = decode(decoder, image, still=case.get("still", False))
    for key, (number, name) in case["expect"].items():
        n = keys.index(key)
        assert Quality(quality[n]).name == name, key
        expected = float(number)
        if math.isnan(expected):
            assert math.isnan(value[n]), key
        else:
            assert value[n] == pytest.approx(expected, rel=1e-4 if expected < 1e-30 else 1e-6), key


def _words(case: dict[str, Any]) -> dict[tuple[str, int], int]:
    words: dict[tuple[str, int], int] = {}
    for reply in case.get("registers", ()):
        for n, word in enumerate(bytes.fromhex(reply["hex"]).hex(" ", 2).split()):
            words[reply["function"], reply["address"] + n] = int(word, 16)
    for reply in case.get("bits", ()):
        packed = bytes.fromhex(reply["hex"])
        for n in range(reply["count"]):
            words[reply["function"], reply["address"] + n] = packed[n // 8] >> n % 8 & 1
    return words


def test_each_type_is_plain_about_what_it_does_to_a_reading() -> None:
    """Each status quality of each type turns up in its vectors, so that none is only hoped for."""
    untested = []
    for kind, device_type in TYPES.items():
        cases = tomllib.loads((GOLDEN / f"{kind}.toml").read_text("utf-8"))["case"]
        seen = {quality for case in cases for _, quality in case["expect"].values()}
        said = {q.name for row in device_type.status for *_, q in row.ranges + row.bits}
        untested += [f"{kind}: {name}" for name in sorted(said - seen - {"GOOD"})]
    assert not untested
