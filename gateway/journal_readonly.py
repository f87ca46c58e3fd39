"""One journal file as readers open it: read-only, and again when the core has replaced it."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any, Final

from gateway import journal_files as files

_BUSY_S: Final = 1.0


class ReadOnlyFile:
    """One journal file, opened read-only when needed, and again when it was replaced."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.opened = 0
        self._inode = 0
        self._connection: sqlite3.Connection | None = None

    def rows(self, sql: str, *values: object) -> list[tuple[Any, ...]]:
        """Return all rows of one statement; nothing if the file is not there (yet).

        Raises
        ------
        sqlite3.Error
            If the file cannot be read.
        """
        try:
            inode = self._path.stat().st_ino
        except FileNotFoundError:
            self.close()
            return []
        if inode != self._inode:
            self.close()
        if self._connection is None:
            self._connection = sqlite3.connect(
                f"file:{self._path}?mode=ro",
                uri=True,
                timeout=_BUSY_S,
                isolation_level=None,
                check_same_thread=False,
            )
            self._connection.text_factory = files.lenient_text
            self.opened += 1
            self._inode = inode
        try:
            return self._connection.execute(sql, values).fetchall()
        except sqlite3.OperationalError as error:
            if "no such table" in str(error):
                return []  # made this moment
            self.close()
            raise

    def close(self) -> None:
        """Close the file; it is opened again when needed."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None
