"""The wheel holds everything that runs: tables, scenarios and the page, and no tests."""

from __future__ import annotations

import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

from tests.house import tree


def test_the_wheel_is_complete(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    for package in tree.PACKAGES:
        shutil.copytree(
            tree.ROOT / package, source / package, ignore=shutil.ignore_patterns("__pycache__")
        )
    for name in ("pyproject.toml", "README.md"):
        shutil.copy(tree.ROOT / name, source / name)
    wanted = {
        path.relative_to(source).as_posix()
        for package in tree.PACKAGES
        for path in (source / package).rglob("*")
        if path.is_file()
    }
    build = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation"]
    subprocess.run(  # noqa: S603 (our own interpreter, fixed arguments)
        [*build, "--no-index", "--wheel-dir", str(tmp_path), str(source)], check=True
    )
    (wheel,) = tmp_path.glob("firedamp-*.whl")
    with zipfile.ZipFile(wheel) as archive:
        packed = {name for name in archive.namelist() if ".dist-info/" not in name}
    assert packed == wanted
