"""The commands as a person types them: exit codes, messages, files."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SMALL = ROOT / "tests" / "data" / "small.toml"
READINGS = "time,point,value\n0,T1.gas,0.2\n0,T2.gas,0.1\n0,IO1.di0,0\n1,T1.gas,1.6\n"


def firedamp(*words: str | Path, cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "gateway", *map(str, words)]
    return subprocess.run(  # noqa: S603 - our own program
        command,
        cwd=cwd,
        env={"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin", "COLUMNS": "200"},
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
    )


def test_the_shipped_configuration_is_clean() -> None:
    done = firedamp("check")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "0 errors, 0 warnings" in done.stdout
    as_json = firedamp("check", "--json")
    report = json.loads(as_json.stdout)
    assert report["errors"] == []
    assert report["worst_case_s"]["T1-101.gas"] < report["bar_s"]


def test_a_wrong_configuration_ends_with_2_and_every_error(tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    text = SMALL.read_text(encoding="utf-8").replace('zone = "H1"', 'zone = "H9"', 1)
    file.write_text(text.replace("watchdog_s = 3.0", "watchdog_s = 3.0\nsafe = 1"), "utf-8")
    for words in (("check",), ("run",), ("status", "--once"), ("simulate",)):
        done = firedamp(*words, "-c", file)
        assert done.returncode == 2, words
        assert f"{file}:" in done.stderr
        assert "H9" in done.stderr
        assert "safe" in done.stderr
    errors = json.loads(firedamp("check", "--json", "-c", file).stdout)["errors"]
    assert {error["key"].rpartition(".")[2] for error in errors} == {"zone", "safe"}
    assert firedamp("check", "-c", tmp_path / "absent.toml").returncode == 2


def test_what_endangers_life_ends_with_2() -> None:
    done = firedamp("check", "-c", SMALL)
    assert done.returncode == 2
    assert "error" in done.stdout


def test_replay_writes_events_and_says_how_many(tmp_path: Path) -> None:
    readings, events = tmp_path / "readings.csv", tmp_path / "events.jsonl"
    readings.write_text(READINGS, encoding="utf-8")
    done = firedamp("replay", readings, "-c", SMALL, "--events", events)
    assert done.returncode == 0, done.stderr
    rows = [json.loads(line) for line in events.read_text(encoding="utf-8").splitlines()]
    assert f"{len(rows)} events" in done.stderr
    assert {row["rule"] for row in rows if row["rule"]} >= {"T1.gas/alarm", "T1.gas/withdraw"}
    to_stdout = firedamp("replay", readings, "-c", SMALL, "--speed", "100")
    assert to_stdout.stdout.splitlines() == events.read_text(encoding="utf-8").splitlines()


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (("replay", "absent.csv", "-c", SMALL), 2, "absent.csv: cannot be read"),
        (("replay", "absent.csv", "-c", SMALL, "--speed", "0"), 2, "--speed '0'"),
        (("run", "--only", "half", "-c", SMALL), 2, "--only 'half'"),
        (("simulate", "--scenario", "picnic"), 2, "no scenario 'picnic'; there are: "),
        (("demo", "--scenario", "picnic"), 2, "no scenario 'picnic'; there are: "),
        (("token", "king", "Li", "--file", "tokens"), 2, "role 'king'"),
        (("token", "operator", "Li", "--file", "tokens", "--expires", "soon"), 2, "RFC 3339"),
        (("evacuate", "all", "-c", SMALL), 1, "NOT DONE: no core answers at"),
        (("reset", "x", "-c", SMALL), 1, "NOT DONE: no core answers at"),
        (("verify", "nowhere", "-c", SMALL), 1, "no such file"),
        (("status", "--once", "-c", SMALL), 1, "NO LIVE STATE"),
        (("break", "not json"), 1, "NOT DONE"),
    ],
)
def test_what_cannot_be_done_is_said_in_words(
    tmp_path: Path, words: tuple[str | Path, ...], code: int, says: str
) -> None:
    cwd = ROOT if "picnic" in words else tmp_path
    done = firedamp(*words, cwd=cwd)
    assert done.returncode == code, done.stdout + done.stderr
    assert says in done.stdout + done.stderr
    assert "Traceback" not in done.stderr


def test_a_token_is_printed_once_and_kept_as_a_digest(tmp_path: Path) -> None:
    file = tmp_path / "secrets" / "tokens"
    done = firedamp("token", "regulator", "Bureau", "--file", file)
    token = done.stdout.strip()
    kept = file.read_text(encoding="utf-8")
    assert done.returncode == 0
    assert kept.startswith("regulator:Bureau:")
    assert token not in kept
    assert file.stat().st_mode & 0o777 == 0o600
