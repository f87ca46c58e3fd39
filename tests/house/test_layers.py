"""Pure files stay pure, and only the composition roots know the adapters: file by file.

The import contracts in pyproject.toml say the same of the whole graph; here each new file is
held to it without being listed anywhere.
"""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Final

import pytest

from tests.house import tree

IMPURE: Final = {
    "asyncio", "socket", "threading", "time", "datetime", "logging", "os",
    "pymodbus", "aiomqtt", "fastapi", "pydantic",
}  # fmt: skip
ADAPTERS: Final = ("sensors.collectors", "alarms.actuators", "gateway", "simulators")
PURE_ELSEWHERE: Final = (
    "gateway/api/views.py",
    "gateway/sinks/line_protocol.py",
    "simulators/mine.py",
)


def _pure_files() -> list[Path]:
    flat = [p for package in ("sensors", "alarms") for p in (tree.ROOT / package).glob("*.py")]
    return sorted(flat) + [tree.ROOT / name for name in PURE_ELSEWHERE]


@pytest.mark.parametrize("path", _pure_files(), ids=tree.name)
def test_a_pure_file_knows_no_clock_no_io_no_framework(path: Path) -> None:
    found = {module for module in tree.imports(path) if module.split(".")[0] in IMPURE}
    assert not found


@pytest.mark.parametrize("path", _pure_files(), ids=tree.name)
def test_a_pure_file_of_the_domain_knows_no_adapter(path: Path) -> None:
    if path.relative_to(tree.ROOT).parts[0] in {"gateway", "simulators"}:
        return
    found = {m for m in tree.imports(path) if m.startswith(ADAPTERS)}
    assert not found


def test_production_loads_the_pretend_mine_late_or_never() -> None:
    for path in tree.files("sensors", "alarms", "gateway", suffix=".py"):
        late = {m for m in tree.imports(path) if m.split(".")[0] == "simulators"}
        if tree.name(path) == "gateway/cli.py":
            top = ast.parse(path.read_text(encoding="utf-8")).body
            late = {
                node.module or ""
                for node in top
                if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("simulators")
            }
        assert not late, tree.name(path)


def test_the_pretend_mine_has_its_own_codecs() -> None:
    shared = {"sensors.decode", "sensors.payloads", "sensors.collectors"}
    for path in tree.files("simulators", suffix=".py"):
        found = {m for m in tree.imports(path) for s in shared if m == s or m.startswith(s + ".")}
        assert not found, tree.name(path)
