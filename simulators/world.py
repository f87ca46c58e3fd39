"""The pretend mine with everything in it that can be broken: physics, faults, links, controllers.

No input or output happens here: servers and nodes (`simulators.run`) read from a `World`, people
and scenarios change it by messages (`simulators.messages`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from gateway.config import Config
from simulators.device_registers import DeviceRegisters
from simulators.faults import Faults, OnTheWire
from simulators.messages import obey
from simulators.mine import Mine, S
from simulators.modbus_devices import LinkSwitch
from simulators.scenario import Message, Scenario
from simulators.siren_plc import plcs_of

MQTT_LINK: Final = "mqtt"


class World:
    """A mine in operation, from time 0 on.

    Parameters
    ----------
    config : Config
    scenario : Scenario, optional
        Its disturbance begins at `start_s`.
    seed : int
        From it comes every random number.
    start_s : float
        [s of the mine]
    step_s : float
        Step of the physics [s].
    """

    def __init__(
        self,
        config: Config,
        scenario: Scenario | None = None,
        *,
        seed: int = 1,
        start_s: float = 5.0,
        step_s: float = 0.2,
    ) -> None:
        self.config = config
        self.mine = Mine(config, seed, step_s)
        self.faults = Faults(seed)
        self.devices = {device.id: device for device in config.devices}
        self.registers = {d.id: DeviceRegisters(d) for d in config.devices if d.link}
        self.links = {link.id: LinkSwitch() for link in config.links}
        if config.mqtt:
            self.links[MQTT_LINK] = LinkSwitch()
        self.plcs = plcs_of(config)
        self.node_outputs = {o.id: False for o in config.outputs if o.kind == "mqtt"}
        self.silent: set[str] = set()
        self.on_broker: Callable[[str], None] | None = None
        # Point id -> what is on the wire now.
        self.shown: dict[str, OnTheWire] = {}
        self._due: list[tuple[float, Message]] = []
        # What scenarios asked for and this mine cannot do.
        self.complaints: list[str] = []
        self.t_ns = 0
        if scenario:
            self.play(scenario, start_s)
        self.look()

    @property
    def t_s(self) -> float:
        """Time of the mine [s]."""
        return self.t_ns / S

    # --- time --------------------------------------------------------------------------------

    def play(self, scenario: Scenario, start_s: float) -> None:
        """Let a scenario's disturbance begin at `start_s` [s of the mine]."""
        self._due += [(start_s + event.at_s, event.message) for event in scenario.events]
        self._due.sort(key=lambda due: due[0])

    def advance(self, t_ns: int) -> None:
        """Move on to `t_ns`; what is due on the way happens at its time."""
        while self._due and self._due[0][0] * S <= t_ns:
            at_s, message = self._due.pop(0)
            self.mine.advance(round(at_s * S))
            self.t_ns = max(self.t_ns, round(at_s * S))
            reply = obey(self, message)
            if not reply["ok"]:
                self.complaints.append(reply["error"])
        self.t_ns = max(self.t_ns, t_ns)
        self._feed()
        self.look()

    def _feed(self) -> None:
        """Let the load side of each power cut be dead while its output is on."""
        for output in self.config.outputs:
            if output.demand == "CUT_POWER" and output.feed:
                self.mine.switched[output.feed] = float(not self.output_on(output.id))

    def look(self) -> None:
        """Work out anew what every point shows now."""
        for point, value in self.mine.update(self.t_ns).items():
            self.shown[point] = self.faults.apply(point, value, self.t_s)

    # --- what the wire shows -----------------------------------------------------------------

    def wire(self, device: str) -> dict[str, OnTheWire]:
        """Return what a device shows now, canonical values by key."""
        return {key: self.shown[f"{device}.{key}"] for key in self.devices[device].points}

    def output_on(self, output: str) -> bool:
        """Tell whether an output is on: a coil of a controller, or an MQTT node."""
        if output in self.node_outputs:
            return self.node_outputs[output]
        return any(
            plc.coils[o.address]
            for plc in self.plcs.values()
            for o in plc.outputs
            if o.id == output
        )
