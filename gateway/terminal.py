"""What all commands share at the terminal: options, loading, exit codes, messages."""

from __future__ import annotations

import logging
import queue
import signal
import threading
from collections.abc import Callable
from logging.handlers import QueueHandler
from pathlib import Path
from typing import Annotated, Final

import typer
from rich.console import Console

from gateway import config_file
from gateway.config import Config
from gateway.config_errors import ConfigErrors

WRONG_INPUT: Final = 2
REFUSED: Final = 1
DEFAULT_CONFIG: Final = Path("config.toml")

OUT: Final = Console()
ERR: Final = Console(stderr=True)

ConfigOption = Annotated[Path, typer.Option("-c", "--config", help="Configuration file.")]


def end_with_the_reader() -> None:
    """End in silence when the reader of the output has gone, as in ``firedamp check | head``.

    Only for commands that print and end: in a daemon a client that hangs up must not end it.
    """
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)


def log_from_a_thread() -> Callable[[], None]:
    """Write the log of this process from a thread of its own; return what finishes it.

    A terminal or a log daemon that takes nothing more must not stop the alarm path.
    """
    lines: queue.SimpleQueue[logging.LogRecord | None] = queue.SimpleQueue()
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("%(levelname)s %(name)s: %(message)s"))

    def write() -> None:
        while (record := lines.get()) is not None:
            handler.handle(record)

    def finish() -> None:
        lines.put(None)
        thread.join(2.0)

    thread = threading.Thread(target=write, name="log", daemon=True)
    thread.start()
    root = logging.getLogger()
    root.handlers = [QueueHandler(lines)]
    root.setLevel(logging.INFO)
    return finish


def fail(code: int, text: str) -> typer.Exit:
    """Say what is wrong and return the exit to raise."""
    ERR.print(text, markup=False, highlight=False, soft_wrap=True)
    return typer.Exit(code)


def load(path: Path) -> Config:
    """Load a configuration, or end with every error in it."""
    try:
        return config_file.load(path)
    except ConfigErrors as errors:
        raise fail(WRONG_INPUT, str(errors)) from None
