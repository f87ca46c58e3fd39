"""TOML with positions: values as `tomllib` reads them, and the line of every table and key.

`tomllib` has no positions, so a second parser (tree-sitter, with its TOML grammar) walks the same
text for them. `read` is the one function behind which both parsers hide; its values are always
those of `tomllib`.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

import tree_sitter_toml
from tree_sitter import Language, Node, Parser

Path = tuple[str | int, ...]
"""Keys and list indices from the top, for example ``("device", 3, "unit")``."""

_LANGUAGE: Final = Language(tree_sitter_toml.language())
_AT_LINE: Final = re.compile(r"\s*\(at (?:line (\d+), column \d+|end of document)\)$")


@dataclass(frozen=True, slots=True)
class TomlDocument:
    """Parsed values, and the line [1-based] of each table, list element and key."""

    data: dict[str, Any]
    lines: Mapping[Path, int]


@dataclass(frozen=True, slots=True)
class SyntaxFault:
    """One place where the text is not TOML."""

    line: int
    reason: str


class TomlSyntaxError(ValueError):
    """The text is not TOML; `faults` says where, at least one."""

    def __init__(self, faults: tuple[SyntaxFault, ...]) -> None:
        super().__init__("; ".join(f"line {f.line}: {f.reason}" for f in faults))
        self.faults = faults


def read(text: str) -> TomlDocument:
    """Parse `text`.

    Raises
    ------
    TomlSyntaxError
        With every fault that the two parsers find, in order of line.
    """
    root = Parser(_LANGUAGE).parse(text.encode()).root_node
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise TomlSyntaxError(_faults(text, str(error), root)) from error
    return TomlDocument(data, _lines(root))


def line_of(lines: Mapping[Path, int], path: Path) -> int:
    """Return the line of `path`, or of the nearest thing around it that has one; else 1."""
    for length in range(len(path), 0, -1):
        line = lines.get(path[:length])
        if line is not None:
            return line
    return 1


def _faults(text: str, message: str, root: Node) -> tuple[SyntaxFault, ...]:
    """Return the fault that tomllib names, and later lines that tree-sitter cannot read."""
    match = _AT_LINE.search(message)
    named = int(match.group(1)) if match and match.group(1) else text.count("\n") + 1
    found = {named: SyntaxFault(named, _AT_LINE.sub("", message))}
    for node in _broken(root):
        line = node.start_point[0] + 1
        # Beyond the first fault tree-sitter guesses; only later lines can be another mistake.
        if line > named:
            found.setdefault(line, SyntaxFault(line, "This line cannot be read as TOML"))
    return tuple(found[line] for line in sorted(found))


def _broken(node: Node) -> Iterator[Node]:
    if node.is_error or node.is_missing:
        yield node
    elif node.has_error:
        for child in node.children:
            yield from _broken(child)


def _lines(root: Node) -> dict[Path, int]:
    lines: dict[Path, int] = {}
    list_length: dict[Path, int] = {}
    for node in root.children:
        if node.type == "pair":
            _pair(node, (), lines)
        elif node.type in ("table", "table_array_element"):
            keys = next(_keys(c) for c in node.children if _is_key(c))
            base = (*_resolve(keys[:-1], list_length), keys[-1])
            if node.type == "table_array_element":
                position = list_length.get(base, 0)
                list_length[base] = position + 1
                lines.setdefault(base, _line(node))
                base += (position,)
            lines[base] = _line(node)
            for child in node.children:
                if child.type == "pair":
                    _pair(child, base, lines)
    return lines


def _resolve(keys: tuple[str, ...], list_length: Mapping[Path, int]) -> Path:
    """Turn ``[zone.sub]`` under ``[[zone]]`` into the path of the latest element."""
    path: Path = ()
    for key in keys:
        path += (key,)
        if path in list_length:
            path += (list_length[path] - 1,)
    return path


def _pair(node: Node, base: Path, lines: dict[Path, int]) -> None:
    path = base
    for key in _keys(node.children[0]):
        path += (key,)
        lines.setdefault(path, _line(node))
    # A comment at the end of the line belongs to the pair in this grammar.
    parts = [c for c in node.children if c.type != "comment"]
    _value(parts[-1], path, lines)


def _value(node: Node, path: Path, lines: dict[Path, int]) -> None:
    if node.type == "inline_table":
        for child in node.children:
            if child.type == "pair":
                _pair(child, path, lines)
    elif node.type == "array":
        items = [c for c in node.children if c.is_named and c.type != "comment"]
        for position, child in enumerate(items):
            lines[(*path, position)] = _line(child)
            _value(child, (*path, position), lines)


def _is_key(node: Node) -> bool:
    return node.type in ("bare_key", "quoted_key", "dotted_key")


def _keys(node: Node) -> tuple[str, ...]:
    if node.type == "dotted_key":
        return tuple(k for child in node.children if _is_key(child) for k in _keys(child))
    text = (node.text or b"").decode()
    if node.type == "quoted_key":
        # A quoted key may hold escapes; tomllib knows them all.
        return tuple(tomllib.loads(f"{text} = 0"))
    return (text,)


def _line(node: Node) -> int:
    return int(node.start_point[0]) + 1
