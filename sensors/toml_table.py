"""Reading TOML tables with every error found in one pass, named by place and key."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from sensors.quality import Quality

QUALITY_NAMES: Final = tuple(Quality.__members__)


class TomlError(ValueError):
    """Everything that is wrong with a file, one line each: where, which key, why, what to do."""

    def __init__(self, errors: Iterable[str]) -> None:
        self.errors = tuple(errors)
        super().__init__("\n".join(self.errors))


class Table:
    """One TOML table being read: hands keys out, collects what is wrong, refuses leftovers.

    A key without a default must be there. Every method that finds something wrong notes it and
    returns a value of the right type, so that one pass finds every error of a file.
    """

    def __init__(self, data: Mapping[str, Any], where: str, errors: list[str]) -> None:
        self._left = dict(data)
        self._where = where
        self._errors = errors

    def wrong(self, key: str, reason: str) -> None:
        """Note an error of `key`."""
        self._errors.append(f"{self._where}: {key}: {reason}")

    def _take(self, key: str, default: object, kind: type | tuple[type, ...], what: str) -> Any:  # noqa: ANN401
        if key not in self._left:
            if default is None:
                self.wrong(key, f"missing; give {what}")
            return default
        value = self._left.pop(key)
        if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
            self.wrong(key, f"{value!r} is not {what}")
            return default
        return value

    def text(self, key: str, default: str | None = None) -> str:
        """Take a text."""
        return str(self._take(key, default, str, "a text in quotes") or "")

    def texts(self, key: str) -> tuple[str, ...]:
        """Take a list of texts; none if it is not there."""
        return tuple(str(item) for item in self._take(key, [], list, "a list of texts"))

    def number(self, key: str, default: float | None = None) -> float:
        """Take a number, whole or not."""
        return float(self._take(key, default, (int, float), "a number") or 0.0)

    def numbers(self, key: str, length: int) -> tuple[float, ...]:
        """Take a list of `length` numbers; none if it is not there."""
        found = self._take(key, [], list, f"a list of {length} numbers")
        if found and (len(found) != length or not all(type(n) in (int, float) for n in found)):
            self.wrong(key, f"{found!r} is not a list of {length} numbers")
            return ()
        return tuple(float(n) for n in found)

    def integer(self, key: str, default: int | None, low: int = -(2**31), high: int = 2**32) -> int:
        """Take a whole number from `low` to `high`."""
        found = int(self._take(key, default, int, "a whole number") or 0)
        if not low <= found <= high:
            self.wrong(key, f"{found} is outside {low}…{high}")
        return found

    def choice(self, key: str, default: str | None, allowed: tuple[str, ...]) -> str:
        """Take one of the texts in `allowed`."""
        found = self.text(key, default)
        if found not in allowed and (found or default is not None):
            known = ", ".join(a for a in allowed if a)
            self.wrong(key, f"{found!r} is unknown; one of: {known}")
        return found

    def quality(self, key: str, default: Quality | None = None) -> Quality:
        """Take the name of a quality."""
        name = self.choice(key, None if default is None else default.name, QUALITY_NAMES)
        return Quality.__members__.get(name, Quality.DECODE_ERROR)

    def tables(self, key: str, most: int = 10_000) -> list[Table]:
        """Sub-tables that the caller finishes; a single table counts as a list of one."""
        found = self._left.pop(key, [])
        rows = found if isinstance(found, list) else [found]
        if len(rows) > most or not all(isinstance(row, dict) for row in rows):
            self.wrong(key, f"must be {'one table' if most == 1 else 'tables'}")
            return []
        return [
            Table(row, f"{self._where}: {key} {row.get('key', n + 1)}", self._errors)
            for n, row in enumerate(rows)
        ]

    def ends(self, key: str) -> Iterable[Table]:
        """Sub-tables that are finished when the caller asks for the next one."""
        for table in self.tables(key):
            yield table
            table.finish()

    def finish(self) -> None:
        """Refuse every key that nobody asked for."""
        for key in self._left:
            self.wrong(key, "unknown key; remove it or correct its spelling")
