"""Keep a part running: restart it after a growing pause, tell once when it fails and recovers.

The only place that catches every exception. A part that fails stays alone in its failure.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable
from typing import Final

LOG: Final = logging.getLogger("firedamp")
PAUSE_FIRST_S: Final = 0.2
PAUSE_CAP_S: Final = 10.0
STEADY_S: Final = 30.0


async def keep_running(
    name: str,
    part: Callable[[], Awaitable[None]],
    on_state: Callable[[bool, str], None],
    rng: random.Random,
) -> None:
    """Run `part` for ever; it ends only with this task.

    Parameters
    ----------
    name : str
        For the log.
    part : callable
        Starts the part anew.
    on_state : callable
        Told (False, reason) at a failure and (True, "") when it runs again.
    rng : random.Random
        Jitter of the pauses.
    """
    pause_s = PAUSE_FIRST_S
    loop = asyncio.get_running_loop()
    while True:
        started = loop.time()
        on_state(True, "")
        try:
            await part()
            reason = "ended by itself"
        except asyncio.CancelledError:
            raise
        except Exception as error:
            reason = f"{type(error).__name__}: {error}"
            LOG.exception("%s failed and will be restarted", name)
        else:
            LOG.error("%s ended by itself and will be restarted", name)
        on_state(False, reason)
        if loop.time() - started > STEADY_S:
            pause_s = PAUSE_FIRST_S
        await asyncio.sleep(pause_s * rng.uniform(0.75, 1.25))
        pause_s = min(PAUSE_CAP_S, pause_s * 2)
