"""The physics of a pretend mine: emission, dilution, airflow, fans, fires, barometer.

Pure and deterministic: from one configuration and one seed come the same values, however often
and at whatever times `Mine.update` is called, because the mine moves on in fixed steps of its
own. Time is the mine's own, from 0; who runs it decides what that is on a clock.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import numpy as np
from numpy.typing import NDArray

from gateway.config import Config
from simulators.airflow import AirNetwork
from simulators.gas import CARRIED, CH4, CO, CO2, GasTransport
from simulators.layout import fans_of, points_of
from simulators.places import kind_of, place_of, sensor_position
from simulators.releases import SOURCES, Release
from simulators.shown import shown

S: Final = 1_000_000_000
FAN_RUN_DOWN_S: Final = 5.0  # time constant of the air when a fan stops or starts
NATURAL_DRAUGHT: Final = 0.05  # part of the air that still moves with the fan stopped
DUCT_LEAK: Final = 0.03  # part of a duct's air that diffuses in without its fan
_SETTLED: Final = 1e-6  # change of a fan's speed in one step that is none
_ACTIVITY_S: Final = 900.0  # emission wanders with this time constant ...
_ACTIVITY_SD: Final = 0.05  # ... by this part of itself
_SHEAR_S: Final = 2400.0  # one cut of the shearer, and ...
_SHEAR_PART: Final = 0.12  # ... how much more it brings down
_GOAF_PER_HPA_H: Final = 0.15  # more emission per hPa/h of falling barometer
_BAROMETER_HPA: Final = 1005.0
_TIDE_HPA: Final = 0.8  # the barometer's half-day wave


class Mine:
    """A mine as configured, at the steady state of a normal day.

    Parameters
    ----------
    config : Config
    seed : int
    step_s : float
        Length of one physical step [s].
    """

    def __init__(self, config: Config, seed: int, step_s: float = 0.2) -> None:
        self.zone_ids = tuple(zone.id for zone in config.zones)
        self.zone_index = {zone: index for index, zone in enumerate(self.zone_ids)}
        self.points = points_of(config)
        self.fans = fans_of(config)
        self.places = [place_of(zone.zone_class) for zone in config.zones]
        self.kinds = [kind_of(zone.zone_class) for zone in config.zones]
        self._step_s = step_s
        self._steps = 0
        self._random = np.random.default_rng(seed)
        self.fan_told = {fan.device: not fan.standby for fan in self.fans}
        self._fan_speed = {fan.device: float(not fan.standby) for fan in self.fans}
        self._releases: list[Release] = []
        self._barometer_fall_hpa_h: float = 0.0
        self._falling_hpa_h: float = 0.0
        self.barometer_hpa: float = _BAROMETER_HPA
        self._activity = np.zeros(len(self.zone_ids))
        # Point id -> 0 or 1, for what people and outputs switch: call points, doors, load sides.
        self.switched: dict[str, float] = {}
        self._build(config)
        self.noise = self._random.standard_normal(len(self.points))

    def _build(self, config: Config) -> None:
        downwind = [[self.zone_index[z] for z in zone.downwind] for zone in config.zones]
        demand = [place.demand_m3_s for place in self.places]
        ducted = {zone for fan in self.fans for zone in fan.zones}
        self.network = AirNetwork(downwind, demand, [z in ducted for z in range(len(downwind))])
        self.flow = self.usual = self.network.flow(1.0, np.ones(len(downwind)))
        speed = np.array([place.velocity_m_s for place in self.places])
        self.area_m2: NDArray[np.float64] = self.usual.zone / speed
        lengths = [place.length_m for place in self.places]
        self.gas = GasTransport(self.network, lengths, self.area_m2 * np.array(lengths))
        self._seam = self._usual_emission()
        self.gas.settle(self.flow, self._seam)
        self.cell = [
            self.gas.cell(p.zone, sensor_position(p.location, self.places[p.zone])[0])
            for p in self.points
        ]
        self.layering = [sensor_position(p.location, self.places[p.zone])[1] for p in self.points]

    def _usual_emission(self) -> NDArray[np.float64]:
        """Return what the seam and the machines give off on a normal day (cells, 5) [m3/s]."""
        usual = np.zeros((len(self.gas.zone_of), len(CARRIED)))
        for zone, place in enumerate(self.places):
            q = float(self.usual.zone[zone])
            rows = slice(int(self.gas.first[zone]), int(self.gas.last[zone]) + 1)
            cells = rows.stop - rows.start
            methane = q * place.methane_rise_pct / 100.0
            usual[rows, CH4] = methane * (1.0 - place.face_share) / cells
            usual[self.gas.cell(zone, place.release_at), CH4] += methane * place.face_share
            usual[rows, CO] = q * 0.4e-6 / cells
            usual[rows, CO2] = q * 1.0e-4 / cells
        return usual

    @property
    def t_s(self) -> float:
        """Time of the mine [s]."""
        return self._steps * self._step_s

    # --- what can be done to it --------------------------------------------------------------

    def emit(
        self, zone: str, m3_per_min: float, *, over_s: float, for_s: float, location: str = ""
    ) -> None:
        """Let additional methane out: at `location`, or where things happen in that class of zone.

        Raises
        ------
        KeyError
            For an unknown zone.
        """
        rate = np.zeros(len(CARRIED))
        rate[CH4] = m3_per_min / 60.0
        self._release(zone, location, rate, over_s, for_s)

    def burn(
        self,
        zone: str,
        kind: str,
        megawatt: float,
        *,
        over_s: float,
        for_s: float,
        location: str = "",
    ) -> None:
        """Start a fire or a heating (`kind`) that grows to `megawatt`, where `emit` would.

        Raises
        ------
        KeyError
            For an unknown zone or kind.
        """
        self._release(zone, location, SOURCES[kind] * megawatt, over_s, for_s)

    def quench(self, zone: str) -> None:
        """End every additional release in a zone."""
        index = self.zone_index[zone]
        self._releases = [r for r in self._releases if r.zone != index]

    def _release(
        self, zone: str, location: str, rate: NDArray[np.float64], over_s: float, for_s: float
    ) -> None:
        index = self.zone_index[zone]
        fraction = sensor_position(location, self.places[index])[0]
        cell = self.gas.cell(index, fraction)
        self._releases.append(Release(index, cell, rate, self.t_s, over_s, for_s))

    def run_fan(self, device: str, *, running: bool) -> None:
        """Start or stop the fan of a device.

        Raises
        ------
        KeyError
            For a device that is no fan.
        """
        if device not in self.fan_told:
            raise KeyError(device)
        self.fan_told[device] = running

    def let_barometer_fall(self, hpa_per_h: float) -> None:
        """Let the barometer fall (or, below 0, rise) from now on."""
        self._barometer_fall_hpa_h = hpa_per_h

    # --- time --------------------------------------------------------------------------------

    def update(self, t_ns: int) -> Mapping[str, float]:
        """Move on to `t_ns` and return what every point would measure there, by point id.

        Values are in the quantities' canonical units, with the noise of a good sensor. A time
        that has passed already returns the present.
        """
        self.advance(t_ns)
        return {p.id: shown(self, index) for index, p in enumerate(self.points)}

    def advance(self, t_ns: int) -> None:
        """Move on to `t_ns` in whole steps."""
        while self._steps < t_ns // round(self._step_s * S):
            self._step()

    def _step(self) -> None:
        dt = self._step_s
        draw = self._random.standard_normal(len(self._activity) + len(self.points))
        kick = draw[: len(self._activity)]
        self.noise = draw[len(self._activity) :]
        self._activity += (
            -self._activity * dt / _ACTIVITY_S + _ACTIVITY_SD * np.sqrt(2 * dt / _ACTIVITY_S) * kick
        )
        self._move_barometer(dt)
        self._turn_fans(dt)
        self.gas.step(dt, self.flow, self._released())
        self._steps += 1

    def _move_barometer(self, dt: float) -> None:
        before = self.barometer_hpa
        wave = 2 * np.pi / 43_200.0
        tide = _TIDE_HPA * wave * float(np.cos(wave * self.t_s))
        self.barometer_hpa += dt * (tide - self._barometer_fall_hpa_h / 3600.0)
        self._falling_hpa_h = (before - self.barometer_hpa) / dt * 3600.0

    def _turn_fans(self, dt: float) -> None:
        """Let each fan's air follow its switch; work the network out anew while it changes."""
        part = 1.0 - float(np.exp(-dt / FAN_RUN_DOWN_S))
        speeds = {
            device: speed + (float(self.fan_told[device]) - speed) * part
            for device, speed in self._fan_speed.items()
        }
        if all(abs(speeds[d] - self._fan_speed[d]) < _SETTLED for d in speeds):
            return
        self._fan_speed = speeds
        ducts = np.ones(len(self.zone_ids))
        for zone in {z for fan in self.fans for z in fan.zones}:
            fastest = max(speeds[fan.device] for fan in self.fans if zone in fan.zones)
            ducts[zone] = max(DUCT_LEAK, fastest)
        self.flow = self.network.flow(max(NATURAL_DRAUGHT, self.main_speed()), ducts)

    def _released(self) -> NDArray[np.float64]:
        """Return what comes out everywhere now (cells, 5) [m3/s]."""
        goaf = 1.0 + _GOAF_PER_HPA_H * max(0.0, self._falling_hpa_h)
        shear = 1.0 + _SHEAR_PART * float(np.sin(2 * np.pi * self.t_s / _SHEAR_S))
        worked = np.array([shear if kind == "face" else 1.0 for kind in self.kinds])
        strength = np.clip(1.0 + self._activity, 0.7, 1.3) * worked * goaf
        out = self._seam.copy()
        out[:, CH4] *= strength[self.gas.zone_of]
        alive = []
        for release in self._releases:
            rate = release.now(self.t_s)
            if rate is not None:
                out[release.cell] += rate
                alive.append(release)
        self._releases = alive
        return out

    # --- what can be seen of it --------------------------------------------------------------

    def main_speed(self) -> float:
        """Return how much of its usual air the main fan moves, 0..1; 1 if none is configured."""
        main = [self._fan_speed[fan.device] for fan in self.fans if fan.main]
        return min(1.0, max(main)) if main else 1.0

    def fan_speed(self, index: int) -> float:
        """Return the speed, as a part of the usual one, of the fan that point `index` belongs to.

        A point of another device shows the fastest main fan, which is the one on duty.
        """
        return self._fan_speed.get(self.points[index].device, self.main_speed())

    def velocity_m_s(self, zone: int) -> float:
        """Return the air velocity in a zone."""
        return float(self.flow.zone[zone] / self.area_m2[zone])

    def content(self, index: int) -> NDArray[np.float64]:
        """Return what the air at point `index` carries (5,), as in `simulators.gas.CARRIED`."""
        return np.asarray(self.gas.content[self.cell[index]])
