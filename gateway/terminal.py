"""What all commands share at the terminal: options, loading, exit codes, messages."""

from __future__ import annotations

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
