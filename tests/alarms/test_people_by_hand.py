"""What people may ask, and what a restart keeps, case by case from the text.

Rows read as in tests/alarms/hand.py: seq, seconds after the start, alarm, states, levels,
[demands in force], value, quality, <cause_seq, actor.
"""

from __future__ import annotations

import pytest

from alarms.engine import Engine
from alarms.events import CommandKind
from alarms.plan import Demand, Level, OutputSpec, ZoneSpec
from alarms.restart import LoosenedError
from tests.alarms.hand import Mine, limit, line, ns, point, sample
from tests.oracle.duel import batch_of

CUT = ((Demand.CUT_POWER, ()),)


# -- people -----------------------------------------------------------------------------------


def test_manual_evacuation_and_its_reset_by_two() -> None:
    mine = Mine()
    mine.at(1, 0.1)
    danger = "DANGER>DANGER [SOUND+WITHDRAW] - -"
    assert mine.ask(2, "evacuate", "z") == [
        "1 2s manual/z: NORMAL>UNACKED NORMAL>DANGER [SOUND+WITHDRAW] - - <0 by Ann",
        "2 2s zone z: NORMAL>DANGER [SOUND+WITHDRAW] <1",
    ]
    assert mine.ask(3, "ack", "manual/z") == [f"3 3s manual/z: UNACKED>ACKED {danger} <1 by Ann"]
    assert mine.ask(4, "evacuate", "z", "Eve") == [
        f"4 4s manual/z: ACKED>UNACKED {danger} <3 by Eve"
    ]
    mine.ask(5, "ack", "manual/z")
    alone = f"6 6s manual/z: ACKED>ACKED {danger} <5 by Ann"
    assert mine.ask(6, "reset", "manual/z") == [alone]
    assert len(mine.ask(7, "reset", "manual/z", second="Ann")) == 1  # not twice the same
    assert mine.ask(8, "reset", "manual/z", second="Bob")[0].startswith(
        "8 8s manual/z: ACKED>NORMAL DANGER>NORMAL [] - - <7 by Ann"
    )


def test_the_whole_mine() -> None:
    zones = [ZoneSpec("a", "heading"), ZoneSpec("b", "heading")]
    outputs = [OutputSpec("a-siren", (0,), Demand.SOUND), OutputSpec("b-siren", (1,), Demand.SOUND)]
    mine = Mine(zones=zones, outputs=outputs)
    assert mine.ask(1, "evacuate", "all")[0] == (
        "1 1s manual/all: NORMAL>UNACKED NORMAL>DANGER [SOUND+WITHDRAW] - - <0 by Ann"
    )
    assert mine.outputs == [True, True]


def test_an_ack_of_an_alarm_that_moved_since_is_refused() -> None:
    mine = Mine(limits=[limit()])
    mine.at(1, 1.2)
    assert mine.ask(2, "ack", "gas", seen=0) == [
        "3 2s gas: UNACKED>UNACKED ALARM>ALARM [] - - <1 by Ann"
    ]
    assert mine.ask(3, "ack", "gas", seen=1) == [  # a refusal is no move
        "4 3s gas: UNACKED>ACKED ALARM>ALARM [] - - <3 by Ann"
    ]


def test_a_shelved_alarm_stays_in_force_and_comes_back_at_the_end() -> None:
    mine = Mine([point(max_age_s=100.0)], [limit()])
    mine.at(1, 1.2)
    assert mine.ask(2, "shelve", "gas", until=10) == [
        "3 2s gas: UNACKED>SHELVED ALARM>ALARM [] - - <1 by Ann"
    ]
    assert mine.at(20) == ["4 10s gas: SHELVED>UNACKED ALARM>ALARM [] - - <3"]


def test_an_acked_alarm_speaks_up_again_after_its_time() -> None:
    mine = Mine([point(max_age_s=100.0)], [limit()], realarm_s=30.0)
    mine.at(1, 1.2)
    mine.ask(2, "ack", "gas")
    assert mine.at("31.999999999") == []
    assert mine.at(50) == ["4 32s gas: ACKED>UNACKED ALARM>ALARM [] 1.2 GOOD <3"]


def test_a_manual_evacuation_speaks_up_again_too() -> None:
    mine = Mine([point(max_age_s=100.0)], realarm_s=30.0)
    mine.ask(1, "evacuate", "z")
    mine.ask(2, "ack", "manual/z")
    assert mine.at(50) == ["4 32s manual/z: ACKED>UNACKED DANGER>DANGER [SOUND+WITHDRAW] - - <3"]


def test_out_needs_person_reason_measure_and_end_and_two_for_latching() -> None:
    mine = Mine(limits=[limit(demands=CUT)])
    mine.at(1, 1.2)
    assert "UNACKED>UNACKED" in mine.ask(2, "out", "gas", until=60)[0]
    assert "UNACKED>UNACKED" in mine.ask(3, "out", "gas", second="Bob")[0]
    assert "UNACKED>UNACKED" in mine.ask(4, "out", "gas", second="Bob", until=60, measure="")[0]
    assert "UNACKED>UNACKED" in mine.ask(5, "out", "gas", second="Bob", until=60, reason="")[0]
    assert mine.ask(6, "out", "gas", second="Bob", until=60) == [
        "7 6s gas: UNACKED>OUT_OF_SERVICE ALARM>NORMAL [] - - <6 by Ann + Bob",
        "8 6s zone z: ALARM>NORMAL [] <7",
    ]


def test_a_manual_evacuation_cannot_be_taken_out() -> None:
    mine = Mine()
    mine.ask(1, "evacuate", "z")
    rows = mine.ask(2, "out", "manual/z", second="Bob", until=60)
    assert rows == ["3 2s manual/z: UNACKED>UNACKED DANGER>DANGER [SOUND+WITHDRAW] - - <1 by Ann"]


def test_an_output_found_on_stays_on_until_it_is_reset() -> None:
    mine = Mine(outputs=[OutputSpec("siren", (0,), Demand.SOUND)])
    mine.at(1, 0.1)
    assert mine.ask(2, "found", "siren", "gateway")[:2] == [
        "1 2s siren/found: NORMAL>UNACKED NORMAL>ALARM [] - - <0 by gateway",
        "2 2s siren/found: UNACKED>RETURNED_UNACKED ALARM>ALARM [] - - <1 by gateway",
    ]
    assert mine.outputs == [True]
    mine.ask(3, "ack", "siren/found")
    assert mine.outputs == [True]
    mine.ask(4, "reset", "siren/found")
    assert mine.outputs == [False]


# -- restart ----------------------------------------------------------------------------------


def test_a_restart_keeps_the_latch_and_the_ack() -> None:
    mine = Mine(limits=[limit(demands=CUT)], outputs=[OutputSpec("cut", (0,), Demand.CUT_POWER)])
    mine.at(1, 1.2)
    mine.ask(2, "ack", "gas")
    assert mine.restart(3) == []
    assert mine.outputs == [True]
    assert mine.at(4, 0.1) == ["4 4s gas: ACKED>LATCHED ALARM>ALARM [CUT_POWER] 0.1 GOOD <3"]


def test_a_deadline_that_passed_while_down_falls_due_at_the_start() -> None:
    mine = Mine(limits=[limit(on=5.0)])
    mine.at(1, 1.2)
    assert mine.restart(20) == [
        "1 20s gas: NORMAL>UNACKED NORMAL>ALARM [] - NO_DATA <0",
        "2 20s zone z: NORMAL>ALARM [] <1",
    ]
    assert mine.at(60) == ["3 30s g/fault: NORMAL>UNACKED NORMAL>FAULT [] - NO_DATA <0"]


def test_a_restart_sets_the_off_clock_to_zero() -> None:
    mine = Mine(limits=[limit(off=3.0)])
    mine.at(1, 1.0)
    mine.at(2, 0.5)
    assert mine.restart(6) == []
    assert mine.at(7, 0.5) == []
    assert mine.at(10, 0.5)[0].startswith("3 10s gas: UNACKED>RETURNED_UNACKED")


def test_the_newest_source_time_survives_and_its_first_sample_is_applied() -> None:
    mine = Mine(limits=[limit()])
    mine.at(5, sample(1.2, source=5))
    mine.restart(6)
    assert mine.at(7, sample(0.1, source=4)) == []  # LATE lowers nothing
    assert mine.at(8, sample(1.2, source=5)) == []  # applied: seen again
    assert mine.at("15.000000001")[0].startswith("3 15.000000001s g/fault: NORMAL>UNACKED")


@pytest.mark.parametrize("kind", ["shelve", "out"])
def test_an_end_beyond_the_axis_of_time_is_refused(kind: CommandKind) -> None:
    mine = Mine(limits=[limit()])
    mine.at(1, 1.2)
    rows = mine.ask(2, kind, "gas", until=1e10)  # 317 years
    assert rows == ["3 2s gas: UNACKED>UNACKED ALARM>ALARM [] - - <1 by Ann"]


# -- a changed configuration never removes or loosens an alarm in force -------------------------

HARD = limit(demands=CUT)
LOOSER = {
    "removed": (),
    "lower level": (limit(level=Level.ALERT, demands=CUT),),
    "no cut": (limit(),),
    "higher limit": (limit(at=3.0, demands=CUT),),
    "back earlier": (limit(back=0.9, demands=CUT),),
    "exceeds only": (limit(op=">", demands=CUT),),
}


@pytest.mark.parametrize("change", LOOSER)
def test_a_start_with_an_alarm_in_force_loosened_is_refused(change: str) -> None:
    mine = Mine(limits=[HARD])
    mine.at(1, 1.2)
    changed = Mine(limits=LOOSER[change]).plan
    with pytest.raises(LoosenedError, match="gas"):
        Engine(changed).start(ns(2), snapshot=mine.engine.snapshot())


@pytest.mark.parametrize("change", LOOSER)
def test_without_an_alarm_in_force_it_may_change(change: str) -> None:
    mine = Mine(limits=[HARD])
    mine.at(1, 0.1)
    changed = Mine(limits=LOOSER[change]).plan
    assert Engine(changed).start(ns(2), snapshot=mine.engine.snapshot()).rows == []


def test_rules_are_known_by_their_names_not_by_their_places() -> None:
    other = limit("other", at=50.0)
    mine = Mine(limits=[HARD, other])
    mine.at(1, 1.2)
    engine = Engine(Mine(limits=[other, HARD]).plan)
    engine.start(ns(2), snapshot=mine.engine.snapshot())
    rows = engine.step(ns(3), batch_of([sample(0.1)])).rows
    assert [line(r) for r in rows] == [
        "3 3s gas: UNACKED>RETURNED_UNACKED ALARM>ALARM [CUT_POWER] 0.1 GOOD <1"
    ]
