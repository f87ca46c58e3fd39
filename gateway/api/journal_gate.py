"""The journal as the API reads it: in few threads, never for long.

A stalled disk holds up what is asked of the journal and nothing else: live answers come from
memory. Who cannot be served in time is told so.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final, TypeVar

T = TypeVar("T")

_THREADS: Final = 4
_PATIENCE_S: Final = 5.0


class JournalUnavailableError(Exception):
    """The journal cannot be read now; the message says why."""


class JournalGate:
    """Runs blocking reads of the journal in at most four threads."""

    def __init__(self, patience_s: float = _PATIENCE_S) -> None:
        self._patience_s = patience_s
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="journal-read")

    async def read(self, read: Callable[[], T]) -> T:
        """Return what `read` returns.

        Raises
        ------
        JournalUnavailableError
            If the files are absent or broken, or the disk does not answer in time.
        """
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(self._patience_s):
                return await loop.run_in_executor(self._threads, read)
        except TimeoutError:
            raise JournalUnavailableError(
                f"the journal did not answer within {self._patience_s:g} s: "
                "the disk is stalled or too much is asked of it at once; try again later"
            ) from None
        except (sqlite3.Error, OSError) as error:
            raise JournalUnavailableError(f"the journal cannot be read: {error}") from error

    def close(self) -> None:
        """Take no more reads; do not wait for one that hangs."""
        self._threads.shutdown(wait=False, cancel_futures=True)
