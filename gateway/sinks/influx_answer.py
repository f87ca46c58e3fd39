"""What the answer of a v2 write API means for the lines that were sent."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import Final, Literal

Meaning = Literal["written", "written but for too old lines", "bad", "too large"]

RETRY_AFTER_CAP_S: Final = 3_600.0
_BAD_LINES: Final = (400, 422)
_TOO_LARGE: Final = 413
_MAY_ASK_TO_WAIT: Final = (429, 503)


class KeptError(Exception):
    """Nothing more can be sent now; `wait_s` is what the server asked for, if it did."""

    def __init__(self, reason: str, wait_s: float | None = None) -> None:
        super().__init__(reason)
        self.wait_s = wait_s


def meaning(status: int, reason: str, headers: Mapping[str, str]) -> Meaning:
    """Return what a refusal with `status` says about the lines.

    Raises
    ------
    KeptError
        It says nothing about the lines.
    """
    if status in _BAD_LINES:
        # The server has written the rest, and halving a backlog of days would find nothing else.
        return "written but for too old lines" if "beyond retention policy" in reason else "bad"
    if status == _TOO_LARGE:
        return "too large"
    raise KeptError(reason, retry_after_s(headers) if status in _MAY_ASK_TO_WAIT else None)


def retry_after_s(headers: Mapping[str, str]) -> float | None:
    """Return how long the server asks to wait [s], from seconds or, by its own clock, a date."""
    asked = headers.get("Retry-After")
    if asked is None:
        return None
    try:
        wait_s = float(asked)
    except ValueError:
        then, now = _date(asked), _date(headers.get("Date", ""))
        if then is None or now is None:
            return None
        wait_s = (then - now).total_seconds()
    return min(max(0.0, wait_s), RETRY_AFTER_CAP_S)


def _date(text: str) -> datetime | None:
    try:
        return parsedate_to_datetime(text)
    except ValueError:
        return None
