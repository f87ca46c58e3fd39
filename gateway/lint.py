"""``firedamp check``: what is valid and still endangers life, and how long each alarm can take.

A finding names file, line, key, reason and remedy like an error of the configuration. An *error*
means: do not run a mine on this. A *warning* means: a person should have decided this.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

from gateway.clock import WallClock
from gateway.config import Config
from gateway.config_file import device_types
from gateway.lint_checker import Checker, Finding
from gateway.lint_life import OUTPUT_LINTS
from gateway.lint_sensors import SENSOR_LINTS
from gateway.site import Site, build
from gateway.worst_case import worst_case_s


@dataclass(frozen=True, slots=True)
class LintReport:
    """Findings in order of line, worst-case times [s] by point, and how far limits are verified."""

    file: Path
    bar_s: float
    findings: tuple[Finding, ...]
    worst_case_s: dict[str, float]
    verified: dict[str, int]


def check(config: Config, today: date | None = None) -> LintReport:
    """Look at a valid configuration.

    Parameters
    ----------
    config : Config
    today : date, optional
        Day on which exemptions are looked at; without one, this day in UTC.

    Raises
    ------
    OSError
        If a secret's file can no longer be read.
    """
    site = build(config)
    times = worst_case_s(site, device_types())
    day = today or datetime.fromtimestamp(WallClock.wall_ns() / 1e9, UTC).date()
    checker = Checker(site, device_types(), times, day)
    lints = (*OUTPUT_LINTS, *SENSOR_LINTS)
    findings = [finding for lint in lints for finding in lint(checker)]
    found = sorted(findings, key=lambda f: (f.line, f.severity, f.reason))
    return LintReport(
        config.file, config.site.sensor_to_alarm_bar_s, tuple(found), times, _verified(site)
    )


def has_errors(report: LintReport) -> bool:
    """Tell whether a mine must not be run on this."""
    return any(f.severity == "error" for f in report.findings)


def as_json(report: LintReport) -> dict[str, Any]:
    """Return the report for programs."""
    return {
        "file": str(report.file),
        "errors": [asdict(f) for f in report.findings if f.severity == "error"],
        "warnings": [asdict(f) for f in report.findings if f.severity == "warning"],
        "worst_case_s": {name: round(s, 3) for name, s in report.worst_case_s.items()},
        "bar_s": report.bar_s,
        "limits_verified": report.verified,
    }


def as_text(report: LintReport) -> str:
    """Return the report for people."""
    lines = [str(finding) for finding in report.findings]
    width = max((len(name) for name in report.worst_case_s), default=0)
    lines.append(f"Worst case from sensor to alarm (bar {report.bar_s:g} s), slowest first:")
    slowest = sorted(report.worst_case_s.items(), key=lambda item: (-item[1], item[0]))
    lines += [f"  {name:<{width}}  {seconds:6.2f} s" for name, seconds in slowest]
    marks = ", ".join(f"{count} {word}" for word, count in sorted(report.verified.items()))
    lines.append(f"Limits of the profile, verified against the legal text: {marks or 'none'}")
    errors = sum(f.severity == "error" for f in report.findings)
    warnings = len(report.findings) - errors
    lines.append(f"{report.file}: {errors} errors, {warnings} warnings")
    return "\n".join(lines)


def _verified(site: Site) -> dict[str, int]:
    return dict(Counter(r.source.verified for r in site.plan.limits if r.source.profile))
