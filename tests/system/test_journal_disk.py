"""Disks that fill up, fail and freeze: the journal never makes its caller wait, counts exactly
what it could not keep, and goes on by itself."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Self

import numpy as np

from alarms.events import Row
from gateway.config import JournalConfig
from gateway.journal import JournalState, JournalWriter
from gateway.journal_reader import JournalReader
from sensors.frame import Batch
from tests.system import disks

DEADLINE_S = 60.0
TICK_S = 0.01


def row(seq: int) -> Row:
    words = ("r", "p", "z", "NORMAL", "UNACKED", "NORMAL", "DANGER")
    return Row(seq, seq, *words, ("WITHDRAW",), "", float(seq), "GOOD", "", 0)


class Load:
    """Puts readings and events until told otherwise, and counts what it put."""

    def __init__(self, folder: Path, *, queue_bytes: int = 2_000_000) -> None:
        self.states: list[JournalState] = []
        self.put = 0
        self.seq = 0
        self._seeded = np.random.default_rng(3)
        self.reader = JournalReader(folder)
        self.writer = JournalWriter(
            JournalConfig(folder, readings_commit_s=0.02),
            on_commit=lambda _seq: None,
            on_state=self.states.append,
            queue_bytes=queue_bytes,
        )
        self.writer.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.writer.close(DEADLINE_S)
        self.reader.close()

    def until(self, done: Callable[[JournalState], bool]) -> JournalState:
        """Keep up the load until the state is as asked for."""
        clock = threading.Event()
        for _ in range(round(DEADLINE_S / TICK_S)):
            self.seq += 1
            self.writer.put_readings(self.seq, Batch.of(range(300), self._seeded.normal(size=300)))
            self.put += 300
            self.writer.put_rows([row(self.seq)])
            state = self.writer.state()
            if done(state):
                return state
            clock.wait(TICK_S)
        raise AssertionError(f"not reached: {self.writer.state()}")

    def settle(self) -> JournalState:
        """Stop the load, and wait until all is on the disk."""
        clock = threading.Event()
        for _ in range(round(DEADLINE_S / TICK_S)):
            if self.writer.durable_ticket == self.writer._ticket:
                break
            clock.wait(TICK_S)
        return self.writer.state()

    def check_accounts(self, state: JournalState) -> None:
        """Dropped + stored + gone from the window = put, and each loss is recorded."""
        gaps = self.reader.records("gap", limit=1_000_000)
        heads = self.reader.commit_heads(0, limit=1_000_000)
        never = [g for g in gaps if "first_seq" not in g.data and g.data["what"] == "readings"]
        assert sum(g.data["n"] for g in never) == state.dropped_readings
        stored = sum(head.n for head in heads)
        # The window's gaps are recorded before their rows go, in several commits.
        window = [g.data for g in gaps if "first_seq" in g.data]
        gone = sum(g["n"] for g in window if g["last_seq"] < heads[0].seq)
        partly = [g for g in window if g["first_seq"] < heads[0].seq <= g["last_seq"]]
        assert len(partly) <= 1
        missing = self.put - state.dropped_readings - stored - gone
        assert missing == 0 or (partly and 0 < missing < partly[0]["n"])
        events = self.reader.events_after(0, limit=1_000_000)
        lost = sum(g.data["n"] for g in gaps if g.data["what"] == "events and records")
        assert len(events) + lost == self.seq
        assert lost == state.dropped_other


def test_full_disk_counts_what_is_lost_and_heals_when_space_returns(tmp_path: Path) -> None:
    with disks.tmpfs(tmp_path / "disk", "8m") as disk, Load(disk / "journal") as load:
        load.until(lambda state: state.committed_seq > 20)
        filler = disks.fill(disk)
        full = load.until(lambda state: state.dropped_readings > 10_000)
        assert not full.ok
        assert "make room" in full.reason
        filler.unlink()
        load.until(lambda state: state.committed_seq >= load.seq - 5)
        state = load.settle()
        assert state.queued == 0
        assert state.dropped_readings > 10_000
        assert state.dropped_other == 0  # readings go first, events last
        load.check_accounts(state)


def test_own_growth_on_a_small_disk_drops_the_oldest_readings_and_says_so(tmp_path: Path) -> None:
    with (
        disks.tmpfs(tmp_path / "disk", "8m") as disk,
        Load(disk / "journal", queue_bytes=64_000_000) as load,
    ):
        low = load.until(lambda _: bool(load.reader.records("gap")))
        load.until(lambda _: len(load.reader.records("gap")) > 20)
        state = load.settle()
        assert not low.ok
        assert "the oldest readings are dropped" in low.reason
        assert state.dropped_readings == 0
        load.check_accounts(state)


def test_failing_disk_is_told_and_left_behind_without_loss(tmp_path: Path) -> None:
    """EIO: the disk's own backing store is full, so every write to it fails."""
    with disks.tmpfs(tmp_path / "ram", "24m") as ram:
        image = ram / "disk.img"
        disks.make_ext4(image, 64, "-O", "^has_journal")
        with (
            disks.ext4(image, tmp_path / "disk") as disk,
            Load(disk / "journal", queue_bytes=64_000_000) as load,
        ):
            load.until(lambda state: state.committed_seq > 20)
            filler = disks.fill(ram)
            failing = load.until(lambda state: not state.ok)
            assert "disk" in failing.reason
            filler.unlink()
            load.until(lambda state: state.ok and state.committed_seq >= load.seq - 5)
            state = load.settle()
            assert state.dropped_readings == 0
            load.check_accounts(state)


def test_frozen_disk_is_noticed_from_outside_and_nobody_waits(tmp_path: Path) -> None:
    """A disk that does not answer: the writer thread hangs in it, and `state` says so."""
    with disks.tmpfs(tmp_path / "ram", "40m") as ram:
        disks.make_ext4(ram / "disk.img", 32)
        with disks.ext4(ram / "disk.img", tmp_path / "disk") as disk, Load(disk / "j") as load:
            load.until(lambda state: state.committed_seq > 20)
            disks.run("fsfreeze", "--freeze", disk)
            try:
                stuck = load.until(lambda state: not state.ok)
                assert stuck.reason == "the disk does not answer"
                load.until(lambda state: state.dropped_readings > 10_000)
            finally:
                disks.run("fsfreeze", "--unfreeze", disk)
            load.until(lambda state: state.ok and state.committed_seq >= load.seq - 5)
            state = load.settle()
            load.check_accounts(state)
