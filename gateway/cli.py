"""The commands. Each does one thing; exit 0 done, 1 refused or found bad, 2 wrong input."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import signal
import subprocess
import sys
from collections.abc import Coroutine
from dataclasses import asdict, replace
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from alarms.restart import LoosenedError
from gateway import commands, config_file, lint, replay, site
from gateway.api.auth import ROLES, new_token, parse_tokens
from gateway.config import Config
from gateway.config_errors import ConfigErrors
from gateway.core import run as run_core
from gateway.folders import AlreadyRunningError
from gateway.services import serve
from gateway.status import show_status
from gateway.verify import verify_journal

WRONG_INPUT: Final = 2
REFUSED: Final = 1

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Gas and ventilation monitoring gateway. Supervisory only: the hardware lock-outs remain.",
)
_out = Console()
_err = Console(stderr=True)

ConfigOption = Annotated[Path, typer.Option("-c", "--config", help="Configuration file.")]
ReasonOption = Annotated[str, typer.Option("--reason", help="Why; stands in the journal.")]
NameOption = Annotated[
    str, typer.Option("--name", help="Who stands at the keyboard, beside the system's user.")
]
DEFAULT_CONFIG: Final = Path("config.toml")


def _fail(code: int, text: str) -> typer.Exit:
    _err.print(text, markup=False, highlight=False, soft_wrap=True)
    return typer.Exit(code)


def _load(path: Path) -> Config:
    try:
        return config_file.load(path)
    except ConfigErrors as errors:
        raise _fail(WRONG_INPUT, str(errors)) from None


def _run_async(main: Coroutine[Any, Any, None]) -> None:
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")
    try:
        asyncio.run(main)
    except (AlreadyRunningError, LoosenedError) as error:
        raise _fail(WRONG_INPUT, str(error)) from None
    except KeyboardInterrupt:
        raise typer.Exit(0) from None


@app.command()
def run(
    config: ConfigOption = DEFAULT_CONFIG,
    only: Annotated[
        str, typer.Option("--only", help="core or services: one process instead of both.")
    ] = "",
    tokens: Annotated[
        Path | None, typer.Option("--tokens", help="Tokens file, instead of [api] tokens_file.")
    ] = None,
) -> None:
    """Run the daemon: the core (alarm path) and the services (API, page, sinks)."""
    if only not in ("", "core", "services"):
        raise _fail(WRONG_INPUT, f"--only {only!r}: use core or services")
    loaded = _load(config)
    if tokens is not None:
        loaded = replace(loaded, api=replace(loaded.api, tokens_file=tokens))
    if only == "core":
        _run_async(run_core(loaded))
    elif only == "services":
        _run_async(serve(loaded))
    else:
        raise typer.Exit(_run_both(config, tokens))


def _run_both(config: Path, tokens: Path | None) -> int:
    """Run the core in this process' child and the services in another; end both together.

    The services may die and are started again; when the core ends, everything ends.
    """
    command = [sys.executable, "-m", "gateway", "run", "-c", str(config)]
    command += ["--tokens", str(tokens)] if tokens else []
    command.append("--only")
    core = subprocess.Popen([*command, "core"])  # noqa: S603 - our own program
    services = subprocess.Popen([*command, "services"])  # noqa: S603
    stopping = False

    def stop(_number: int, _frame: object) -> None:
        nonlocal stopping
        stopping = True
        core.terminate()
        services.terminate()

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    pause_s = 1.0
    while True:
        try:
            code = core.wait(timeout=pause_s)
            break
        except subprocess.TimeoutExpired:
            if services.poll() is not None and not stopping:
                _err.print("services ended; starting them again", highlight=False)
                services = subprocess.Popen([*command, "services"])  # noqa: S603
                pause_s = min(10.0, pause_s * 2)
    services.terminate()
    try:
        services.wait(timeout=10)
    except subprocess.TimeoutExpired:
        services.kill()
    return 0 if stopping else code


@app.command()
def check(
    config: ConfigOption = DEFAULT_CONFIG,
    as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
) -> None:
    """Validate a configuration, look for what endangers life, and compute worst-case times."""
    try:
        loaded = config_file.load(config)
        report = lint.check(loaded)
    except OSError as error:
        raise _fail(WRONG_INPUT, str(error)) from None
    except ConfigErrors as errors:
        if as_json:
            found = [asdict(error) for error in errors.errors]
            sys.stdout.write(json.dumps({"errors": found}, default=str) + "\n")
            raise typer.Exit(WRONG_INPUT) from None
        raise _fail(WRONG_INPUT, str(errors)) from None
    if as_json:
        sys.stdout.write(json.dumps(lint.as_json(report), default=str) + "\n")
    else:
        _out.print(lint.as_text(report), markup=False, highlight=False, soft_wrap=True)
    if lint.has_errors(report):
        raise typer.Exit(WRONG_INPUT)


@app.command()
def simulate(
    config: ConfigOption = DEFAULT_CONFIG,
    scenario: Annotated[str, typer.Option("--scenario", help="Name of a scenario.")] = "",
    speed: Annotated[float, typer.Option("--speed", help="Times faster than the clock.")] = 1.0,
    seed: Annotated[int, typer.Option("--seed", help="Of every random number.")] = 1,
    control: Annotated[
        Path | None, typer.Option("--control", help="Socket for `firedamp break`.")
    ] = None,
    broker: Annotated[bool, typer.Option(help="Start the embedded MQTT broker too.")] = True,
) -> None:
    """Run the pretend mine alone: Modbus devices, MQTT nodes and siren PLCs of a configuration."""
    from simulators.run import run_mine  # noqa: PLC0415 - production never loads the pretend mine

    loaded = _load(config)
    _run_async(run_mine(loaded, scenario or None, speed, seed, control=control, own_broker=broker))


@app.command()
def demo(
    config: ConfigOption = DEFAULT_CONFIG,
    scenario: Annotated[str, typer.Option("--scenario", help="Name of a scenario.")] = "",
) -> None:
    """Run everything on this machine: broker, pretend mine, gateway, API and page."""
    from simulators.demo import run_demo  # noqa: PLC0415 - production never loads the pretend mine

    raise typer.Exit(run_demo(_load(config), config, scenario))


@app.command()
def token(
    role: Annotated[str, typer.Argument(help=" or ".join(ROLES))],
    name: Annotated[str, typer.Argument(help="Whose it is.")],
    file: Annotated[Path, typer.Option("--file", help="Tokens file; the line is added to it.")],
    expires: Annotated[str, typer.Option("--expires", help="RFC 3339; default never.")] = "",
) -> None:
    """Make an API token: prints it once and keeps only its digest."""
    if role not in ROLES:
        raise _fail(WRONG_INPUT, f"role {role!r}: use {' or '.join(ROLES)}")
    secret, line = new_token(role, name, expires)
    _, wrong = parse_tokens(line)
    if wrong:
        raise _fail(WRONG_INPUT, wrong[0].partition(": ")[2])
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("a", encoding="utf-8") as lines:
        lines.write(line + "\n")
    file.chmod(0o600)
    _out.print(secret, markup=False, highlight=False, soft_wrap=True)


@app.command(name="replay")
def replay_command(
    files: Annotated[list[Path], typer.Argument(help="A journal folder, or CSV(.gz) files.")],
    config: ConfigOption = DEFAULT_CONFIG,
    events: Annotated[
        Path | None, typer.Option("--events", help="JSON lines; default stdout.")
    ] = None,
    speed: Annotated[str, typer.Option("--speed", help="max, or times the recorded time.")] = "max",
) -> None:
    """Send recorded data through the same engine and write the events that come out."""
    factor = _speed(speed)
    journal = len(files) == 1 and files[0].is_dir()
    source = (
        replay.replay_journal(files[0])
        if journal
        else replay.replay_csv(files, site.build(_load(config)).own_plan())
    )
    sink = events.open("wb") if events else sys.stdout.buffer
    count = 0
    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    try:
        with Progress(*columns, console=_err, transient=True) as progress:
            task = progress.add_task("replay")
            for stamp, rows in replay.paced(source, factor):
                for row in rows:
                    sink.write(replay.event_json(row) + b"\n")
                    count += 1
                if rows:
                    progress.update(task, description=f"{replay.iso(stamp)}  {count} events")
    except (replay.ReadingsFileError, ValueError, OSError) as error:
        raise _fail(WRONG_INPUT, str(error)) from None
    finally:
        sink.flush()
        if events:
            sink.close()
    _err.print(f"{count} events", highlight=False)


def _speed(text: str) -> float | None:
    if text == "max":
        return None
    try:
        factor = float(text)
    except ValueError:
        factor = 0.0
    if not 0 < factor <= 1e6:  # noqa: PLR2004 - beyond any use
        raise _fail(WRONG_INPUT, f"--speed {text!r}: use max, or a number above 0")
    return factor


@app.command()
def status(
    config: ConfigOption = DEFAULT_CONFIG,
    once: Annotated[bool, typer.Option("--once", help="Print once and end.")] = False,
) -> None:
    """Show the live state as a table in the terminal."""
    raise typer.Exit(show_status(_load(config), _out, once=once))


@app.command()
def verify(
    journal: Annotated[Path | None, typer.Argument(help="Journal folder.")] = None,
    config: ConfigOption = DEFAULT_CONFIG,
) -> None:
    """Check a journal: files, digests, numbers, and whether its inputs give its events."""
    folder = journal or _load(config).journal.path
    report = verify_journal(folder)
    for line in report.lines:
        _out.print(line, markup=False, highlight=False, soft_wrap=True)
    if report.first_bad:
        raise _fail(REFUSED, f"BAD: {report.first_bad}")


# --- commands of people, through the local socket of the core

_TARGET_HELP: Final = {
    "evacuate": "Zone id, or all.",
    "calibrate": "Point id.",
    "recalibrated": "Point id.",
}


def _ask(config: Path, request: dict[str, Any]) -> None:
    loaded = _load(config)
    try:
        answer = asyncio.run(commands.ask(loaded.commands.socket, request))
    except (ConnectionError, OSError, ValueError) as error:
        raise _fail(REFUSED, f"NOT DONE: {error}") from None
    if not answer["accepted"]:
        raise _fail(REFUSED, f"REFUSED: {answer['reason']}")
    _out.print(f"done and journalled (event {answer['seq']})", highlight=False)


def _seen(config: Path, seen: int | None) -> int:
    """Return the newest event that the caller can have seen: what the live state shows now."""
    from gateway.status import newest_seq  # noqa: PLC0415 - only these commands need it

    return newest_seq(_load(config)) if seen is None else seen


SeenOption = Annotated[
    int | None, typer.Option("--seen", help="Newest event you have seen; default: now.")
]
SecondOption = Annotated[str, typer.Option("--second", help="Second person, where two are needed.")]
ForOption = Annotated[float, typer.Option("--minutes", help="How long, in minutes.")]


@app.command()
def evacuate(
    zone: Annotated[str, typer.Argument(help=_TARGET_HELP["evacuate"])],
    config: ConfigOption = DEFAULT_CONFIG,
    reason: ReasonOption = "ordered by hand",
    name: NameOption = "",
) -> None:
    """Order the withdrawal of a zone, or of the whole mine."""
    _ask(config, {"kind": "evacuate", "target": zone, "reason": reason, "name": name})


@app.command()
def ack(
    alarm: str,
    config: ConfigOption = DEFAULT_CONFIG,
    reason: ReasonOption = "",
    name: NameOption = "",
    seen: SeenOption = None,
) -> None:
    """Acknowledge an alarm: silences, never clears."""
    seq = _seen(config, seen)
    request = {"kind": "ack", "target": alarm, "reason": reason, "name": name, "seen_seq": seq}
    _ask(config, request)


@app.command()
def shelve(
    alarm: str,
    minutes: ForOption,
    config: ConfigOption = DEFAULT_CONFIG,
    reason: ReasonOption = "",
    name: NameOption = "",
    seen: SeenOption = None,
) -> None:
    """Take a plain alarm off the human channel until an end."""
    request = {"kind": "shelve", "target": alarm, "reason": reason, "name": name}
    _ask(config, request | {"for_s": minutes * 60, "seen_seq": _seen(config, seen)})


@app.command()
def unshelve(alarm: str, config: ConfigOption = DEFAULT_CONFIG, name: NameOption = "") -> None:
    """End a shelf early."""
    _ask(config, {"kind": "unshelve", "target": alarm, "name": name})


@app.command()
def reset(
    alarm: str,
    config: ConfigOption = DEFAULT_CONFIG,
    second: SecondOption = "",
    reason: ReasonOption = "",
    name: NameOption = "",
) -> None:
    """Reset a latched alarm; a withdrawal needs a second person."""
    request = {"kind": "reset", "target": alarm, "second": second, "reason": reason, "name": name}
    _ask(config, request)


@app.command()
def calibrate(
    point: Annotated[str, typer.Argument(help=_TARGET_HELP["calibrate"])],
    minutes: ForOption,
    config: ConfigOption = DEFAULT_CONFIG,
    reason: ReasonOption = "calibration",
    name: NameOption = "",
) -> None:
    """Announce the calibration of a point, with an end."""
    request = {"kind": "calibrate", "target": point, "reason": reason, "name": name}
    _ask(config, request | {"for_s": minutes * 60})


@app.command()
def recalibrated(
    point: Annotated[str, typer.Argument(help=_TARGET_HELP["recalibrated"])],
    config: ConfigOption = DEFAULT_CONFIG,
    reason: ReasonOption = "recalibrated",
    name: NameOption = "",
) -> None:
    """Say that a catalytic head that was over its range has been recalibrated."""
    _ask(config, {"kind": "recalibrated", "target": point, "reason": reason, "name": name})


@app.command(name="out")
def out_of_service(
    alarm: str,
    minutes: ForOption,
    reason: ReasonOption,
    measure: Annotated[str, typer.Option("--measure", help="What protects people instead.")],
    config: ConfigOption = DEFAULT_CONFIG,
    second: SecondOption = "",
    name: NameOption = "",
) -> None:
    """Take an alarm out of service until an end."""
    request = {"kind": "out", "target": alarm, "reason": reason, "measure": measure, "name": name}
    _ask(config, request | {"second": second, "for_s": minutes * 60})


@app.command(name="in")
def in_service(alarm: str, config: ConfigOption = DEFAULT_CONFIG, name: NameOption = "") -> None:
    """Put an alarm back into service."""
    _ask(config, {"kind": "in", "target": alarm, "name": name})


@app.command(name="break")
def break_something(
    message: Annotated[str, typer.Argument(help="JSON for the pretend mine; see docs.")],
    socket: Annotated[Path, typer.Option("--socket")] = Path("var/mine.sock"),
) -> None:
    """Break something in a running pretend mine."""
    from simulators.control import send_control  # noqa: PLC0415 - production never loads it

    try:
        answer = asyncio.run(send_control(socket, json.loads(message)))
    except (OSError, ValueError) as error:
        raise _fail(REFUSED, f"NOT DONE: {error}") from None
    _out.print_json(data=answer)


def main() -> None:
    """Entry point."""
    # A broken pipe (`firedamp replay ... | head`) is no error worth a traceback.
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    os.environ.setdefault("PYTHONUNBUFFERED", "1")
    app()
