"""The real services over the shipped mine, whose live state a test writes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from alarms.events import Row
from gateway import config_file
from gateway.api.auth import new_token
from gateway.clock import WallClock
from gateway.config import Config, JournalConfig
from gateway.folders import live_path
from gateway.journal import JournalWriter
from gateway.live_state import LiveWriter
from gateway.services import Services
from tests.gateway.api.pretend import LiveMine, link

SHIPPED: Final = Path(__file__).parents[2] / "config.toml"
DEADLINE_S: Final = 60.0
_CAPACITY: Final = 4_000_000


@dataclass
class ServedMine:
    """`draw` says what the mine looks like at each publication; set `silent` to stop the core."""

    config: Config
    token: str
    services: Services
    draw: Callable[[LiveMine], None] = lambda _live: None
    silent: bool = False
    step: int = 0
    published: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.services.port}"

    def point(self, name: str) -> int:
        return self.services.sources.book.plan.points.index[name]

    def keep(self, rows: Sequence[Row]) -> None:
        """Put rows into the journal; returns when they are on the disk."""
        writer = JournalWriter(
            self.config.journal, on_commit=lambda _seq: None, on_state=lambda _state: None
        )
        writer.start()
        writer.put_rows(rows)
        assert writer.close(DEADLINE_S)

    async def publish(self) -> None:
        """Publish five times a second, as the core would."""
        writer = LiveWriter(live_path(self.config), _CAPACITY)
        try:
            while True:
                if not self.silent:
                    live = self._mine()
                    self.draw(live)
                    writer.publish(live.meta(), live.arrays)
                    self.published.set()
                await asyncio.sleep(0.2)
        finally:
            writer.close()

    def _mine(self) -> LiveMine:
        self.step += 1
        return LiveMine(
            t_ns=WallClock.wall_ns(),
            step=self.step,
            digest=self.config.digest,
            published_monotonic_ns=WallClock.monotonic_ns(),
            plan=self.services.sources.book.plan,
            links=[link(each.id, polls=self.step * 10) for each in self.config.links],
        )


def at_free_port(folder: Path) -> tuple[Config, str]:
    """Return the shipped configuration, kept in `folder`, and an operator's token."""
    token, line = new_token("operator", "Li Wei")
    tokens = folder / "tokens"
    tokens.write_text(line, "utf-8")
    shipped = config_file.load(SHIPPED)
    return replace(
        shipped,
        journal=JournalConfig(folder / "journal"),
        api=replace(shipped.api, port=0, tokens_file=tokens),
        commands=replace(shipped.commands, socket=folder / "core.sock"),
        historian=None,
    ), token


@asynccontextmanager
async def served_mine(folder: Path) -> AsyncIterator[ServedMine]:
    """Run the services and a pretend core until the end of the block."""
    config, token = at_free_port(folder)
    services = Services(config)
    mine = ServedMine(config, token, services)
    config.journal.path.mkdir(parents=True)
    async with asyncio.TaskGroup() as tasks:
        core = tasks.create_task(mine.publish())
        await mine.published.wait()
        running = tasks.create_task(services.run())
        try:
            async with asyncio.timeout(DEADLINE_S):
                while not (services.server and services.server.started):  # noqa: ASYNC110 - uvicorn has no event
                    await asyncio.sleep(0.02)
            yield mine
        finally:
            services.stopping.set()
            core.cancel()
            async with asyncio.timeout(DEADLINE_S):
                await running
