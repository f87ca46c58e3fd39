"""From the reply on the wire to the coil, with and without 64 clients hammering the API.

A pretend device answers with a value over its limit; the clock runs until the pretend controller
has the coil. Real TCP, real processes. Control: the same API inside the core's own loop.

    .venv/bin/python bench/alarm_latency.py        (needs Debian's mosquitto and wrk)
"""

from __future__ import annotations

import asyncio
import os
import re
import sys
import tempfile
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

import numpy as np  # noqa: E402

from bench.record import report  # noqa: E402
from simulators.device_registers import Image  # noqa: E402
from simulators.faults import OnTheWire  # noqa: E402
from tests.system.plant import Plant, plant  # noqa: E402

POINT, OUTPUT, LINK = "T1-101.gas", "siren-LW101", ("outputs-east", 1)
RAISES_A_PHASE = 25
CLIENTS = 64
PHASES = ("idle", "64 clients") * 3
SETTLE_S = 0.35


def polled_fast(text: str) -> str:
    """Let the device of the test be polled ten times a second: the wait is not measured.

    The trend rule of its zone would latch the siren on when the value jumps up and down.
    """
    text = re.sub(r"\[\[rule\]\]\n(?:[^\[\n].*\n)*", "", text)
    return re.sub(
        r'(id = "T1-101".*?)poll_s = 1\.0', r"\1poll_s = 0.1", text, count=1, flags=re.DOTALL
    )


def watch_wire(site: Plant) -> list[float]:
    """Return a list that gets the loop time of every reply with a value over the limit."""
    registers = site.world.registers["T1-101"]
    image = registers.image
    loop = asyncio.get_running_loop()
    served: list[float] = []

    def watched(wire: Mapping[str, OnTheWire], t_s: float) -> Image:
        if wire["gas"].value >= 1.0:
            served.append(loop.time())
        return image(wire, t_s)

    registers.image = watched  # type: ignore[method-assign, assignment]
    return served


@asynccontextmanager
async def hammer(site: Plant) -> AsyncIterator[None]:
    """Run wrk with 64 connections against the status of the mine."""
    api = site.config.api
    process = await asyncio.create_subprocess_exec(
        *("wrk", "-t1", f"-c{CLIENTS}", "-d600s", "-H", f"Authorization: Bearer {site.token}"),
        f"http://{api.host}:{api.port}/api/v1/status",
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        yield
        assert process.returncode is None, "the load ended early"
    finally:
        if process.returncode is None:
            process.terminate()
            await process.wait()


async def raises(site: Plant, served: list[float], n: int) -> list[float]:
    """Raise and clear the plain alarm n times; return the latencies [ms]."""
    address = next(o.address for o in site.config.outputs if o.id == OUTPUT)
    trace, latencies = site.traces[LINK], []
    for _ in range(n):
        served.clear()
        begun = len(trace.changes)
        site.obey({"set": {POINT: 1.2}})

        def on(begun: int = begun) -> list[float]:
            return [t for t, coil, state in trace.changes[begun:] if coil == address and state]

        await site.until(on, "the siren is on")
        latencies.append((on()[0] - served[0]) * 1e3)
        site.obey({"set": {POINT: 0.2}})
        await site.until(lambda: not site.coil(OUTPUT), "the siren is off")
        await asyncio.sleep(SETTLE_S)
    return latencies


def row(what: str, phase: str, latencies: list[float]) -> dict[str, Any]:
    """Return one line of the result."""
    ms = np.array(latencies)
    return {
        "api": what,
        "phase": phase,
        "n": len(ms),
        "p50_ms": round(float(np.percentile(ms, 50)), 2),
        "p99_ms": round(float(np.percentile(ms, 99)), 2),
        "max_ms": round(float(ms.max()), 2),
    }


async def measure(*, together: bool, folder: Path) -> list[dict[str, Any]]:
    """Measure one build: API in its own process, or (control) in the core's loop."""
    async with plant(folder, edit=polled_fast, realarm_s="0.0") as site:
        if together:
            site.core = await asyncio.create_subprocess_exec(
                *(sys.executable, str(ROOT / "bench" / "api_in_core.py"), str(site.file)),
                cwd=ROOT,
                env={**os.environ, "PYTHONPATH": str(ROOT)},
            )
            await site.api_answers()
        else:
            await site.start_core()
            await site.start_services()
        await site.until(site.all_good, "every point is good")
        await asyncio.sleep(3)
        served = watch_wire(site)
        found: dict[str, list[float]] = {phase: [] for phase in PHASES}
        for phase in PHASES:
            if phase == "idle":
                found[phase] += await raises(site, served, RAISES_A_PHASE)
            else:
                async with hammer(site):
                    await asyncio.sleep(1)
                    found[phase] += await raises(site, served, RAISES_A_PHASE)
        what = "in the core's loop (control)" if together else "own process"
        return [row(what, phase, ms) for phase, ms in found.items()]


async def main() -> None:
    """Measure both builds."""
    rows = []
    for together in (False, True):
        with tempfile.TemporaryDirectory() as folder:
            rows += await measure(together=together, folder=Path(folder))
    report("alarm_latency", rows)


if __name__ == "__main__":
    asyncio.run(main())
