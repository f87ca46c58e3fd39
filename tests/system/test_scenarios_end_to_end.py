"""Every scenario on real TCP and a real broker: wire to coil, API, journal, time series.

Each must raise what its file expects, switch the outputs of the zones concerned, and leave
a journal that gives the same events when it is replayed. The quiet day must raise nothing.
"""

from __future__ import annotations

import asyncio
import sys
from functools import partial
from pathlib import Path
from typing import Any

import orjson
import pytest

from alarms.alarm_table import alarm_table
from alarms.plan import Demand
from gateway.journal_reader import JournalReader
from simulators.scenario import Expectation, load_scenario, scenario_names
from tests.system.plant import ROOT, Plant, plant, with_sink
from tests.system.time_series_servers import Server, victoria_metrics

pytestmark = pytest.mark.timeout(400)

# Run side by side: most of the time is waiting for gas to come and for delays to pass.
GROUPS = (
    ("methane-limit", "main-fan-stop", "local-fan-stop"),
    ("co-limit", "belt-fire", "manual-evacuation"),
    ("outburst", "poisoned-sensor"),
    ("loss-of-monitoring", "abnormal-emission"),
)


def met(site: Plant, expect: Expectation) -> bool:
    """Tell whether the live state shows the alarm in force, and the demand in its zone."""
    state = site.state()
    if state is None:
        return False
    names = [spec.id for spec in alarm_table(site.site.plan)]
    zones = [zone.id for zone in site.site.plan.zones]
    forced = bool(state.arrays["alarm_in_force"][names.index(expect.alarm)])
    if not expect.demand:
        return forced
    bits = int(state.arrays["zone_demands"][zones.index(expect.zone)])
    return forced and bool(bits & Demand[expect.demand])


def outputs_of(site: Plant, expect: Expectation) -> list[str]:
    return [
        output.id
        for output in site.config.outputs
        if output.demand == expect.demand and expect.zone in output.zones
    ]


async def replayed(site: Plant) -> list[dict[str, Any]]:
    """Return what `firedamp replay` makes of the recorded journal."""
    events = site.folder / "replayed.jsonl"
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "gateway", "replay", str(site.config.journal.path)),
        *("-c", str(site.file), "--events", str(events)),
        cwd=ROOT,
        stderr=asyncio.subprocess.PIPE,
    )
    _, said = await process.communicate()
    assert process.returncode == 0, said.decode()
    return [orjson.loads(line) for line in events.read_bytes().splitlines()]


async def recorded(site: Plant) -> list[dict[str, Any]]:
    """Return the events as the API gives them, all pages."""
    events: list[dict[str, Any]] = []
    while page := (await site.get("/api/v1/events", after=events[-1]["seq"] if events else 0))[
        "events"
    ]:
        events += page
    return events


async def in_time_series(server: Server, rules: dict[int, str]) -> None:
    """Wait until the time-series server has these events, by number and rule."""
    async with asyncio.timeout(60):
        while True:
            await server.get("/internal/force_flush")
            answer = await server.get("/api/v1/export", **{"match[]": "event_seq"})
            found: dict[int, str] = {}
            for line in answer.splitlines():
                series = orjson.loads(line)
                rule = series["metric"].get("rule", "")
                found |= {int(seq): rule for seq in series["values"]}
            if rules.items() <= found.items():
                return
            await asyncio.sleep(0.2)


async def verdict(site: Plant) -> tuple[int | None, str]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "gateway", "verify", str(site.config.journal.path)),
        *("-c", str(site.file)),
        cwd=ROOT,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    said, _ = await process.communicate()
    return process.returncode, said.decode()


@pytest.mark.parametrize("names", GROUPS, ids=" ".join)
async def test_scenarios_reach_siren_api_and_journal(
    names: tuple[str, ...], tmp_path: Path
) -> None:
    async with asyncio.TaskGroup() as group:
        for name in names:
            (tmp_path / name).mkdir()
            group.create_task(play(name, tmp_path / name), name=name)


def test_every_scenario_is_played() -> None:
    played = {name for group in GROUPS for name in group}
    quiet = {name for name in scenario_names() if load_scenario(name).quiet}
    assert played | quiet | {"broker-restart"} == set(scenario_names())


async def play(name: str, folder: Path) -> None:
    expects = load_scenario(name).expects
    assert expects, "a scenario that expects nothing shows nothing"
    async with (
        victoria_metrics(folder) as server,
        plant(folder, name, with_sink(server.url)) as site,
    ):
        await site.start_core()
        await site.start_services()
        loop = asyncio.get_running_loop()
        deadline = loop.time() + max(e.within_s for e in expects) + 60
        waiting = list(expects)
        while waiting:
            waiting = [e for e in waiting if not met(site, e)]
            assert loop.time() < deadline, f"not raised: {waiting}"
            await asyncio.sleep(0.1)
        for expect in expects:
            if expect.demand:
                outputs = outputs_of(site, expect)
                assert outputs, f"no output answers {expect.demand} in {expect.zone}"
                for output in outputs:
                    await site.until(partial(site.coil, output), f"{output} is on")
        events = await recorded(site)
        raised = {e["rule"] for e in events if e["from_state"] != e["to_state"]}
        assert {e.alarm for e in expects} <= raised
        alarms = await site.get("/api/v1/alarms")
        listed = alarms["alarms"] if isinstance(alarms, dict) else alarms
        assert {e.alarm for e in expects} <= {a["id"] for a in listed}
        await in_time_series(server, {e["seq"]: e["rule"] for e in events if e["rule"]})
        await site.end()
        made = await replayed(site)
        reader = JournalReader(site.config.journal.path)
        whole = [row.seq for row in reader.events_after(0, 100_000)]
        assert [e["seq"] for e in made] == whole
        shared = {e["seq"]: e for e in made}
        for event in events:
            ours = shared[event["seq"]]
            assert {key: event[key] for key in ours} == ours
        code, said = await verdict(site)
        assert code == 0, said


async def test_the_quiet_day_raises_nothing(tmp_path: Path) -> None:
    async with plant(tmp_path, "quiet-day") as site:
        await site.start_core()
        await site.until(site.all_good, "every point is good")
        await asyncio.sleep(20)
        await site.until(site.all_good, "every point is still good")
        assert not any(
            plc.coils[o.address] for plc in site.world.plcs.values() for o in plc.outputs
        )
        await site.end()
        assert JournalReader(site.config.journal.path).last_event_seq() == 0
