"""The demonstration: broker, pretend mine and gateway on one machine, until interrupted."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from pathlib import Path
from typing import Final

from gateway.api.auth import new_token
from gateway.config import Config

READY_WITHIN_S: Final = 60.0
_HELLO: Final = """
Firedamp watches a pretend mine. Supervisory only: at a real mine the hardware lock-outs remain.

  live page   http://{host}:{port}/#token={token}
  status      .venv/bin/firedamp status -c {config}
  break it    .venv/bin/firedamp break --socket {control} '{{"fan": "main", "state": "stop"}}'
              .venv/bin/firedamp break --socket {control} '{{"link": "east", "state": "cut"}}'
  evacuate    .venv/bin/firedamp evacuate LW101 -c {config} --reason "smoke" --name "your name"
  ask it      curl -H 'Authorization: Bearer {token}' http://{host}:{port}/api/v1/status

Ctrl-C ends everything. State is kept in {state}; delete that folder to begin anew.
"""


def _port_is_taken(host: str, port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return True
    return False


def _taken(config: Config) -> list[str]:
    """Return what the demonstration needs and somebody else holds."""
    wanted = [(f"[[link]] {link.id}", link.host, link.port) for link in config.links]
    wanted.append(("[api]", config.api.host, config.api.port))
    if config.mqtt:
        wanted.append(("[mqtt]", config.mqtt.host, config.mqtt.port))
    return [f"{key}: {host}:{port}" for key, host, port in wanted if _port_is_taken(host, port)]


def _tokens(file: Path) -> str:
    """Write a tokens file with one new operator's token, and return the token."""
    token, line = new_token("operator", "demo")
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(f"# made anew by each demonstration\n{line}\n", encoding="utf-8")
    file.chmod(0o600)
    return token


def _is_ready(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=2):  # noqa: S310 - our own address
            return True
    except (urllib.error.URLError, OSError):
        return False


def run_demo(config: Config, path: Path, scenario: str) -> int:
    """Run the demonstration; return the exit code.

    Parameters
    ----------
    config : Config
        The configuration at `path`.
    scenario : str
        Name of a scenario that begins soon after the start; empty for a quiet mine.
    """
    taken = _taken(config)
    if taken:
        sys.stderr.write("somebody else listens where the demonstration would: ")
        sys.stderr.write(
            "; ".join(taken) + "\nend that, or change the ports in the configuration\n"
        )
        return 2
    state = config.journal.path.parent
    control = state / "mine.sock"
    tokens = state / "demo-tokens"
    token = _tokens(tokens)
    firedamp = [sys.executable, "-m", "gateway"]
    mine = [*firedamp, "simulate", "-c", str(path), "--control", str(control)]
    if scenario:
        mine += ["--scenario", scenario]
    parts = [
        subprocess.Popen(mine),  # noqa: S603 - our own program
        subprocess.Popen(  # noqa: S603
            [*firedamp, "run", "-c", str(path), "--tokens", str(tokens)]
        ),
    ]
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda _number, _frame: stop.set())
    host, port = config.api.host, config.api.port
    waited_s, announced = 0.0, False
    while not stop.wait(0.2) and all(part.poll() is None for part in parts):
        waited_s += 0.2
        if not announced and _is_ready(f"http://{host}:{port}/healthz"):
            announced = True
            hello = _HELLO.format(
                host=host, port=port, token=token, config=path, control=control, state=state
            )
            sys.stdout.write(hello)
            sys.stdout.flush()
        if not announced and waited_s > READY_WITHIN_S:
            sys.stderr.write(f"the gateway did not become ready within {READY_WITHIN_S:g} s\n")
            break
    for part in reversed(parts):
        if part.poll() is None:
            part.send_signal(signal.SIGTERM)
    codes = [_ended(part) for part in parts]
    return 0 if announced and stop.is_set() else max(1, *map(abs, codes))


def _ended(part: subprocess.Popen[bytes]) -> int:
    try:
        return part.wait(timeout=30)
    except subprocess.TimeoutExpired:
        part.kill()
        return part.wait()
