"""Errors of a configuration: each with file, line, key, reason and what to do about it."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from gateway.toml_positions import Path as TomlPath
from gateway.toml_positions import line_of


@dataclass(frozen=True, slots=True, order=True)
class ConfigError:
    """One mistake. `line` is 0 where the file itself cannot be read."""

    file: Path
    line: int
    key: str
    reason: str
    suggestion: str = ""

    def __str__(self) -> str:
        where = f"{self.file}:{self.line}" if self.line else str(self.file)
        key = f" {self.key}:" if self.key else ""
        hint = f" -> {self.suggestion}" if self.suggestion else ""
        return f"{where}:{key} {self.reason}{hint}"


class ConfigErrors(ValueError):  # noqa: N818 - one exception that holds all errors of a file
    """Everything that is wrong with a configuration, in order of line."""

    def __init__(self, errors: Iterable[ConfigError]) -> None:
        self.errors = sorted(set(errors))
        super().__init__("\n".join(str(e) for e in self.errors))


@dataclass(slots=True)
class Report:
    """Collects errors by the path of the key that is wrong."""

    file: Path
    lines: Mapping[TomlPath, int]
    errors: list[ConfigError] = field(default_factory=list)

    def wrong(self, path: TomlPath, reason: str, suggestion: str = "") -> None:
        """Note one error of the key at `path`."""
        key = ".".join(part for part in path if isinstance(part, str))
        line = line_of(self.lines, path)
        self.errors.append(ConfigError(self.file, line, key, reason, suggestion))

    def unknown(self, path: TomlPath, what: str, word: str, known: Iterable[str]) -> None:
        """Note that `word` names nothing; suggest the closest name there is."""
        self.wrong(path, f"there is no {what} {word!r}", closest(word, known))


def closest(word: str, known: Iterable[str]) -> str:
    """Return ``did you mean …?``, or the list of what there is if nothing is close."""
    names = sorted(set(known))
    near = difflib.get_close_matches(word, names, n=1, cutoff=0.6)
    if not near:
        folded = {name.casefold(): name for name in names}
        near = [folded[m] for m in difflib.get_close_matches(word.casefold(), folded, 1, 0.6)]
    if near:
        return f"did you mean {near[0]!r}?"
    if not names:
        return "there is none yet"
    more = ", …" if len(names) > 8 else ""  # noqa: PLR2004 - as many as one line holds
    return f"there are: {', '.join(names[:8])}{more}"
