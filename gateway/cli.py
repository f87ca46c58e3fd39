"""The commands. Each does one thing; exit 0 done, 1 refused or found bad, 2 wrong input."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import Coroutine
from dataclasses import asdict, replace
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from gateway import cli_orders, config_file
from gateway.config_errors import ConfigErrors
from gateway.terminal import (
    DEFAULT_CONFIG,
    ERR,
    OUT,
    REFUSED,
    WRONG_INPUT,
    ConfigOption,
    end_with_the_reader,
    fail,
    load,
    log_from_a_thread,
)

# Each command loads what it needs when it runs: the core must be up again in a moment after a
# crash, and has no use for a web server.

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Gas and ventilation monitoring gateway. Supervisory only: the hardware lock-outs remain.",
)
END_WITHIN_S: Final = 15.0
cli_orders.add_to(app)


def _said(errors: BaseExceptionGroup[BaseException]) -> set[str]:
    """Return the words of all errors in a group of groups."""
    said: set[str] = set()
    for error in errors.exceptions:
        said |= _said(error) if isinstance(error, BaseExceptionGroup) else {str(error)}
    return said


def _run_async(main: Coroutine[Any, Any, None]) -> None:
    from alarms.restart import LoosenedError  # noqa: PLC0415
    from gateway.folders import AlreadyRunningError  # noqa: PLC0415

    finish_log = log_from_a_thread()
    try:
        asyncio.run(main)
    except (AlreadyRunningError, LoosenedError) as error:
        raise fail(WRONG_INPUT, str(error)) from None
    except KeyboardInterrupt:
        raise typer.Exit(0) from None
    except BaseExceptionGroup as errors:
        # A port that is taken, a folder that cannot be written: said in words, without a trace.
        known, other = errors.split(OSError)
        if other is not None or known is None:
            raise
        raise fail(REFUSED, "; ".join(sorted(_said(known)))) from None
    finally:
        finish_log()


@app.command()
def run(
    config: ConfigOption = DEFAULT_CONFIG,
    only: Annotated[
        str, typer.Option("--only", help="core or services: one process instead of both.")
    ] = "",
    tokens: Annotated[
        Path | None, typer.Option("--tokens", help="Tokens file, instead of the configured one.")
    ] = None,
) -> None:
    """Run the daemon: the core (alarm path) and the services (API, page, sinks)."""
    if only not in ("", "core", "services"):
        raise fail(WRONG_INPUT, f"--only {only!r}: use core or services")
    loaded = load(config)
    if tokens is not None:
        loaded = replace(loaded, api=replace(loaded.api, tokens_file=tokens))
    if only == "core":
        from gateway.core import run as run_core  # noqa: PLC0415

        _run_async(run_core(loaded))
    elif only == "services":
        from gateway.services import serve  # noqa: PLC0415

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
    waited_s = 0.0

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
            waited_s += pause_s if stopping else 0.0
            if waited_s > END_WITHIN_S:
                ERR.print("the core does not end by itself", highlight=False)
                core.kill()
            if services.poll() is not None and not stopping:
                ERR.print("services ended; starting them again", highlight=False)
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
    from gateway import lint  # noqa: PLC0415

    end_with_the_reader()
    try:
        loaded = config_file.load(config)
        report = lint.check(loaded)
    except OSError as error:
        raise fail(WRONG_INPUT, str(error)) from None
    except ConfigErrors as errors:
        if as_json:
            found = [asdict(error) for error in errors.errors]
            sys.stdout.write(json.dumps({"errors": found}, default=str) + "\n")
            raise typer.Exit(WRONG_INPUT) from None
        raise fail(WRONG_INPUT, str(errors)) from None
    if as_json:
        sys.stdout.write(json.dumps(lint.as_json(report), default=str) + "\n")
    else:
        OUT.print(lint.as_text(report), markup=False, highlight=False, soft_wrap=True)
    if lint.has_errors(report):
        raise typer.Exit(WRONG_INPUT)


def _known(scenario: str) -> None:
    """End with the list of scenarios where there is none of that name."""
    from simulators.scenario import load_scenario  # noqa: PLC0415 - production never loads it

    try:
        if scenario:
            load_scenario(scenario)
    except ValueError as error:
        raise fail(WRONG_INPUT, str(error)) from None


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
    from simulators.run import run_mine  # noqa: PLC0415 - production never loads it

    loaded = load(config)
    _known(scenario)
    _run_async(run_mine(loaded, scenario or None, speed, seed, control=control, own_broker=broker))


@app.command()
def demo(
    config: ConfigOption = DEFAULT_CONFIG,
    scenario: Annotated[str, typer.Option("--scenario", help="Name of a scenario.")] = "",
) -> None:
    """Run everything on this machine: broker, pretend mine, gateway, API and page."""
    from simulators.demo import run_demo  # noqa: PLC0415 - production never loads it

    _known(scenario)
    raise typer.Exit(run_demo(load(config), config, scenario))


@app.command()
def token(
    role: Annotated[str, typer.Argument(help="regulator or operator")],
    name: Annotated[str, typer.Argument(help="Whose it is.")],
    file: Annotated[Path, typer.Option("--file", help="Tokens file; the line is added to it.")],
    expires: Annotated[str, typer.Option("--expires", help="RFC 3339; default never.")] = "",
) -> None:
    """Make an API token: prints it once and keeps only its digest."""
    from gateway.api.auth import ROLES, new_token, parse_tokens  # noqa: PLC0415

    if role not in ROLES:
        raise fail(WRONG_INPUT, f"role {role!r}: use {' or '.join(ROLES)}")
    secret, line = new_token(role, name, expires)
    _, wrong = parse_tokens(line)
    if wrong:
        raise fail(WRONG_INPUT, wrong[0].partition(": ")[2])
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("a", encoding="utf-8") as lines:
        lines.write(line + "\n")
    file.chmod(0o600)
    OUT.print(secret, markup=False, highlight=False, soft_wrap=True)


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
    from gateway import replay, site  # noqa: PLC0415

    end_with_the_reader()
    factor = _speed(speed)
    journal = len(files) == 1 and files[0].is_dir()
    source = (
        replay.replay_journal(files[0])
        if journal
        else replay.replay_csv(files, site.build(load(config)).own_plan())
    )
    sink = events.open("wb") if events else sys.stdout.buffer
    count = 0
    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    try:
        with Progress(*columns, console=ERR, transient=True) as progress:
            task = progress.add_task("replay")
            for stamp, rows in replay.paced(source, factor):
                for row in rows:
                    sink.write(replay.event_json(row) + b"\n")
                    count += 1
                if rows:
                    progress.update(task, description=f"{replay.iso(stamp)}  {count} events")
    except (replay.ReadingsFileError, ValueError, OSError) as error:
        raise fail(WRONG_INPUT, str(error)) from None
    finally:
        sink.flush()
        if events:
            sink.close()
    ERR.print(f"{count} events", highlight=False)


def _speed(text: str) -> float | None:
    if text == "max":
        return None
    try:
        factor = float(text)
    except ValueError:
        factor = 0.0
    if not 0 < factor <= 1e6:  # noqa: PLR2004 - beyond any use
        raise fail(WRONG_INPUT, f"--speed {text!r}: use max, or a number above 0")
    return factor


@app.command()
def status(
    config: ConfigOption = DEFAULT_CONFIG,
    once: Annotated[bool, typer.Option("--once", help="Print once and end.")] = False,
) -> None:
    """Show the live state as a table in the terminal."""
    from gateway.status import show_status  # noqa: PLC0415

    raise typer.Exit(show_status(load(config), OUT, once=once))


@app.command()
def verify(
    journal: Annotated[Path | None, typer.Argument(help="Journal folder.")] = None,
    config: ConfigOption = DEFAULT_CONFIG,
) -> None:
    """Check a journal: files, digests, numbers, and whether its inputs give its events."""
    from gateway.verify import verify_journal  # noqa: PLC0415

    end_with_the_reader()
    folder = journal or load(config).journal.path
    report = verify_journal(folder)
    for line in report.lines:
        OUT.print(line, markup=False, highlight=False, soft_wrap=True)
    if report.first_bad:
        raise fail(REFUSED, f"BAD: {report.first_bad}")


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
        raise fail(REFUSED, f"NOT DONE: {error}") from None
    OUT.print_json(data=answer)


def main() -> None:
    """Entry point."""
    os.environ.setdefault("PYTHONUNBUFFERED", "1")
    app()
