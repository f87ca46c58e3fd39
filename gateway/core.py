"""The core process: field links, inbox, pump, journal, live state, command socket.

The alarm path lives here and nowhere else; no HTTP server, no sink. Order of start: journal and
redo, engine, outputs read back and asserted, then polls.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import random
import signal
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from alarms.actuators.modbus_output import ModbusOutputs
from alarms.actuators.mqtt_output import MqttOutputs
from alarms.engine import Engine
from alarms.events import Command
from gateway import publish
from gateway.clock import WallClock
from gateway.commands import CommandServer
from gateway.config import Config
from gateway.folders import hold_lock, live_path
from gateway.inbox import Inbox
from gateway.journal import JournalState, JournalWriter
from gateway.live_state import LiveStateFullError, LiveWriter
from gateway.pipeline import Pipeline
from gateway.recovery import Recovered, recover
from gateway.site import Site, build
from gateway.supervise import keep_running
from gateway.watch import Watch
from sensors.collectors.modbus import ModbusLink
from sensors.collectors.mqtt import MqttSource
from sensors.device_types import load_types
from sensors.frame import Batch
from sensors.link_status import LinkStatus
from sensors.quality import Quality
from sensors.quantities import QUANTITIES

LOG: Final = logging.getLogger("firedamp.core")
TICK_S: Final = 0.1
CLOSE_WITHIN_S: Final = 5.0
ASK_TO_END: Final = 20


@dataclass(slots=True)
class _Link:
    """One owner of a field link, with what it says of itself."""

    name: str
    kind: str
    run: Callable[[], Any]
    status: LinkStatus


class Core:
    """Everything of the core process, put together once."""

    def __init__(self, config: Config, site: Site) -> None:
        self.config, self.site = config, site
        self.rng = random.Random()  # noqa: S311 - jitter of pauses, not a secret
        self.health = publish.Health()
        self.wake = asyncio.Event()
        self.loop = asyncio.get_running_loop()
        recovered = recover(config, site)
        self.clock = WallClock(recovered.last_t_ns)
        self.journal = JournalWriter(
            config.journal, on_commit=self._committed, on_state=self._journal_state
        )
        plan = site.plan
        low = np.array([QUANTITIES[s.quantity].dangerous == "low" for s in plan.points.specs])
        self.inbox = Inbox(self.clock, len(plan.points), low, self.wake.set)
        self.inbox.offset_ns = self.clock.offset_ns
        self.engine = Engine(plan)
        self.modbus = {link.id: self._modbus_outputs(link.id) for link in site.modbus_links}
        self.mqtt = self._mqtt_outputs()
        owners = (*self.modbus.values(), self.mqtt)
        self.actuators = [owner for owner in owners if owner is not None]
        self.pipeline = Pipeline(
            self.engine, self.inbox, self.journal, self.actuators, site.peer_zones, config.digest
        )
        self.links = self._links()
        self.watch = Watch(
            self.health, self.clock, self.inbox, self.journal, self.links, site.health_points
        )
        self.live = self._live_writer()
        self.commands = CommandServer(
            config.commands.socket,
            config.commands.operators,
            self.inbox.order,
            self.inbox.stamp,
            self._service_health,
            config.commands.api_user,
        )
        self.pipeline.on_publish = self._publish
        self.pipeline.on_reply = self.commands.reply
        self.output_since = np.zeros(len(plan.outputs), dtype=np.int64)
        self._was_required = self.pipeline.required.copy()
        if config.influxdb is None:
            self.health.say("sink", works=True, reason="no [influxdb]")
        self.started_t_ns = 0
        self._start(recovered)

    # --- start

    def _start(self, recovered: Recovered) -> None:
        """Write what the crash left unwritten, then the configuration, the start and its rows."""
        t_ns = self.started_t_ns = self.watch.started_t_ns = self.inbox.stamp()
        proved = self.clock.proved
        # First of all: a configuration that is refused must leave no start in the journal.
        result = self.engine.start(t_ns, recovered.snapshot, clock_proved=proved)
        self.journal.start()
        if recovered.rows:
            self.journal.put_rows(recovered.rows)
        plan = self.site.plan
        self.journal.put_record(
            "config",
            t_ns,
            {
                "digest": self.config.digest,
                "file": str(self.config.file),
                # Columns by point index: what readings mean stays known when the site changes.
                "points": list(plan.points.ids),
                "zones": [plan.zones[spec.zone].id for spec in plan.points.specs],
                "quantities": [spec.quantity for spec in plan.points.specs],
                "devices": [spec.device for spec in plan.points.specs],
                "text": self.config.text,
            },
        )
        start = {
            "digest": self.config.digest,
            "clock_proved": proved,
            "until_ns": recovered.last_t_ns or 0,
            "offset_ns": self.clock.offset_ns,
            "note": recovered.note,
        }
        self.journal.put_record("start", t_ns, start)
        self.journal.put_rows(result.rows)
        # Journalled at once, so that a crash in the first seconds finds a place to redo from.
        self.pipeline.keep_snapshot(t_ns)
        if recovered.note:
            LOG.warning("%s", recovered.note)
        self.pipeline.pump()

    def _live_writer(self) -> LiveWriter | None:
        try:
            return LiveWriter(live_path(self.config), _capacity(self.site))
        except OSError as error:
            # Blind, but alive: status and page will say so by themselves.
            LOG.error("no live state: %s", error)  # noqa: TRY400 - the message says it all
            self.health.say("live", works=False, reason=str(error))
            return None

    def _modbus_outputs(self, link: str) -> ModbusOutputs | None:
        outputs = self.site.coil_outputs.get(link, ())
        peers = self.site.peers.get(link, ())
        if not outputs and not peers:
            return None
        return ModbusOutputs(outputs, peers, self._found, self._agreement)

    def _mqtt_outputs(self) -> MqttOutputs | None:
        if not self.site.mqtt_outputs:
            return None
        return MqttOutputs(self.site.mqtt_outputs, self._found, self._agreement)

    def _links(self) -> list[_Link]:
        types = load_types()
        links: list[_Link] = []
        for spec in self.site.modbus_links:
            link = ModbusLink(spec, types, self.inbox.put, self.modbus[spec.id], self.rng)
            links.append(_Link(spec.id, "modbus-tcp", link.run, link.status))
        if self.site.broker is not None:
            source = MqttSource(self.site.broker, self.inbox.put, self.mqtt, self.rng)
            links.append(_Link("mqtt", "mqtt", source.run, source.status))
        return links

    # --- what the outputs say

    def _found(self, output: int, on: bool | None) -> None:
        """Take the state an output was found in, before anything is written to it.

        Found on without a reason: the pump runs at once, so that the first write keeps it on.
        """
        if on and not self.pipeline.required[output]:
            found = Command("found", self.site.plan.outputs[output].id, "gateway")
            if not self.inbox.order(found, 0):
                self.pipeline.pump()  # too many commands waited: now none does
                self.inbox.order(found, 0)
            self.pipeline.pump()

    def _agreement(self, output: int, agrees: bool | None) -> None:
        """Turn a read-back into a reading, so that a mismatch is an alarm like any other."""
        point = self.site.plan.outputs[output].agreement_point
        if point >= 0:
            quality = Quality.COMMS_LOST if agrees is None else Quality.GOOD
            self.inbox.put(Batch.of(point, float(bool(agrees)), quality))

    # --- what the journal says, from its own thread

    def _committed(self, _seq: int) -> None:
        self.loop.call_soon_threadsafe(self.pipeline.committed)

    def _journal_state(self, state: JournalState) -> None:
        self.loop.call_soon_threadsafe(self.watch.say_journal, state)

    def _service_health(self, part: str, works: bool, reason: str) -> None:
        self.watch.say_service(part, self.loop.time(), works=works, reason=reason)

    # --- the running parts

    async def pump(self) -> None:
        """Pump at every wake-up and at least every 100 ms. A bug here ends the process."""
        while True:
            self.wake.clear()
            self.pipeline.pump()
            try:
                async with asyncio.timeout(TICK_S):
                    await self.wake.wait()
            except TimeoutError:
                continue

    def _publish(self, t_ns: int) -> None:
        if self.live is None:
            return
        required = self.pipeline.required
        changed = required != self._was_required
        self.output_since[changed] = t_ns
        self._was_required = required.copy()
        now = self.clock.monotonic_ns()
        readback = np.full(len(required), -1, dtype=np.int8)
        for actuator in self.actuators:
            readback[[output.index for output in actuator.outputs]] = actuator.readback
        arrays = publish.columns(self.engine, required, readback, self.output_since)
        peers = [{"id": peer.id, "proven": False} for peer in self.config.peers]
        meta = publish.meta(
            engine=self.engine,
            clock=self.clock,
            t_ns=t_ns,
            steps=self.pipeline.steps,
            digest=self.config.digest,
            started_t_ns=self.started_t_ns,
            committed_seq=self.journal.state().committed_seq,
            links=[publish.link_row(x.name, x.kind, x.status, now) for x in self.links],
            health=self.health,
            peers=peers,
        )
        try:
            self.live.publish(meta, arrays)
        except LiveStateFullError as error:
            self.health.say("live", works=False, reason=str(error))
        else:
            self.health.say("live", works=True)

    async def run(self) -> None:
        """Run until SIGTERM or SIGINT; then keep the last state and close the journal.

        Outputs are left as they are: a peer whose heartbeat stops goes to its own safe state.
        """
        stop = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            self.loop.add_signal_handler(number, stop.set)
        gc.collect()
        gc.freeze()
        try:
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(self.pump(), name="pump")]
                tasks += self._supervised(group)
                waiting = group.create_task(stop.wait(), name="stop")
                await waiting
                await _end(tasks)
            # Only here: an evaluation that broke off leaves a memory that nobody should trust.
            self.pipeline.keep_snapshot(self.inbox.stamp())
        finally:
            self.journal.close(CLOSE_WITHIN_S)
            if self.live is not None:
                self.live.close()

    def _supervised(self, group: asyncio.TaskGroup) -> Sequence[asyncio.Task[None]]:
        parts: list[tuple[str, Callable[[], Any]]] = [
            (f"link {link.name}", link.run) for link in self.links
        ]
        parts += [("commands", self.commands.run), ("watch", self.watch.run)]
        return [
            group.create_task(keep_running(name, part, self._part_state(name), self.rng), name=name)
            for name, part in parts
        ]

    def _part_state(self, name: str) -> Callable[[bool, str], None]:
        def say(works: bool, reason: str) -> None:
            if not works or name in self.health.parts:
                self.health.say(name, works=works, reason=reason)

        return say


async def _end(tasks: Sequence[asyncio.Task[None]]) -> None:
    """Cancel until all have ended.

    `asyncio.wait_for` of Python 3.11, which libraries use, can swallow a cancellation that comes
    at the moment its future is done.
    """
    for _ in range(ASK_TO_END):
        for task in tasks:
            task.cancel()
        _, left = await asyncio.wait(tasks, timeout=0.25)
        if not left:
            return
    LOG.error("these parts do not end: %s", ", ".join(t.get_name() for t in tasks if not t.done()))


def _capacity(site: Site) -> int:
    """Return room for the live state [bytes], with space for messages of links."""
    plan = site.plan
    alarms = len(plan.limits) + len(plan.trends) + 3 * len(plan.points) + 4 * len(plan.zones)
    return 262_144 + 64 * len(plan.points) + 128 * alarms + 4_096 * len(site.modbus_links)


async def run(config: Config) -> None:
    """Run the core of a site.

    Raises
    ------
    AlreadyRunningError
        If another core runs on this site.
    LoosenedError
        If the configuration would remove or loosen an alarm in force.
    """
    with ExitStack() as held:
        try:
            held.enter_context(hold_lock(config.journal.path, "core"))
        except OSError as error:
            # A disk that cannot be written must not keep the alarm path from starting.
            LOG.error("no lock against a second core: %s", error)  # noqa: TRY400
        await Core(config, build(config)).run()
