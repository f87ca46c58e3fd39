"""The control of `alarm_latency`: the API in the loop of the alarm path, which nobody may do."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from gateway import config_file
from gateway.core import Core
from gateway.services import Services
from gateway.site import build


async def main() -> None:
    """Run core and services in one loop."""
    config = config_file.load(Path(sys.argv[1]))
    core = Core(config, build(config))
    services = Services(config)
    async with asyncio.TaskGroup() as group:
        group.create_task(services.run())
        group.create_task(core.run())


if __name__ == "__main__":
    asyncio.run(main())
