"""What tables of the configuration say about each other, and what no single table can get right.

Each check takes the draft and notes every error it finds; none stops at the first one.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from alarms.places import ZONE_CLASSES
from gateway.checks_devices import check_devices, check_points
from gateway.checks_outputs import check_outputs, check_peers
from gateway.checks_rules import check_exemptions, check_limits, check_rules
from gateway.config_draft import Draft
from gateway.config_errors import Report
from gateway.toml_positions import Path as TomlPath

AIRFLOW_QUANTITIES: Final = ("air_direction", "air_velocity", "air_quantity")
RESERVED_IDS: Final = frozenset({"gateway", "link", "all", "ladder", "manual"})
SOCKET_PATH_BYTES: Final = 107
"""Longest name of a Unix socket on Linux, in bytes."""


def check_draft(draft: Draft, report: Report, *, files: bool) -> None:
    """Run every check; those of other files only if the gateway is to run here."""
    _ids(draft, report)
    _site(draft, report)
    _zones(draft, report)
    _main_fan(draft, report)
    _links(draft, report)
    _broker(draft, report)
    check_devices(draft, report)
    check_points(draft, report)
    check_limits(draft, report)
    check_rules(draft, report)
    check_exemptions(draft, report)
    check_peers(draft, report)
    check_outputs(draft, report)
    if files:
        _secrets(draft, report)
        _folders(draft, report)


def _ids(draft: Draft, report: Report) -> None:
    kinds: tuple[tuple[str, Iterable[tuple[TomlPath, str]]], ...] = (
        ("zone", [(r.path, r.it.id) for r in draft.zones]),
        ("link", [(r.path, r.it.id) for r in draft.links]),
        ("device", [(r.path, r.it.id) for r in draft.devices]),
        ("point", [(r.path, r.it.id) for r in draft.points]),
        ("rule", [(r.path, r.it.id) for r in draft.rules]),
        ("peer", [(r.path, r.it.id) for r in draft.peers]),
        ("output", [(r.path, r.it.id) for r in draft.outputs]),
    )
    for kind, rows in kinds:
        seen: dict[str, TomlPath] = {}
        for path, name in rows:
            if name in seen:
                line = report.lines.get((*seen[name], "id"), 0)
                report.wrong((*path, "id"), f"{name!r} is already a {kind}, in line {line}")
            seen.setdefault(name, path)
            if name in RESERVED_IDS:
                report.wrong((*path, "id"), f"{name!r} is a word of the gateway's own", "rename it")
    devices = {r.it.id for r in draft.devices}
    for row in draft.outputs:
        if row.it.id in devices:
            reason = f"{row.it.id!r} is a device too; its points would have the same names"
            report.wrong((*row.path, "id"), reason, "rename one of them")


def _site(draft: Draft, report: Report) -> None:
    if draft.site is None:
        return
    path, site = draft.site.path, draft.site.it
    try:
        ZoneInfo(site.timezone)
    except (ZoneInfoNotFoundError, ValueError):
        report.wrong(
            (*path, "timezone"), f"{site.timezone!r} is no time zone", "such as Asia/Shanghai"
        )
    if draft.profile is None or not draft.profile.losses:
        return
    longest = max(loss.lost_after_s for loss in draft.profile.losses)
    shortest = min(loss.back_after_s for loss in draft.profile.losses)
    if site.lost_after_s is not None and site.lost_after_s > longest:
        reason = f"{site.lost_after_s:g} s is looser than the profile's {longest:g} s"
        report.wrong((*path, "lost_after_s"), reason, f"at most {longest:g}")
    if site.back_after_s is not None and site.back_after_s < shortest:
        reason = f"{site.back_after_s:g} s is looser than the profile's {shortest:g} s"
        report.wrong((*path, "back_after_s"), reason, f"at least {shortest:g}")
    for loss in draft.profile.losses:
        lost_s = min(loss.lost_after_s, site.lost_after_s or loss.lost_after_s)
        back_s = max(loss.back_after_s, site.back_after_s or loss.back_after_s)
        if lost_s <= back_s:
            key = "back_after_s" if site.lost_after_s is None else "lost_after_s"
            reason = f"unwatched after {lost_s:g} s, but watched again only after {back_s:g} s"
            hint = "every start would end in a withdrawal: lost_after_s above back_after_s"
            report.wrong((*path, key), reason, hint)
            break


def _zones(draft: Draft, report: Report) -> None:
    ids = draft.known.get("zone", set())
    for row in draft.zones:
        zone = row.it
        if zone.zone_class not in ZONE_CLASSES:
            path = (*row.path, "class")
            report.unknown(path, "class of zone", zone.zone_class, ZONE_CLASSES)
        for n, other in enumerate(zone.downwind):
            if other not in ids:
                report.unknown((*row.path, "downwind", n), "zone", other, ids)
            elif other == zone.id:
                report.wrong((*row.path, "downwind", n), "a zone is not downwind of itself")
        for n, point in enumerate(zone.airflow):
            where = (*row.path, "airflow", n)
            found = draft.site_points.get(point)
            if found is None:
                if point.split(".")[0] not in draft.broken_devices:
                    report.unknown(where, "point", point, draft.site_points)
            elif found.quantity not in AIRFLOW_QUANTITIES:
                reason = f"{point} measures {found.quantity}, which says nothing about airflow"
                report.wrong(where, reason, f"one of: {', '.join(AIRFLOW_QUANTITIES)}")


def _main_fan(draft: Draft, report: Report) -> None:
    """Refuse a second main fan station: the ladder of withdrawal has one fan."""
    stations = [row for row in draft.zones if row.it.zone_class == "main_fan"]
    for row in stations[1:]:
        reason = f"zone {stations[0].it.id!r} is the main fan station already"
        report.wrong((*row.path, "class"), reason, "there is one main fan station")


def _links(draft: Draft, report: Report) -> None:
    seen: dict[tuple[str, int], str] = {}
    for row in draft.links:
        address = (row.it.host, row.it.port)
        if address in seen:
            reason = f"link {seen[address]!r} has the same host and port"
            report.wrong((*row.path, "port"), reason, "put the devices on one link")
        seen.setdefault(address, row.it.id)


def _broker(draft: Draft, report: Report) -> None:
    if draft.mqtt is not None and bool(draft.mqtt.it.cert_file) != bool(draft.mqtt.it.key_file):
        reason = "cert_file and key_file belong together"
        report.wrong(("mqtt",), reason, "give both or neither")


def _secrets(draft: Draft, report: Report) -> None:
    for path, file in _files(draft):
        if not file.is_file():
            report.wrong(path, f"there is no file {file}", "create it, or correct the name")
        elif not os.access(file, os.R_OK):
            report.wrong(path, f"{file} cannot be read by this account", "correct its rights")
        elif not file.stat().st_size:
            report.wrong(path, f"{file} is empty", "put the secret into it")


def _files(draft: Draft) -> Iterator[tuple[TomlPath, Path]]:
    """Yield the files that must be there at the start."""
    if draft.mqtt is not None:
        mqtt = draft.mqtt.it
        named = (
            ("password_file", mqtt.password_file),
            ("ca_file", mqtt.ca_file),
            ("cert_file", mqtt.cert_file),
            ("key_file", mqtt.key_file),
        )
        yield from ((("mqtt", key), file) for key, file in named if file is not None)
    if draft.influxdb is not None and draft.influxdb.it.token_file is not None:
        yield ("influxdb", "token_file"), draft.influxdb.it.token_file
    if draft.api is not None and draft.api.it.tokens_file is not None:
        yield ("api", "tokens_file"), draft.api.it.tokens_file


def _folders(draft: Draft, report: Report) -> None:
    if draft.commands is not None:
        socket = draft.commands.it.socket
        if len(os.fsencode(socket.absolute())) > SOCKET_PATH_BYTES:
            reason = f"{socket.absolute()} is longer than {SOCKET_PATH_BYTES} bytes"
            report.wrong(("commands", "socket"), reason, "a Unix socket needs a shorter name")
    places = [
        (("journal", "path"), draft.journal.it.path if draft.journal else None),
        (("historian", "path"), draft.historian.it.path if draft.historian else None),
    ]
    seen: dict[Path, str] = {}
    for path, folder in places:
        if folder is None:
            continue
        if folder.exists() and not folder.is_dir():
            report.wrong(path, f"{folder} is a file", "name a folder")
        if folder.absolute() in seen:
            reason = f"[{seen[folder.absolute()]}] has the same folder"
            report.wrong(path, reason, "give each its own")
        seen[folder.absolute()] = path[0]
