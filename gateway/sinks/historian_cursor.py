"""Where the historian stands, in a file that is replaced whole."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from gateway.sinks.durable_file import replace_file
from gateway.sinks.parquet_files import Part


@dataclass(frozen=True, slots=True)
class Cursor:
    """What is in files: everything up to commit `seq` of journal `epoch`.

    `epoch` counts journals that began anew. `sealing`: first and last commit of files that a
    crash may have left half done.
    """

    epoch: int = 0
    seq: int = 0
    sealing: tuple[int, int] | None = None

    def is_half_done(self, part: Part) -> bool:
        """Say whether a file is of what was being sealed."""
        return part.epoch == self.epoch and (part.first, part.last) == self.sealing

    def save(self, path: Path) -> None:
        """Put it on the disk; afterwards it is there, whatever happens."""
        replace_file(path, json.dumps(asdict(self)).encode())

    @classmethod
    def load(cls, path: Path, parts: Sequence[Part]) -> Cursor:
        """Return the saved cursor; if it is lost, the one that the names of the files tell.

        Of the newest files nobody knows then whether they are all there: they are written again.
        """
        try:
            found = json.loads(path.read_text())
            epoch, seq, sealing = found["epoch"], found["seq"], found["sealing"]
            return cls(int(epoch), int(seq), None if sealing is None else (sealing[0], sealing[1]))
        except (FileNotFoundError, ValueError, KeyError, TypeError, IndexError):
            if not parts:
                return cls()
            newest = max(parts, key=lambda part: (part.epoch, part.last))
            return cls(newest.epoch, newest.first - 1, (newest.first, newest.last))
