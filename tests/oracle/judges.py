"""The condition of every kind of alarm at one instant: sections 5.2 to 5.7."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from alarms.events import State
from sensors.quality import Quality
from tests.oracle.book import Alarm, guarding
from tests.oracle.points import RAISES_FAULT, SET_AND_CLEAR
from tests.oracle.rules import range_counts_as_over

if TYPE_CHECKING:
    from tests.oracle.machine import Oracle


@dataclass
class Look:
    """What one evaluation newly knows."""

    fresh: dict[int, int] = field(default_factory=dict)  # point -> the time its age counts from
    late: dict[int, tuple[float, Quality]] = field(default_factory=dict)


def judge_limit(oracle: Oracle, alarm: Alarm, look: Look) -> None:
    memory = oracle.limits[alarm.number]
    p = memory.rule.point
    if p in look.late and not alarm.condition:
        value, quality = look.late[p]
        if memory.late_sets(quality, value):
            oracle.settle(alarm, condition=True, late_value=value)
    point = oracle.points[p]
    quality = point.quality(oracle.now)
    condition = memory.judge(
        oracle.now, quality, point.value, fresh=p in look.fresh, condition=alarm.condition
    )
    oracle.settle(alarm, condition=condition)


def judge_trend(oracle: Oracle, alarm: Alarm, look: Look) -> None:
    memory = oracle.trends[alarm.number]
    p = memory.rule.point
    condition = alarm.condition
    if p in look.fresh and oracle.points[p].quality(oracle.now) in SET_AND_CLEAR:
        condition = memory.judge(look.fresh[p], oracle.points[p].value, condition=condition)
    oracle.settle(alarm, condition=condition)


def judge_vote(oracle: Oracle, alarm: Alarm, look: Look) -> None:
    vote = oracle.plan.votes[alarm.number]
    voters = {m for m in vote.members if oracle.alarms[m].condition}
    lost = {m for m in vote.members if m not in voters and _member_is_lost(oracle, m)}
    condition = len(voters) >= max(1, vote.m - len(lost))
    # Time may raise; only a sample may lower.
    if alarm.condition and not any(p in look.fresh for p in alarm.points):
        condition = True
    oracle.settle(alarm, condition=condition, causes=voters)


def _member_is_lost(oracle: Oracle, member: int) -> bool:
    p = oracle.plan.limits[member].point
    point = oracle.points[p]
    if out_of_service(oracle, p):
        return True
    quality = point.quality(oracle.now)
    if quality == Quality.UNDEFINED or point.in_grace(oracle.now):
        return False
    return quality not in SET_AND_CLEAR


def out_of_service(oracle: Oracle, p: int) -> bool:
    """Tell whether the point feeds an alarm that is OUT_OF_SERVICE."""
    return any(
        alarm.state == State.OUT_OF_SERVICE
        and p in alarm.points
        and alarm.until_ns is not None
        and oracle.now < alarm.until_ns
        for alarm in oracle.alarms
    )


def judge_fault(oracle: Oracle, alarm: Alarm, look: Look) -> None:
    point = oracle.points[alarm.number]
    bad = point.quality(oracle.now) in RAISES_FAULT
    condition = alarm.condition
    if bad and not point.in_grace(oracle.now):
        condition = True
    if not bad and alarm.number in look.fresh:
        condition = False
    oracle.settle(alarm, condition=condition)


def judge_maintenance(oracle: Oracle, alarm: Alarm, look: Look) -> None:
    quality = oracle.points[alarm.number].quality(oracle.now)
    condition = alarm.condition or quality == Quality.UNCERTAIN
    if quality == Quality.GOOD and alarm.number in look.fresh:
        condition = False
    oracle.settle(alarm, condition=condition)


def judge_lost(oracle: Oracle, alarm: Alarm, look: Look) -> None:
    zone = alarm.number
    lost = {p for p in guarding(oracle.plan, zone) if _point_is_lost(oracle, p)}
    came = any(oracle.points[p].spec.zone == zone for p in look.fresh)
    condition = oracle.losses[zone].judge(
        oracle.now, any_lost=bool(lost), fresh=came, condition=alarm.condition
    )
    oracle.settle(alarm, condition=condition, causes=lost)


def _point_is_lost(oracle: Oracle, p: int) -> bool:
    if out_of_service(oracle, p):
        return True
    point = oracle.points[p]
    quality = point.quality(oracle.now)
    if quality in SET_AND_CLEAR or quality == Quality.UNDEFINED:
        return False
    rules = [rule for rule in oracle.plan.limits if rule.point == p]
    if any(range_counts_as_over(rule, quality) for rule in rules):
        return False
    announced = quality == Quality.CALIBRATION and point.announced(oracle.now)
    return not (announced and _another_guards(oracle, p))


def _another_guards(oracle: Oracle, p: int) -> bool:
    spec = oracle.points[p].spec
    return any(
        q != p
        and oracle.points[q].spec.quantity == spec.quantity
        and oracle.points[q].quality(oracle.now) in SET_AND_CLEAR
        and not out_of_service(oracle, q)
        for q in guarding(oracle.plan, spec.zone)
    )


def judge_ladder(oracle: Oracle, alarm: Alarm, _look: Look) -> None:
    if oracle.ladder is None:
        return
    rule = oracle.ladder.rule
    stopped = any(oracle.alarms[r].condition for r in rule.fan_rules) or any(
        a.kind == "lost" and a.number == rule.zone and a.condition for a in oracle.alarms
    )
    conditions = oracle.ladder.judge(oracle.now, stopped=stopped)
    oracle.settle(alarm, condition=conditions[alarm.number])


def judge_by_hand(oracle: Oracle, alarm: Alarm, _look: Look) -> None:
    """Manual and found: what holds is what people did; only a re-alarm can come of it."""
    oracle.settle(alarm, condition=alarm.condition)


JUDGES = {
    "limit": judge_limit,
    "trend": judge_trend,
    "vote": judge_vote,
    "fault": judge_fault,
    "maintenance": judge_maintenance,
    "lost": judge_lost,
    "ladder": judge_ladder,
    "manual": judge_by_hand,
    "found": judge_by_hand,
}
