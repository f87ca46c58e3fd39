"""Who may look: bearer tokens with a role, kept as SHA-256 in a file, one to a line.

A line is ``role:name:sha256hex[:expires]``; `expires` is RFC 3339 (``2027-01-01T00:00:00Z``).
Lines that begin with ``#`` are comments. The file is read anew when it changes, so that a
deleted line ends its token's life at the next request (of a stream: within seconds). Tokens are
32 random bytes, so an unsalted digest cannot be searched for.
"""

from __future__ import annotations

import hashlib
import hmac
import logging
import re
import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from sensors.source_time import parse_source_time

Role = Literal["regulator", "operator"]
ROLES: Final[tuple[Role, ...]] = ("regulator", "operator")

_LINE: Final = re.compile(
    r"(?P<role>[a-z]+):(?P<name>[^:]+):(?P<digest>[0-9a-fA-F]{64})(?::(?P<expires>.+))?"
)
_log = logging.getLogger("firedamp.api")


@dataclass(frozen=True, slots=True)
class Person:
    """Who a token belongs to; `expires_ns` [ns since 1970 UTC], None: never."""

    role: Role
    name: str
    digest: bytes
    expires_ns: int | None


def new_token(role: Role, name: str, expires: str = "") -> tuple[str, str]:
    """Make a token; return (the token, its line for the tokens file)."""
    token = secrets.token_urlsafe(32)
    digest = hashlib.sha256(token.encode()).hexdigest()
    return token, f"{role}:{name}:{digest}" + (f":{expires}" if expires else "")


def parse_tokens(text: str) -> tuple[list[Person], list[str]]:
    """Read a tokens file; return (persons, what is wrong with which line).

    A line that cannot be read opens nothing; the others stay good, so that a slip of the hand
    does not lock everybody out.
    """
    persons: list[Person] = []
    wrong: list[str] = []
    for number, raw in enumerate(text.splitlines(), 1):
        line = raw.strip()
        if not line or line.startswith("#"):
            continue
        found = _LINE.fullmatch(line)
        role = next((r for r in ROLES if found and found["role"] == r), None)
        expires = parse_source_time(found["expires"]) if found and found["expires"] else None
        if found is None:
            wrong.append(f"line {number}: not role:name:sha256hex[:expires]")
        elif role is None:
            wrong.append(f"line {number}: role {found['role']!r} is none of {', '.join(ROLES)}")
        elif found["expires"] and expires is None:
            wrong.append(f"line {number}: expiry {found['expires']!r} is not RFC 3339")
        else:
            persons.append(Person(role, found["name"], bytes.fromhex(found["digest"]), expires))
    return persons, wrong


class Tokens:
    """The tokens in force. Without a file there are none, and nobody gets in."""

    def __init__(self, file: Path | None) -> None:
        self._file = file
        self._seen: tuple[int, int, int] | None = None
        self._persons: list[Person] = []
        self._readable = True

    def person(self, token: str, wall_ns: int) -> Person | None:
        """Return whose token this is at `wall_ns`, or None."""
        self._refresh()
        digest = hashlib.sha256(token.encode("utf-8", "surrogateescape")).digest()
        # Every line is compared, each in constant time: how long it takes says nothing.
        found = [p for p in self._persons if hmac.compare_digest(p.digest, digest)]
        alive = [p for p in found if p.expires_ns is None or wall_ns < p.expires_ns]
        return alive[0] if alive else None

    def _refresh(self) -> None:
        if self._file is None:
            return
        try:
            stat = self._file.stat()
            seen = (stat.st_ino, stat.st_mtime_ns, stat.st_size)
            if seen == self._seen:
                return
            text = self._file.read_text("utf-8")
        except (OSError, UnicodeDecodeError) as error:
            if self._readable:
                _log.error("tokens file %s cannot be read, nobody gets in: %s", self._file, error)
            self._persons, self._seen, self._readable = [], None, False
            return
        self._persons, wrong = parse_tokens(text)
        self._seen, self._readable = seen, True
        for line in wrong:
            _log.error("tokens file %s, %s: ignored", self._file, line)


def bearer(header: str | None) -> str | None:
    """Return the token of an Authorization header, or None if it holds none."""
    if header is None:
        return None
    scheme, _, token = header.partition(" ")
    return token.strip() or None if scheme.lower() == "bearer" else None
