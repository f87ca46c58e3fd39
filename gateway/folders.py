"""Where the processes of one site meet: the live state, and one lock a process."""

from __future__ import annotations

import fcntl
from pathlib import Path
from typing import IO

from gateway.config import Config


class AlreadyRunningError(RuntimeError):
    """Another process of the same kind runs on this site."""


def live_path(config: Config) -> Path:
    """Return where the core maps its live state: beside its socket, not beside the journal.

    Writing to a mapped page of a frozen disk waits. Where the socket is in memory (``/run``), the
    disk cannot stop the alarm path.
    """
    return config.commands.socket.with_suffix(".live")


def services_folder(config: Config) -> Path:
    """Return the folder that only the services write, beside the journal."""
    return config.journal.path.with_name("services")


def hold_lock(folder: Path, name: str) -> IO[str]:
    """Hold a lock until the returned file is closed or the process ends.

    Raises
    ------
    AlreadyRunningError
        If another process holds it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.lock"
    handle = path.open("w")
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        handle.close()
        message = f"another {name} process runs on this site: {path} is held"
        raise AlreadyRunningError(message) from error
    return handle
