"""A slow reader of InfluxDB line protocol, written from its reference, for comparison."""

from __future__ import annotations

from dataclasses import dataclass

Field = bool | int | float | str


@dataclass(frozen=True)
class Line:
    """One parsed line."""

    measurement: str
    tags: dict[str, str]
    fields: dict[str, Field]
    time_ns: int


def parse_line(line: bytes) -> Line:
    """Parse one line; ValueError if it is none."""
    head, *rest = split(line.decode(), " ")  # quotes mean nothing in measurement and tags
    fields, *time = split_outside_quotes(" ".join(rest), " ")
    (time_ns,) = time or ["0"]  # without a time the server gives its own
    measurement, *tags = split(head, ",")
    pairs = [split(tag, "=") for tag in tags]
    values = [split_outside_quotes(field, "=") for field in split_outside_quotes(fields, ",")]
    if any(len(pair) != 2 or not all(pair) for pair in [*pairs, *values]):
        raise ValueError(line)
    return Line(
        unescape(measurement),
        {unescape(key): unescape(value) for key, value in pairs},
        {unescape(key): field_value(value) for key, value in values},
        int(time_ns),
    )


def split(text: str, at: str) -> list[str]:
    """Split at a separator that no backslash stands before."""
    parts, part, escaped = [], "", False
    for char in text:
        if char == at and not escaped:
            parts.append(part)
            part = ""
        else:
            part += char
        escaped = char == "\\" and not escaped
    return [*parts, part]


def split_outside_quotes(text: str, at: str) -> list[str]:
    """The same, and not inside a quoted string."""
    parts, part, escaped, quoted = [], "", False, False
    for char in text:
        if char == at and not escaped and not quoted:
            parts.append(part)
            part = ""
        else:
            part += char
        if char == '"' and not escaped:
            quoted = not quoted
        escaped = char == "\\" and not escaped
    return [*parts, part]


def unescape(text: str) -> str:
    for special in (",", "=", " "):
        text = text.replace(f"\\{special}", special)
    return text


def field_value(text: str) -> Field:
    if text.startswith('"') and text.endswith('"') and len(text) > 1:
        return text[1:-1].replace('\\"', '"').replace("\\\\", "\\")
    if text in ("true", "false"):
        return text == "true"
    return int(text[:-1]) if text.endswith("i") else float(text)
