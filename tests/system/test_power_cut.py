"""A simulated power cut: nothing that the journal called committed is missing afterwards.

The state directory is an ext4 image, loop-mounted; what no sync asked for is not in the image. A
copy of the image, taken while the writer is stopped, is what a dead machine would find. Limits:
ordered block device, no lying write cache, no torn sectors.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import threading
from pathlib import Path

from tests.gateway.test_journal_kill import acknowledged, check
from tests.system import disks

ROOT = Path(__file__).parents[2]
CHILD = ROOT / "tests" / "gateway" / "journal_child.py"
CUTS = 8
CONTROL_CUTS = 4


def lost_after_cut(work: Path, synchronous: str, after_s: float) -> int:
    """Run the journal on a disk of its own, cut the power; return how much was lost."""
    work.mkdir()
    with disks.tmpfs(work / "ram", "160m") as ram:
        image, found = ram / "disk.img", ram / "found.img"
        disks.make_ext4(image, 48)
        with disks.ext4(image, work / "before") as disk:
            process = subprocess.Popen(  # noqa: S603
                [sys.executable, str(CHILD), str(disk / "journal"), synchronous],
                stdout=subprocess.PIPE,
                env={"PYTHONPATH": str(ROOT)},
            )
            assert process.stdout is not None
            first = process.stdout.readline()
            threading.Event().wait(after_s)
            process.send_signal(signal.SIGSTOP)
            os.waitid(os.P_PID, process.pid, os.WSTOPPED | os.WNOWAIT)
            disks.cut_power(image, found)
            process.kill()
            acked = acknowledged(first + process.stdout.read())
            process.wait()
            process.stdout.close()
        with disks.ext4(found, work / "after") as disk:
            return acked - check(disk / "journal", 0)


def test_full_sync_loses_nothing_committed(tmp_path: Path) -> None:
    seeded = random.Random(11)
    lost = [
        lost_after_cut(tmp_path / str(n), "FULL", seeded.uniform(0.0, 0.4)) for n in range(CUTS)
    ]
    assert max(lost) <= 0


def test_control_normal_sync_loses(tmp_path: Path) -> None:
    seeded = random.Random(13)
    lost = [
        lost_after_cut(tmp_path / str(n), "NORMAL", seeded.uniform(0.1, 0.4))
        for n in range(CONTROL_CUTS)
    ]
    assert max(lost) > 0
