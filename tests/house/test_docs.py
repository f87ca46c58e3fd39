"""The documents are true: links lead somewhere, and every setting and command is described."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path
from typing import Final

import pytest
import typer

from gateway import cli, config
from gateway.api import routes
from tests.house import tree

LINK: Final = re.compile(r"\[[^\]]*\]\(([^)#\s]+)(?:#[^)]*)?\)")
# docs/claims.md says what must not be said, and therefore says it.
BOASTS: Final = re.compile(
    r"\bSIL[ -]?[1-4]\b|tamper-?proof|never loses|guarantee|exactly once|military|bullet-?proof",
    re.IGNORECASE,
)
TABLES: Final = {
    config.SiteConfig: "site",
    config.ZoneConfig: "zone",
    config.LinkConfig: "link",
    config.BrokerConfig: "mqtt",
    config.DeviceConfig: "device",
    config.PointConfig: "point",
    config.RuleConfig: "rule",
    config.PeerConfig: "peer",
    config.OutputConfig: "output",
    config.ExemptionConfig: "exemption",
    config.JournalConfig: "journal",
    config.InfluxConfig: "influxdb",
    config.ApiConfig: "api",
    config.CommandsConfig: "commands",
    config.HistorianConfig: "historian",
}
RENAMED: Final = {"zone_class": "class"}


@pytest.mark.parametrize("document", tree.documents(), ids=tree.name)
def test_links_lead_to_files(document: Path) -> None:
    targets = LINK.findall(document.read_text(encoding="utf-8"))
    inside = [target for target in targets if "://" not in target]
    lost = [target for target in inside if not (document.parent / target).exists()]
    assert not lost


@pytest.mark.parametrize("document", tree.documents(), ids=tree.name)
def test_no_document_boasts(document: Path) -> None:
    if document.name == "claims.md":
        return
    found = BOASTS.findall(document.read_text(encoding="utf-8"))
    assert not found, "docs/claims.md says what may be claimed"


@pytest.mark.parametrize("table", TABLES, ids=TABLES.get)
def test_every_key_of_the_configuration_is_described(table: type) -> None:
    text = (tree.ROOT / "docs" / "configuration.md").read_text(encoding="utf-8")
    section = rf"^## [^\n]*\[{TABLES[table]}\][^\n]*$(.*?)(?=^## |\Z)"
    sections = "".join(re.findall(section, text, re.MULTILINE | re.DOTALL))
    keys = [RENAMED.get(field.name, field.name) for field in dataclasses.fields(table)]
    missing = [key for key in keys if f"`{key}`" not in sections]
    assert not missing, f"docs/configuration.md, [{TABLES[table]}]"


def _commands() -> set[str]:
    group = typer.main.get_command(cli.app)
    return set(getattr(group, "commands", {}))


def test_every_command_is_described_and_every_described_command_exists() -> None:
    text = "\n".join(path.read_text(encoding="utf-8") for path in tree.documents())
    named = set(re.findall(r"(?:`|bin/)firedamp ([a-z][a-z-]*)", text))
    assert named - _commands() == set()
    assert _commands() - named - set(re.findall(r"`([a-z]+)`", text)) == set()


def test_every_route_is_described() -> None:
    text = (tree.ROOT / "docs" / "formats.md").read_text(encoding="utf-8")
    paths = {
        str(getattr(route, "path", "")) for route in (*routes.api.routes, *routes.watch.routes)
    }
    assert {path for path in paths if f"`{path}" not in text} == set()


def test_every_scenario_and_every_profile_is_described() -> None:
    text = (tree.ROOT / "docs" / "simulator.md").read_text(encoding="utf-8")
    scenarios = {path.stem for path in (tree.ROOT / "simulators" / "scenarios").glob("*.toml")}
    assert {name for name in scenarios if f"`{name}`" not in text} == set()
    text = (tree.ROOT / "docs" / "configuration.md").read_text(encoding="utf-8")
    profiles = {path.stem for path in (tree.ROOT / "alarms" / "regulations").glob("*.toml")}
    assert {name for name in profiles if f"`{name}`" not in text} == set()


def test_every_decision_is_listed() -> None:
    folder = tree.ROOT / "docs" / "decisions"
    listed = set(LINK.findall((folder / "README.md").read_text(encoding="utf-8")))
    assert {path.name for path in folder.glob("0*.md")} == listed
