"""The configuration as frozen dataclasses: what a valid file says, with units in the names.

`gateway.config_file.load` makes these from TOML and reports every error with file and line;
`gateway.site.build` compiles them, with the regulatory profile, into tables.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

GasCategory = Literal["low", "high", "outburst"]
DemandWord = Literal["SOUND", "CUT_POWER", "WITHDRAW"]
LevelWord = Literal["ALERT", "ALARM", "DANGER"]
OpWord = Literal[">", ">=", "<", "<="]


@dataclass(frozen=True, slots=True)
class SiteConfig:
    """``[site]``."""

    id: str
    name: str
    profile: str
    gas_category: GasCategory
    timezone: str = "UTC"
    language: str = "en"
    sensor_to_alarm_bar_s: float = 30.0
    lost_after_s: float | None = None
    back_after_s: float | None = None
    realarm_s: float = 0.0


@dataclass(frozen=True, slots=True)
class ZoneConfig:
    """``[[zone]]``: `airflow` names the points that say whether the air goes as planned."""

    id: str
    zone_class: str
    name: str = ""
    downwind: tuple[str, ...] = ()
    airflow: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class LinkConfig:
    """``[[link]]``: one Modbus connection, owned by one task."""

    id: str
    transport: Literal["tcp"]
    host: str
    port: int = 502
    timeout_s: float = 0.5
    spacing_ms: float = 0.0


@dataclass(frozen=True, slots=True)
class BrokerConfig:
    """``[mqtt]``: the broker session. Secrets only as files."""

    host: str
    port: int = 1883
    client_id: str = "firedamp"
    user: str = ""
    password_file: Path | None = None
    tls: bool = False
    ca_file: Path | None = None
    cert_file: Path | None = None
    key_file: Path | None = None
    keepalive_s: int = 10


@dataclass(frozen=True, slots=True)
class DeviceConfig:
    """``[[device]]``: `points` maps a key of the device type to a quantity."""

    id: str
    type: str
    zone: str
    location: str = ""
    link: str = ""
    unit: int = 0
    topic: str = ""
    qos: int = 1
    points: Mapping[str, str] = field(default_factory=dict)
    paths: Mapping[str, str] = field(default_factory=dict)
    time_path: str = ""
    units: Mapping[str, str] = field(default_factory=dict)
    poll_s: float = 1.0
    max_age_s: float | None = None
    range: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    catalytic: bool = False
    lel_pct_vol: float | None = None
    base_address: int = 0
    order: str = ""
    name: str = ""


@dataclass(frozen=True, slots=True)
class PointConfig:
    """``[[point]]``: what differs from the device for one of its points.

    `limits` maps a step of the profile to a stricter limit [the point's unit].
    """

    id: str
    zone: str = ""
    location: str = ""
    name: str = ""
    range: tuple[float, float] | None = None
    max_age_s: float | None = None
    catalytic: bool | None = None
    limits: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class RuleConfig:
    """``[[rule]]``: a limit or a trend beyond the profile's.

    `scope` holds zone ids, or ``all`` alone; empty means the point's own zone.
    """

    id: str
    point: str
    kind: Literal["limit", "abnormal_emission"]
    level: LevelWord
    demands: tuple[DemandWord, ...] = ()
    scope: tuple[str, ...] = ()
    op: OpWord = ">="
    limit: float | None = None
    reset_op: OpWord | None = None
    reset: float | None = None
    on_delay_s: float = 0.0
    off_delay_s: float = 0.0
    rise_per_min: float | None = None
    reset_per_min: float | None = None
    window_s: float = 300.0
    min_samples: int = 5
    guidance: str = ""


@dataclass(frozen=True, slots=True)
class PeerConfig:
    """``[[peer]]``: an output controller with its own watchdog."""

    id: str
    link: str
    unit: int
    heartbeat: int
    permissive: int
    watchdog_s: float
    zones: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class OutputConfig:
    """``[[output]]``: one siren, beacon or power cut; `feed` is a point on its load side."""

    id: str
    kind: Literal["modbus-coil", "mqtt"]
    zones: tuple[str, ...]
    demand: Literal["SOUND", "CUT_POWER", "WITHDRAW", "FAULT"]
    peer: str = ""
    link: str = ""
    unit: int = 0
    address: int = 0
    topic: str = ""
    readback_topic: str = ""
    readback: bool = True
    feed: str = ""
    stops_ventilation: bool = False
    name: str = ""


@dataclass(frozen=True, slots=True)
class ExemptionConfig:
    """``[[exemption]]``: a limit looser than the profile's, with who allowed it and until when."""

    point: str
    step: str
    limit: float
    authority: str
    document: str
    persons: tuple[str, str]
    reason: str
    expires: str


@dataclass(frozen=True, slots=True)
class JournalConfig:
    """``[journal]``."""

    path: Path
    max_readings_mb: int = 20_000
    readings_commit_s: float = 0.5


@dataclass(frozen=True, slots=True)
class InfluxConfig:
    """``[influxdb]``: absent means no sink."""

    url: str
    org: str
    bucket: str
    token_file: Path | None = None
    batch_lines: int = 5_000
    timeout_s: float = 10.0


@dataclass(frozen=True, slots=True)
class ApiConfig:
    """``[api]``: `tokens_file` holds one hashed token a line with its role and name."""

    host: str = "127.0.0.1"
    port: int = 8080
    tokens_file: Path | None = None
    max_streams: int = 64


@dataclass(frozen=True, slots=True)
class CommandsConfig:
    """``[commands]``: the local socket and who may use it."""

    socket: Path
    operators: tuple[str, ...] = ()
    api_user: str = ""


@dataclass(frozen=True, slots=True)
class HistorianConfig:
    """``[historian]``: absent means no Parquet files."""

    path: Path
    keep_days: int = 800


@dataclass(frozen=True, slots=True)
class Config:
    """A whole, valid configuration.

    Tables of one kind stand in the order of the file: ``outputs[3]`` is the fourth
    ``[[output]]``, and `lines` gives its line under ``("output", 3)``. `text` is the file as
    read; it holds no secret, because secrets stand in files of their own.
    """

    file: Path
    site: SiteConfig
    zones: tuple[ZoneConfig, ...]
    links: tuple[LinkConfig, ...]
    devices: tuple[DeviceConfig, ...]
    journal: JournalConfig
    commands: CommandsConfig
    api: ApiConfig = ApiConfig()
    mqtt: BrokerConfig | None = None
    influxdb: InfluxConfig | None = None
    historian: HistorianConfig | None = None
    points: tuple[PointConfig, ...] = ()
    rules: tuple[RuleConfig, ...] = ()
    peers: tuple[PeerConfig, ...] = ()
    outputs: tuple[OutputConfig, ...] = ()
    exemptions: tuple[ExemptionConfig, ...] = ()
    digest: str = ""
    text: str = field(default="", repr=False)
    lines: Mapping[tuple[str | int, ...], int] = field(
        default_factory=dict, repr=False, compare=False
    )
