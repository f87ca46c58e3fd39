"""Whether evaluation and polling move: two looks at the counters, not one look at a flag.

A task that died while its last state still says "connected" is the failure this exists for.
Pure: time is passed in.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

from gateway.api.answers import CoreAnswer, HealthAnswer
from gateway.api.picture import Now, Picture

EVALUATION_STILL_NS: Final = 3_000_000_000
POLLING_STILL_NS: Final = 30_000_000_000
"""Longer than the longest pause between two attempts of a link that is down (10 s), twice over."""


@dataclass(slots=True)
class Movement:
    """When each counter was last seen to move, CLOCK_MONOTONIC [ns]."""

    _seen: dict[str, tuple[object, int]] = field(default_factory=dict)

    def observe(self, found: Picture | CoreAnswer, now: Now) -> None:
        """Look at the counters; call at least once a second."""
        if not isinstance(found, Picture):
            return
        self._note("step", found.meta["step"], now)
        for link in found.meta["links"]:
            self._note(f"link {link['id']}", _attempts(link), now)

    def verdict(self, found: Picture | CoreAnswer, now: Now) -> HealthAnswer:
        """Say what stands still (failing) and what is not as it should be (degraded)."""
        self.observe(found, now)
        if not isinstance(found, Picture):
            return {"ok": False, "failing": [found["reason"]], "degraded": []}
        failing: list[str] = []
        degraded: list[str] = []
        if found.core["core_down"]:
            failing.append(found.core["reason"])
        elif self._still_ns("step", now) > EVALUATION_STILL_NS:
            failing.append("evaluation stands still: the core publishes, but its step number stays")
        for link in found.meta["links"]:
            still_ns = self._still_ns(f"link {link['id']}", now)
            if still_ns > POLLING_STILL_NS and not _answers(link):
                failing.append(f"link {link['id']}: no attempt for {still_ns / 1e9:.0f} s")
            elif not link["connected"]:
                degraded.append(f"link {link['id']}: not connected: {link['last_error']}")
        degraded += [
            f"{name}: {part['reason'] or 'does not work'}"
            for name, part in found.meta["health"].items()
            if not part["ok"]
        ]
        if unproven := [peer["id"] for peer in found.meta["peers"] if not peer["proven"]]:
            degraded.append("watchdog not proven: " + ", ".join(unproven))
        return {"ok": not failing, "failing": failing, "degraded": degraded}

    def _note(self, name: str, counter: object, now: Now) -> None:
        if name not in self._seen or self._seen[name][0] != counter:
            self._seen[name] = (counter, now.monotonic_ns)

    def _still_ns(self, name: str, now: Now) -> int:
        return now.monotonic_ns - self._seen[name][1]


def _answers(link: dict[str, Any]) -> bool:
    """Tell whether it got a good reply lately: a link of outputs alone counts no polls."""
    age_s = link["last_good_age_s"]
    return age_s is not None and age_s * 1e9 <= POLLING_STILL_NS


def _attempts(link: dict[str, Any]) -> tuple[object, ...]:
    return link["polls"], link["good"], link["reconnects"], tuple(link["errors"].values())
