"""Sizes, names and words that make the code readable at three in the morning."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import Final

from tests.house import tree

FILE_LINES_HARD: Final = 400  # the guide is 250
TEST_LINES_HARD: Final = 600  # tables of cases are long and simple
FUNCTION_LINES_HARD: Final = 80  # the guide is 50
JUNK_DRAWERS: Final = {"utils", "util", "helpers", "helper", "common", "misc", "base", "manager"}

# Spelled in parts, so that this file does not contain what it forbids.
UNFINISHED: Final = re.compile(r"\b(?:TO" + r"DO|FIX" + r"ME|X" + r"XX|HA" + r"CK)\b")
SOMEBODYS_MACHINE: Final = re.compile(r"(?<![\w.])/(?:ho" + r"me|ro" + r"ot|wo" + r"rk)/\w")
SILENT_TESTS: Final = re.compile(
    r"pytest\.(?:sk" + r"ip|xf" + r"ail|importors" + r"kip)|mark\.(?:sk" + r"ip|xf" + r"ail)"
)


def test_files_are_short() -> None:
    long = {
        tree.name(path): lines
        for path in tree.python()
        if (lines := len(path.read_text(encoding="utf-8").splitlines())) > _most_lines(path)
    }
    assert not long, f"split along a sentence of what each part does: {long}"


def _most_lines(path: Path) -> int:
    return TEST_LINES_HARD if "tests" in path.parts else FILE_LINES_HARD


def test_functions_are_short() -> None:
    long = {
        f"{tree.name(path)}:{node.lineno} {node.name}": lines
        for path in tree.python()
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and (lines := (node.end_lineno or node.lineno) - node.lineno + 1) > FUNCTION_LINES_HARD
    }
    assert not long


def test_no_junk_drawers() -> None:
    drawers = [tree.name(path) for path in tree.production() if path.stem in JUNK_DRAWERS]
    assert not drawers, f"a helper lives with its only user: {drawers}"


def test_only_the_supervisor_catches_everything() -> None:
    greedy = [
        f"{tree.name(path)}:{node.lineno}"
        for path in tree.production()
        if tree.name(path) != "gateway/supervise.py"
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.ExceptHandler) and _catches_everything(node.type)
    ]
    assert not greedy, f"catch what the library really raises: {greedy}"


def _catches_everything(caught: ast.expr | None) -> bool:
    if caught is None:
        return True
    names = caught.elts if isinstance(caught, ast.Tuple) else [caught]
    return any(isinstance(n, ast.Name) and n.id in {"Exception", "BaseException"} for n in names)


def test_no_unfinished_work_and_no_paths_of_somebodys_machine() -> None:
    texts = [*tree.python(), *tree.documents(), *tree.files(*tree.PACKAGES, suffix=".toml")]
    texts += [tree.ROOT / "config.toml", tree.ROOT / "Makefile", tree.ROOT / "pyproject.toml"]
    found = [
        f"{tree.name(path)}:{number}: {line.strip()}"
        for path in texts
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1)
        if UNFINISHED.search(line) or SOMEBODYS_MACHINE.search(line)
    ]
    assert not found


def test_no_test_can_be_left_out_silently() -> None:
    found = [
        tree.name(path)
        for path in tree.files("tests", suffix=".py")
        if SILENT_TESTS.search(path.read_text(encoding="utf-8"))
    ]
    assert not found, f"install what is missing, or fail loudly: {found}"


def test_names_of_times_carry_their_unit() -> None:
    """A field called `timeout` or `delay` does not say whether it is seconds."""
    bare = re.compile(r"^(?:.*_)?(?:timeout|delay|interval|period|max_age|window|duration)$")
    found = [
        f"{tree.name(path)}:{node.lineno} {node.target.id}"
        for path in tree.production()
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.AnnAssign)
        and isinstance(node.target, ast.Name)
        and isinstance(node.annotation, ast.Name)
        and node.annotation.id in {"int", "float"}
        and bare.match(node.target.id)
    ]
    assert not found
