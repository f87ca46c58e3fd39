"""What the checks of this folder look at: the files of the project, as written by people."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[2]
PACKAGES: Final = ("sensors", "alarms", "gateway", "simulators")
PYTHON_FOLDERS: Final = (*PACKAGES, "tests", "bench")
SKIPPED: Final = {"__pycache__", "node_modules", "results"}


def files(*folders: str, suffix: str) -> list[Path]:
    """Return all files of `folders` with `suffix`, in a stable order."""
    found = [
        path
        for folder in folders
        for path in (ROOT / folder).rglob(f"*{suffix}")
        if not SKIPPED & set(path.parts)
    ]
    return sorted(found)


def production() -> list[Path]:
    """Return the Python files of the four packages."""
    return files(*PACKAGES, suffix=".py")


def python() -> list[Path]:
    """Return every Python file: packages, tests and benchmarks."""
    return files(*PYTHON_FOLDERS, suffix=".py")


def documents() -> list[Path]:
    """Return every Markdown file that people read."""
    return [*sorted(ROOT.glob("*.md")), *files("docs", suffix=".md")]


def name(path: Path) -> str:
    """Return the path as it is written in the project."""
    return path.relative_to(ROOT).as_posix()


def imports(path: Path) -> set[str]:
    """Return the modules that a file imports, wherever in the file it does so.

    ``from a import b`` gives ``a`` and ``a.b``, since b may be a module.
    """
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module is not None:
            found.add(node.module)
            found.update(f"{node.module}.{alias.name}" for alias in node.names)
    return found
