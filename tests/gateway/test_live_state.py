from __future__ import annotations

import mmap
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import orjson
import pytest

from gateway.live_state import LiveReader, LiveState, LiveStateFullError, LiveWriter, _unpacked

N = 20_000
SPIN = """
import sys
from pathlib import Path
import numpy as np
from gateway.live_state import LiveWriter
writer, n = LiveWriter(Path(sys.argv[1]), 1_000_000), int(sys.argv[2])
step = 0
while True:
    step += 1
    writer.publish({"step": step}, {"a": np.full(n, step), "b": np.full(n, step, dtype=np.float64)})
    if step == 1:
        print("up", flush=True)
"""


def publish(writer: LiveWriter, step: int) -> None:
    writer.publish({"step": step}, {"a": np.full(N, step), "b": np.full(N, step, dtype=np.float64)})


def lap(writer: LiveWriter) -> None:
    publish(writer, 2)
    publish(writer, 3)


def is_whole(state: LiveState) -> bool:
    steps = {state.meta["step"], *state.arrays["a"].tolist(), *state.arrays["b"].tolist()}
    return len(steps) == 1


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "live"


def test_a_text_that_utf8_cannot_hold_does_not_end_the_publication(path: Path) -> None:
    """What a broker, a host name or a caller says must not take the alarm path down."""
    writer = LiveWriter(path, 100_000)
    meta = {"links": [{"last_error": "half \ud800 a character, \u74e6"}], "n": 2**70}
    writer.publish(meta, {"value": np.array([0.5])})
    state = LiveReader(path).read()
    assert state is not None
    assert state.meta["links"][0]["last_error"] == "half ? a character, \u74e6"
    assert state.arrays["value"].tolist() == [0.5]


def test_what_was_published_is_read(path: Path) -> None:
    writer = LiveWriter(path, 100_000)
    arrays = {
        "value": np.array([0.5, np.nan]),
        "output": np.array([-1, 0, 1], dtype=np.int8),
        "on": np.array([[True, False]]),
        "none": np.array([], dtype=np.int64),
    }
    writer.publish({"step": 7, "links": [{"id": "east"}]}, arrays)
    state = LiveReader(path).read()
    assert state is not None
    assert state.meta == {"step": 7, "links": [{"id": "east"}]}
    assert list(state.arrays) == list(arrays)
    for name, array in arrays.items():
        assert state.arrays[name].dtype == array.dtype
        np.testing.assert_array_equal(state.arrays[name], array)


def test_nothing_published_reads_as_none(path: Path) -> None:
    reader = LiveReader(path)
    assert reader.read() is None
    writer = LiveWriter(path, 1_000_000)
    assert reader.read() is None
    publish(writer, 1)
    assert reader.read() is not None


def test_last_state_outlives_the_writer_and_its_successor_until_the_first_publication(
    path: Path,
) -> None:
    writer = LiveWriter(path, 1_000_000)
    publish(writer, 1)
    publish(writer, 2)
    writer.close()
    reader = LiveReader(path)
    heir = LiveWriter(path, 1_000_000)
    state = reader.read()
    assert state is not None
    assert state.meta["step"] == 2
    publish(heir, 3)
    state = reader.read()
    assert state is not None
    assert state.meta["step"] == 3


def test_reader_follows_a_file_of_another_capacity(path: Path) -> None:
    publish(LiveWriter(path, 1_000_000), 1)
    reader = LiveReader(path)
    assert reader.read() is not None
    larger = LiveWriter(path, 2_000_000)
    assert reader.read() is None
    publish(larger, 2)
    state = reader.read()
    assert state is not None
    assert state.meta["step"] == 2


def test_too_large_a_publication_is_refused_and_the_state_before_stays(path: Path) -> None:
    writer = LiveWriter(path, 500)
    writer.publish({"step": 1}, {})
    with pytest.raises(LiveStateFullError, match="larger capacity"):
        writer.publish({"step": 2}, {"a": np.zeros(100)})
    state = LiveReader(path).read()
    assert state is not None
    assert state.meta["step"] == 1


@pytest.mark.parametrize("content", [b"", b"short", b"x" * 100, b"FDLIVE01" + b"\xff" * 5_000])
def test_a_foreign_file_reads_as_none_and_is_replaced(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    reader = LiveReader(path)
    assert reader.read() is None
    publish(LiveWriter(path, 1_000_000), 4)
    assert reader.read() is not None


def test_a_flipped_bit_is_never_served(path: Path) -> None:
    writer = LiveWriter(path, 2_000)
    writer.publish({"step": 1}, {"a": np.zeros(100)})
    content = bytearray(path.read_bytes())
    at = bytes(content).index(orjson.dumps("step"))
    content[at + 30] ^= 4
    with path.open("r+b") as file:
        file.write(content)
    assert LiveReader(path).read() is None


class Interrupted(mmap.mmap):
    """A mapped file during whose copying something else happens, once."""

    event: Callable[[], None] | None = None

    def __getitem__(self, part: object) -> bytes:  # type: ignore[override]
        assert isinstance(part, slice)
        middle = (part.start + part.stop) // 2
        head = super().__getitem__(slice(part.start, middle))
        event, self.event = self.event, None
        if event is not None:
            event()
        return head + super().__getitem__(slice(middle, part.stop))


def interrupted_reader(path: Path, event: Callable[[], None]) -> LiveReader:
    reader = LiveReader(path)
    assert reader.read() is not None
    reader.close()
    with path.open("rb") as file:
        reader._map = Interrupted(file.fileno(), 0, access=mmap.ACCESS_READ)
    reader._map.event = event
    return reader


def test_writer_that_laps_the_reader_makes_it_retry_never_tear(path: Path) -> None:
    writer = LiveWriter(path, 1_000_000)
    publish(writer, 1)
    reader = interrupted_reader(path, lambda: lap(writer))
    state = reader.read()
    assert state is not None
    assert state.meta["step"] == 3
    assert is_whole(state)
    assert reader.retries == 1


def test_control_without_the_lock_check_the_same_reader_tears(path: Path) -> None:
    writer = LiveWriter(path, 1_000_000)
    publish(writer, 1)
    reader = interrupted_reader(path, lambda: lap(writer))
    payload = reader._copy(checked=False)
    assert payload is not None
    assert not is_whole(_unpacked(payload))


def test_one_publication_during_a_copy_disturbs_nobody(path: Path) -> None:
    writer = LiveWriter(path, 1_000_000)
    publish(writer, 1)
    reader = interrupted_reader(path, lambda: publish(writer, 2))
    state = reader.read()
    assert state is not None
    assert state.meta["step"] == 1
    assert is_whole(state)
    assert reader.retries == 0


def test_killed_in_mid_publication_leaves_a_whole_state_every_time(path: Path) -> None:
    """A writer that only publishes is killed at random instants; the file stays readable."""
    reader = LiveReader(path)
    newest = 0
    for _ in range(5):
        with subprocess.Popen(  # noqa: S603
            [sys.executable, "-c", SPIN, str(path), str(N)], stdout=subprocess.PIPE
        ) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == b"up\n"
            for _ in range(100):
                state = reader.read()
                assert state is not None
                assert is_whole(state)
            process.send_signal(signal.SIGKILL)
        state = reader.read()
        assert state is not None
        assert is_whole(state)
        newest += state.meta["step"]
    assert newest > 5
