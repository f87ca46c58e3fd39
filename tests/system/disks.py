"""Real disks for fault tests, out of files: they need root, and fail loudly without it."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


def run(*command: str | Path) -> None:
    subprocess.run([str(word) for word in command], check=True)  # noqa: S603


@contextmanager
def mounted(*options: str, at: Path) -> Iterator[Path]:
    """Mount something at a folder for as long as the block runs."""
    at.mkdir(parents=True, exist_ok=True)
    run("mount", *options, at)
    try:
        yield at
    finally:
        run("umount", at)


@contextmanager
def tmpfs(at: Path, size: str) -> Iterator[Path]:
    """A disk of that size, in memory."""
    with mounted("-t", "tmpfs", "-o", f"size={size}", "firedamp-test", at=at) as folder:
        yield folder


@contextmanager
def ext4(image: Path, at: Path) -> Iterator[Path]:
    """The file system inside an image; what was synced to it is in the image, nothing else."""
    with mounted("-o", "loop", str(image), at=at) as folder:
        yield folder


def make_ext4(image: Path, size_mb: int, *options: str) -> None:
    """Make an image that takes up only what is written to it."""
    with image.open("wb") as file:
        file.truncate(size_mb * 1024 * 1024)
    run("mkfs.ext4", "-q", "-F", *options, image)


def fill(disk: Path) -> Path:
    """Leave no room on a disk; return the file to remove again."""
    filler = disk / "filler"
    with filler.open("wb", buffering=0) as file:
        for size in (65_536, 4_096):
            with suppress(OSError):
                while file.write(bytes(size)):
                    pass
    return filler


def cut_power(image: Path, copy: Path) -> None:
    """Keep what a dead machine would find: writes that no sync asked for are not in the image."""
    shutil.copyfile(image, copy)
