"""Commands of people, through the local socket of the core; each with a name and a reason."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from gateway.terminal import DEFAULT_CONFIG, OUT, REFUSED, ConfigOption, fail, load

ReasonOption = Annotated[str, typer.Option("--reason", help="Why; stands in the journal.")]
NameOption = Annotated[
    str, typer.Option("--name", help="Who stands at the keyboard, beside the system's user.")
]
_TARGET_HELP: Final = {
    "evacuate": "Zone id, or all.",
    "calibrate": "Point id.",
    "recalibrated": "Point id.",
}


def _ask(config: Path, request: dict[str, Any]) -> None:
    from gateway import commands  # noqa: PLC0415 - at the start every import counts

    loaded = load(config)
    try:
        answer = asyncio.run(commands.ask(loaded.commands.socket, request))
    except (ConnectionError, OSError, ValueError) as error:
        raise fail(REFUSED, f"NOT DONE: {error}") from None
    if not answer["accepted"]:
        raise fail(REFUSED, f"REFUSED: {answer['reason']}")
    OUT.print(f"done and journalled (event {answer['seq']})", highlight=False)


def _seen(config: Path, seen: int | None) -> int:
    """Return the newest event that the caller can have seen: what the live state shows now."""
    from gateway.status import newest_seq  # noqa: PLC0415

    return newest_seq(load(config)) if seen is None else seen


SeenOption = Annotated[
    int | None, typer.Option("--seen", help="Newest event you have seen; default: now.")
]
SecondOption = Annotated[str, typer.Option("--second", help="Second person, where two are needed.")]
ForOption = Annotated[float, typer.Option("--minutes", help="How long, in minutes.")]


def evacuate(
    zone: Annotated[str, typer.Argument(help=_TARGET_HELP["evacuate"])],
    config: ConfigOption = DEFAULT_CONFIG,
    reason: ReasonOption = "ordered by hand",
    name: NameOption = "",
) -> None:
    """Order the withdrawal of a zone, or of the whole mine."""
    _ask(config, {"kind": "evacuate", "target": zone, "reason": reason, "name": name})


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


def unshelve(alarm: str, config: ConfigOption = DEFAULT_CONFIG, name: NameOption = "") -> None:
    """End a shelf early."""
    _ask(config, {"kind": "unshelve", "target": alarm, "name": name})


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


def recalibrated(
    point: Annotated[str, typer.Argument(help=_TARGET_HELP["recalibrated"])],
    config: ConfigOption = DEFAULT_CONFIG,
    reason: ReasonOption = "recalibrated",
    name: NameOption = "",
) -> None:
    """Say that a catalytic head that was over its range has been recalibrated."""
    _ask(config, {"kind": "recalibrated", "target": point, "reason": reason, "name": name})


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


def in_service(alarm: str, config: ConfigOption = DEFAULT_CONFIG, name: NameOption = "") -> None:
    """Put an alarm back into service."""
    _ask(config, {"kind": "in", "target": alarm, "name": name})


def add_to(app: typer.Typer) -> None:
    """Add the commands to the program."""
    commands: dict[str, Callable[..., None]] = {
        "evacuate": evacuate,
        "ack": ack,
        "shelve": shelve,
        "unshelve": unshelve,
        "reset": reset,
        "calibrate": calibrate,
        "recalibrated": recalibrated,
        "out": out_of_service,
        "in": in_service,
    }
    for name, command in commands.items():
        app.command(name=name)(command)
