"""From the configuration file to `gateway.config.Config`, with every error in one pass.

A mistake is named with file, line, key, reason and what to do, before anything is opened.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any, Final, TypeVar

from pydantic import ValidationError

from alarms.regulations_file import load_profile, profile_ids
from gateway import config as c
from gateway.config_checks import check_draft
from gateway.config_draft import Draft, Row, merge_points
from gateway.config_errors import ConfigError, ConfigErrors, Report, closest
from gateway.config_schema import NOT_YET, SECTIONS, Section
from gateway.toml_positions import Path as TomlPath
from gateway.toml_positions import TomlSyntaxError, read
from sensors.device_types import DeviceType, load_types
from sensors.toml_table import TomlError

T = TypeVar("T")

PATH_KEYS: Final = frozenset(
    ("path", "socket", "password_file", "ca_file", "cert_file", "key_file", "token_file")
) | {"tokens_file"}
"""Keys that name files; relative ones count from the folder of the configuration file."""

_INSTEAD: Final[Mapping[str, str]] = {
    "password": "a secret stands in a file of its own: use password_file",
    "token": "a secret stands in a file of its own: use token_file",
    "voting": "voting groups are not in this version; each sensor raises its own alarm",
    "group": "voting groups are not in this version; each sensor raises its own alarm",
    "formula": "derived points are not in this version",
}
_NOT_YET_WORDS: Final[Mapping[str, str]] = {
    "rtu": "serial lines are not in this version; reach them through a Modbus TCP converter",
    "rtu-over-tcp": "not in this version; set the converter to Modbus TCP",
}


def load(path: Path) -> c.Config:
    """Read, check and return the configuration at `path`.

    Raises
    ------
    ConfigErrors
        With every error that was found, in order of line.
    """
    try:
        text = path.read_bytes().decode("utf-8")
    except OSError as error:
        reason = f"cannot be read: {error.strerror}"
        raise ConfigErrors([ConfigError(path, 0, "", reason, "check name and rights")]) from error
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        reason = f"not UTF-8 text: {error.reason}"
        raise ConfigErrors([ConfigError(path, line, "", reason, "save it as UTF-8")]) from error
    return parse(text, path, files=True)


def parse(text: str, file: Path, *, files: bool = False) -> c.Config:
    """Return the configuration in `text`; `file` is named in errors and is the base of paths.

    With `files`, the other files that it names must be there and readable: not needed to look
    at a configuration that a journal keeps.

    Raises
    ------
    ConfigErrors
        With every error that was found, in order of line.
    """
    try:
        document = read(text)
    except TomlSyntaxError as error:
        faults = [ConfigError(file, f.line, "", f.reason) for f in error.faults]
        raise ConfigErrors(faults) from error
    report = Report(file, document.lines)
    draft = _draft(document.data, file, report)
    check_draft(draft, report, files=files)
    if report.errors:
        raise ConfigErrors(report.errors)
    config = _config(draft)
    digest = hashlib.sha256(text.encode()).hexdigest()
    return replace(config, digest=digest, text=text, lines=document.lines)


@cache
def device_types() -> Mapping[str, DeviceType]:
    """Return the device types that come with the gateway; read once."""
    return load_types()


def _draft(data: Mapping[str, Any], file: Path, report: Report) -> Draft:
    """Check each table by itself and collect what is right."""
    for name in data:
        if name in NOT_YET:
            report.wrong((name,), NOT_YET[name])
        elif name not in SECTIONS:
            report.wrong((name,), "unknown table", closest(name, SECTIONS))
    for name, section in SECTIONS.items():
        if section.required and name not in data:
            missing = f"[[{name}]]" if section.many else f"[{name}]"
            report.wrong((name,), f"the file has no {missing} table", f"add {missing}")
    reader = _Reader(data, file.parent, report)
    draft = Draft(
        file=file,
        types=device_types(),
        site=reader.one("site", c.SiteConfig),
        journal=reader.one("journal", c.JournalConfig),
        commands=reader.one("commands", c.CommandsConfig),
        api=reader.one("api", c.ApiConfig),
        mqtt=reader.one("mqtt", c.BrokerConfig),
        influxdb=reader.one("influxdb", c.InfluxConfig),
        historian=reader.one("historian", c.HistorianConfig),
        zones=reader.many("zone", c.ZoneConfig),
        links=reader.many("link", c.LinkConfig),
        devices=reader.many("device", c.DeviceConfig),
        points=reader.many("point", c.PointConfig),
        rules=reader.many("rule", c.RuleConfig),
        peers=reader.many("peer", c.PeerConfig),
        outputs=reader.many("output", c.OutputConfig),
        exemptions=reader.many("exemption", c.ExemptionConfig),
        known=reader.known,
        mqtt_given="mqtt" in data,
    )
    draft.site_points = merge_points(draft.devices, draft.points, draft.types, draft.zone_classes)
    if draft.site is not None:
        try:
            draft.profile = load_profile(draft.site.it.profile)
        except TomlError as error:
            path = (*draft.site.path, "profile")
            report.wrong(path, str(error), closest(draft.site.it.profile, profile_ids()))
    return draft


class _Reader:
    """Reads tables of the file by kind; keeps the ids of all of them, right or wrong."""

    def __init__(self, data: Mapping[str, Any], base: Path, report: Report) -> None:
        self._data = data
        self._base = base
        self._report = report
        self.known: dict[str, set[str]] = {}

    def one(self, name: str, made: type[T]) -> Row[T] | None:
        """Read a table that stands at most once."""
        raw = self._data.get(name)
        if raw is None:
            return None
        if not isinstance(raw, dict):
            self._report.wrong((name,), f"must be one table, [{name}]", f"write [{name}] once")
            return None
        return self._row((name,), raw, SECTIONS[name], made)

    def many(self, name: str, made: type[T]) -> list[Row[T]]:
        """Read a table that may stand many times."""
        raw = self._data.get(name, [])
        if not isinstance(raw, list) or not all(isinstance(table, dict) for table in raw):
            self._report.wrong((name,), f"must be tables, [[{name}]]", f"write [[{name}]]")
            return []
        ids = {table["id"] for table in raw if isinstance(table.get("id"), str)}
        self.known[name] = ids
        rows = [self._row((name, n), table, SECTIONS[name], made) for n, table in enumerate(raw)]
        return [row for row in rows if row is not None]

    def _row(
        self, path: TomlPath, raw: Mapping[str, Any], section: Section, made: type[T]
    ) -> Row[T] | None:
        try:
            table = section.model.model_validate(raw)
        except ValidationError as error:
            for fault in error.errors(include_url=False):
                self._explain(path, dict(fault), section)
            return None
        values = table.model_dump(exclude_unset=True)
        return Row(path, made(**{k: self._value(k, v) for k, v in values.items()}))

    def _value(self, key: str, value: Any) -> Any:  # noqa: ANN401 - what a dataclass field takes
        if key in PATH_KEYS:
            return self._base / value
        if isinstance(value, list):
            return tuple(value)
        if isinstance(value, dict):
            return {k: tuple(v) if isinstance(v, list) else v for k, v in value.items()}
        return value

    def _explain(self, path: TomlPath, fault: dict[str, Any], section: Section) -> None:
        where: TomlPath = (*path, *(p for p in fault["loc"] if p != "[key]"))
        key, word, context = where[-1], fault["input"], fault.get("ctx", {})
        kind = fault["type"]
        if kind == "extra_forbidden":
            names = [f.alias or n for n, f in section.model.model_fields.items()]
            hint = _INSTEAD.get(str(key)) or closest(str(key), names)
            self._report.wrong(where, "unknown key", hint)
        elif kind == "missing":
            self._report.wrong(where, f"is missing in this [{path[0]}] table", "add it")
        elif kind == "literal_error":
            hint = _NOT_YET_WORDS.get(str(word)) or f"one of: {context['expected']}"
            self._report.wrong(where, f"{word!r} is not allowed", hint)
        elif kind == "string_pattern_mismatch":
            hint = _PATTERNS.get(str(context["pattern"]), "")
            self._report.wrong(where, f"{word!r} is not of the right form", hint)
        else:
            shown = f"{word!r}: " if not isinstance(word, (dict, list)) else ""
            self._report.wrong(where, shown + _REASONS.get(kind, str(fault["msg"])))


_PATTERNS: Final[Mapping[str, str]] = {
    r"^\w[\w-]*$": "letters, digits, _ and - only, no dots and no blanks",
    r"^\d{4}-\d{2}-\d{2}$": "a day as year-month-day, for example 2026-12-31",
    "^https?://": "an address that begins with http:// or https://",
}
_REASONS: Final[Mapping[str, str]] = {
    "string_type": "must be a text in quotes",
    "int_type": "must be a whole number, without quotes",
    "int_from_float": "must be a whole number",
    "float_type": "must be a number, without quotes",
    "finite_number": "must be a finite number",
    "bool_type": "must be true or false, without quotes",
    "list_type": "must be a list, [ ... ]",
    "dict_type": "must be a table, { key = value }",
    "string_too_short": "must not be empty",
}


def _config(draft: Draft) -> c.Config:
    """Put a draft without errors into its final form."""
    if draft.site is None or draft.journal is None or draft.commands is None:
        raise AssertionError("a draft without errors has every required table")
    return c.Config(
        file=draft.file,
        site=draft.site.it,
        zones=tuple(r.it for r in draft.zones),
        links=tuple(r.it for r in draft.links),
        devices=tuple(r.it for r in draft.devices),
        journal=draft.journal.it,
        commands=draft.commands.it,
        api=draft.api.it if draft.api else c.ApiConfig(),
        mqtt=draft.mqtt.it if draft.mqtt else None,
        influxdb=draft.influxdb.it if draft.influxdb else None,
        historian=draft.historian.it if draft.historian else None,
        points=tuple(r.it for r in draft.points),
        rules=tuple(r.it for r in draft.rules),
        peers=tuple(r.it for r in draft.peers),
        outputs=tuple(r.it for r in draft.outputs),
        exemptions=tuple(r.it for r in draft.exemptions),
    )
