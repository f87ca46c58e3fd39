"""Checks of output controllers and outputs."""

from __future__ import annotations

from typing import Final

from gateway.checks_devices import filter_fault
from gateway.config import OutputConfig, PeerConfig
from gateway.config_draft import Draft, Row, is_mqtt
from gateway.config_errors import Report
from gateway.toml_positions import Path as TomlPath

COIL_ONLY: Final = ("peer", "link", "unit", "address")
TOPIC_ONLY: Final = ("topic", "readback_topic")


def check_peers(draft: Draft, report: Report) -> None:
    """Check every ``[[peer]]``."""
    units = {(r.it.link, r.it.unit): r.it.id for r in draft.devices if not is_mqtt(r.it)}
    seen: dict[tuple[str, int], str] = {}
    for row in draft.peers:
        peer = row.it
        if peer.link not in draft.known["link"]:
            report.unknown((*row.path, "link"), "link", peer.link, draft.known["link"])
        _zones(row, peer.zones, draft, report)
        address = (peer.link, peer.unit)
        if address in seen:
            reason = f"peer {seen[address]!r} has the same link and unit"
            report.wrong((*row.path, "unit"), reason, "one table for each controller")
        elif address in units:
            reason = f"device {units[address]!r} has the same link and unit"
            report.wrong((*row.path, "unit"), reason, "give each its own unit")
        seen.setdefault(address, peer.id)


def check_outputs(draft: Draft, report: Report) -> None:
    """Check every ``[[output]]``."""
    peers = {row.it.id: row.it for row in draft.peers}
    for row in draft.outputs:
        _zones(row, row.it.zones, draft, report)
        if row.it.kind == "mqtt":
            _mqtt(row, draft, report)
        else:
            _coil(row, peers, draft, report)
        _feed(row, draft, report)
    _same_coil(draft, peers, report)
    _same_topic(draft, report)


def _zones(
    row: Row[PeerConfig] | Row[OutputConfig],
    zones: tuple[str, ...],
    draft: Draft,
    report: Report,
) -> None:
    for n, zone in enumerate(zones):
        path: TomlPath = (*row.path, "zones", n)
        if zone not in draft.known["zone"]:
            report.unknown(path, "zone", zone, draft.known["zone"])
        elif zone in zones[:n]:
            report.wrong(path, f"{zone!r} stands here twice", "remove one")


def _coil(
    row: Row[OutputConfig], peers: dict[str, PeerConfig], draft: Draft, report: Report
) -> None:
    output, path = row.it, row.path
    for key in TOPIC_ONLY:
        if (*path, key) in report.lines:
            report.wrong((*path, key), "is for outputs of kind mqtt only", "remove it")
    if (*path, "address") not in report.lines:
        report.wrong(path, "a coil needs an address", "add address = 0 …")
    if output.peer:
        _at_peer(row, peers, draft, report)
    elif not output.link or not output.unit:
        report.wrong(path, "a coil needs a peer, or link and unit", 'add peer = "…"')
    elif output.link not in draft.known["link"]:
        report.unknown((*path, "link"), "link", output.link, draft.known["link"])


def _at_peer(
    row: Row[OutputConfig], peers: dict[str, PeerConfig], draft: Draft, report: Report
) -> None:
    output, path = row.it, row.path
    for key in ("link", "unit"):
        if (*path, key) in report.lines:
            report.wrong((*path, key), "the peer says it already", "remove it")
    peer = peers.get(output.peer)
    if output.peer not in draft.known["peer"]:
        report.unknown((*path, "peer"), "peer", output.peer, draft.known["peer"])
    elif peer is not None:
        outside = [zone for zone in output.zones if zone not in peer.zones]
        if outside:
            reason = f"{', '.join(outside)}: not among the zones of peer {peer.id!r}"
            report.wrong((*path, "zones"), reason, "add them to the peer's zones")


def _mqtt(row: Row[OutputConfig], draft: Draft, report: Report) -> None:
    output, path = row.it, row.path
    for key in COIL_ONLY:
        if (*path, key) in report.lines:
            report.wrong((*path, key), "is for outputs of kind modbus-coil only", "remove it")
    if not draft.mqtt_given:
        report.wrong((*path, "kind"), "an output of kind mqtt needs a broker", "add [mqtt]")
    if not output.topic:
        report.wrong(path, "an output of kind mqtt needs a topic", 'add topic = "…"')
    for key in TOPIC_ONLY:
        topic = getattr(output, key)
        if "+" in topic or "#" in topic:
            report.wrong((*path, key), f"{topic!r}: an output has one topic, no wild cards")
        elif topic and (reason := filter_fault(topic)):
            report.wrong((*path, key), f"{topic!r}: {reason}")
    if output.readback and not output.readback_topic:
        reason = "it is to be read back, and there is no topic for that"
        report.wrong(path, reason, "add readback_topic, or readback = false")
    if output.readback_topic and output.readback_topic == output.topic:
        reason = "would read back our own message and prove nothing"
        report.wrong((*path, "readback_topic"), reason, "the topic on which the device answers")


def _feed(row: Row[OutputConfig], draft: Draft, report: Report) -> None:
    output, path = row.it, (*row.path, "feed")
    if not output.feed:
        return
    if output.demand != "CUT_POWER":
        report.wrong(path, "only a power cut has a load side", "remove it")
    point = draft.site_points.get(output.feed)
    if point is None:
        if output.feed.split(".")[0] not in draft.broken_devices:
            report.unknown(path, "point", output.feed, draft.site_points)
    elif point.quantity != "feed":
        report.wrong(path, f"{point.id} measures {point.quantity}, not feed", "a point of feed")


def _same_coil(draft: Draft, peers: dict[str, PeerConfig], report: Report) -> None:
    seen = {(p.link, p.unit, p.permissive): f"the permissive of {p.id!r}" for p in peers.values()}
    for row in draft.outputs:
        output = row.it
        if output.kind != "modbus-coil" or (output.peer and output.peer not in peers):
            continue
        peer = peers.get(output.peer)
        link, unit = (peer.link, peer.unit) if peer else (output.link, output.unit)
        address = (link, unit, output.address)
        if address in seen:
            reason = f"the same coil as {seen[address]}"
            report.wrong((*row.path, "address"), reason, "give each output its own coil")
        seen.setdefault(address, f"output {output.id!r}")


def _same_topic(draft: Draft, report: Report) -> None:
    seen: dict[str, str] = {}
    for row in draft.outputs:
        for key in TOPIC_ONLY:
            topic = getattr(row.it, key)
            if topic and seen.get(topic, row.it.id) != row.it.id:
                reason = f"output {seen[topic]!r} has the same topic"
                report.wrong((*row.path, key), reason, "give each output its own topic")
            seen.setdefault(topic, row.it.id)
