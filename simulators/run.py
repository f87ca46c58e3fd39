"""A pretend mine on the wire: Modbus TCP servers, MQTT nodes, a broker and a control door."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from gateway.config import Config
from simulators.broker_process import BrokerProcess
from simulators.control import serve_control
from simulators.device_registers import Area
from simulators.mine import S
from simulators.modbus_devices import ModbusServer, Unit
from simulators.mqtt_nodes import MqttNodes
from simulators.scenario import load_scenario
from simulators.siren_plc import SirenPlc
from simulators.world import World

LOG: Final = logging.getLogger("firedamp.simulators")
TICK_S: Final = 0.1


class DeviceUnit:
    """A sensor on a Modbus link: reads only."""

    def __init__(self, world: World, device: str) -> None:
        self._world = world
        self._device = device
        self._registers = world.registers[device]

    def wait_s(self) -> float | None:
        """Return how long its answers take; None while it is silent or a value is dropped."""
        values = self._world.wire(self._device).values()
        if self._device in self._world.silent or any(wire.missing for wire in values):
            return None
        return max((wire.late_s for wire in values), default=0.0)

    def read(self, area: Area, address: int, count: int) -> Sequence[int] | None:
        """Return bits or words; what the device type does not name is 0 within its extent."""
        extent = self._registers.extent.get(area)
        if extent is None or address < extent[0] or address + count - 1 > extent[1]:
            return None
        image = self._registers.image(self._world.wire(self._device), self._world.t_s)[area]
        return [image.get(at, 0) for at in range(address, address + count)]

    def write(self, area: Area, address: int, values: Sequence[int]) -> bool:
        """Refuse: the pretend sensors have nothing to be set from outside."""
        del area, address, values
        return False


class PlcUnit:
    """A controller of outputs on a Modbus link."""

    def __init__(self, plc: SirenPlc, now_s: Callable[[], float]) -> None:
        self._plc = plc
        self._now_s = now_s

    def wait_s(self) -> float | None:
        """Answer always, and at once."""
        self._plc.tick(self._now_s())
        return 0.0

    def read(self, area: Area, address: int, count: int) -> Sequence[int] | None:
        """Return bits or words."""
        plc = self._plc
        areas: dict[Area, Sequence[int]] = {
            "coil": plc.coils,
            "discrete": plc.discrete,
            "holding": plc.holding,
            "input": plc.inputs,
        }
        if address + count > len(areas[area]):
            return None
        return areas[area][address : address + count]

    def write(self, area: Area, address: int, values: Sequence[int]) -> bool:
        """Write coils or holding registers."""
        if area == "coil":
            return self._plc.write_coils(address, [bool(value) for value in values])
        return self._plc.write_registers(address, values)


async def run_mine(
    config: Config,
    scenario: str | None = None,
    speed: float = 1.0,
    seed: int = 1,
    *,
    control: Path | None = None,
    own_broker: bool = True,
    start_s: float = 5.0,
    ready: asyncio.Event | None = None,
) -> None:
    """Run a pretend mine until cancelled.

    Parameters
    ----------
    config : Config
        Says what there is and where it is served.
    scenario : str, optional
        Name of a scenario; its disturbance begins at `start_s` [s of the mine].
    speed : float
        Seconds of the mine in one second. Watchdogs and polling stay on the clock.
    seed : int
        From it comes every random number.
    control : Path, optional
        Where the control door is.
    own_broker : bool
        Start the MQTT broker too; False: one runs at that address already.
    ready : asyncio.Event, optional
        Set when everything listens.

    Raises
    ------
    ValueError
        For an unknown scenario.
    OSError, RuntimeError
        If a port is taken (in an ExceptionGroup).
    """
    world = World(config, load_scenario(scenario) if scenario else None, seed=seed, start_s=start_s)
    loop = asyncio.get_running_loop()
    broker = (
        BrokerProcess(config.mqtt.host, config.mqtt.port) if config.mqtt and own_broker else None
    )
    try:
        if broker:
            await broker.start()
        async with asyncio.TaskGroup() as group:
            for link in config.links:
                units = _units(world, link.id, loop.time)
                server = ModbusServer(units, world.links[link.id])
                group.create_task(server.run(link.host, link.port))
            if config.mqtt:
                group.create_task(MqttNodes(world, config.mqtt).run())
            if control:
                group.create_task(serve_control(world, control))
            if broker:
                group.create_task(_obey_for_broker(world, broker))
            group.create_task(_tick(world, speed))
            if ready:
                await asyncio.sleep(TICK_S)
                ready.set()
    finally:
        if broker:
            await broker.stop()


def _units(world: World, link: str, now_s: Callable[[], float]) -> dict[int, Unit]:
    """Return what stands behind a link; where a controller stands, it answers alone."""
    units: dict[int, Unit] = {
        d.unit: DeviceUnit(world, d.id) for d in world.config.devices if d.link == link
    }
    units |= {unit: PlcUnit(plc, now_s) for (at, unit), plc in world.plcs.items() if at == link}
    return units


async def _tick(world: World, speed: float) -> None:
    """Move the mine on with the clock."""
    loop = asyncio.get_running_loop()
    start = loop.time()
    told = 0
    while True:
        now = loop.time()
        world.advance(round((now - start) * speed * S))
        for complaint in world.complaints[told:]:
            LOG.error("the scenario asks for what this mine cannot do: %s", complaint)
        told = len(world.complaints)
        for plc in world.plcs.values():
            plc.tick(now)
        await asyncio.sleep(TICK_S)


async def _obey_for_broker(world: World, broker: BrokerProcess) -> None:
    """Stop and start the broker as messages say."""
    orders: asyncio.Queue[str] = asyncio.Queue()
    world.on_broker = orders.put_nowait
    while True:
        order = await orders.get()
        if order in ("stop", "restart"):
            await broker.stop()
        if order in ("start", "restart"):
            await broker.start()
