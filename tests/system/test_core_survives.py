"""Nothing stops the alarm path: no read-only, full or frozen disk, no caller that hangs up."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.system import disks
from tests.system.plant import Plant, plant

pytestmark = pytest.mark.timeout(300)

OUTPUT = "evacuate-LW101"


def journal_at(folder: Path) -> Callable[[str], str]:
    """Return an edit that puts the journal on another disk."""
    return lambda text: text.replace('path = "var/journal"', f'path = "{folder}/journal"')


def live_at(site_socket: Path) -> Callable[[str], str]:
    """Return an edit that puts socket, and so the live state, at a place."""

    def edit(text: str) -> str:
        begin = text.index('socket = "')
        end = text.index('"', begin + 10)
        return f'{text[:begin]}socket = "{site_socket}{text[end:]}'

    return edit


def gas(site: Plant, value: float) -> None:
    site.obey({"set": {"T1-101.gas": value}})


async def siren(site: Plant, *, running: bool = True) -> None:
    """Gas over the limit must reach the siren."""
    gas(site, 2.0)
    if running:
        await site.until(lambda: site.coil(OUTPUT), "the siren is on")


async def test_a_read_only_disk_does_not_keep_the_alarm_path_from_starting(tmp_path: Path) -> None:
    with disks.mounted("-t", "tmpfs", "-o", "ro", "firedamp-test", at=tmp_path / "ro") as disk:
        async with plant(tmp_path, edit=journal_at(disk)) as site:
            await site.start_core()
            await siren(site)
            await site.until(lambda: not health(site, "journal"), "the journal says so")


async def test_a_full_disk_stops_nothing_and_is_an_alarm(tmp_path: Path) -> None:
    with disks.tmpfs(tmp_path / "small", "8m") as disk:
        async with plant(tmp_path, edit=journal_at(disk)) as site:
            await site.start_core()
            await site.until(site.all_good, "every point is good")
            filler = disks.fill(disk)
            await site.until(lambda: not health(site, "journal"), "the journal says so")
            await siren(site)
            filler.unlink()
            await site.until(lambda: health(site, "journal"), "the journal heals by itself")


def health(site: Plant, part: str) -> bool:
    state = site.state()
    assert state is not None
    return bool(state.meta["health"].get(part, {"ok": True})["ok"])


async def frozen(folder: Path, *, live_on_disk: bool) -> bool:
    """Freeze the disk of the journal; tell whether an alarm still reaches the siren."""
    with disks.tmpfs(folder / "ram", "96m") as ram:
        disks.make_ext4(ram / "disk.img", 64)
        with disks.ext4(ram / "disk.img", folder / "disk") as disk:
            place = disk if live_on_disk else ram
            edit, live = journal_at(disk), live_at(place / "c.sock")
            async with plant(folder, edit=lambda text: live(edit(text))) as site:
                await site.start_core()
                await site.until(site.all_good, "every point is good")
                disks.run("fsfreeze", "--freeze", disk)
                try:
                    # Long enough for the kernel to have written the mapped pages back.
                    await asyncio.sleep(3)
                    gas(site, 2.0)
                    deadline = asyncio.get_running_loop().time() + 8
                    while asyncio.get_running_loop().time() < deadline:
                        if site.coil(OUTPUT):
                            return True
                        await asyncio.sleep(0.05)
                    return False
                finally:
                    disks.run("fsfreeze", "--unfreeze", disk)


async def test_a_frozen_disk_stops_nothing_while_the_live_state_is_in_memory(
    tmp_path: Path,
) -> None:
    assert await frozen(tmp_path, live_on_disk=False)


async def test_control_a_live_state_on_the_frozen_disk_would_stop_it(tmp_path: Path) -> None:
    # When the kernel has written a mapped page back is its own affair: three tries.
    reached = True
    for name in ("first", "second", "third"):
        folder = tmp_path / name
        folder.mkdir()
        reached = reached and await frozen(folder, live_on_disk=True)
    assert not reached


def hang_up(address: tuple[str, int], request: bytes) -> None:
    """Ask, take nothing, and reset the connection."""
    with socket.create_connection(address, timeout=10) as sock:
        sock.sendall(request)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


async def test_callers_that_hang_up_end_neither_process(tmp_path: Path) -> None:
    """A broken pipe once ended the services, because the default of SIGPIPE is to die."""
    async with plant(tmp_path) as site:
        await site.start_core()
        await site.start_services()
        await site.until(site.all_good, "every point is good")
        assert site.services is not None
        before = site.services.pid
        api = (site.config.api.host, site.config.api.port)
        head = f"HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {site.token}\r\n\r\n"
        for _ in range(30):
            for path in ("points", "status", "stream", "events"):
                await asyncio.to_thread(hang_up, api, f"GET /api/v1/{path} {head}".encode())
        for _ in range(30):
            caller = socket.socket(socket.AF_UNIX)
            caller.connect(str(site.config.commands.socket))
            caller.sendall(b'{"kind": "ack", "target": "nothing"}\n' * 20)
            caller.close()
        assert (await site.get("/api/v1/status"))["core"]["core_down"] is False
        assert site.services.returncode is None
        assert site.services.pid == before
        await siren(site)
