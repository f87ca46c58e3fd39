"""kill -9 at random instants: nothing that was called committed is missing, causes before effects.

That the *disk* keeps it is shown by tests/system/test_power_cut.py; a kill alone cannot show it.
"""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from gateway.journal_reader import JournalReader

CHILD = Path(__file__).with_name("journal_child.py")
KILLS = 12


def acknowledged(output: bytes) -> int:
    """The newest seq on a whole line: the last one may be cut off."""
    lines = output.split(b"\n")[:-1]
    return int(lines[-1]) if lines else 0


def check(folder: Path, acked: int) -> int:
    """Check a journal after a crash; return its newest event."""
    reader = JournalReader(folder)
    seqs: list[int] = []
    while page := reader.events_after(seqs[-1] if seqs else 0):
        seqs += [row.seq for row in page]
    assert seqs == list(range(1, len(seqs) + 1))
    assert len(seqs) >= acked
    readings: dict[int, int] = {}
    commit_seq = 0
    while commits := reader.readings_after(commit_seq):
        for commit in commits:
            commit_seq = commit.seq
            assert (commit.value == commit.t_ns).all()
            for t_ns in commit.t_ns.tolist():
                readings[t_ns] = readings.get(t_ns, 0) + 1
    # An event is never there without all the readings that were put before it.
    assert all(readings[seq] >= 15 for seq in seqs)
    snapshot = reader.last_snapshot()
    if snapshot is not None:
        assert snapshot.data == str(snapshot.t_ns).encode()
        assert readings[snapshot.t_ns] >= 20  # more: put again after a kill
        redone = [i.t_ns for i in reader.inputs_after(snapshot.t_ns)]
        assert redone == sorted(t for t in readings if t > snapshot.t_ns)
    reader.close()
    return len(seqs)


def started(folder: Path, *words: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(  # noqa: S603
        [sys.executable, str(CHILD), str(folder), "FULL", *words],
        stdout=subprocess.PIPE,
        env={"PYTHONPATH": str(CHILD.parents[2])},
    )


def test_kill_at_random_instants_loses_nothing_committed(tmp_path: Path) -> None:
    seeded = random.Random(7)
    folder = tmp_path / "journal"
    newest = 0
    for _ in range(KILLS):
        with started(folder) as process:
            assert process.stdout is not None
            first = process.stdout.readline()
            threading.Event().wait(seeded.uniform(0.0, 0.25))
            process.kill()
            acked = acknowledged(first + process.stdout.read())
        assert acked > newest
        newest = check(folder, acked)
    assert newest > KILLS


def test_killed_between_the_two_files_leaves_causes_without_effects(tmp_path: Path) -> None:
    with started(tmp_path, "between") as process:
        assert process.stdout is not None
        acked = acknowledged(process.stdout.read())
    assert process.returncode == -signal.SIGKILL
    newest = check(tmp_path, acked)
    assert JournalReader(tmp_path).last_t_ns() > newest


def test_control_the_wrong_way_round_leaves_effects_without_causes(tmp_path: Path) -> None:
    with started(tmp_path, "wrong-way") as process:
        assert process.stdout is not None
        acked = acknowledged(process.stdout.read())
    assert process.returncode == -signal.SIGKILL
    with pytest.raises((AssertionError, KeyError)):
        check(tmp_path, acked)
