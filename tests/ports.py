"""Ports of 127.0.0.1 that nobody listens on, and that no outgoing connection will be given.

A port that the kernel hands out (bind to 0) may belong to a client's connection a moment later;
these lie below the kernel's range.
"""

from __future__ import annotations

import random
import socket

_LOWEST, _HIGHEST = 20_000, 31_000
_given: set[int] = set()
# Of this process: two test runs side by side must not draw the same row of numbers.
_draw = random.SystemRandom()


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def free_port() -> int:
    """A port that is free now, and was not given before."""
    while True:
        port = _draw.randint(_LOWEST, _HIGHEST)
        if port not in _given and _is_free(port):
            _given.add(port)
            return port
