"""Values as tomllib reads them, and the line of everything."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.toml_positions import TomlSyntaxError, line_of, read

ROOT = Path(__file__).parents[2]

TEXT = """\
# a comment
top = 1
[site]
name = "x"   # a comment behind

"quoted key".inner = { d = 1, e = [10,
  20, # a comment between
  30] }
[[zone]]
id = 'a'

[[zone]]
id = "b"
[zone.sub]
k = '''
long
text'''
[[zone.part]]
n = 1
[[zone.part]]
n = 2
"""

LINES: dict[tuple[str | int, ...], int] = {
    ("top",): 2,
    ("site",): 3,
    ("site", "name"): 4,
    ("site", "quoted key"): 6,
    ("site", "quoted key", "inner"): 6,
    ("site", "quoted key", "inner", "d"): 6,
    ("site", "quoted key", "inner", "e"): 6,
    ("site", "quoted key", "inner", "e", 0): 6,
    ("site", "quoted key", "inner", "e", 1): 7,
    ("site", "quoted key", "inner", "e", 2): 8,
    ("zone",): 9,
    ("zone", 0): 9,
    ("zone", 0, "id"): 10,
    ("zone", 1): 12,
    ("zone", 1, "id"): 13,
    ("zone", 1, "sub"): 14,
    ("zone", 1, "sub", "k"): 15,
    ("zone", 1, "part"): 18,
    ("zone", 1, "part", 0): 18,
    ("zone", 1, "part", 0, "n"): 19,
    ("zone", 1, "part", 1): 20,
    ("zone", 1, "part", 1, "n"): 21,
}


def test_every_table_key_and_element_has_its_line() -> None:
    document = read(TEXT)
    assert document.data == tomllib.loads(TEXT)
    assert dict(document.lines) == LINES


def paths(value: Any, path: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:  # noqa: ANN401
    if isinstance(value, dict):
        return [p for k, v in value.items() for p in [(*path, k), *paths(v, (*path, k))]]
    if isinstance(value, list):
        return [p for n, v in enumerate(value) for p in [(*path, n), *paths(v, (*path, n))]]
    return []


@pytest.mark.parametrize("file", ["config.toml", "tests/data/small.toml", "pyproject.toml"])
def test_every_path_of_a_real_file_has_a_line_that_shows_its_key(file: str) -> None:
    text = (ROOT / file).read_text("utf-8")
    document = read(text)
    rows = text.splitlines()
    for path in paths(document.data):
        line = document.lines.get(path)
        if line is None:  # a table that only its sub-tables name, such as [tool.ruff] for "tool"
            assert any(p[: len(path)] == path for p in document.lines)
        elif isinstance(path[-1], str):
            assert path[-1] in rows[line - 1]


keys = st.from_regex(r"[a-z]{1,6}", fullmatch=True)


@given(st.lists(st.tuples(keys, st.integers(0, 99), st.integers(0, 3)), max_size=12))
def test_lines_of_generated_files(entries: list[tuple[str, int, int]]) -> None:
    rows: list[str] = []
    expected: dict[tuple[str | int, ...], int] = {}
    for n, (key, value, blank) in enumerate(entries):
        rows += [""] * blank + ["[[t]]"]
        expected["t", n] = len(rows)
        rows.append(f"{key} = {value} # note")
        expected["t", n, key] = len(rows)
    lines = read("\n".join(rows)).lines
    assert {path: lines[path] for path in expected} == expected


def test_the_line_of_what_has_none_is_that_of_what_holds_it() -> None:
    lines = read(TEXT).lines
    assert line_of(lines, ("zone", 1, "missing")) == 12
    assert line_of(lines, ("nothing", "here")) == 1


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("a = = 1\nb = 2\nc = \n", [1, 3]),
        ("[site\nx = 1\n", [1]),
        ("a = 1\na = 2\n", [2]),
        ('x = "abc\n', [1]),
        ("\n\nx", [3]),
        ("[[z]]\nid = 1\n[z]\n", [3]),
        ("a = 01\n", [1]),
        ('b = """never\nclosed\n', [3]),
        ("\x00 = 1\n", [1]),
    ],
)
def test_what_is_not_toml_is_named_by_line(text: str, wrong: list[int]) -> None:
    with pytest.raises(TomlSyntaxError) as caught:
        read(text)
    assert [fault.line for fault in caught.value.faults] == wrong
    assert all(fault.reason for fault in caught.value.faults)
