from __future__ import annotations

from pathlib import Path

import pytest

from sensors.device_types import load_types, parse_type
from sensors.quality import Quality
from sensors.quantities import QUANTITIES
from sensors.toml_table import TomlError
from sensors.units import conversion

GOOD = """
name = "A transmitter"
source = "its manual"
[[point]]
key = "gas"
function = "holding"
address = 0
type = "float32"
"""


def test_packaged_types() -> None:
    types = load_types()
    assert set(types) >= {
        *("generic-gas", "generic-float32", "honeywell-xnx", "honeywell-xrl"),
        *("abb-drive", "air-velocity", "io-block"),
    }
    for kind in types.values():
        assert kind.source
        for row in kind.points.values():
            if row.quantity:  # The type's own unit must fit the type's own quantity.
                conversion(row.unit, row.quantity, 5.0)
                known = QUANTITIES[row.quantity]
                low, high = row.range or (known.plausible_low, known.plausible_high)
                assert known.plausible_low <= low < high <= known.plausible_high


def test_repeat_makes_rows_at_following_addresses() -> None:
    points = load_types()["generic-float32"].points
    assert [points[f"v{n}"].at.address for n in range(8)] == [0, 2, 4, 6, 8, 10, 12, 14]
    assert [load_types()["io-block"].points[f"di{n}"].at.address for n in (0, 15)] == [0, 15]


def test_an_operators_own_folder(tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text(GOOD, "utf-8")
    (tmp_path / "notes.txt").write_text("not a device", "utf-8")
    assert list(load_types(tmp_path)) == ["mine"]


def test_all_errors_of_all_files_at_once(tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_text("name = ", "utf-8")
    (tmp_path / "b.toml").write_bytes(b'name = "\xff"')
    (tmp_path / "c.toml").write_text(GOOD.replace('"holding"', '"holdin"'), "utf-8")
    with pytest.raises(TomlError) as caught:
        load_types(tmp_path)
    assert [error.split(":")[0] for error in caught.value.errors] == ["a.toml", "b.toml", "c.toml"]


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ('"holding"', '"holdin"', "function: 'holdin' is unknown; one of: holding, input"),
        ('"float32"', '"float"', "type: 'float' is unknown; one of: int16"),
        ("address = 0", "", "point gas: address: missing; give a whole number"),
        ("address = 0", "address = 65535", "address: 65535 leaves no room for 2 registers"),
        ("address = 0", 'address = "0"', "address: '0' is not a whole number"),
        ("address = 0", "address = true", "address: True is not a whole number"),
        ("address = 0", "address = 0\nadress = 1", "adress: unknown key; remove it or correct"),
        ("address = 0", "address = 0\nscale = 0", "scale: 0 would make every value the same"),
        ("address = 0", 'address = 0\nquantity = "CH5"', "quantity: 'CH5' is unknown; one of: CH4"),
        ("address = 0", 'address = 0\nunit = "%VOL"', "unit: '%VOL' is unknown"),
        ("address = 0", "address = 0\nrange = [4, 0]", "range: the first number must be below"),
        ("address = 0", "address = 0\nrange = [4]", "range: [4] is not a list of 2 numbers"),
        (
            "address = 0",
            'address = 0\nsentinels = [{ raw = 1, quality = "BAD" }]',
            "point gas: sentinels 1: quality: 'BAD' is unknown",
        ),
        ('"A transmitter"', "4", "name: 4 is not a text in quotes"),
        ('type = "float32"', 'type = "bit"\nfunction2 = 1', "function2: unknown key"),
        ("[[point]]", "[[points]]", "points: unknown key"),
    ],
)
def test_errors_name_file_row_key_reason_and_remedy(old: str, new: str, words: str) -> None:
    with pytest.raises(TomlError) as caught:
        parse_type(GOOD.replace(old, new), "my-type.toml")
    assert all(error.startswith("my-type.toml: ") for error in caught.value.errors)
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ('normal = 0\nbits = [{ bit = 16, quality = "INHIBITED" }]', "bit: 16 is outside 0…15"),
        ('normal = 1\nbits = [{ bit = 0, quality = "INHIBITED" }]', "1 is read as INHIBITED"),
        ("normal = 0", "can never say anything but GOOD"),
        ('bits = [{ bit = 0, quality = "INHIBITED" }]', "normal: missing"),
        ('normal = 0\nkeys = ["co"]\nother = "NO_DATA"', "keys: no [[point]] row for co"),
        ('normal = 0\ntype = "float32"\nother = "NO_DATA"', "a status register is int16 or uint16"),
    ],
)
def test_status_rows_that_cannot_be_meant(row: str, words: str) -> None:
    text = f'{GOOD}\n[[status]]\nfunction = "holding"\naddress = 2\n{row}\n'
    with pytest.raises(TomlError) as caught:
        parse_type(text, "my-type.toml")
    assert words in str(caught.value)


def test_the_same_key_twice() -> None:
    with pytest.raises(TomlError, match="keys used twice: gas"):
        parse_type(GOOD + GOOD[GOOD.index("[[point]]") :], "my-type.toml")


def test_a_signed_status_word() -> None:
    text = f"""{GOOD}
[[status]]
function = "holding"
address = 2
type = "int16"
normal = 0
ranges = [{{ from = -99, to = -1, quality = "CALIBRATION" }}]
"""
    (row,) = parse_type(text, "my-type.toml").status
    assert row.quality(0xFFFF) == Quality.CALIBRATION
    assert row.quality(1) == Quality.GOOD


def test_a_heartbeat_needs_a_time() -> None:
    beat = '[heartbeat]\nfunction = "holding"\naddress = 9\nstill_s = 0\n'
    with pytest.raises(TomlError, match="heartbeat 1: still_s: must be above 0"):
        parse_type(GOOD + beat, "my-type.toml")
