"""One mistake each in the shipped configuration: named by file, line, key, reason and remedy.

The mistakes stand in ``tests/data/bad_configs.toml``.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from pathlib import Path

import pytest

from gateway.config_errors import ConfigError, ConfigErrors
from gateway.config_file import parse

ROOT = Path(__file__).parents[2]
FILE = ROOT / "config.toml"
GOOD = FILE.read_text("utf-8")
END = "# [influxdb] "


@dataclass(frozen=True)
class Case:
    name: str
    new: str
    key: str
    reason: str
    old: str = ""
    hint: str = ""
    at: str = ""

    @property
    def text(self) -> str:
        """The shipped configuration with this mistake in it."""
        old = self.old or END
        assert old in GOOD, f"{self.name}: config.toml no longer holds what this case changes"
        return GOOD.replace(old, self.new if self.old else self.new + END, 1)


CASES = [
    Case(**case)
    for case in tomllib.loads((ROOT / "tests/data/bad_configs.toml").read_text("utf-8"))["case"]
]


def errors_of(text: str) -> list[ConfigError]:
    with pytest.raises(ConfigErrors) as caught:
        parse(text, FILE)
    return caught.value.errors


def line_of(text: str, marker: str) -> int:
    before, _, after = marker.rpartition("»")
    assert text.count(before + after) == 1, f"{marker!r} must stand in the text once"
    return text[: text.index(before + after) + len(before)].count("\n") + 1


def test_the_shipped_configuration_is_right() -> None:
    assert parse(GOOD, FILE).site.id == "demo-mine"


def test_there_are_many_cases_and_each_has_its_name() -> None:
    assert len(CASES) >= 100
    assert len({case.name for case in CASES}) == len(CASES)


@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_a_mistake_is_named(case: Case) -> None:
    errors = errors_of(case.text)
    shown = "\n".join(str(e) for e in errors)
    found = [e for e in errors if e.key == case.key and case.reason in e.reason]
    assert found, f"no error with key {case.key!r} and reason {case.reason!r} among\n{shown}"
    assert [e.line for e in found] == [line_of(case.text, case.at or case.new)], shown
    assert case.hint in found[0].suggestion, shown
    assert all(e.file == FILE for e in errors)


# Mistakes in different tables: none hides another.
TOGETHER = (
    "no time zone",
    "back earlier than the profile",
    "missing required key",
    "unknown class",
    "unknown zone downwind",
    "unknown airflow point",
    "text for a number",
    "unknown link",
    "range of no sensor",
    "location in the wrong zone",
    "no location in a heading",
    "two devices with one unit",
    "MQTT node with a unit",
    "path of a point that is not there",
    "unit that cannot be converted",
    "unknown point",
    "looser limit",
    "rule for no point",
    "reset overlaps the limit",
    "more samples than the window holds",
    "unknown zone in a scope",
    "unknown demand",
    "peer on no link",
    "unknown peer",
    "no read-back topic",
    "load side is no feed",
    "siren with a load side",
    "exemption for no point",
    "one person twice",
    "certificate without a key",
    "derived point",
    "readings held back too long",
)


def test_all_mistakes_are_reported_in_one_pass_and_nothing_else() -> None:
    by_name = {case.name: case for case in CASES}
    text = GOOD
    for name in TOGETHER:
        case = by_name[name]
        assert (case.old or END) in text, name
        text = text.replace(case.old or END, case.new if case.old else case.new + END, 1)
    found = sorted((e.key, e.line) for e in errors_of(text))
    cases = [by_name[name] for name in TOGETHER]
    assert found == sorted((case.key, line_of(text, case.at or case.new)) for case in cases)


def test_errors_come_in_order_of_line_and_say_where() -> None:
    text = GOOD.replace("port = 15021", 'port = "a"').replace("address = 10\n", "address = -1\n")
    errors = errors_of(text)
    assert [e.line for e in errors] == sorted(e.line for e in errors)
    with pytest.raises(ConfigErrors) as caught:
        parse(text, FILE)
    for line, error in zip(str(caught.value).splitlines(), errors, strict=True):
        assert line.startswith(f"{FILE}:{error.line}: {error.key}: {error.reason}")
