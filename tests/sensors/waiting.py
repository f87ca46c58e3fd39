"""Running a link, and waiting for what it does, in tests."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from sensors.collectors.modbus import ModbusLink


@asynccontextmanager
async def running(link: ModbusLink) -> AsyncIterator[None]:
    async with asyncio.TaskGroup() as group:
        task = group.create_task(link.run())
        try:
            yield
        finally:
            task.cancel()


async def until(what: Callable[[], bool]) -> None:
    """Wait for something to be so; the time limit is for busy machines, not for the gateway."""
    async with asyncio.timeout(30.0):
        while not what():  # noqa: ASYNC110 - what is waited for happens in many places
            await asyncio.sleep(0.005)
