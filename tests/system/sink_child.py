"""The InfluxDB sink in a process of its own, to be killed: journal, cursor file, URL."""

from __future__ import annotations

import asyncio
import random
import sys
from pathlib import Path

from gateway.config import InfluxConfig
from gateway.journal_reader import JournalReader
from gateway.sinks.influx import InfluxSink


async def main(journal: Path, cursor: Path, url: str) -> None:
    config = InfluxConfig(url, "mine", "gas", batch_lines=500, timeout_s=5.0)
    sink = InfluxSink(config, JournalReader(journal), cursor, site="S", rng=random.Random())
    await sink.run()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]))
