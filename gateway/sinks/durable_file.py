"""Small files that survive a crash: written whole, or appended to, and synced."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path


def replace_file(path: Path, data: bytes) -> None:
    """Put `data` in the place of a file, so that after a crash it is the old or the new one.

    Raises
    ------
    OSError
        If the disk refuses; the old file is then untouched.
    """
    beside = path.with_name(path.name + ".new")
    with beside.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    beside.replace(path)
    _sync_folder(path.parent)


def append_lines(path: Path, lines: Iterable[bytes], *, keep_bytes: int) -> None:
    """Append lines; a file beyond `keep_bytes` first becomes ``<name>.1``, replacing that one.

    Raises
    ------
    OSError
        If the disk refuses.
    """
    if path.exists() and path.stat().st_size >= keep_bytes:
        path.replace(path.with_name(path.name + ".1"))
    with path.open("ab") as file:
        file.writelines(line + b"\n" for line in lines)
        file.flush()
        os.fsync(file.fileno())
    _sync_folder(path.parent)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
