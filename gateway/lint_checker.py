"""What the life lint works with: findings, and the site as the lints look at it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from functools import cached_property
from pathlib import Path
from typing import Literal

from alarms.plan import LimitRule, TrendRule
from gateway.config import OutputConfig
from gateway.config_draft import SitePoint
from gateway.site import Site
from gateway.toml_positions import Path as TomlPath
from gateway.toml_positions import line_of
from sensors.device_types import DeviceType

Severity = Literal["error", "warning"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One way in which the configuration fails people."""

    severity: Severity
    file: Path
    line: int
    key: str
    reason: str
    suggestion: str = ""

    def __str__(self) -> str:
        hint = f" -> {self.suggestion}" if self.suggestion else ""
        return f"{self.file}:{self.line}: {self.severity}: {self.key}: {self.reason}{hint}"


@dataclass(frozen=True)
class Checker:
    """What the lints look at."""

    site: Site
    types: Mapping[str, DeviceType]
    times: Mapping[str, float]
    today: date

    def finding(
        self, severity: Severity, path: TomlPath, reason: str, suggestion: str = ""
    ) -> Finding:
        """Return a finding at the key `path`."""
        config = self.site.config
        key = ".".join(part for part in path if isinstance(part, str))
        return Finding(severity, config.file, line_of(config.lines, path), key, reason, suggestion)

    @cached_property
    def points(self) -> tuple[SitePoint, ...]:
        """The configured points, by their index in the plan."""
        return self.site.compiled.site_points

    @cached_property
    def rules(self) -> dict[int, list[LimitRule | TrendRule]]:
        """Rules by point index."""
        found: dict[int, list[LimitRule | TrendRule]] = {}
        for rule in self.all_rules:
            found.setdefault(rule.point, []).append(rule)
        return found

    @cached_property
    def all_rules(self) -> tuple[LimitRule | TrendRule, ...]:
        """Limits, then trends."""
        return (*self.site.plan.limits, *self.site.plan.trends)

    @cached_property
    def outputs_for(self) -> dict[tuple[str, str], list[OutputConfig]]:
        """Outputs by (zone id, demand)."""
        found: dict[tuple[str, str], list[OutputConfig]] = {}
        for output in self.site.config.outputs:
            for zone in output.zones:
                found.setdefault((zone, output.demand), []).append(output)
        return found
