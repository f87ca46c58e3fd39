"""Every dependency is explained, locked with hashes, and locked to what pyproject.toml allows."""

from __future__ import annotations

import re
import sys
import tomllib
from typing import Final

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.house import tree

PIN: Final = re.compile(r"^([A-Za-z0-9._-]+)==(\S+)(?: ; [^\\]*)? \\$", re.MULTILINE)
LOCKS: Final = ("requirements.txt", "requirements-dev.txt")


def _project() -> dict[str, list[Requirement]]:
    """Return the direct dependencies by group."""
    with (tree.ROOT / "pyproject.toml").open("rb") as file:
        data = tomllib.load(file)
    groups = {"run": data["project"]["dependencies"], **data["project"]["optional-dependencies"]}
    groups |= data["dependency-groups"]
    return {group: [Requirement(line) for line in lines] for group, lines in groups.items()}


def _pins(lock: str) -> dict[str, str]:
    text = (tree.ROOT / lock).read_text(encoding="utf-8")
    return {canonicalize_name(name): version for name, version in PIN.findall(text)}


@pytest.mark.parametrize("group", ["run", "demo", "build", "dev"])
def test_every_dependency_is_explained(group: str) -> None:
    text = (tree.ROOT / "docs" / "dependencies.md").read_text(encoding="utf-8")
    missing = [r.name for r in _project()[group] if not re.search(rf"`{re.escape(r.name)}`", text)]
    assert not missing, "docs/dependencies.md: what for, why this one, what we do about its traps"


@pytest.mark.parametrize(("lock", "groups"), [
    ("requirements.txt", ("run", "demo", "build")),
    ("requirements-dev.txt", ("run", "demo", "build", "dev")),
])  # fmt: skip
def test_locks_hold_what_the_project_asks_for(lock: str, groups: tuple[str, ...]) -> None:
    pins = _pins(lock)
    for group in groups:
        for requirement in _project()[group]:
            version = pins.get(canonicalize_name(requirement.name))
            assert version is not None, f"{lock}: {requirement.name} is not locked; run make lock"
            assert requirement.specifier.contains(version), f"{requirement} is locked to {version}"


def test_the_locks_agree() -> None:
    development = _pins("requirements-dev.txt")
    for name, version in _pins("requirements.txt").items():
        assert development.get(name) == version, name


@pytest.mark.parametrize("lock", LOCKS)
def test_each_pin_has_a_hash_and_no_place_to_load_from(lock: str) -> None:
    text = (tree.ROOT / lock).read_text(encoding="utf-8")
    for block in re.split(r"\n(?=\S)", text.strip()):
        assert PIN.match(block + "\n"), block.splitlines()[0]
        assert "--hash=sha256:" in block, block.splitlines()[0]
    assert "://" not in text
    assert "--index" not in text
    assert "--find-links" not in text


def test_nothing_is_imported_that_is_not_asked_for() -> None:
    """A package that is there only because another one needs it may be gone tomorrow."""
    project = _project()
    asked = {r.name.replace("-", "_") for group in ("run", "demo") for r in project[group]}
    asked |= {"starlette"}  # FastAPI's own foundation, part of its documented interface
    own = set(tree.PACKAGES) | {"__future__"}
    strangers: dict[str, str] = {}
    for path in tree.production():
        for module in tree.imports(path):
            top = module.split(".")[0]
            if top not in asked | own | sys.stdlib_module_names:
                strangers[top] = tree.name(path)
    assert not strangers
