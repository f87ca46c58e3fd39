"""The pretend mine's MQTT side, seen by mosquitto's own clients through the embedded broker."""

from __future__ import annotations

import asyncio
import json
import re
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

from gateway.config import Config
from simulators import send_control
from tests.simulators.mines import ROOT, on_free_ports, running, shipped

DEADLINE_S: Final = 30.0


@asynccontextmanager
async def heard(config: Config, topic: str) -> AsyncIterator[asyncio.StreamReader]:
    """Lines of ``topic payload`` as mosquitto_sub hears them."""
    assert config.mqtt is not None
    process = await asyncio.create_subprocess_exec(
        *("mosquitto_sub", "-h", config.mqtt.host, "-p", str(config.mqtt.port)),
        *("-t", topic, "-q", "1", "-v"),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    assert process.stdout is not None
    try:
        yield process.stdout
    finally:
        if process.returncode is None:
            process.terminate()
        await process.communicate()


async def hear_again(config: Config, topic: str) -> None:
    """Subscribe anew until a message comes; the broker may still be going or coming."""
    async with asyncio.timeout(DEADLINE_S):
        while True:
            async with heard(config, topic) as lines:
                if await lines.readline():
                    return


async def tell(config: Config, topic: str, text: str) -> None:
    assert config.mqtt is not None
    process = await asyncio.create_subprocess_exec(
        *("mosquitto_pub", "-h", config.mqtt.host, "-p", str(config.mqtt.port)),
        *("-t", topic, "-q", "1", "-r", "-m", text),
    )
    assert await process.wait() == 0


async def next_message(lines: asyncio.StreamReader, topic: str) -> str:
    async with asyncio.timeout(DEADLINE_S):
        while True:
            line = await lines.readline()
            assert line, "mosquitto_sub has ended"
            found, _, text = line.decode().partition(" ")
            if found == topic:
                return text.strip()


async def next_value(lines: asyncio.StreamReader, topic: str) -> dict[str, Any]:
    message: dict[str, Any] = json.loads(await next_message(lines, topic))
    return message


async def test_nodes_publish_what_the_mine_shows(tmp_path: Path) -> None:
    config = on_free_ports(shipped())
    async with (
        running(config, control=tmp_path / "door", own_broker=True),
        heard(config, "mine/#") as lines,
    ):
        seen: dict[str, Any] = {}
        topics = {device.topic for device in config.devices if device.topic}
        async with asyncio.timeout(DEADLINE_S):
            while set(seen) < topics:
                line = await lines.readline()
                assert line, "mosquitto_sub has ended"
                topic, _, text = line.decode().partition(" ")
                seen[topic] = json.loads(text)
        assert seen["mine/belt/temperature"]["temperature"].keys() == {"drive", "tail"}
        assert 2.0 < seen["mine/fan/condition"]["pressure"] < 2.5  # kPa
        assert seen["mine/surface/weather"]["time"].endswith("Z")
        door = tmp_path / "door"
        await send_control(door, {"set": {"N-101.CO2": 1.75, "N-doors.call": 1}})
        async with asyncio.timeout(DEADLINE_S):
            while (await next_value(lines, "mine/lw101/climate"))["CO2"] != 1.75:
                pass
            while (await next_value(lines, "mine/doors/state"))["call"] != 1:
                pass
        await send_control(door, {"fault": "drop", "point": "N-101.CO2"})
        async with asyncio.timeout(DEADLINE_S):
            while "CO2" in await next_value(lines, "mine/lw101/climate"):
                pass
        await send_control(door, {"fault": "corrupt", "point": "N-101.dust"})
        async with asyncio.timeout(DEADLINE_S):
            while (await next_message(lines, "mine/lw101/climate")).endswith("}"):
                pass


async def test_a_sounder_obeys_and_confirms(tmp_path: Path) -> None:
    config = on_free_ports(shipped())
    output = next(o for o in config.outputs if o.kind == "mqtt")
    async with (
        running(config, control=tmp_path / "door", own_broker=True),
        heard(config, output.readback_topic) as lines,
    ):
        await tell(config, output.topic, '{"on": true, "seq": 7}')
        assert await next_value(lines, output.readback_topic) == {"on": True, "seq": 7}
        status = await send_control(tmp_path / "door", {"status": True})
        assert status["outputs"][output.id] is True
        for nonsense in ("", "on", "[]", '{"on": "yes"}', '{"on": 1}'):
            await tell(config, output.topic, nonsense)
        await tell(config, output.topic, '{"on": false, "seq": 8}')
        assert await next_value(lines, output.readback_topic) == {"on": False, "seq": 8}


async def test_nodes_come_back_after_the_broker_and_after_their_cable(tmp_path: Path) -> None:
    config, door = on_free_ports(shipped()), tmp_path / "door"
    topic = "mine/lw101/climate"
    async with running(config, control=door, own_broker=True):
        async with heard(config, topic) as lines:
            await next_message(lines, topic)
        for breaking, mending in (
            ({"broker": "restart"}, {"status": True}),
            ({"broker": "stop"}, {"broker": "start"}),
            ({"link": "mqtt", "state": "cut"}, {"link": "mqtt", "state": "up"}),
            ({"link": "mqtt", "state": "silent"}, {"link": "mqtt", "state": "up"}),
            ({"device": "N-101", "state": "silent"}, {"device": "N-101", "state": "up"}),
        ):
            assert (await send_control(door, breaking))["ok"]
            assert (await send_control(door, mending))["ok"]
            await hear_again(config, topic)


KILLED_MINE: Final = """
import asyncio, sys
from pathlib import Path
from gateway.config_file import load
from simulators import run_mine
asyncio.run(run_mine(load(Path(sys.argv[1]))))
"""


async def listens(port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    writer.transport.abort()
    return True


async def test_the_embedded_broker_ends_with_a_killed_parent(tmp_path: Path) -> None:
    config = on_free_ports(shipped())
    assert config.mqtt is not None
    text = (ROOT / "config.toml").read_text("utf-8")
    assert shipped().mqtt is not None
    for old, new in zip(shipped().links, config.links, strict=True):
        text = text.replace(f"port = {old.port}\n", f"port = {new.port}\n")
    text = re.sub(r"port = 18830\b", f"port = {config.mqtt.port}", text)
    file = tmp_path / "config.toml"
    file.write_text(text, "utf-8")
    mine = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", KILLED_MINE, str(file)), cwd=ROOT
    )
    try:
        async with asyncio.timeout(DEADLINE_S):
            while not await listens(config.mqtt.port):
                assert mine.returncode is None
                await asyncio.sleep(0.05)
    finally:
        mine.kill()
        await mine.wait()
    async with asyncio.timeout(DEADLINE_S):
        while await listens(config.mqtt.port):
            pass
