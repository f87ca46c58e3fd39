"""A small mine by hand: its plan, and live states as the core would publish them."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from alarms.alarm_table import AlarmSpec, alarm_table
from alarms.events import Row, State
from alarms.plan import Demand, Level, LimitRule, LossRule, OutputSpec, Plan, Source, ZoneSpec
from gateway.api.catalogue import Catalogue
from gateway.api.picture import Now, Picture, picture
from gateway.config import (
    ApiConfig,
    CommandsConfig,
    Config,
    ExemptionConfig,
    JournalConfig,
    SiteConfig,
)
from gateway.live_state import LiveState
from sensors.frame import NO_SOURCE_TIME
from sensors.freshness import NEVER
from sensors.points import PointSpec, PointTable
from sensors.quality import Quality

S: Final = 1_000_000_000
T: Final = 1_795_392_000 * S  # 2026-11-23T00:00:00Z
MONOTONIC: Final = 5_000 * S
NOW: Final = Now(MONOTONIC, T)
LAW: Final = Source("cn-coal-2025", "2025", "Art. 154", "order 17", "yes")

FACE, RETURN, GATEWAY = 0, 1, 2
GAS, CO, FAN, PEOPLE, FEED, HEALTH = range(6)

POINTS: Final = PointTable.of(
    (
        PointSpec(
            "T1.gas",
            "CH4",
            FACE,
            "T1",
            "longwall_face",
            0.0,
            4.0,
            description="Methane at the face",
        ),
        PointSpec("C1.co", "CO", RETURN, "C1", "face_return", 0.0, 500.0),
        PointSpec("F1.run", "fan_run", RETURN, "F1", description="Booster fan"),
        PointSpec("P1.people", "people", FACE, "P1", guards=False),
        PointSpec("IO1.feed", "feed", FACE, "IO1", guards=False),
        PointSpec("gateway.journal", "health", GATEWAY, guards=False),
    )
)
LEAVE: Final = ((Demand.SOUND, (FACE, RETURN)), (Demand.WITHDRAW, (FACE, RETURN)))
PLAN: Final = Plan(
    POINTS,
    (
        ZoneSpec(
            "LW101",
            "longwall_face",
            "Longwall 101",
            (RETURN,),
            (),
            LossRule(120.0, 60.0, Level.DANGER, LEAVE, LAW),
        ),
        ZoneSpec("return", "face_return", "Return of longwall 101"),
        ZoneSpec("gateway", "gateway", "The gateway itself"),
    ),
    (
        LimitRule(
            "T1.gas/alarm", GAS, ">=", 1.0, "<", 1.0, Level.ALARM, ((Demand.SOUND, ()),), source=LAW
        ),
        LimitRule(
            "T1.gas/withdraw",
            GAS,
            ">=",
            1.5,
            "<",
            1.0,
            Level.DANGER,
            LEAVE,
            source=LAW,
            guidance="Leave by the intake.",
        ),
        LimitRule("C1.co/alert", CO, ">=", 24.0, "<", 24.0, Level.ALERT),
        LimitRule("gateway.journal/alarm", HEALTH, "<", 1.0, ">=", 1.0, Level.ALARM),
    ),
    outputs=(
        OutputSpec("siren", (FACE, RETURN), Demand.WITHDRAW, name="Evacuation siren"),
        OutputSpec("power", (FACE,), Demand.CUT_POWER, feed_point=FEED, name="Power cut"),
        OutputSpec("beacon", (FACE,), Demand.NONE, on_fault=True),
    ),
    all_zones=(FACE, RETURN),
)
# What a well mine shows, by quantity.
NORMAL: Final = {
    "CH4": 0.42,
    "CO": 3.0,
    "CO2": 0.06,
    "O2": 20.7,
    "smoke": 0.0,
    "temperature": 24.5,
    "humidity": 82.0,
    "air_velocity": 1.85,
    "air_quantity": 42.0,
    "pressure": 2150.0,
    "barometer": 1012.4,
    "fan_speed": 86.0,
    "fan_current": 212.0,
    "bearing_temperature": 58.0,
    "vibration": 2.1,
    "call_point": 0.0,
    "door": 0.0,
    "people": 12.0,
    "dust": 3.2,
}


def config(folder: Path, *, tokens: Path | None = None, max_streams: int = 64) -> Config:
    return Config(
        file=folder / "config.toml",
        site=SiteConfig("pretend", "Pretend mine", "cn-coal-2025", "high", "Asia/Shanghai"),
        zones=(),
        links=(),
        devices=(),
        journal=JournalConfig(folder / "journal"),
        commands=CommandsConfig(folder / "sock"),
        api=ApiConfig(tokens_file=tokens, max_streams=max_streams),
        exemptions=(
            ExemptionConfig(
                "T1.gas", "alarm", 1.0, "Bureau", "2026-1", ("Li", "Wu"), "x", "2027-01-01"
            ),
        ),
        digest="d1",
    )


@dataclass(slots=True)
class LiveMine:
    """What the core knows; everything well until a test says otherwise."""

    t_ns: int = T
    step: int = 7
    digest: str = "d1"
    last_seq: int = 0
    committed_seq: int = 0
    published_monotonic_ns: int = MONOTONIC
    wall_offset_ns: int = 0
    acks: dict[str, Any] = field(default_factory=dict)
    health: dict[str, Any] = field(default_factory=lambda: {"journal": {"ok": True, "reason": ""}})
    links: list[dict[str, Any]] = field(default_factory=lambda: [link()])
    plan: Plan = PLAN
    arrays: dict[str, NDArray[Any]] = field(default_factory=dict)
    specs: tuple[AlarmSpec, ...] = ()

    def __post_init__(self) -> None:
        plan = self.plan
        self.specs = alarm_table(plan)
        n, a, z, o = len(plan.points), len(self.specs), len(plan.zones), len(plan.outputs)
        normal = [NORMAL.get(spec.quantity, 1.0) for spec in plan.points.specs]
        self.arrays = {
            "point_value": np.array(normal),
            "point_quality": np.zeros(n, dtype=np.uint8),
            "point_received_ns": np.full(n, self.t_ns - S, dtype=np.int64),
            "point_source_ns": np.full(n, NO_SOURCE_TIME, dtype=np.int64),
            "alarm_state": np.zeros(a, dtype=np.int8),
            "alarm_condition": np.zeros(a, dtype=np.uint8),
            "alarm_in_force": np.zeros(a, dtype=np.uint8),
            "alarm_since_ns": np.zeros(a, dtype=np.int64),
            "alarm_raised_ns": np.zeros(a, dtype=np.int64),
            "alarm_last_seq": np.zeros(a, dtype=np.int64),
            "alarm_value": np.full(a, np.nan),
            "alarm_until_ns": np.full(a, NEVER, dtype=np.int64),
            "zone_level": np.zeros(z, dtype=np.int8),
            "zone_demands": np.zeros(z, dtype=np.int8),
            "zone_lost_since_ns": np.full(z, NEVER, dtype=np.int64),
            "output_commanded": np.zeros(o, dtype=np.int8),
            "output_readback": np.zeros(o, dtype=np.int8),
            "output_since_ns": np.full(o, self.t_ns - 60 * S, dtype=np.int64),
        }

    def reads(
        self, point: int, value: float, quality: Quality = Quality.GOOD, age_s: float = 1.0
    ) -> None:
        self.arrays["point_value"][point] = value
        self.arrays["point_quality"][point] = quality
        self.arrays["point_received_ns"][point] = self.t_ns - round(age_s * S)

    def alarm(
        self,
        name: str,
        state: State = State.UNACKED,
        *,
        seq: int = 1,
        value: float = np.nan,
        age_s: float = 5.0,
    ) -> None:
        """Put an alarm into force, with the levels and demands of its zones."""
        a = [spec.id for spec in self.specs].index(name)
        spec = self.specs[a]
        columns = self.arrays
        columns["alarm_state"][a] = state
        columns["alarm_condition"][a] = columns["alarm_in_force"][a] = 1
        columns["alarm_since_ns"][a] = self.t_ns - round(age_s * S)
        columns["alarm_last_seq"][a] = seq
        columns["alarm_value"][a] = value
        self.last_seq = max(self.last_seq, seq)
        columns["zone_level"][spec.zone] = max(columns["zone_level"][spec.zone], spec.level)
        for demand, zones in spec.demands:
            for z in zones or (spec.zone,):
                columns["zone_demands"][z] |= demand

    def evacuation(self) -> None:
        """Methane over the withdrawal limit; sirens on."""
        self.reads(GAS, 1.73)
        self.alarm("T1.gas/alarm", seq=1, value=1.02, age_s=30.0)
        self.alarm("T1.gas/withdraw", seq=2, value=1.55, age_s=10.0)
        self.arrays["output_commanded"][0] = self.arrays["output_readback"][0] = 1

    def meta(self) -> dict[str, Any]:
        return {
            "step": self.step,
            "t_ns": self.t_ns,
            "wall_offset_ns": self.wall_offset_ns,
            "digest": self.digest,
            "started_t_ns": T - 3600 * S,
            "published_monotonic_ns": self.published_monotonic_ns,
            "last_seq": self.last_seq,
            "committed_seq": self.committed_seq,
            "links": self.links,
            "health": self.health,
            "acks": self.acks,
            "peers": [{"id": "plc-east", "proven": False}],
            "last_step_ns": self.t_ns,
        }

    def state(self) -> LiveState:
        return LiveState(self.meta(), self.arrays)


def link(name: str = "east", *, connected: bool = True, polls: int = 100) -> dict[str, Any]:
    return {
        "id": name,
        "kind": "modbus-tcp",
        "connected": connected,
        "polls": polls,
        "good": polls - 1,
        "errors": {"timeout": 1},
        "reconnects": 0,
        "last_error": "" if connected else "timeout",
        "last_good_age_s": 0.2,
    }


def book() -> Catalogue:
    return Catalogue.of(config(Path("nowhere")), PLAN)


def shown(live: LiveMine, now: Now = NOW) -> Picture:
    found = picture(book(), live.state(), now)
    assert isinstance(found, Picture)
    return found


def row(seq: int, rule: str = "T1.gas/withdraw", t_ns: int = T) -> Row:
    return Row(
        seq, t_ns, rule, "T1.gas", "LW101", "NORMAL", "UNACKED", "NORMAL", "DANGER",
        ("SOUND", "WITHDRAW"), "value >= 1.5", 1.55, "GOOD", "", 0,
    )  # fmt: skip
