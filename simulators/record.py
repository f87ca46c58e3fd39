"""The pretend mine without a wire and without a clock: readings as `firedamp replay` takes them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, NamedTuple

from gateway.config import Config
from simulators.mine import S
from simulators.modbus_devices import LinkState
from simulators.scenario import load_scenario
from simulators.world import MQTT_LINK, World

EPOCH_S: Final = 1_767_225_600
"""Time 0 of a recording: 2026-01-01T00:00:00Z [s since 1970]."""
_GRAIN_S: Final = 0.1


class Reading(NamedTuple):
    """One line of a recording: `time` in seconds since 1970, `value` in the canonical unit.

    NaN is a value that could not be read: a device that answers, but with nonsense.
    """

    time: float
    point: str
    value: float


def record(
    config: Config,
    scenario: str | None,
    seconds: float,
    seed: int = 1,
    *,
    start_s: float = 5.0,
) -> Iterator[Reading]:
    """Yield what a gateway would have read, in order of time; as fast as it is taken.

    Every device is read each `poll_s`, the first time at 0. A device behind a link that is not
    up, a silent one and a dropped value yield nothing: that is how a recording shows a gap.

    Raises
    ------
    ValueError
        For an unknown scenario.
    """
    world = World(config, load_scenario(scenario) if scenario else None, seed=seed, start_s=start_s)
    world.on_broker = lambda order: world.links[MQTT_LINK].set("cut" if order == "stop" else "up")
    every = {d.id: max(1, round(d.poll_s / _GRAIN_S)) for d in config.devices}
    for grain in range(round(seconds / _GRAIN_S)):
        due = [d for d in config.devices if grain % every[d.id] == 0]
        if not due:
            continue
        t_s = grain / 10.0
        world.advance(round(t_s * S))
        for device in due:
            state: LinkState = world.links[device.link or MQTT_LINK].state
            if state in ("cut", "silent") or device.id in world.silent:
                continue
            unreadable = state == "garbled"
            for key, wire in world.wire(device.id).items():
                if not wire.missing:
                    value = float("nan") if wire.corrupt or unreadable else wire.value
                    yield Reading(EPOCH_S + t_s, f"{device.id}.{key}", value)


CSV_HEADER: Final = "time,point,value\n"


def csv_line(reading: Reading) -> str:
    """Return one line of a long CSV; times to the millisecond, values as they are."""
    return f"{reading.time:.3f},{reading.point},{reading.value!r}\n"
