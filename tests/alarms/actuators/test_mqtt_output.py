from __future__ import annotations

import json
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alarms.actuators.mqtt_output import (
    ANSWER_WITHIN_S,
    HOLD_S,
    LOOK_S,
    REPEAT_S,
    MqttOutput,
    MqttOutputs,
)
from sensors.ports_mqtt import MqttOutputsPort, Publish

S = 1_000_000_000
START = 5_000 * S
SIREN = MqttOutput(2, "out/siren/set", "out/siren/state")
BEACON = MqttOutput(5, "out/beacon/set", "out/beacon/state")


@dataclass
class Bench:
    """Outputs on a table, with the instruments that a session and a core would have."""

    specs: tuple[MqttOutput, ...] = (SIREN, BEACON)
    found: list[tuple[int, bool | None]] = field(default_factory=list)
    agreement: list[tuple[int, bool | None]] = field(default_factory=list)
    woken: int = 0

    def __post_init__(self) -> None:
        self.outputs = MqttOutputs(
            self.specs,
            lambda i, on: self.found.append((i, on)),
            lambda i, agrees: self.agreement.append((i, agrees)),
        )
        self.outputs.wake = self.wake

    def wake(self) -> None:
        self.woken += 1

    def want(self, *, siren: bool, beacon: bool = False) -> None:
        self.outputs.set([False, False, siren, False, False, beacon], [])

    def answer(self, spec: MqttOutput, on: bool, now_ns: int, *, retained: bool = False) -> None:
        payload = b'{"on":true}' if on else b'{"on":false}'
        self.outputs.heard(spec.readback_topic, payload, now_ns, retained=retained)

    def publish_all(self, now_ns: int) -> list[tuple[str, bool]]:
        """Let the session publish what is due; the broker acknowledges at once."""
        done: list[tuple[str, bool]] = []
        while (publish := self.outputs.next_publish(now_ns)) is not None:
            assert len(done) < 10, "the same message is due for ever"
            self.outputs.published(publish, now_ns)
            done.append((publish.topic, publish.on))
        return done

    def verdicts(self, now_ns: int) -> dict[int, bool | None]:
        self.agreement.clear()
        self.outputs.tick(now_ns)
        return dict(self.agreement)


def looked(**wanted: bool) -> Bench:
    """A bench past the first look, with both outputs found off."""
    bench = Bench()
    bench.outputs.opened(START)
    bench.answer(SIREN, False, START, retained=True)
    bench.answer(BEACON, False, START, retained=True)
    if wanted:
        bench.want(**wanted)
    return bench


def test_it_is_the_port_that_the_session_expects() -> None:
    port: MqttOutputsPort = Bench().outputs
    assert port.readback_topics == ("out/siren/state", "out/beacon/state")


def test_nothing_is_written_before_the_read_back_was_seen_and_a_state_is_required() -> None:
    bench = Bench()
    bench.want(siren=True)
    bench.outputs.opened(START)
    assert bench.publish_all(START) == []
    bench.answer(SIREN, False, START, retained=True)
    assert bench.found == [(2, False)]
    assert bench.publish_all(START) == [("out/siren/set", True)]
    bench.answer(BEACON, False, START, retained=True)
    assert bench.publish_all(START) == [("out/beacon/set", False)]


def test_without_a_required_state_nothing_is_ever_written() -> None:
    bench = looked()
    assert bench.publish_all(START + 100 * S) == []
    assert bench.outputs.commanded.tolist() == [-1, -1]


def test_an_unreadable_output_is_reported_and_written_anyway() -> None:
    bench = Bench()
    bench.outputs.opened(START)
    bench.want(siren=True)
    assert bench.publish_all(START + LOOK_S * S - 1) == []
    assert bench.publish_all(START + LOOK_S * S) == [
        ("out/siren/set", True),
        ("out/beacon/set", False),
    ]
    assert bench.found == [(2, None), (5, None)]


def test_an_output_without_read_back_topic_is_not_waited_for_and_never_agrees() -> None:
    bench = Bench(specs=(MqttOutput(2, "out/siren/set", ""),))
    bench.outputs.opened(START)
    bench.want(siren=True)
    assert bench.found == [(2, None)]
    assert bench.publish_all(START) == [("out/siren/set", True)]
    assert bench.verdicts(START + 60 * S) == {2: None}
    assert bench.outputs.readback_topics == ()


def test_one_found_on_is_not_switched_off_before_someone_could_know() -> None:
    bench = Bench()
    bench.want(siren=False)  # decided before anyone had seen the siren
    bench.outputs.opened(START)
    bench.answer(SIREN, True, START, retained=True)
    bench.answer(BEACON, False, START, retained=True)
    assert bench.found == [(2, True), (5, False)]
    assert bench.publish_all(START + HOLD_S * S - 1) == [("out/beacon/set", False)]
    bench.want(siren=True)  # the next step has seen it, and keeps it on
    assert bench.publish_all(START + HOLD_S * S - 1) == [("out/siren/set", True)]


def test_control_without_the_hold_it_would_have_been_switched_off() -> None:
    bench = Bench()
    bench.want(siren=False)
    bench.outputs.opened(START)
    bench.answer(SIREN, True, START, retained=True)
    bench.want(siren=False)  # a step that knows of it and does not want it ends the hold
    assert ("out/siren/set", False) in bench.publish_all(START)


def test_a_silent_core_does_not_hold_an_output_for_ever() -> None:
    bench = Bench()
    bench.want(siren=False)
    bench.outputs.opened(START)
    bench.answer(SIREN, True, START, retained=True)
    assert ("out/siren/set", False) in bench.publish_all(START + HOLD_S * S)


def test_no_session_is_reported_as_unreadable_once_and_corrected_later() -> None:
    bench = Bench()
    bench.outputs.closed(START)
    bench.outputs.closed(START + S)
    assert bench.found == [(2, None), (5, None)]
    bench.outputs.opened(START + 60 * S)
    bench.answer(SIREN, True, START + 60 * S, retained=True)
    assert bench.found == [(2, None), (5, None), (2, True)]


def test_the_newest_state_wins_and_on_comes_first() -> None:
    bench = looked(siren=False, beacon=False)
    bench.want(siren=True)
    bench.want(siren=False, beacon=True)
    assert bench.publish_all(START) == [("out/beacon/set", True), ("out/siren/set", False)]


def test_a_change_wakes_the_session_and_a_repetition_does_not() -> None:
    bench = looked(siren=False)
    woken = bench.woken
    bench.want(siren=False)
    assert bench.woken == woken
    bench.want(siren=True)
    assert bench.woken == woken + 1


def test_the_whole_state_is_repeated_and_comes_again_after_a_lost_session() -> None:
    bench = looked(siren=True)
    assert len(bench.publish_all(START)) == 2
    assert bench.publish_all(START + REPEAT_S * S - 1) == []
    assert len(bench.publish_all(START + REPEAT_S * S)) == 2
    bench.outputs.closed(START + 6 * S)
    bench.outputs.opened(START + 7 * S)
    assert len(bench.publish_all(START + 7 * S)) == 2
    assert len(bench.found) == 2, "found is about the start of the gateway, not of a session"


def test_the_payload_is_the_state_and_a_rising_number() -> None:
    bench = looked(siren=True)
    payloads = [bench.outputs.next_publish(START) for _ in range(3)]
    assert [json.loads(p.payload) for p in payloads if p is not None] == [
        {"on": True, "seq": 1},
        {"on": True, "seq": 2},
        {"on": True, "seq": 3},
    ]


def test_an_unacknowledged_message_stays_due() -> None:
    bench = looked(siren=True)
    first = bench.outputs.next_publish(START)
    assert isinstance(first, Publish)
    second = bench.outputs.next_publish(START + 1)
    assert second is not None
    assert second.topic == first.topic


def test_agreement_needs_a_live_answer() -> None:
    bench = looked(siren=True)
    bench.publish_all(START)
    bench.answer(SIREN, True, START + S, retained=True)
    assert bench.verdicts(START + 4 * S)[2] is None, "retained: nobody knows"
    bench.answer(SIREN, True, START + 4 * S)
    assert bench.verdicts(START + 4 * S)[2] is True
    assert bench.outputs.readback.tolist() == [1, -1]


def test_a_wrong_answer_is_a_finding_only_when_there_was_time_to_obey() -> None:
    bench = looked(siren=False)
    bench.publish_all(START)
    bench.answer(SIREN, False, START + 9 * S)
    assert bench.verdicts(START + 9 * S)[2] is True
    bench.want(siren=True)
    bench.publish_all(START + 9 * S)
    assert 2 not in bench.verdicts(START + 9 * S), "the answer is still on its way"
    bench.answer(SIREN, False, START + 10 * S)
    assert 2 not in bench.verdicts(START + 10 * S)
    assert bench.verdicts(START + (9 + ANSWER_WITHIN_S) * S)[2] is False
    bench.answer(SIREN, True, START + 12 * S)
    assert bench.agreement[-1] == (2, True), "told at once"


def test_an_answer_counts_until_the_next_repetition_should_have_been_answered() -> None:
    bench = looked(siren=True)
    bench.publish_all(START)
    bench.answer(SIREN, True, START)
    last = START + (REPEAT_S + ANSWER_WITHIN_S) * S
    assert bench.verdicts(last)[2] is True
    assert bench.verdicts(last + 1)[2] is None
    assert bench.outputs.readback.tolist() == [-1, -1]


def test_a_lost_session_is_no_agreement_and_old_answers_do_not_survive_it() -> None:
    bench = looked(siren=True)
    bench.publish_all(START)
    bench.answer(SIREN, True, START)
    bench.agreement.clear()
    bench.outputs.closed(START + S)
    assert dict(bench.agreement) == {2: None, 5: None}
    assert bench.verdicts(START + 2 * S) == {2: None, 5: None}
    bench.outputs.opened(START + 2 * S)
    assert bench.verdicts(START + 3 * S) == {}, "no verdict before there was time to answer"
    assert bench.verdicts(START + 2 * S + (LOOK_S + ANSWER_WITHIN_S) * S) == {2: None, 5: None}


@pytest.mark.parametrize(
    "payload",
    [
        *(b"", b"on", b"1", b"true", b"{}", b'{"on":1}', b'{"on":"true"}', b'{"on":null}'),
        *(b"\xff", b'{"on":true,"on":false}', b'[{"on":true}]', b'{"ON":true}'),
    ],
)
def test_an_answer_that_cannot_be_understood_is_none(payload: bytes) -> None:
    bench = Bench()
    bench.outputs.opened(START)
    bench.want(siren=True)
    bench.outputs.heard("out/siren/state", payload, START, retained=False)
    assert bench.found == []
    assert bench.outputs.readback.tolist() == [-1, -1]


steps = st.lists(
    st.one_of(
        st.tuples(st.just("set"), st.booleans(), st.booleans()),
        st.tuples(st.just("answer"), st.booleans(), st.booleans()),
        st.tuples(st.just("session"), st.booleans(), st.booleans()),
        st.tuples(st.just("wait"), st.integers(0, 8 * S), st.booleans()),
    ),
    max_size=40,
)


@given(steps)
def test_whatever_happens_the_controller_ends_up_with_the_newest_state(  # noqa: C901
    script: list[tuple[str, int, bool]],
) -> None:
    """Any order of commands, answers, lost sessions and pauses; the pure part never raises."""
    bench = Bench(specs=(SIREN,))
    now = START
    open_, wanted, on_broker = False, None, None
    for what, value, flag in script:
        now += 1
        if what == "set":
            wanted = bool(value)
            bench.want(siren=wanted)
        elif what == "answer" and open_:
            bench.answer(SIREN, bool(value), now, retained=flag)
        elif what == "session" and bool(value) != open_:
            open_ = bool(value)
            (bench.outputs.opened if open_ else bench.outputs.closed)(now)
        elif what == "wait":
            now += value
        if open_ and flag:
            for _, on in bench.publish_all(now):
                assert bench.found, "written before it was looked at"
                assert on == wanted, "an old state was written"
                on_broker = on
        bench.outputs.tick(now)
    if not open_:
        bench.outputs.opened(now)
    later = now + (LOOK_S + HOLD_S) * S
    for _, on in bench.publish_all(now) + bench.publish_all(later):
        on_broker = on
    if wanted is not None:
        assert on_broker == wanted
        bench.answer(SIREN, wanted, later)
        assert bench.verdicts(later) == {2: True}
