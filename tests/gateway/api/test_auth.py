from __future__ import annotations

import os
from pathlib import Path

import pytest

from gateway.api.auth import ROLES, Role, Tokens, bearer, new_token, parse_tokens
from tests.gateway.api.pretend import S, T


@pytest.mark.parametrize("role", ROLES)
def test_a_new_token_opens_its_role(tmp_path: Path, role: Role) -> None:
    token, line = new_token(role, "Inspector Zhou")
    file = tmp_path / "tokens"
    file.write_text(f"# who may look\n\n  {line}  \n", "utf-8")
    person = Tokens(file).person(token, T)
    assert person
    assert (person.role, person.name) == (role, "Inspector Zhou")
    assert token not in line


def test_an_expired_token_opens_nothing(tmp_path: Path) -> None:
    token, line = new_token("operator", "Li", "2026-11-23T08:00:00+08:00")
    file = tmp_path / "tokens"
    file.write_text(line, "utf-8")
    tokens = Tokens(file)
    assert tokens.person(token, T - 1)
    assert tokens.person(token, T) is None


@pytest.mark.parametrize(
    ("line", "remedy"),
    [
        ("operator:Li:abc", "role:name:sha256hex"),
        ("operator:Li:" + "g" * 64, "role:name:sha256hex"),
        ("admin:Li:" + "a" * 64, "regulator, operator"),
        ("operator:Li:" + "a" * 64 + ":tomorrow", "RFC 3339"),
        ("operator:Li:" + "a" * 64 + ":2027-01-01T00:00:00", "RFC 3339"),
        ("operator::" + "a" * 64, "role:name:sha256hex"),
        ("nonsense", "role:name:sha256hex"),
    ],
)
def test_a_line_that_cannot_be_read_opens_nothing_and_shuts_out_nobody_else(
    line: str, remedy: str
) -> None:
    good = new_token("regulator", "Zhou")[1]
    persons, wrong = parse_tokens(f"{line}\n{good}")
    assert [p.name for p in persons] == ["Zhou"]
    assert len(wrong) == 1
    assert wrong[0].startswith("line 1: ")
    assert remedy in wrong[0]


def test_a_deleted_line_ends_its_token_and_a_new_one_begins(tmp_path: Path) -> None:
    (old, old_line), (new, new_line) = new_token("operator", "old"), new_token("operator", "new")
    file = tmp_path / "tokens"
    file.write_text(old_line, "utf-8")
    tokens = Tokens(file)
    assert tokens.person(old, T)
    file.write_text(new_line + "\n", "utf-8")
    os.utime(file, ns=(T, T + S))
    assert tokens.person(old, T) is None
    assert tokens.person(new, T)


def test_without_a_readable_file_nobody_gets_in(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    token, line = new_token("operator", "Li")
    assert Tokens(None).person(token, T) is None
    file = tmp_path / "tokens"
    tokens = Tokens(file)
    assert tokens.person(token, T) is None
    file.write_text(line, "utf-8")
    assert tokens.person(token, T)
    file.write_bytes(b"\xff\xfe")
    assert tokens.person(token, T) is None
    file.unlink()
    assert tokens.person(token, T) is None
    # Told when it becomes so, not at each request.
    assert len(caplog.records) == 2
    file.write_text(line, "utf-8")
    assert tokens.person(token, T)


def test_a_token_is_not_found_by_anything_but_itself(tmp_path: Path) -> None:
    token, line = new_token("operator", "Li")
    digest = line.split(":")[2]
    file = tmp_path / "tokens"
    file.write_text(line, "utf-8")
    tokens = Tokens(file)
    for guess in ("", token[:-1], token + "x", token.upper(), digest, line, "\udcff", "é"):
        assert tokens.person(guess, T) is None


@pytest.mark.parametrize(
    ("header", "token"),
    [
        ("Bearer abc", "abc"),
        ("bearer  abc ", "abc"),
        ("Bearer", None),
        ("Bearer ", None),
        ("Basic abc", None),
        ("abc", None),
        ("", None),
        (None, None),
    ],
)
def test_bearer(header: str | None, token: str | None) -> None:
    assert bearer(header) == token
