"""Each way in which a valid configuration fails people, shown by a case that triggers it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import pytest

from gateway import lint
from gateway.config_file import device_types, load, parse
from gateway.worst_case import reads_of, round_s

ROOT = Path(__file__).parents[2]
SHIPPED = ROOT / "config.toml"
TEXT = SHIPPED.read_text("utf-8")
SMALL = ROOT / "tests" / "data" / "small.toml"
TODAY = date(2026, 12, 1)


def report(text: str) -> lint.LintReport:
    return lint.check(parse(text, SHIPPED), TODAY)


def without(text: str, table: str) -> str:
    """Take out the table that holds `table`, and its head."""
    start = text.rindex("[[", 0, text.index(table) + 1)
    end = text.index("\n\n", start)
    return text[:start] + text[end + 2 :]


def exempt(expires: str) -> str:
    return TEXT + (
        '\n[[exemption]]\npoint = "TD-1.gas"\nstep = "alarm"\nlimit = 1.2\nauthority = "A"\n'
        f'document = "D"\npersons = ["P", "Q"]\nreason = "R"\nexpires = "{expires}"\n'
    )


def test_the_shipped_mine_is_clean() -> None:
    found = lint.check(load(SHIPPED), TODAY)
    assert found.findings == ()
    assert not lint.has_errors(found)


@dataclass(frozen=True)
class Case:
    name: str
    text: str
    severity: str
    at: str
    reason: str


def case(name: str, old: str, new: str, severity: str, at: str, reason: str) -> Case:
    assert old in TEXT, f"{name}: config.toml no longer holds {old!r}"
    return Case(name, TEXT.replace(old, new, 1), severity, at, reason)


PEER_BELT = 'peer = "plc-east"\naddress = 3\n'
CASES = [
    Case(
        "gas on which nobody is withdrawn",
        without(TEXT, 'id = "main-return-withdraw"'),
        "error",
        'points = { gas = "CH4" }\nrange = { gas = [0.0, 10.0] }\npoll_s = 1.0\n'
        'name = "Methane, main',
        "TM-1.gas: no rule withdraws anybody on CH4 here",
    ),
    Case(
        "zone without an evacuation siren",
        without(TEXT, 'id = "evacuate-belt"').replace('"main-intake", "belt-road", "LW', '"LW'),
        "error",
        'id = "belt-road"\n',
        "belt-road: people can be ordered to leave, and no output tells them",
    ),
    case(
        "evacuation siren without a watchdog",
        PEER_BELT,
        'link = "outputs-east"\nunit = 1\naddress = 3\n',
        "error",
        'id = "belt-road"\n',
        "belt-road: no evacuation output here goes on by itself if the gateway dies",
    ),
    Case(
        "power-off range that nothing cuts",
        without(TEXT, 'id = "power-H202"'),
        "error",
        'id = "H202"\n',
        "H202: T1-202.gas/power-off and",
    ),
    Case(
        "zone in which nothing sounds",
        without(TEXT, 'id = "siren-H202"').replace('"H201", "H202", "dist', '"H201", "dist', 1),
        "warning",
        'id = "H202"\n',
        "H202: alarms are to sound here, and no output sounds",
    ),
    case(
        "cut that stops ventilation",
        'feed = "IO-202.di2"\n',
        'feed = "IO-202.di2"\nstops_ventilation = true\n',
        "error",
        "stops_ventilation = true\n",
        "power-H202: a power cut must not stop a fan",
    ),
    case(
        "cut at the main fan",
        'zones = ["H202"]\nfeed',
        'zones = ["H202", "main-fan"]\nfeed',
        "error",
        'zones = ["H202", "main-fan"]',
        "power-H202: a power cut must not stop a fan",
    ),
    case(
        "cut that cannot be seen to work",
        'feed = "IO-202.di2"\n',
        "",
        "warning",
        'id = "power-H202"',
        "power-H202: told to cut and still live would not be seen",
    ),
    case(
        "cut without a watchdog",
        'peer = "plc-west"\naddress = 8\n',
        'link = "outputs-west"\nunit = 1\naddress = 8\n',
        "warning",
        'id = "power-H202"',
        "power-H202: nothing cuts by itself if the gateway dies",
    ),
    case(
        "watchdog that trips for nothing",
        "watchdog_s = 3.0",
        "watchdog_s = 0.5",
        "warning",
        "watchdog_s = 0.5",
        "0.5 s is too short",
    ),
    case(
        "watchdog beyond the bar",
        "watchdog_s = 3.0",
        "watchdog_s = 60.0",
        "error",
        "watchdog_s = 60.0",
        "plc-east: without the gateway it takes longer than the site's 15 s",
    ),
    case(
        "sirens on the field link",
        'link = "outputs-west"\nunit = 1\n',
        'link = "west"\nunit = 20\n',
        "warning",
        'link = "west"\nunit = 20\n',
        "a cut field cable takes the sirens with it",
    ),
    case(
        "sirens on a slow field link",
        'link = "outputs-west"\nunit = 1\n',
        'link = "west"\nunit = 20\n',
        "error",
        'link = "west"\nunit = 20\n',
        "beyond its watchdog",
    ),
    case(
        "limit above the sensor's range",
        'unit = 10\nzone = "district-return"\nlocation = "district_return"\n'
        'points = { gas = "CH4" }\nrange = { gas = [0.0, 10.0] }',
        'unit = 10\nzone = "district-return"\nlocation = "district_return"\n'
        'points = { gas = "CH4" }\nrange = { gas = [0.0, 0.9] }',
        "error",
        'points = { gas = "CH4" }\nrange = { gas = [0.0, 0.9] }',
        "TD-1.gas/withdraw: > 1 lies outside its range 0 to 0.9",
    ),
    case(
        "sensor whose range nobody knows",
        "range = { gas = [0.0, 25.0] }\n",
        "",
        "warning",
        'points = { gas = "O2" }',
        "O2-101.gas: no measuring range",
    ),
    case(
        "two points on one address",
        'di1 = "smoke", di2 = "smoke"',
        'di1 = "smoke", ndi1 = "smoke", di2 = "smoke"',
        "error",
        "ndi1",
        "IO-B1.ndi1 reads the same address as IO-B1.di1",
    ),
    case(
        "zone that nothing watches",
        '\n[[zone]]\nid = "surface"',
        '\n[[zone]]\nid = "pump"\nclass = "machine_room"\n\n[[zone]]\nid = "surface"',
        "warning",
        'id = "pump"',
        "pump: no sensor with a limit watches this zone",
    ),
    case(
        "main fan that nobody sees stop",
        'location = "main_fan"\npoints = { run',
        'location = "main_fan_standby"\npoints = { run',
        "error",
        'id = "main-fan"\n',
        "main-fan: no point says whether the main fan runs",
    ),
    case(
        "polled too seldom",
        'unit = 5\nzone = "LW101-return"\nlocation = "face_return"\npoints = { gas = "CO" }\n'
        "range = { gas = [0.0, 1000.0] }\npoll_s = 1.0",
        'unit = 5\nzone = "LW101-return"\nlocation = "face_return"\npoints = { gas = "CO" }\n'
        "range = { gas = [0.0, 1000.0] }\npoll_s = 20.0",
        "error",
        'points = { gas = "CO" }\nrange = { gas = [0.0, 1000.0] }\npoll_s = 20.0',
        "CO-101.gas: up to 46.6 s to its alarm, beyond the bar of 15 s",
    ),
    Case(
        "exemption that is over",
        exempt("2026-11-30"),
        "error",
        'expires = "2026-11-30"',
        "TD-1.gas/alarm: expired 1 days ago",
    ),
    Case(
        "exemption that soon ends",
        exempt("2026-12-24"),
        "warning",
        'expires = "2026-12-24"',
        "TD-1.gas/alarm: expires in 23 days",
    ),
    case(
        "link with nothing on it",
        '[[link]]\nid = "west"',
        '[[link]]\nid = "spare"\ntransport = "tcp"\nhost = "127.0.0.1"\nport = 15029\n\n'
        '[[link]]\nid = "west"',
        "warning",
        'id = "spare"',
        "nothing hangs on link 'spare'",
    ),
    case(
        "status open to everybody",
        'host = "127.0.0.1"                # address to listen on;',
        'host = "0.0.0.0"  #',
        "warning",
        'host = "0.0.0.0"',
        "everybody who reaches 0.0.0.0 may look",
    ),
]


@pytest.mark.parametrize("wrong", CASES, ids=[c.name for c in CASES])
def test_a_danger_is_found(wrong: Case) -> None:
    found = report(wrong.text)
    shown = "\n".join(str(f) for f in found.findings)
    near = [f for f in found.findings if wrong.reason in f.reason]
    assert len(near) == 1, shown
    assert wrong.text.count(wrong.at) == 1, wrong.at
    assert near[0].line == wrong.text[: wrong.text.index(wrong.at)].count("\n") + 1, shown
    assert near[0].severity == wrong.severity
    assert near[0].suggestion
    assert lint.has_errors(found) == any(f.severity == "error" for f in found.findings)


def test_an_exemption_that_holds_is_silent() -> None:
    assert report(exempt("2031-12-31")).findings == ()


def test_without_a_day_the_present_one_counts() -> None:
    found = lint.check(parse(exempt("2001-01-01"), SHIPPED))
    assert "expired" in found.findings[0].reason


def test_a_mine_without_a_main_fan_is_warned() -> None:
    found = lint.check(load(SMALL), TODAY)
    assert any("no zone of class main_fan" in f.reason for f in found.findings)


def test_a_secret_that_everybody_can_read(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("x", "utf-8")
    text = SMALL.read_text("utf-8") + '[mqtt]\nhost = "h"\npassword_file = "secret"\n'
    config = parse(text, tmp_path / "mine.toml", files=True)
    secret.chmod(0o644)
    assert any("everybody can read" in f.reason for f in lint.check(config, TODAY).findings)
    secret.chmod(0o600)
    assert not any("everybody can read" in f.reason for f in lint.check(config, TODAY).findings)


def test_worst_case_times_are_the_sums_of_their_parts() -> None:
    config = load(SHIPPED)
    times = lint.check(config, TODAY).worst_case_s
    links = {link.id: link for link in config.links}
    devices = {device.id: device for device in config.devices}
    # Belt: four devices, each one read; reply within 0.5 s, 2 ms between requests.
    assert round_s(config, links["belt"], device_types()) == pytest.approx(4 * 0.502)
    assert times["COB-1.gas"] == pytest.approx(2 * 1.0 + 4 * 0.502 + 0.1)
    assert times["IO-B1.di1"] == pytest.approx(2 * 0.5 + 4 * 0.502 + 0.1)
    # MQTT: max_age (three periods of 2 s) and a tick.
    assert times["N-belt.drive"] == pytest.approx(6.0 + 0.1)
    # The delay of a rule counts, where nothing vital hangs on the point.
    assert times["N-fan.vibration"] == pytest.approx(6.0 + 10.0 + 0.1)
    assert "N-baro.barometer" not in times
    # Two controllers, six requests each, on links of their own.
    assert round_s(config, links["outputs-east"], device_types()) == pytest.approx(6 * 0.5)
    assert reads_of(devices["T1-101"], device_types()) >= 1


def test_the_report_for_programs_and_for_people() -> None:
    found = report(exempt("2026-11-30"))
    data = json.loads(json.dumps(lint.as_json(found), default=str))
    assert [error["key"] for error in data["errors"]] == ["exemption.expires"]
    assert data["warnings"] == []
    assert data["worst_case_s"]["COB-1.gas"] == pytest.approx(4.108)
    assert data["limits_verified"] == {"no": 26, "partly": 48}
    text = lint.as_text(found)
    line = found.findings[0].line
    assert f"{SHIPPED}:{line}: error: exemption.expires: TD-1.gas/alarm: expired" in text
    assert "COB-1.gas" in text
    assert text.endswith("1 errors, 0 warnings")
