"""A whole site for system tests: pretend mine on real TCP, mosquitto, core and services.

The pretend mine runs in the test's own loop, so that a test sees every bit that is written to its
controllers; core and services are real processes.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import signal
import sys
import tempfile
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import httpx

from gateway import config_file
from gateway.api.auth import new_token
from gateway.clock import WallClock
from gateway.commands import ask
from gateway.config import Config
from gateway.folders import live_path
from gateway.live_state import LiveReader, LiveState
from gateway.site import Site, build
from simulators.messages import obey
from simulators.modbus_devices import ModbusServer
from simulators.mqtt_nodes import MqttNodes
from simulators.run import _tick, _units
from simulators.scenario import load_scenario
from simulators.siren_plc import SirenPlc
from simulators.world import World
from tests.ports import free_port
from tests.system.mosquitto import Mosquitto, until

ROOT: Final = Path(__file__).resolve().parents[2]


def site_text(folder: Path, broker_port: int, **changes: str) -> str:
    """Return the shipped configuration on free ports, with lines replaced (key -> new line)."""
    text = (ROOT / "config.toml").read_text(encoding="utf-8")
    for port in dict.fromkeys(re.findall(r"^port = (150\d\d)", text, flags=re.MULTILINE)):
        text = text.replace(f"port = {port}", f"port = {free_port()}")
    text = text.replace("port = 18830", f"port = {broker_port}")
    text = text.replace("port = 8080", f"port = {free_port()}")
    tokens = folder / "tokens"
    text = text.replace('# tokens_file = "secrets/tokens"', f'tokens_file = "{tokens}"')
    # Operator sockets have short paths: the system allows some hundred characters.
    socket = Path(tempfile.mkdtemp(prefix="fd-")) / "core.sock"
    text = text.replace('socket = "var/firedamp.sock"', f'socket = "{socket}"')
    for key, line in changes.items():
        text, n = re.subn(rf"^(# )?{key} = .*$", f"{key} = {line}", text, flags=re.MULTILINE)
        assert n, f"the shipped configuration has no {key}"
    return text


def with_sink(url: str) -> Callable[[str], str]:
    """Return an edit that switches the sink on, as a person would: by taking the # away."""

    def edit(text: str) -> str:
        head, table = text.split("# [influxdb]")
        table = re.sub(r"^# (\w+ = )", r"\1", table, flags=re.MULTILINE)
        table = re.sub(r"^token_file = .*\n", "", table, flags=re.MULTILINE)
        table = re.sub(r'^url = "[^"]*"', f'url = "{url}"', table, flags=re.MULTILINE)
        return f"{head}[influxdb]{table}"

    return edit


@dataclass
class Trace:
    """Every change of a controller's coils: (loop time, coil, state)."""

    changes: list[tuple[float, int, bool]] = field(default_factory=list)

    def follow(self, plc: SirenPlc) -> None:
        """Note the changes that writes from outside make."""
        write = plc.write_coils
        loop = asyncio.get_running_loop()

        def traced(address: int, states: Sequence[bool]) -> bool:
            before = list(plc.coils)
            done = write(address, states)
            now = loop.time()
            self.changes += [
                (now, i, new)
                for i, (old, new) in enumerate(zip(before, plc.coils, strict=True))
                if old != new
            ]
            return done

        plc.write_coils = traced  # type: ignore[method-assign]


class Plant:
    """One site; use `plant` to make it."""

    def __init__(
        self,
        folder: Path,
        broker: Mosquitto,
        scenario: str,
        edit: Callable[[str], str],
        **changes: str,
    ) -> None:
        self.folder = folder
        self.broker = broker
        self.token, line = new_token("operator", "tester")
        (folder / "tokens").write_text(line + "\n", encoding="utf-8")
        self.file = folder / "config.toml"
        text = edit(site_text(folder, broker.port, **changes))
        self.file.write_text(text, encoding="utf-8")
        self.config: Config = config_file.load(self.file)
        self.site: Site = build(self.config)
        chosen = load_scenario(scenario) if scenario else None
        self.world = World(self.config, chosen, seed=1, start_s=4.0)
        self.traces = {key: Trace() for key in self.world.plcs}
        for key, plc in self.world.plcs.items():
            self.traces[key].follow(plc)
        self.core: asyncio.subprocess.Process | None = None
        self.services: asyncio.subprocess.Process | None = None
        self.live = LiveReader(live_path(self.config))

    async def run_mine(self, group: asyncio.TaskGroup) -> list[asyncio.Task[Any]]:
        """Serve the pretend mine."""
        loop = asyncio.get_running_loop()
        tasks = []
        for link in self.config.links:
            server = ModbusServer(_units(self.world, link.id, loop.time), self.world.links[link.id])
            tasks.append(group.create_task(server.run(link.host, link.port)))
        assert self.config.mqtt is not None
        tasks.append(group.create_task(MqttNodes(self.world, self.config.mqtt).run()))
        return [*tasks, group.create_task(_tick(self.world, 1.0))]

    async def _process(self, only: str) -> asyncio.subprocess.Process:
        log = (self.folder / f"{only}.log").open("ab")
        command = ["-m", "gateway", "run", "-c", str(self.file), "--only", only]
        try:
            return await asyncio.create_subprocess_exec(
                *(sys.executable, *command),
                cwd=ROOT,
                stdout=log,
                stderr=log,
                env={**os.environ, "PYTHONPATH": str(ROOT)},
            )
        finally:
            log.close()

    async def start_core(self, *, wait: bool = True) -> None:
        """Start the core; wait until it publishes its live state."""
        begun_ns = WallClock.monotonic_ns()
        self.core = await self._process("core")
        if wait:
            await self.until(lambda: self.published_ns() > begun_ns, "the core publishes")

    async def start_services(self) -> None:
        """Start the services; wait until the API answers."""
        self.services = await self._process("services")
        await self.api_answers()

    async def api_answers(self) -> None:
        """Wait until the API answers."""
        api = self.config.api

        async def answers() -> bool:
            with contextlib.suppress(httpx.HTTPError):
                async with httpx.AsyncClient() as client:
                    await client.get(f"http://{api.host}:{api.port}/healthz")
                    return True
            return False

        async with asyncio.timeout(60):
            while not await answers():  # noqa: ASYNC110 - another process
                await asyncio.sleep(0.1)

    async def kill_core(self, number: int = signal.SIGKILL) -> None:
        """End the core."""
        assert self.core is not None
        self.core.send_signal(number)
        await self.core.wait()

    async def until(self, condition: Callable[[], object], what: str) -> None:
        """Wait for a condition; a core that ended is told with its log."""

        def checked() -> object:
            if self.core is not None and self.core.returncode is not None:
                log = (self.folder / "core.log").read_text(encoding="utf-8")[-2000:]
                message = f"the core ended ({self.core.returncode}): {log}"
                raise AssertionError(message)
            return condition()

        await until(checked, what)

    def state(self) -> LiveState | None:
        """Return the live state."""
        return self.live.read()

    def published_ns(self) -> int:
        """Return when the live state was last published, on CLOCK_MONOTONIC."""
        state = self.live.read()
        return int(state.meta["published_monotonic_ns"]) if state else 0

    def all_good(self) -> bool:
        """Tell whether every point is GOOD."""
        state = self.live.read()
        return state is not None and not state.arrays["point_quality"].any()

    def coil(self, output: str) -> bool:
        """Return an output as the pretend controllers have it."""
        return self.world.output_on(output)

    def obey(self, message: Mapping[str, Any]) -> None:
        """Break or mend something in the pretend mine."""
        reply = obey(self.world, message)
        assert reply["ok"], reply

    async def order(self, **request: str | float) -> dict[str, Any]:
        """Give a command through the socket."""
        return await ask(self.config.commands.socket, request)

    async def get(self, path: str, **params: str | int) -> Any:  # noqa: ANN401 - JSON
        """Ask the API."""
        api = self.config.api
        async with httpx.AsyncClient(timeout=20) as client:
            answer = await client.get(
                f"http://{api.host}:{api.port}{path}",
                params=params,
                headers={"Authorization": f"Bearer {self.token}"},
            )
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def end(self) -> None:
        """End what still runs, by its process id."""
        self.live.close()
        for process in (self.core, self.services):
            if process is not None and process.returncode is None:
                process.terminate()
                try:
                    async with asyncio.timeout(20):
                        await process.wait()
                except TimeoutError:
                    process.kill()
                    await process.wait()


@asynccontextmanager
async def plant(
    folder: Path, scenario: str = "", edit: Callable[[str], str] = str, **changes: str
) -> AsyncIterator[Plant]:
    """Run a site's pretend mine and broker; core and services are started by the test.

    `edit` may change the text of the configuration; `changes` replace lines by their key.
    """
    broker = Mosquitto(folder)
    await broker.start()
    try:
        site = Plant(folder, broker, scenario, edit, **changes)
        async with asyncio.TaskGroup() as group:
            tasks = await site.run_mine(group)
            try:
                yield site
            finally:
                await site.end()
                for task in tasks:
                    task.cancel()
    finally:
        await broker.kill()
