"""Configurations for tests of the pretend mine: the shipped one, and small ones made by hand."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import cache
from pathlib import Path

from gateway.config import (
    CommandsConfig,
    Config,
    DeviceConfig,
    JournalConfig,
    LinkConfig,
    SiteConfig,
    ZoneConfig,
)
from gateway.config_file import load
from simulators import run_mine
from tests.ports import free_port

ROOT = Path(__file__).resolve().parents[2]


@cache
def shipped() -> Config:
    """The configuration as shipped."""
    return load(ROOT / "config.toml")


def small(
    zones: Sequence[ZoneConfig],
    devices: Sequence[DeviceConfig] = (),
    links: Sequence[LinkConfig] = (),
) -> Config:
    """A configuration of these zones and devices only."""
    return Config(
        file=Path("small.toml"),
        site=SiteConfig("small", "Small mine", "cn-coal-2025", "high"),
        zones=tuple(zones),
        links=tuple(links),
        devices=tuple(devices),
        journal=JournalConfig(Path("journal")),
        commands=CommandsConfig(Path("socket")),
    )


def free_ports(count: int) -> list[int]:
    """Ports of 127.0.0.1 that nobody listens on."""
    return [free_port() for _ in range(count)]


def on_free_ports(config: Config) -> Config:
    """The same mine on other ports of this machine."""
    *ports, broker = free_ports(len(config.links) + 1)
    links = tuple(replace(c, port=port) for c, port in zip(config.links, ports, strict=True))
    mqtt = replace(config.mqtt, port=broker) if config.mqtt else None
    return replace(config, links=links, mqtt=mqtt)


@asynccontextmanager
async def running(
    config: Config,
    scenario: str | None = None,
    speed: float = 1.0,
    *,
    control: Path | None = None,
    own_broker: bool = False,
) -> AsyncIterator[None]:
    """A pretend mine on the wire for the length of a block."""
    ready = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        mine = group.create_task(
            run_mine(
                config,
                scenario,
                speed,
                control=control,
                own_broker=own_broker,
                ready=ready,
            )
        )
        await ready.wait()
        try:
            yield
        finally:
            mine.cancel()
