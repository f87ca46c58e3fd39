"""What goes wrong between the air and the wire, per point; pure, deterministic from a seed.

| kind | `size` | what happens |
|---|---|---|
| noise | standard deviation [unit] | random error on top of the sensor's own |
| drift | rate [unit/s] | error that grows from now on |
| gain | factor | the sensor sees only this part (a poisoned catalytic head) |
| stuck | - | the value of now stays |
| drop | - | no value: a Modbus unit is silent, an MQTT node leaves the value out |
| late | delay [s] | the reply or message comes so much later |
| corrupt | - | a Modbus number is not a number; an MQTT payload is cut in two |
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

KINDS: Final = ("noise", "drift", "gain", "stuck", "drop", "late", "corrupt")


@dataclass(frozen=True, slots=True)
class OnTheWire:
    """What a device makes of one value."""

    value: float
    missing: bool = False
    corrupt: bool = False
    late_s: float = 0.0


@dataclass(slots=True)
class _Fault:
    kind: str
    size: float
    start_s: float
    end_s: float
    held: float | None = None


class Faults:
    """The faults in force, and the values that people have set by hand."""

    def __init__(self, seed: int) -> None:
        self._random = np.random.default_rng([seed, 0xFA17])
        self._faults: dict[str, list[_Fault]] = {}
        self._set: dict[str, float] = {}

    def add(self, point: str, kind: str, size: float, t_s: float, for_s: float) -> None:
        """Let a fault begin at `t_s`; a point may have several, but one of each kind.

        Raises
        ------
        ValueError
            For an unknown kind.
        """
        if kind not in KINDS:
            raise ValueError(f"no fault {kind!r}; there are: {', '.join(KINDS)}, none")
        self._faults[point] = [f for f in self._faults.get(point, []) if f.kind != kind]
        self._faults[point].append(_Fault(kind, size, t_s, t_s + for_s))

    def clear(self, point: str) -> None:
        """End all faults of a point; a value set by hand stays."""
        self._faults.pop(point, None)

    def set(self, point: str, value: float | None) -> None:
        """Let a point show exactly `value`; None: the mine's again. Faults still apply to it."""
        if value is None:
            self._set.pop(point, None)
        else:
            self._set[point] = value

    def apply(self, point: str, value: float, t_s: float) -> OnTheWire:
        """Return what becomes of a point's value at `t_s`."""
        value = self._set.get(point, value)
        missing = corrupt = False
        late_s = 0.0
        for fault in self._in_force(point, t_s):
            match fault.kind:
                case "noise":
                    value += fault.size * float(self._random.standard_normal())
                case "drift":
                    value += fault.size * (t_s - fault.start_s)
                case "gain":
                    value *= fault.size
                case "stuck":
                    fault.held = value if fault.held is None else fault.held
                    value = fault.held
                case "drop":
                    missing = True
                case "late":
                    late_s += fault.size
                case _:
                    corrupt = True
        return OnTheWire(value, missing, corrupt, late_s)

    def _in_force(self, point: str, t_s: float) -> list[_Fault]:
        faults = self._faults.get(point)
        if not faults:
            return []
        faults[:] = [f for f in faults if t_s < f.end_s]
        return faults
