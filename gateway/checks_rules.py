"""Checks of limits, of the site's own rules and of exemptions from the profile."""

from __future__ import annotations

from datetime import date
from typing import Final

from alarms.profile import RESET_OPS, ProfileLimit, overlaps
from gateway.checks_devices import reachable
from gateway.config import ExemptionConfig, RuleConfig
from gateway.config_draft import Draft, Row, SitePoint
from gateway.config_errors import Report, closest
from gateway.toml_positions import Path as TomlPath
from sensors.quantities import QUANTITIES

LIMIT_KEYS: Final = ("op", "limit", "reset_op", "reset", "on_delay_s", "off_delay_s")
EMISSION_KEYS: Final = ("rise_per_min", "reset_per_min", "window_s", "min_samples")
NEEDED: Final = {
    "limit": ("op", "limit"),
    "abnormal_emission": ("rise_per_min", "reset_per_min"),
}
FOREIGN: Final = {"limit": EMISSION_KEYS, "abnormal_emission": LIMIT_KEYS}


def is_looser(row: ProfileLimit, limit: float) -> bool:
    """Tell whether a limit would raise later than the profile's."""
    return limit > row.value if row.op.startswith(">") else limit < row.value


def profile_rows(point: SitePoint, draft: Draft) -> dict[str, ProfileLimit]:
    """Return the profile's rows for a point, by step; none if profile or site is wrong."""
    if draft.profile is None or draft.site is None:
        return {}
    category = draft.site.it.gas_category
    rows = draft.profile.limits_for(point.quantity, point.location, category)
    return {row.step: row for row in rows}


def check_limits(draft: Draft, report: Report) -> None:
    """Check the stricter limits of ``[[point]]`` tables."""
    for row in draft.points:
        point = draft.site_points.get(row.it.id)
        if point is None or draft.profile is None:
            continue
        steps = profile_rows(point, draft)
        for step, limit in row.it.limits.items():
            path = (*row.path, "limits", step)
            found = steps.get(step)
            if found is None:
                reason = (
                    f"the profile has no step {step!r} for {point.quantity} at {point.location}"
                )
                report.wrong(path, reason, closest(step, steps))
            elif is_looser(found, limit):
                reason = f"{limit:g} is looser than the profile's {found.op} {found.value:g}"
                report.wrong(path, reason, "looser limits need an [[exemption]]")
            else:
                _in_range(point, found.op, limit, path, report)


def check_rules(draft: Draft, report: Report) -> None:
    """Check every ``[[rule]]``."""
    for row in draft.rules:
        rule = row.it
        point = draft.site_points.get(rule.point)
        if point is None and rule.point.split(".")[0] not in draft.broken_devices:
            report.unknown((*row.path, "point"), "point", rule.point, draft.site_points)
        for key in NEEDED[rule.kind]:
            if getattr(rule, key) is None or (*row.path, key) not in report.lines:
                report.wrong(row.path, f"a rule of kind {rule.kind} needs {key}", f"add {key}")
        for key in FOREIGN[rule.kind]:
            if (*row.path, key) in report.lines:
                reason = f"has no meaning in a rule of kind {rule.kind}"
                report.wrong((*row.path, key), reason, "remove it")
        _scope(row, draft, report)
        if rule.kind == "limit":
            _limit(row, point, report)
        else:
            _emission(row, point, report)


def _scope(row: Row[RuleConfig], draft: Draft, report: Report) -> None:
    rule = row.it
    for n, zone in enumerate(rule.scope):
        if zone == "all" and len(rule.scope) > 1:
            report.wrong((*row.path, "scope"), '"all" stands alone', 'scope = ["all"]')
        elif zone not in draft.known["zone"] | {"all"}:
            report.unknown((*row.path, "scope", n), "zone", zone, draft.known["zone"] | {"all"})
    if rule.scope and not rule.demands:
        report.wrong((*row.path, "scope"), "a rule without demands has no scope", "add demands")


def _limit(row: Row[RuleConfig], point: SitePoint | None, report: Report) -> None:
    rule = row.it
    if rule.limit is None:
        return
    reset_op, reset = reset_of(rule)
    if reset_op not in RESET_OPS[rule.op]:
        reason = f"{reset_op} is on the wrong side of a limit with {rule.op}"
        report.wrong((*row.path, "reset_op"), reason, f"one of: {', '.join(RESET_OPS[rule.op])}")
    elif overlaps(rule.op, rule.limit, reset_op, reset):
        reason = f"{reset_op} {reset:g} overlaps {rule.op} {rule.limit:g}: it would raise and clear"
        report.wrong((*row.path, "reset"), reason, "reset on the safe side of the limit")
    if rule.on_delay_s and {"WITHDRAW", "CUT_POWER"} & set(rule.demands):
        reason = "where lives depend on it, nothing waits"
        report.wrong((*row.path, "on_delay_s"), reason, "remove it, or remove the demand")
    if point is not None:
        _in_range(point, rule.op, rule.limit, (*row.path, "limit"), report)


def _emission(row: Row[RuleConfig], point: SitePoint | None, report: Report) -> None:
    rule = row.it
    rise, reset = rule.rise_per_min, rule.reset_per_min
    if rise is not None and reset is not None and reset >= rise:
        reason = f"{reset:g} is not below the rise of {rise:g}: it would raise and clear"
        report.wrong((*row.path, "reset_per_min"), reason, "a smaller rise")
    if point is not None:
        most = int(rule.window_s / point.device.poll_s)
        if rule.min_samples > most:
            reason = f"{rule.window_s:g} s hold at most {most} readings of {point.id}"
            report.wrong((*row.path, "min_samples"), reason, "fewer samples or a longer window")


def reset_of(rule: RuleConfig) -> tuple[str, float]:
    """Return operator and value at which a limit rule may clear; by default just off the limit."""
    opposite = {">": "<=", ">=": "<", "<": ">=", "<=": ">"}
    op = rule.reset_op or opposite[rule.op]
    return op, rule.limit if rule.reset is None and rule.limit is not None else rule.reset or 0.0


def _in_range(point: SitePoint, op: str, limit: float, path: TomlPath, report: Report) -> None:
    low, high = point.range
    if not reachable(op, limit, point.range):
        unit = QUANTITIES[point.quantity].unit
        reason = f"{point.id} measures {low:g} to {high:g} {unit} and never reads {op} {limit:g}"
        report.wrong(path, reason, "a limit inside the measuring range, or another sensor")


def check_exemptions(draft: Draft, report: Report) -> None:
    """Check every ``[[exemption]]``."""
    seen: set[tuple[str, str]] = set()
    for row in draft.exemptions:
        given, path = row.it, row.path
        point = draft.site_points.get(given.point)
        if point is None:
            if given.point.split(".")[0] not in draft.broken_devices:
                report.unknown((*path, "point"), "point", given.point, draft.site_points)
        elif draft.profile is not None:
            _exempted(row, point, draft, report)
        if (given.point, given.step) in seen:
            reason = f"a second exemption for step {given.step!r} of {given.point}"
            report.wrong((*path, "step"), reason, "keep one")
        seen.add((given.point, given.step))
        if given.persons[0].strip().casefold() == given.persons[1].strip().casefold():
            report.wrong((*path, "persons"), "the two persons are the same", "two different ones")
        if not _is_day(given.expires):
            report.wrong((*path, "expires"), f"{given.expires!r} is no day", "year-month-day")


def _exempted(row: Row[ExemptionConfig], point: SitePoint, draft: Draft, report: Report) -> None:
    given = row.it
    steps = profile_rows(point, draft)
    found = steps.get(given.step)
    if found is None:
        reason = f"the profile has no step {given.step!r} for {point.quantity} at {point.location}"
        report.wrong((*row.path, "step"), reason, closest(given.step, steps))
        return
    if not is_looser(found, given.limit):
        reason = f"{given.limit:g} is not looser than the profile's {found.op} {found.value:g}"
        report.wrong((*row.path, "limit"), reason, "stricter limits: [[point]] limits")
    else:
        _in_range(point, found.op, given.limit, (*row.path, "limit"), report)
    if given.step in point.limits:
        reason = f"[[point]] {given.point} sets a limit for step {given.step!r} too"
        report.wrong((*row.path, "step"), reason, "keep one of them")


def _is_day(text: str) -> bool:
    try:
        date.fromisoformat(text)
    except ValueError:
        return False
    return True
