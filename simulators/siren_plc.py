"""A pretend controller of sirens and power cuts, with a watchdog of its own.

Registers and bits (wire addresses, from 0):

| area | address | meaning |
|---|---|---|
| coil | that of each output | the output; read back as it is, whoever switched it on |
| coil | `permissive` | 1 only while the gateway can vouch for every rule behind this controller |
| holding | `heartbeat` | a number that must change at least every `watchdog_s` |
| discrete | 0 | tripped: the heartbeat or the permissive has been missing for `watchdog_s` |
| discrete | 1 | armed: a heartbeat has been seen to change under a permissive since power-up |
| discrete | 2 | the permissive, as received |
| discrete | 3 | the heartbeat is alive |
| input | 0 | the four bits above as a number |
| input | 1 | time since the heartbeat last changed [0.1 s] |
| input | 2 | trips since power-up |
| input | 3 | the last heartbeat |

When the *heartbeat* goes missing nobody warns any more: the controller then switches its own
sirens (outputs that answer SOUND or WITHDRAW) on and takes no "off" for them. When the heart beats
again it obeys again; the sirens stay on until somebody writes them off. A missing *permissive*
alone only trips: the gateway is alive and switches the outputs that are due itself. Before the
first heartbeat it is not armed, so that it can be installed before the gateway runs.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from gateway.config import Config, OutputConfig, PeerConfig

TRIPPED, ARMED, PERMISSIVE, ALIVE = range(4)
_COILS = 128
_SIREN_DEMANDS = ("SOUND", "WITHDRAW")


class SirenPlc:
    """One controller, as pure logic; time comes in by `tick`.

    Parameters
    ----------
    outputs : iterable of OutputConfig
        The outputs that hang on it.
    peer : PeerConfig or None
        Its watchdog; without one it is a plain block of coils.
    """

    def __init__(self, outputs: Iterable[OutputConfig], peer: PeerConfig | None) -> None:
        self._peer = peer
        self.outputs = tuple(outputs)
        self._sirens = tuple(o.address for o in self.outputs if o.demand in _SIREN_DEMANDS)
        used = [o.address for o in self.outputs] + ([peer.permissive] if peer else [])
        self.coils = [False] * max(_COILS, *(a + 1 for a in used))
        self.holding = [0] * (peer.heartbeat + 1 if peer else 0)
        self.tripped = self.armed = False
        self.trips = 0
        self._beaten = False
        self._now_s = self._beat_s = self._permissive_s = 0.0

    def tick(self, now_s: float) -> None:
        """Look at the clock [s, any origin]; call it often, and before each request."""
        self._now_s = now_s
        if self._peer is None:
            return
        if not self.armed:
            self._beat_s = self._permissive_s = now_s
        if self.permissive:
            self._permissive_s = now_s
        tripped = self.armed and not (self.alive and self._permitted())
        self.trips += tripped and not self.tripped
        self.tripped = tripped
        if self.armed and not self.alive:
            for address in self._sirens:
                self.coils[address] = True

    @property
    def permissive(self) -> bool:
        """The permissive as received."""
        return self._peer is not None and self.coils[self._peer.permissive]

    @property
    def alive(self) -> bool:
        """Whether the heartbeat has changed within the watchdog's time."""
        return self._peer is not None and self._now_s - self._beat_s <= self._peer.watchdog_s

    def _permitted(self) -> bool:
        watchdog_s = self._peer.watchdog_s if self._peer else 0.0
        return self._now_s - self._permissive_s <= watchdog_s

    @property
    def discrete(self) -> list[bool]:
        """Discrete inputs from address 0."""
        return [self.tripped, self.armed, self.permissive, self.armed and self.alive]

    @property
    def inputs(self) -> list[int]:
        """Input registers from address 0."""
        bits = sum(bit << n for n, bit in enumerate(self.discrete))
        age = min(round((self._now_s - self._beat_s) * 10), 0xFFFF)
        last = self.holding[self._peer.heartbeat] if self._peer else 0
        return [bits, age, self.trips & 0xFFFF, last]

    def write_coils(self, address: int, states: Sequence[bool]) -> bool:
        """Write coils; False if there are none at such addresses."""
        if address + len(states) > len(self.coils):
            return False
        self.coils[address : address + len(states)] = states
        self.tick(self._now_s)
        return True

    def write_registers(self, address: int, words: Sequence[int]) -> bool:
        """Write holding registers; False if there are none at such addresses."""
        if address + len(words) > len(self.holding):
            return False
        before = list(self.holding)
        self.holding[address : address + len(words)] = words
        if self._peer and before[self._peer.heartbeat] != self.holding[self._peer.heartbeat]:
            self._beat_s = self._now_s
            self.armed = self.armed or (self._beaten and self.permissive)
            self._beaten = True
        self.tick(self._now_s)
        return True

    def state(self) -> dict[str, object]:
        """Return everything a person may want to see."""
        on = [o.id for o in self.outputs if self.coils[o.address]]
        names = ("tripped", "armed", "permissive", "alive")
        return {**dict(zip(names, self.discrete, strict=True)), "trips": self.trips, "on": on}


def plcs_of(config: Config) -> dict[tuple[str, int], SirenPlc]:
    """Return the controllers by (link id, unit): one per peer, one per other unit with outputs."""
    peers = {peer.id: peer for peer in config.peers}
    behind: dict[tuple[str, int], list[OutputConfig]] = {(p.link, p.unit): [] for p in config.peers}
    for output in config.outputs:
        if output.kind == "modbus-coil":
            peer = peers.get(output.peer)
            place = (peer.link, peer.unit) if peer else (output.link, output.unit)
            behind.setdefault(place, []).append(output)
    at = {(peer.link, peer.unit): peer for peer in config.peers}
    return {place: SirenPlc(outputs, at.get(place)) for place, outputs in behind.items()}
