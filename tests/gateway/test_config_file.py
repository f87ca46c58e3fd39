"""The shipped configurations, the files they name, and text that is no configuration at all."""

from __future__ import annotations

import hashlib
from dataclasses import MISSING, fields, is_dataclass
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway import config as c
from gateway.config_errors import ConfigError, ConfigErrors, closest
from gateway.config_file import PATH_KEYS, load, parse
from gateway.config_schema import ABSENT, SECTIONS

ROOT = Path(__file__).parents[2]
SHIPPED = ROOT / "config.toml"
SMALL = ROOT / "tests" / "data" / "small.toml"

MADE = {
    "site": c.SiteConfig,
    "zone": c.ZoneConfig,
    "link": c.LinkConfig,
    "mqtt": c.BrokerConfig,
    "device": c.DeviceConfig,
    "point": c.PointConfig,
    "rule": c.RuleConfig,
    "peer": c.PeerConfig,
    "output": c.OutputConfig,
    "exemption": c.ExemptionConfig,
    "journal": c.JournalConfig,
    "historian": c.HistorianConfig,
    "api": c.ApiConfig,
    "commands": c.CommandsConfig,
    "influxdb": c.InfluxConfig,
}


def test_the_shipped_mine_is_as_large_as_it_claims() -> None:
    config = load(SHIPPED)
    assert sum(len(d.points) for d in config.devices) >= 60
    assert len(config.links) >= 4
    assert sum(bool(d.topic) for d in config.devices) >= 6
    assert {o.demand for o in config.outputs} == {"SOUND", "CUT_POWER", "WITHDRAW", "FAULT"}
    classes = [z.zone_class for z in config.zones]
    assert classes.count("heading") == 2
    assert {"longwall_face", "face_return", "belt_road", "main_fan", "main_return"} <= set(classes)


def test_every_key_of_the_language_is_explained_in_the_shipped_file() -> None:
    text = SHIPPED.read_text("utf-8")
    comments = "\n".join(line.partition("#")[2] for line in text.splitlines())
    missing = []
    for name, section in SECTIONS.items():
        for field, info in section.model.model_fields.items():
            key = info.alias or field
            commented = f"{key} " in comments or f"{key}," in comments or f"{key}\n" in comments
            keyed = any(
                line.split("=")[0].strip() == key and "#" in line for line in text.splitlines()
            )
            if not commented and not keyed:
                missing.append(f"{name}.{key}")
    assert not missing


def test_a_config_carries_its_text_digest_and_lines() -> None:
    text = SMALL.read_text("utf-8")
    config = load(SMALL)
    assert config.text == text
    assert config.digest == hashlib.sha256(text.encode()).hexdigest()
    assert text.splitlines()[config.lines["output", 0, "address"] - 1] == "address = 0"
    assert config == parse(text, SMALL)


def test_defaults_are_those_of_the_dataclasses() -> None:
    config = load(SMALL)
    assert config.api == c.ApiConfig()
    assert config.mqtt is None
    assert config.historian is None
    assert config.links[0].timeout_s == c.LinkConfig("x", "tcp", "h").timeout_s
    assert config.journal.max_readings_mb == c.JournalConfig(Path()).max_readings_mb


@pytest.mark.parametrize("name", sorted(MADE))
def test_schema_and_dataclass_have_the_same_keys(name: str) -> None:
    made, model = MADE[name], SECTIONS[name].model
    assert is_dataclass(made)
    assert {f.name for f in fields(made)} == set(model.model_fields)
    for field in fields(made):
        optional = field.default is not MISSING or field.default_factory is not MISSING
        info = model.model_fields[field.name]
        assert optional or info.is_required(), field.name
        assert info.is_required() or info.default is ABSENT
        assert ("Path" in str(field.type)) == (field.name in PATH_KEYS)


def test_file_names_count_from_the_folder_of_the_file(tmp_path: Path) -> None:
    (tmp_path / "site").mkdir()
    file = tmp_path / "site" / "mine.toml"
    file.write_text(SMALL.read_text("utf-8"), "utf-8")
    config = load(file)
    assert config.journal.path == tmp_path / "site" / "journal"
    assert config.commands.socket == tmp_path / "site" / "firedamp.sock"
    absolute = SMALL.read_text("utf-8").replace('"journal"', f'"{tmp_path}/j"')
    assert parse(absolute, file).journal.path == tmp_path / "j"


BROKER = '[mqtt]\nhost = "localhost"\nuser = "a"\npassword_file = "secret"\n'


def errors_of(folder: Path, extra: str, text: str = "") -> list[tuple[str, str]]:
    file = folder / "mine.toml"
    file.write_text((text or SMALL.read_text("utf-8")) + extra, "utf-8")
    with pytest.raises(ConfigErrors) as caught:
        load(file)
    return [(e.key, e.reason) for e in caught.value.errors]


def test_a_secret_is_read_from_its_file_and_must_be_there(tmp_path: Path) -> None:
    assert errors_of(tmp_path, BROKER) == [
        ("mqtt.password_file", f"there is no file {tmp_path / 'secret'}")
    ]
    secret = tmp_path / "secret"
    secret.write_text("", "utf-8")
    assert errors_of(tmp_path, BROKER) == [("mqtt.password_file", f"{secret} is empty")]
    secret.write_text("geheim\n", "utf-8")
    config = load(tmp_path / "mine.toml")
    assert config.mqtt is not None
    assert config.mqtt.password_file == secret
    assert "geheim" not in repr(config)


def test_a_secret_that_is_a_folder_is_no_secret(tmp_path: Path) -> None:
    (tmp_path / "secret").mkdir()
    assert errors_of(tmp_path, BROKER)[0][0] == "mqtt.password_file"


def test_text_alone_needs_no_other_files() -> None:
    text = SMALL.read_text("utf-8") + BROKER
    assert parse(text, Path("/nowhere/mine.toml")).mqtt is not None


def test_a_socket_name_that_no_system_takes_is_refused(tmp_path: Path) -> None:
    long = "d" * 90
    text = SMALL.read_text("utf-8").replace('"firedamp.sock"', f'"{long}/f.sock"')
    ((key, reason),) = errors_of(tmp_path, "", text)
    assert key == "commands.socket"
    assert "107 bytes" in reason


def test_journal_and_historian_need_folders_of_their_own(tmp_path: Path) -> None:
    ((key, reason),) = errors_of(tmp_path, '[historian]\npath = "journal"\n')
    assert (key, reason) == ("historian.path", "[journal] has the same folder")
    (tmp_path / "journal").write_text("a file", "utf-8")
    assert ("journal.path", f"{tmp_path / 'journal'} is a file") in errors_of(tmp_path, "")


def test_a_file_that_cannot_be_read_is_an_error_without_a_line(tmp_path: Path) -> None:
    with pytest.raises(ConfigErrors) as caught:
        load(tmp_path / "none.toml")
    assert str(caught.value).startswith(f"{tmp_path / 'none.toml'}: cannot be read: No such file")
    with pytest.raises(ConfigErrors):
        load(tmp_path)


def test_a_file_that_is_not_utf8_is_named_by_line(tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_bytes(b'[site]\nname = "\xff"\n')
    with pytest.raises(ConfigErrors) as caught:
        load(file)
    assert str(caught.value).startswith(f"{file}:2: not UTF-8")


def test_an_empty_file_lacks_every_required_table() -> None:
    with pytest.raises(ConfigErrors) as caught:
        parse("", Path("mine.toml"))
    required = {name for name, section in SECTIONS.items() if section.required}
    assert {e.key for e in caught.value.errors} == required


def test_syntax_errors_have_lines_too() -> None:
    with pytest.raises(ConfigErrors) as caught:
        parse("[site]\nid = \nname = 1 2\n", Path("mine.toml"))
    assert [e.line for e in caught.value.errors] == [2, 3]


@pytest.mark.parametrize(
    ("word", "known", "hint"),
    [
        ("LW110", ["LW101", "H201"], "did you mean 'LW101'?"),
        ("lw101", ["LW101", "H201"], "did you mean 'LW101'?"),
        ("zzz", ["LW101", "H201"], "there are: H201, LW101"),
        ("zzz", [], "there is none yet"),
    ],
)
def test_the_closest_name_is_suggested(word: str, known: list[str], hint: str) -> None:
    assert closest(word, known) == hint


LINES = SHIPPED.read_text("utf-8").splitlines(keepends=True)


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_a_damaged_file_is_refused_or_valid_but_never_a_crash(data: st.DataObject) -> None:
    lines = list(LINES)
    for _ in range(data.draw(st.integers(1, 5))):
        at = data.draw(st.integers(0, len(lines) - 1))
        what = data.draw(st.sampled_from(("drop", "double", "swap", "cut", "value")))
        if what == "drop":
            del lines[at]
        elif what == "double":
            lines.insert(at, lines[at])
        elif what == "swap":
            other = data.draw(st.integers(0, len(lines) - 1))
            lines[at], lines[other] = lines[other], lines[at]
        elif what == "cut":
            lines[at] = lines[at][: data.draw(st.integers(0, len(lines[at])))] + "\n"
        elif "=" in lines[at]:
            value = data.draw(st.sampled_from(('""', "-1", "1e300", "[]", "{}", "true", '"é"')))
            lines[at] = f"{lines[at].split('=')[0]}= {value}\n"
    for error in faults("".join(lines)):
        assert 0 < error.line <= len(lines) + 1
        assert error.reason


def faults(text: str) -> list[ConfigError]:
    try:
        parse(text, SHIPPED)
    except ConfigErrors as found:
        return found.errors or [ConfigError(SHIPPED, 0, "", "an exception without an error")]
    return []
