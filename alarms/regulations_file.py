"""Regulatory profiles from TOML: one file a jurisdiction in ``alarms/regulations/``.

A new jurisdiction is one new file; ``cn-coal-2025.toml`` explains the keys.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.resources import files
from typing import Any, cast

from alarms.places import LOCATIONS, ZONE_CLASSES
from alarms.plan import Demand, Level, Op, Source
from alarms.profile import (
    ALL,
    EVERYWHERE,
    GAS_CATEGORIES,
    OPS,
    OWN,
    RESET_OPS,
    VERIFIED,
    Profile,
    ProfileLadder,
    ProfileLimit,
    ProfileLoss,
    ScopedDemands,
    overlaps,
)
from sensors.quantities import QUANTITIES


class ProfileErrors(ValueError):  # noqa: N818 - one exception, all errors
    """Everything that is wrong with a profile, one line each."""

    def __init__(self, errors: list[str]) -> None:
        super().__init__("\n".join(errors))
        self.errors = tuple(errors)


def profile_ids() -> tuple[str, ...]:
    """Return the names of the profiles that come with the gateway, sorted."""
    folder = files("alarms") / "regulations"
    return tuple(sorted(f.name[:-5] for f in folder.iterdir() if f.name.endswith(".toml")))


def load_profile(profile_id: str) -> Profile:
    """Read a profile that comes with the gateway.

    Raises
    ------
    ProfileErrors
        If there is no such profile, or the file is wrong.
    """
    if profile_id not in profile_ids():
        raise ProfileErrors([f"no profile {profile_id!r}; there are: {', '.join(profile_ids())}"])
    file = files("alarms") / "regulations" / f"{profile_id}.toml"
    return parse_profile(file.read_text("utf-8"), profile_id)


def parse_profile(text: str, profile_id: str) -> Profile:
    """Read a profile from TOML text.

    Raises
    ------
    ProfileErrors
        With every error found: row, key, reason.
    """
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ProfileErrors([f"{profile_id}: not TOML: {error}"]) from error
    errors: list[str] = []
    top = _Table(data, profile_id, errors)
    head = _Table(top.take("profile", dict), f"{profile_id}: profile", errors)
    edition = head.text("edition")
    book = _Book(profile_id, edition, top.take("sources", dict), top.take("groups", dict, {}))
    profile = Profile(
        profile_id,
        head.text("name"),
        edition,
        tuple(_limit(t, book) for t in top.tables("limit")),
        tuple(_loss(t, book) for t in top.tables("loss")),
        _ladder(_Table(top.take("ladder", dict), f"{profile_id}: ladder", errors), book),
    )
    head.text("jurisdiction"), head.text("note", "")
    head.finish()
    top.finish()
    if not errors:
        errors.extend(_twice(profile))
    if errors:
        raise ProfileErrors(errors)
    return profile


@dataclass(frozen=True, slots=True)
class _Book:
    """What rows of one file share."""

    profile_id: str
    edition: str
    sources: Mapping[str, str]
    groups: Mapping[str, list[str]]


def _limit(t: _Table, book: _Book) -> ProfileLimit:
    op = cast("Op", t.choice("op", OPS))
    row = ProfileLimit(
        quantity=t.choice("quantity", QUANTITIES),
        locations=_places(t, book),
        gas_categories=frozenset(t.choices("gas_categories", GAS_CATEGORIES, GAS_CATEGORIES)),
        step=t.text("step"),
        op=op,
        value=t.number("value"),
        reset_op=cast("Op", t.choice("reset_op", RESET_OPS.get(op, OPS))),
        reset=t.number("reset"),
        level=Level[t.choice("level", ("ALERT", "ALARM", "DANGER"))],
        demands=_demands(t),
        on_delay_s=t.number("on_delay_s", 0.0),
        off_delay_s=t.number("off_delay_s", 0.0),
        source=_source(t, book),
        guidance=t.text("guidance", ""),
    )
    if overlaps(row.op, row.value, row.reset_op, row.reset):
        t.wrong("reset", f"{row.reset_op} {row.reset} overlaps {row.op} {row.value}")
    if row.on_delay_s and (not t.text("approval", "") or not row.source.clause):
        t.wrong("on_delay_s", "a limit waits only with a clause and an `approval` that allow it")
    t.finish()
    return row


def _loss(t: _Table, book: _Book) -> ProfileLoss:
    t.text("guidance", "")
    row = ProfileLoss(
        frozenset(t.choices("zone_classes", tuple(ZONE_CLASSES))),
        t.number("lost_after_s"),
        t.number("back_after_s"),
        Level[t.choice("level", ("ALERT", "ALARM", "DANGER"))],
        _demands(t),
        _source(t, book),
    )
    t.finish()
    return row


def _ladder(t: _Table, book: _Book) -> ProfileLadder:
    row = ProfileLadder(
        t.choice("zone_class", ZONE_CLASSES),
        t.choice("quantity", QUANTITIES),
        t.choice("location", LOCATIONS),
        t.text("step"),
        frozenset(t.choices("sections", tuple(ZONE_CLASSES))),
        t.number("mine_after_s"),
        _source(t, book),
    )
    t.finish()
    return row


def _places(t: _Table, book: _Book) -> frozenset[str]:
    names: list[str] = []
    for word in t.take("locations", list, []):
        names.extend(book.groups.get(word[1:], [word]) if word.startswith("@") else [word])
    for name in names:
        if name not in LOCATIONS and name != EVERYWHERE:
            t.wrong("locations", f"{name!r} is no location class")
    return frozenset(names)


def _demands(t: _Table) -> ScopedDemands:
    found: list[tuple[Demand, tuple[str, ...]]] = []
    for word, scope in t.take("demands", dict, {}).items():
        if word not in ("SOUND", "CUT_POWER", "WITHDRAW"):
            t.wrong("demands", f"{word!r} is no demand")
            continue
        for place in scope:
            zone_class = place.removeprefix("all:")
            if place not in (OWN, ALL) and zone_class not in ZONE_CLASSES:
                t.wrong("demands", f"{place!r} is no scope")
        found.append((Demand[word], tuple(scope)))
    return tuple(found)


def _source(t: _Table, book: _Book) -> Source:
    key = t.text("source")
    if key not in book.sources:
        t.wrong("source", f"{key!r} does not stand in [sources]")
    verified = t.choice("verified", VERIFIED)
    text = book.sources.get(key, "")
    return Source(book.profile_id, book.edition, t.text("clause"), text, verified)


def _twice(profile: Profile) -> Iterator[str]:
    """Yield the places where a step of one quantity stands twice: neither would surely hold."""
    for quantity in {r.quantity for r in profile.limits}:
        for category in GAS_CATEGORIES:
            for location in LOCATIONS:
                steps = [r.step for r in profile.limits_for(quantity, location, category)]
                for step in sorted({s for s in steps if steps.count(s) > 1}):
                    yield (
                        f"{profile.id}: limit: step {step} of {quantity} stands twice for "
                        f"{location}, gas category {category}"
                    )


class _Table:
    """One TOML table being read: takes keys out, notes what is wrong, refuses leftovers."""

    def __init__(self, data: Mapping[str, Any], where: str, errors: list[str]) -> None:
        self._left = dict(data)
        self._where = where
        self._errors = errors

    def wrong(self, key: str, reason: str) -> None:
        self._errors.append(f"{self._where}: {key}: {reason}")

    def take(self, key: str, kind: type | tuple[type, ...], default: object = None) -> Any:  # noqa: ANN401
        value = self._left.pop(key, default)
        if value is None:
            self.wrong(key, "missing")
        elif not isinstance(value, kind) or isinstance(value, bool):
            self.wrong(key, f"{value!r} is of the wrong kind")
        else:
            return value
        first = kind if isinstance(kind, type) else kind[0]
        return first()

    def text(self, key: str, default: str | None = None) -> str:
        return str(self.take(key, str, default))

    def number(self, key: str, default: float | None = None) -> float:
        return float(self.take(key, (float, int), default))

    def choice(self, key: str, allowed: Mapping[str, object] | tuple[str, ...]) -> str:
        word = self.text(key)
        if word in allowed:
            return word
        self.wrong(key, f"{word!r} is not one of {', '.join(allowed)}")
        return next(iter(allowed))

    def choices(
        self, key: str, allowed: tuple[str, ...], default: tuple[str, ...] | None = None
    ) -> tuple[str, ...]:
        words = self.take(key, list, None if default is None else list(default))
        for word in words:
            if word not in allowed:
                self.wrong(key, f"{word!r} is not one of {', '.join(allowed)}")
        return tuple(words)

    def tables(self, key: str) -> list[_Table]:
        rows = self.take(key, list)
        return [
            _Table(
                row,
                f"{self._where}: {key} {n} ({row.get('quantity', '')} {row.get('step', '')})",
                self._errors,
            )
            for n, row in enumerate(rows, 1)
        ]

    def finish(self) -> None:
        for key in self._left:
            self.wrong(key, "unknown key")
