"""The program as people start it: both processes under one command, and the demonstration."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest

from gateway import config_file
from tests.ports import free_port
from tests.system.mosquitto import until
from tests.system.plant import ROOT, Plant, plant, site_text

pytestmark = pytest.mark.timeout(300)


@asynccontextmanager
async def firedamp(log: Path, *words: str | Path) -> AsyncIterator[asyncio.subprocess.Process]:
    """Run a command in a process group of its own; whatever is left of it is killed."""
    with log.open("wb") as out:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "gateway", *map(str, words)),
            cwd=ROOT,
            stdout=out,
            stderr=out,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            start_new_session=True,
        )
    try:
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        await process.wait()


def children(pid: int, word: str) -> list[int]:
    """Return the children of a process whose command line ends with a word."""
    found = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split()
    return [int(c) for c in found if _ends_with(c, word)]


def _ends_with(pid: str, word: str) -> bool:
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        return Path(f"/proc/{pid}/cmdline").read_text("utf-8").split("\0")[:-1][-1:] == [word]
    return False


def is_alive(pid: int) -> bool:
    with contextlib.suppress(FileNotFoundError):
        return ") Z " not in Path(f"/proc/{pid}/stat").read_text("utf-8")
    return False


async def test_killed_services_are_put_back_and_one_signal_ends_both(tmp_path: Path) -> None:
    async with (
        plant(tmp_path) as site,
        firedamp(tmp_path / "run.log", "run", "-c", site.file) as run,
    ):
        await site.until(site.all_good, "every point is good")
        await site.api_answers()
        (core,) = children(run.pid, "core")
        (services,) = children(run.pid, "services")
        os.kill(services, signal.SIGKILL)
        await until(lambda: children(run.pid, "services") not in ([], [services]), "put back")
        await site.api_answers()
        assert children(run.pid, "core") == [core]
        await the_siren(site)
        (services,) = children(run.pid, "services")
        run.send_signal(signal.SIGTERM)
        assert await run.wait() == 0
        assert not is_alive(core)
        assert not is_alive(services)


async def test_a_core_that_ends_ends_the_command(tmp_path: Path) -> None:
    async with (
        plant(tmp_path) as site,
        firedamp(tmp_path / "run.log", "run", "-c", site.file) as run,
    ):
        await site.until(site.all_good, "every point is good")
        (core,) = children(run.pid, "core")
        os.kill(core, signal.SIGKILL)
        assert await run.wait() != 0


async def the_siren(site: Plant) -> None:
    site.obey({"set": {"T1-101.gas": 2.0}})
    await site.until(lambda: site.coil("evacuate-LW101"), "the siren is on")


async def test_the_demonstration_says_where_to_look_and_ends_clean(tmp_path: Path) -> None:
    file = tmp_path / "config.toml"
    text = site_text(tmp_path, free_port())
    file.write_text(text.replace(f'tokens_file = "{tmp_path / "tokens"}"', ""), "utf-8")
    api = config_file.load(file).api
    log = tmp_path / "demo.log"
    async with firedamp(log, "demo", "-c", file, "--scenario", "methane-limit") as demo:
        await until(lambda: "live page" in log.read_text("utf-8"), "the demonstration is up")
        token = log.read_text("utf-8").partition("#token=")[2].split()[0]
        head = {"Authorization": f"Bearer {token}"}
        async with httpx.AsyncClient(base_url=f"http://{api.host}:{api.port}", headers=head) as c:
            status = (await c.get("/api/v1/status")).json()
            assert status["core"]["core_down"] is False
            assert (await c.get("/")).status_code == 200
            async with asyncio.timeout(90):
                while not status["leave"]:
                    await asyncio.sleep(0.5)
                    status = (await c.get("/api/v1/status")).json()
        assert status["leave"][0]["zone"] == "LW101"
        demo.send_signal(signal.SIGINT)
        assert await demo.wait() == 0
