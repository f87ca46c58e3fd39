"""Outputs on a real broker, with a controller that is not ours at the other end."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import aiomqtt

from alarms.actuators.mqtt_output import MqttOutput, MqttOutputs
from sensors.collectors.mqtt import MqttSource
from sensors.payloads import BrokerSpec
from tests.system.mosquitto import mosquitto, until

SIREN = MqttOutput(1, "mine/siren/set", "mine/siren/state")


class Controller:
    """A siren on a broker: obeys, keeps its state retained, and notes every command it got."""

    def __init__(self, port: int, *, on: bool = False) -> None:
        self._port = port
        self.on = on
        self.obeys = True
        self.answers = True
        self.commands: list[tuple[bool, bool]] = []  # on, retained

    async def run(self) -> None:
        while True:
            try:
                async with aiomqtt.Client("127.0.0.1", self._port, identifier="siren") as client:
                    await client.subscribe(SIREN.topic, qos=1)
                    async for message in client.messages:
                        await self._obey(client, message)
            except aiomqtt.MqttError:
                await asyncio.sleep(0.1)

    async def _obey(self, client: aiomqtt.Client, message: aiomqtt.Message) -> None:
        command = json.loads(message.payload)
        self.commands.append((command["on"], bool(message.retain)))
        if self.obeys:
            self.on = command["on"]
        if self.answers:
            state = json.dumps({"on": self.on, "seq": command["seq"]})
            await client.publish(SIREN.readback_topic, state, qos=1, retain=True)


class Plant:
    """What the core would have learnt."""

    def __init__(self, port: int) -> None:
        self.found: list[bool | None] = []
        self.agreement: list[bool | None] = []
        self.outputs = MqttOutputs(
            [SIREN], lambda _, on: self.found.append(on), lambda _, ok: self.agreement.append(ok)
        )
        spec = BrokerSpec("127.0.0.1", port, "firedamp", "", "", False, "", "", "", 10, ())
        self.source = MqttSource(spec, lambda _: None, self.outputs, random.Random(1))

    def want(self, on: bool) -> None:
        self.outputs.set([False, on], [])

    @property
    def verdict(self) -> bool | str | None:
        return self.agreement[-1] if self.agreement else "not yet"


@asynccontextmanager
async def at_work(*workers: MqttSource | Controller) -> AsyncIterator[None]:
    async with asyncio.TaskGroup() as tasks:
        started = [tasks.create_task(worker.run()) for worker in workers]
        try:
            yield
        finally:
            for task in started:
                task.cancel()
            for task in started:
                with suppress(asyncio.CancelledError):
                    await task


async def test_a_command_reaches_the_controller_and_its_answer_comes_back(tmp_path: Path) -> None:
    async with mosquitto(tmp_path) as broker:
        plant, siren = Plant(broker.port), Controller(broker.port)
        async with at_work(plant.source, siren):
            plant.want(False)
            await until(lambda: plant.verdict is True, "off, read back")
            plant.want(True)
            await until(lambda: siren.on, "the siren sounds")
            await until(lambda: plant.outputs.readback.tolist() == [1], "on, read back")
            assert plant.verdict is True
            assert plant.found == [None], "nobody had ever written a state"


async def test_the_kept_state_is_read_before_the_first_write(tmp_path: Path) -> None:
    async with mosquitto(tmp_path) as broker:
        await broker.publish(SIREN.readback_topic, '{"on":true}', options=["-r", "-q", "1"])
        plant, siren = Plant(broker.port), Controller(broker.port, on=True)
        async with at_work(siren, plant.source):
            await until(lambda: plant.found, "found")
            assert plant.found == [True]
            assert siren.commands == [], "nothing was written before"
            plant.want(True)  # what the core does about an output found on
            await until(lambda: plant.verdict is True, "on, read back")
            assert [on for on, _ in siren.commands] == [True] * len(siren.commands)


async def test_a_broker_killed_and_back_gets_the_whole_state_again(tmp_path: Path) -> None:
    async with mosquitto(tmp_path) as broker:
        plant, siren = Plant(broker.port), Controller(broker.port)
        async with at_work(plant.source, siren):
            plant.want(True)
            await until(lambda: plant.verdict is True, "on, read back")
            await broker.kill()
            await until(lambda: plant.verdict is None, "nobody knows")
            siren.on = False  # it restarted meanwhile, and the broker has forgotten everything
            await broker.start()
            await until(lambda: siren.on, "commanded again without a change")
            await until(lambda: plant.verdict is True, "on, read back")


async def test_a_change_while_the_broker_is_away_arrives_when_it_is_back(tmp_path: Path) -> None:
    async with mosquitto(tmp_path) as broker:
        plant, siren = Plant(broker.port), Controller(broker.port)
        async with at_work(plant.source, siren):
            plant.want(False)
            await until(lambda: plant.verdict is True, "off, read back")
            await broker.kill()
            plant.want(True)
            await broker.start()
            await until(lambda: siren.on, "the siren sounds")


async def test_a_controller_that_is_silent_or_disobeys_is_no_agreement(tmp_path: Path) -> None:
    async with mosquitto(tmp_path) as broker:
        plant, siren = Plant(broker.port), Controller(broker.port)
        async with at_work(plant.source, siren):
            plant.want(False)
            await until(lambda: plant.verdict is True, "off, read back")
            siren.obeys = False
            plant.want(True)
            await until(lambda: plant.verdict is False, "it answers that it is off")
            siren.answers = False
            await until(lambda: plant.verdict is None, "it says nothing any more")
            siren.obeys = siren.answers = True
            await until(lambda: plant.verdict is True, "the next repetition heals it")
