"""An MQTT broker for the demonstration, in a process of its own: ``python -m simulators.broker``.

amqtt (MQTT 3.1.1), good enough for a pretend mine; a real one runs mosquitto or the like. What
amqtt does otherwise than one would think:

* It logs every client that hangs up as an error with a stack trace; here it is silent.
* A client that connects is sent the retained messages of every topic that *anybody* has
  subscribed to, before and whether or not it subscribes to it.
* What it retains and the sessions it keeps live in memory: a restart forgets both.
"""

from __future__ import annotations

import asyncio
import logging
import sys
from typing import Final

from amqtt.broker import Broker  # type: ignore[import-untyped]
from amqtt.contexts import (  # type: ignore[import-untyped]
    BrokerConfig,
    ListenerConfig,
    ListenerType,
)

_PLUGINS: Final = {"amqtt.plugins.authentication.AnonymousAuthPlugin": {"allow_anonymous": True}}
_NOISY: Final = ("amqtt", "transitions", "asyncio")


async def serve(host: str, port: int) -> None:
    """Run a broker until cancelled.

    Raises
    ------
    amqtt.errors.BrokerError
        If it cannot listen there.
    """
    for name in _NOISY:
        logging.getLogger(name).setLevel(logging.CRITICAL + 1)
    listener = ListenerConfig(type=ListenerType.TCP, bind=f"{host}:{port}")
    broker = Broker(BrokerConfig(listeners={"default": listener}, plugins=dict(_PLUGINS)))
    await broker.start()
    try:
        await asyncio.get_running_loop().create_future()
    finally:
        await broker.shutdown()


async def _main(host: str, port: int) -> None:
    """Serve until the parent process, which holds the other end of standard input, is gone."""
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    async with asyncio.TaskGroup() as group:
        serving = group.create_task(serve(host, port))
        await reader.read()
        serving.cancel()


if __name__ == "__main__":
    asyncio.run(_main(sys.argv[1], int(sys.argv[2])))
