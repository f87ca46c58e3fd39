"""A crash and a restart: the journal redone gives the state and the rows that the crash cut off."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from alarms.engine import Engine
from alarms.events import Command, Row
from alarms.restart import LoosenedError
from gateway import config_file, site
from gateway.inbox import Inbox
from gateway.journal import JournalWriter
from gateway.journal_reader import JournalReader
from gateway.pipeline import Pipeline
from gateway.recovery import Redo, recover
from gateway.replay import replay_journal
from gateway.site import Site
from gateway.verify import verify_journal
from sensors.frame import Batch
from sensors.quality import Quality

S = 1_000_000_000
SMALL = Path(__file__).parents[1] / "data" / "small.toml"
ALARM = "T1.gas/withdraw"


class HandClock:
    t_ns = 10 * S

    def now_ns(self) -> int:
        return self.t_ns


class Running:
    """The alarm path as the core puts it together, on a real journal and a clock moved by hand."""

    def __init__(self, today: Site, clock: HandClock) -> None:
        config = today.config
        recovered = recover(config, today)
        if recovered.last_t_ns is not None:
            clock.t_ns = max(clock.t_ns, recovered.last_t_ns + 1)
        self.recovered = recovered
        self.clock = clock
        self.site = today
        self.journal = JournalWriter(
            config.journal, on_commit=lambda _seq: None, on_state=lambda _state: None
        )
        self.inbox = Inbox(
            clock, len(today.plan.points), np.zeros(99, dtype=np.bool_), lambda: None
        )
        self.engine = Engine(today.plan)
        self.pipeline = Pipeline(self.engine, self.inbox, self.journal, [], [], config.digest)
        t_ns = self.inbox.stamp()
        self.rows = self.engine.start(t_ns, recovered.snapshot).rows
        self.journal.start()
        self.journal.put_rows(recovered.rows)
        text = config.file.read_text(encoding="utf-8")
        data = {
            "digest": config.digest,
            "file": str(config.file),
            "text": text,
            "points": list(today.plan.points.ids),
        }
        self.journal.put_record("config", t_ns, data)
        start = {"digest": config.digest, "clock_proved": True}
        start["until_ns"] = recovered.last_t_ns or 0
        self.journal.put_record("start", t_ns, start)
        self.journal.put_rows(self.rows)

    def sample(self, point: str, value: float, quality: int = Quality.GOOD) -> None:
        self.clock.t_ns += S // 2
        self.inbox.put(Batch.of(self.site.plan.points.index[point], value, quality))
        self.pipeline.pump()

    def order(self, command: Command) -> None:
        self.clock.t_ns += S // 2
        self.inbox.order(command, 1)
        self.pipeline.pump()

    def state(self, alarm: str = ALARM) -> int:
        return int(self.engine.states.state[self.engine.states.index[alarm]])

    def stop(self) -> None:
        assert self.journal.close(30.0)


def small_site(folder: Path, text: str | None = None) -> Site:
    file = folder / "small.toml"
    file.write_text(text or SMALL.read_text(encoding="utf-8"), encoding="utf-8")
    return site.build(config_file.load(file))


def recorded(folder: Path) -> list[Row]:
    return JournalReader(folder / "journal").events_after(0, 10_000)


def redone(folder: Path) -> list[Row]:
    return [row for _, rows in replay_journal(folder / "journal") for row in rows]


def _in_alarm(run: Running) -> None:
    for point in ("T1.gas", "T2.gas", "IO1.di0"):
        run.sample(point, 0.0)
    run.sample("T1.gas", 2.5)
    run.order(Command("ack", ALARM, "joe", seen_seq=10_000))


def test_latch_and_ack_survive_and_the_first_output_state_is_on(tmp_path: Path) -> None:
    today = small_site(tmp_path)
    run = Running(today, HandClock())
    _in_alarm(run)
    before = run.state()
    run.stop()
    again = Running(small_site(tmp_path), run.clock)
    assert again.state() == before
    assert again.engine.effects.outputs.tolist() == [True]
    assert again.engine.states.acked_by[ALARM][0] == "joe"
    again.stop()
    assert redone(tmp_path) == recorded(tmp_path)
    assert verify_journal(tmp_path / "journal").first_bad == ""


def test_a_crash_before_the_events_were_written_gives_them_back(tmp_path: Path) -> None:
    """Cut the events off, as a crash between the two commits does; the readings give them."""
    today = small_site(tmp_path)
    run = Running(today, HandClock())
    _in_alarm(run)
    run.stop()
    whole = recorded(tmp_path)
    with sqlite3.connect(tmp_path / "journal" / "events.db") as database:
        database.execute("DELETE FROM events WHERE seq > 2")
        database.execute("DELETE FROM snapshots")
    recovered = recover(today.config, today)
    assert recovered.note == ""
    assert recovered.rows == whole[2:]
    again = Running(today, run.clock)
    again.stop()
    assert recorded(tmp_path)[: len(whole)] == whole


def test_a_configuration_that_drops_an_alarm_in_force_is_refused(tmp_path: Path) -> None:
    run = Running(small_site(tmp_path), HandClock())
    _in_alarm(run)
    run.stop()
    text = SMALL.read_text(encoding="utf-8").replace('"T1"', '"T9"')
    with pytest.raises(LoosenedError, match=ALARM):
        Running(small_site(tmp_path, text), run.clock)


def test_a_looser_limit_for_an_alarm_in_force_is_refused_and_a_stricter_one_is_not(
    tmp_path: Path,
) -> None:
    own = """
[[rule]]
id = "own"
point = "T1.gas"
kind = "limit"
level = "DANGER"
demands = ["WITHDRAW"]
op = ">="
limit = LIMIT
reset_op = "<"
reset = RESET
"""

    def text(limit: str, reset: str) -> str:
        rule = own.replace("LIMIT", limit).replace("RESET", reset)
        return SMALL.read_text(encoding="utf-8") + rule

    run = Running(small_site(tmp_path, text("1.2", "0.8")), HandClock())
    _in_alarm(run)
    run.stop()
    for limit, reset in (("1.4", "0.8"), ("1.2", "0.9")):
        with pytest.raises(LoosenedError, match=r"own .in force. gets a looser limit"):
            Running(small_site(tmp_path, text(limit, reset)), run.clock)
    again = Running(small_site(tmp_path, text("1.1", "0.7")), run.clock)
    assert again.state("own") == run.state("own")
    again.stop()


def test_a_configuration_may_change_where_no_alarm_is_in_force(tmp_path: Path) -> None:
    run = Running(small_site(tmp_path), HandClock())
    run.sample("T2.gas", 0.3)
    run.stop()
    text = SMALL.read_text(encoding="utf-8").replace('id = "T2"', 'id = "T9"')
    again = Running(small_site(tmp_path, text), run.clock)
    again.sample("T9.gas", 0.3)
    again.stop()
    assert redone(tmp_path) == recorded(tmp_path)


def test_a_damaged_snapshot_and_lost_readings_do_not_lose_the_latch(tmp_path: Path) -> None:
    """Nothing can be redone without the configuration: the alarms stand as their last rows say."""
    today = small_site(tmp_path)
    run = Running(today, HandClock())
    _in_alarm(run)
    before = run.state()
    run.stop()
    with sqlite3.connect(tmp_path / "journal" / "events.db") as database:
        database.execute("DELETE FROM records WHERE kind IN ('config', 'start')")
        database.execute("DELETE FROM snapshots")
    recovered = recover(today.config, today)
    assert "alarms stand as their last events say" in recovered.note
    engine = Engine(today.plan)
    engine.start(run.clock.t_ns + S, recovered.snapshot)
    assert int(engine.states.state[engine.states.index[ALARM]]) == before
    assert engine.effects.outputs.tolist() == [True]


def test_verify_names_the_first_changed_event(tmp_path: Path) -> None:
    run = Running(small_site(tmp_path), HandClock())
    _in_alarm(run)
    run.stop()
    with sqlite3.connect(tmp_path / "journal" / "events.db") as database:
        database.execute("DELETE FROM events WHERE seq = 2")
    assert verify_journal(tmp_path / "journal").first_bad.startswith("event 2 is missing")
    assert "no such file" in verify_journal(tmp_path / "nowhere").first_bad


_ACTS = st.lists(
    st.one_of(
        st.tuples(
            st.just("sample"),
            st.sampled_from(["T1.gas", "T2.gas", "IO1.di0"]),
            st.sampled_from([0.0, 0.4, 1.2, 2.5, float("nan")]),
            st.sampled_from([Quality.GOOD, Quality.GOOD, Quality.GOOD, Quality.COMMS_LOST]),
        ),
        st.tuples(st.sampled_from(["ack", "reset", "wait", "restart"])),
    ),
    min_size=5,
    max_size=40,
)


@given(acts=_ACTS)
@settings(
    max_examples=12,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
    # Each history opens a journal with real fsyncs: shrinking would take minutes.
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
)
def test_any_history_redone_gives_the_recorded_events(
    acts: Sequence[tuple[object, ...]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("history")
    today = small_site(folder)
    run = Running(today, HandClock())
    for act in acts:
        match act:
            case ("sample", str(point), float(value), int(quality)):
                run.sample(point, value, quality)
            case ("ack",):
                run.order(Command("ack", ALARM, "joe", seen_seq=10_000))
            case ("reset",):
                run.order(Command("reset", ALARM, "joe", second="ann"))
            case ("restart",):
                run.stop()
                run = Running(today, run.clock)
                assert run.recovered.rows == []
            case _:
                run.clock.t_ns += 7 * S
                run.pipeline.pump()
    live = run.engine.snapshot()
    run.stop()
    assert redone(folder) == recorded(folder)
    redo = Redo(JournalReader(folder / "journal"))
    list(redo.run())
    assert redo.engine is not None
    t_ns = run.clock.t_ns + 1
    twin = Engine(today.plan)
    twin.load(live)
    assert redo.engine.start(t_ns).rows == twin.start(t_ns).rows
    shutil.rmtree(folder)
