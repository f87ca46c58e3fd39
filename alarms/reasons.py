"""The words of a row: why an alarm moved, in a sentence that can be read at night."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from alarms.alarm_state import Why
from alarms.lifecycle import Event
from sensors.quality import Quality
from sensors.quantities import QUANTITIES

if TYPE_CHECKING:
    from alarms.engine import Engine

_VERB: Final = {Event.RAISE: "raised", Event.RETURN: "returned", Event.CAUSE: "further cause"}


def _limit(engine: Engine, index: int, event: Event) -> str:
    rule = engine.plan.limits[index]
    unit = QUANTITIES[engine.plan.points.specs[rule.point].quantity].unit
    if event == Event.RETURN:
        return f"back: {rule.reset_op} {rule.reset:g} {unit}"
    return f"limit: {rule.op} {rule.set:g} {unit}"


def _trend(engine: Engine, index: int, event: Event) -> str:
    rule, slope = engine.plan.trends[index], engine.trends.slope[index]
    unit = QUANTITIES[engine.plan.points.specs[rule.point].quantity].unit
    bound = f">= {rule.rise_per_min:g}" if event != Event.RETURN else f"< {rule.reset_per_min:g}"
    return f"rise {slope:.3g} {unit}/min {bound} over {rule.window_s:g} s"


def _vote(engine: Engine, index: int, event: Event) -> str:
    names = [engine.plan.limits[m].id for m in sorted(engine.votes.voted[index])]
    return f"vote {_VERB[event]}: " + ", ".join(names)


def _lost(engine: Engine, zone: int, event: Event) -> str:
    ids = engine.plan.points.ids
    lost = [ids[p] for p in range(len(ids)) if engine.loss.lost[p] and engine.loss.zone[p] == zone]
    names = ", ".join(lost[:5]) + (f" and {len(lost) - 5} more" if len(lost) > 5 else "")  # noqa: PLR2004
    return (
        "monitoring is back" if event == Event.RETURN else f"monitoring lost: {names or 'none now'}"
    )


def _ladder(_engine: Engine, stage: int, event: Event) -> str:
    what = ("sections leave", "everyone leaves the mine")[stage]
    return "main fan runs again" if event == Event.RETURN else f"main fan stopped: {what}"


_WORDS: Final = {"limit": _limit, "trend": _trend, "vote": _vote, "lost": _lost, "ladder": _ladder}


def describe(engine: Engine, alarm: int, event: Event) -> Why:
    """Return reason, value and quality for a transition that the alarm's condition caused."""
    spec = engine.alarms[alarm]
    words = _WORDS.get(spec.kind)
    if spec.kind in ("vote", "lost", "ladder"):
        return Why(words(engine, spec.index_in_kind, event) if words else "")
    if not spec.points:
        return Why(f"{spec.kind}: {_VERB[event]}")
    point = spec.points[0]
    quality = Quality(engine.points.frame.quality[point]).name
    value = float(engine.points.frame.value[point])
    if words is None:
        return Why(f"{spec.kind}: {quality}", value, quality)
    return Why(words(engine, spec.index_in_kind, event), value, quality)
