"""Regulatory profiles from TOML: one file a jurisdiction in ``alarms/regulations/``.

A new jurisdiction is one new file; ``cn-coal-2025.toml`` explains the keys.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.resources import files
from typing import Any, Final, cast

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
from sensors.toml_table import Table, TomlError

Raw = dict[str, Any]
_LEVELS: Final = ("ALERT", "ALARM", "DANGER")
_DEMANDS: Final = ("SOUND", "CUT_POWER", "WITHDRAW")


def profile_ids() -> tuple[str, ...]:
    """Return the names of the profiles that come with the gateway, sorted."""
    folder = files("alarms") / "regulations"
    return tuple(sorted(f.name[:-5] for f in folder.iterdir() if f.name.endswith(".toml")))


def load_profile(profile_id: str) -> Profile:
    """Read a profile that comes with the gateway.

    Raises
    ------
    TomlError
        If there is no such profile, or its file is wrong.
    """
    if profile_id not in profile_ids():
        raise TomlError([f"no profile {profile_id!r}; there are: {', '.join(profile_ids())}"])
    file = files("alarms") / "regulations" / f"{profile_id}.toml"
    return parse_profile(file.read_text("utf-8"), profile_id)


def parse_profile(text: str, profile_id: str) -> Profile:
    """Read a profile from TOML text.

    Raises
    ------
    TomlError
        With every error found: row, key, reason.
    """
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise TomlError([f"{profile_id}: not TOML: {error}"]) from error
    errors: list[str] = []
    head = Table(data.pop("profile", {}), f"{profile_id}: profile", errors)
    name, edition = head.text("name"), head.text("edition")
    for key in ("jurisdiction", "note"):
        head.text(key)
    head.finish()
    book = _Book(profile_id, edition, data.pop("sources", {}), data.pop("groups", {}), errors)
    profile = Profile(
        profile_id,
        name,
        edition,
        tuple(_limit(row, n, book) for n, row in enumerate(data.pop("limit", []), 1)),
        tuple(_loss(row, n, book) for n, row in enumerate(data.pop("loss", []), 1)),
        _ladder(data.pop("ladder", {}), book),
    )
    Table(data, profile_id, errors).finish()
    if not errors:
        errors.extend(_twice(profile))
    if errors:
        raise TomlError(errors)
    return profile


@dataclass(frozen=True, slots=True)
class _Book:
    """What the rows of one file share."""

    profile_id: str
    edition: str
    sources: Mapping[str, str]
    groups: Mapping[str, list[str]]
    errors: list[str]


def _limit(row: Raw, n: int, book: _Book) -> ProfileLimit:
    where = f"{book.profile_id}: limit {n} ({row.get('quantity')} {row.get('step')})"
    demands = _demands(row.pop("demands", {}), where, book)
    t = Table(row, where, book.errors)
    op = cast("Op", t.choice("op", None, OPS))
    limit = ProfileLimit(
        quantity=t.choice("quantity", None, tuple(QUANTITIES)),
        locations=_places(t, book),
        gas_categories=_words(t, "gas_categories", GAS_CATEGORIES) or frozenset(GAS_CATEGORIES),
        step=t.text("step"),
        op=op,
        value=t.number("value"),
        reset_op=cast("Op", t.choice("reset_op", None, RESET_OPS.get(op, OPS))),
        reset=t.number("reset"),
        level=_level(t),
        demands=demands,
        on_delay_s=t.number("on_delay_s", 0.0),
        off_delay_s=t.number("off_delay_s", 0.0),
        source=_source(t, book),
        guidance=t.text("guidance", ""),
    )
    if op in RESET_OPS and overlaps(op, limit.value, limit.reset_op, limit.reset):
        t.wrong("reset", f"{limit.reset_op} {limit.reset} overlaps {op} {limit.value}")
    if limit.on_delay_s and not t.text("approval", ""):
        t.wrong("on_delay_s", "a limit may wait only with an `approval` that allows it")
    t.finish()
    return limit


def _loss(row: Raw, n: int, book: _Book) -> ProfileLoss:
    where = f"{book.profile_id}: loss {n}"
    demands = _demands(row.pop("demands", {}), where, book)
    t = Table(row, where, book.errors)
    loss = ProfileLoss(
        zone_classes=_words(t, "zone_classes", tuple(ZONE_CLASSES)),
        lost_after_s=t.number("lost_after_s"),
        back_after_s=t.number("back_after_s"),
        level=_level(t),
        demands=demands,
        source=_source(t, book),
        guidance=t.text("guidance", ""),
    )
    if loss.lost_after_s <= loss.back_after_s:
        t.wrong("lost_after_s", "must exceed back_after_s, or every start would end in an alarm")
    t.finish()
    return loss


def _ladder(row: Raw, book: _Book) -> ProfileLadder:
    t = Table(row, f"{book.profile_id}: ladder", book.errors)
    ladder = ProfileLadder(
        zone_class=t.choice("zone_class", None, tuple(ZONE_CLASSES)),
        quantity=t.choice("quantity", None, tuple(QUANTITIES)),
        location=t.choice("location", None, tuple(LOCATIONS)),
        step=t.text("step"),
        sections=_words(t, "sections", tuple(ZONE_CLASSES)),
        mine_after_s=t.number("mine_after_s"),
        source=_source(t, book),
    )
    t.finish()
    return ladder


def _level(t: Table) -> Level:
    return Level.__members__.get(t.choice("level", None, _LEVELS), Level.DANGER)


def _words(t: Table, key: str, allowed: tuple[str, ...]) -> frozenset[str]:
    words = t.texts(key)
    for word in words:
        if word not in allowed:
            t.wrong(key, f"{word!r} is not one of {', '.join(allowed)}")
    return frozenset(words)


def _places(t: Table, book: _Book) -> frozenset[str]:
    names: list[str] = []
    for word in t.texts("locations"):
        names.extend(book.groups.get(word[1:], [word]) if word.startswith("@") else [word])
    for name in names:
        if name not in LOCATIONS and name != EVERYWHERE:
            t.wrong("locations", f"{name!r} is no location class and no group")
    if not names:
        t.wrong("locations", "missing; name at least one location class, or *")
    return frozenset(names)


def _demands(row: Mapping[str, list[str]], where: str, book: _Book) -> ScopedDemands:
    found: list[tuple[Demand, tuple[str, ...]]] = []
    for word, scope in row.items():
        if word not in _DEMANDS:
            book.errors.append(f"{where}: demands: {word!r} is not one of {', '.join(_DEMANDS)}")
            continue
        for place in scope:
            if place not in (OWN, ALL) and place.removeprefix("all:") not in ZONE_CLASSES:
                book.errors.append(f"{where}: demands: {place!r} is no scope")
        found.append((Demand[word], tuple(scope)))
    return tuple(found)


def _source(t: Table, book: _Book) -> Source:
    key = t.text("source")
    if key not in book.sources:
        t.wrong("source", f"{key!r} does not stand in [sources]")
    return Source(
        profile=book.profile_id,
        edition=book.edition,
        clause=t.text("clause"),
        source=book.sources.get(key, ""),
        verified=t.choice("verified", None, VERIFIED),
    )


def _twice(profile: Profile) -> Iterator[str]:
    """Yield the places where a step of one quantity stands twice: neither would surely hold."""
    for quantity in sorted({r.quantity for r in profile.limits}):
        for category in GAS_CATEGORIES:
            for location in LOCATIONS:
                steps = [r.step for r in profile.limits_for(quantity, location, category)]
                for step in sorted({s for s in steps if steps.count(s) > 1}):
                    yield (
                        f"{profile.id}: limit: step {step} of {quantity} stands twice for "
                        f"{location}, gas category {category}"
                    )
