from __future__ import annotations

from gateway.api.health import Movement
from gateway.api.metrics import text
from gateway.api.picture import Now, picture
from sensors.quality import Quality
from tests.gateway.api.pretend import CO, MONOTONIC, NOW, LiveMine, S, T, book, link, shown


def at(seconds: float) -> Now:
    return Now(MONOTONIC + round(seconds * S), T + round(seconds * S))


def published(live: LiveMine, seconds: float) -> LiveMine:
    live.published_monotonic_ns = MONOTONIC + round(seconds * S)
    live.t_ns = T + round(seconds * S)
    return live


def test_what_moves_is_healthy() -> None:
    movement = Movement()
    for second in range(60):
        live = published(LiveMine(step=second, links=[link(polls=second)]), second)
        verdict = movement.verdict(shown(live, at(second)), at(second))
        assert verdict["ok"]
    assert verdict["degraded"] == ["watchdog not proven: plc-east"]


def test_an_evaluation_that_stands_still_is_found_though_the_core_publishes() -> None:
    movement = Movement()
    verdicts = []
    for second in range(6):
        live = published(LiveMine(step=7, links=[link(polls=second)]), second)
        verdicts.append(movement.verdict(shown(live, at(second)), at(second)))
    assert [v["ok"] for v in verdicts] == [True, True, True, True, False, False]
    assert "evaluation stands still" in verdicts[-1]["failing"][0]


def test_a_link_whose_task_is_dead_is_found_though_it_says_connected() -> None:
    movement = Movement()
    for second in range(32):
        east = link("east", polls=7) | {"last_good_age_s": float(second)}
        links = [east, link("west", polls=second)]
        live = published(LiveMine(step=second, links=links), second)
        verdict = movement.verdict(shown(live, at(second)), at(second))
        assert verdict["ok"] == (second <= 30)
    assert verdict["failing"] == ["link east: no attempt for 31 s"]


def test_a_link_of_outputs_alone_counts_no_polls_and_is_judged_by_its_replies() -> None:
    movement = Movement()
    for second in range(60):
        outputs = link("outputs", polls=0) | {"last_good_age_s": 0.4}
        live = published(LiveMine(step=second, links=[outputs]), second)
        assert movement.verdict(shown(live, at(second)), at(second))["ok"]


def test_a_link_that_is_down_but_tries_is_degraded() -> None:
    movement = Movement()
    for second in range(60):
        row = link(connected=False, polls=7)
        row["errors"] = {"connect": second}
        live = published(LiveMine(step=second, links=[row]), second)
        verdict = movement.verdict(shown(live, at(second)), at(second))
        assert verdict["ok"]
    assert "link east: not connected: timeout" in verdict["degraded"]


def test_a_silent_core_and_none_at_all_fail() -> None:
    live = LiveMine()
    verdict = Movement().verdict(shown(live, at(4)), at(4))
    assert (verdict["ok"], "silent for 4.0 s" in verdict["failing"][0]) == (False, True)
    verdict = Movement().verdict(picture(book(), None, NOW), NOW)
    assert (verdict["ok"], "has not run" in verdict["failing"][0]) == (False, True)


def test_a_part_of_the_gateway_that_does_not_work_is_named() -> None:
    live = LiveMine(health={"journal": {"ok": False, "reason": "the disk is full"}})
    assert "journal: the disk is full" in Movement().verdict(shown(live), NOW)["degraded"]


def test_metrics_have_no_sample_for_what_is_unknown() -> None:
    live = LiveMine()
    live.evacuation()
    live.reads(CO, float("nan"), Quality.COMMS_LOST)
    live.arrays["output_readback"][:] = [1, -1, 0]
    pic = shown(live)
    page = text(pic, Movement().verdict(pic, NOW), streams=3, evicted=1)
    lines = page.splitlines()
    assert 'firedamp_point_value{point="T1.gas",zone="LW101",unit="%vol"} 1.73' in lines
    assert not [line for line in lines if line.startswith('firedamp_point_value{point="C1.co"')]
    assert 'firedamp_point_quality{point="C1.co",zone="return"} 9' in lines
    assert 'firedamp_output_read_back{output="siren"} 1' in lines
    assert not [
        line for line in lines if line.startswith('firedamp_output_read_back{output="power"')
    ]
    assert 'firedamp_zone_withdraw{zone="return"} 1' in lines
    assert 'firedamp_alarms_in_force{level="DANGER"} 1' in lines
    assert 'firedamp_link_errors_total{link="east",error="timeout"} 1' in lines
    assert "firedamp_api_streams 3" in lines
    names = [line.split("{")[0].split(" ")[0] for line in lines if not line.startswith("#")]
    told = [line.split(" ")[2] for line in lines if line.startswith("# TYPE")]
    assert list(dict.fromkeys(names)) == told
    assert len(told) == len(set(told))
    assert page.endswith("\n")


def test_labels_are_escaped() -> None:
    live = LiveMine(links=[link('a"b\\c\nd')])
    pic = shown(live)
    page = text(pic, Movement().verdict(pic, NOW), 0, 0)
    assert 'firedamp_link_connected{link="a\\"b\\\\c\\nd"} 1' in page.splitlines()
