"""The shape of every table of the configuration file, as strict pydantic models.

A model checks one table by itself: keys, types, spans. Defaults stand in `gateway.config` alone:
a key that the file leaves out is left out here too. What tables say about each other is checked
in `gateway.config_checks`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field

ABSENT: Final[Any] = None
"""Stands for a key that the file may leave out; its default is the dataclass's."""

Id = Annotated[str, Field(pattern=r"^\w[\w-]*$", max_length=64)]
Text = Annotated[str, Field(max_length=2000)]
Filled = Annotated[str, Field(min_length=1, max_length=2000)]
Seconds = Annotated[float, Field(gt=0, le=86_400 * 365)]
SecondsOrZero = Annotated[float, Field(ge=0, le=86_400 * 365)]
Port = Annotated[int, Field(ge=1, le=65_535)]
Unit = Annotated[int, Field(ge=1, le=247)]
Address = Annotated[int, Field(ge=0, le=65_535)]
Pair = Annotated[list[float], Field(min_length=2, max_length=2)]
Persons = Annotated[list[Filled], Field(min_length=2, max_length=2)]
Date = Annotated[str, Field(pattern=r"^\d{4}-\d{2}-\d{2}$")]


class Table(BaseModel):
    """Unknown keys are errors; a text is not a number and a number not a text."""

    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)


class SiteTable(Table):
    """``[site]``."""

    id: Id
    name: Filled
    profile: Filled
    gas_category: Literal["low", "high", "outburst"]
    timezone: Filled = ABSENT
    language: Literal["en", "zh"] = ABSENT
    sensor_to_alarm_bar_s: Seconds = ABSENT
    lost_after_s: Seconds = ABSENT
    back_after_s: Seconds = ABSENT
    realarm_s: SecondsOrZero = ABSENT


class ZoneTable(Table):
    """``[[zone]]``."""

    id: Id
    zone_class: Filled = Field(alias="class")
    name: Text = ABSENT
    downwind: list[str] = ABSENT
    airflow: list[str] = ABSENT


class LinkTable(Table):
    """``[[link]]``."""

    id: Id
    transport: Literal["tcp"]
    host: Filled
    port: Port = ABSENT
    timeout_s: Annotated[float, Field(gt=0, le=60)] = ABSENT
    spacing_ms: Annotated[float, Field(ge=0, le=10_000)] = ABSENT


class BrokerTable(Table):
    """``[mqtt]``."""

    host: Filled
    port: Port = ABSENT
    client_id: Filled = ABSENT
    user: Text = ABSENT
    password_file: Filled = ABSENT
    tls: bool = ABSENT
    ca_file: Filled = ABSENT
    cert_file: Filled = ABSENT
    key_file: Filled = ABSENT
    keepalive_s: Annotated[int, Field(ge=1, le=3600)] = ABSENT


class DeviceTable(Table):
    """``[[device]]``."""

    id: Id
    type: Filled
    zone: Filled
    location: Text = ABSENT
    link: Filled = ABSENT
    unit: Unit = ABSENT
    topic: Filled = ABSENT
    qos: Literal[0, 1] = ABSENT
    points: Annotated[dict[str, str], Field(min_length=1)]
    paths: dict[str, Filled] = ABSENT
    time_path: Filled = ABSENT
    units: dict[str, Filled] = ABSENT
    poll_s: Annotated[float, Field(ge=0.05, le=3600)] = ABSENT
    max_age_s: Seconds = ABSENT
    range: dict[str, Pair] = ABSENT
    catalytic: bool = ABSENT
    lel_pct_vol: Annotated[float, Field(gt=0, lt=100)] = ABSENT
    base_address: Address = ABSENT
    order: Literal["ABCD", "CDAB", "BADC", "DCBA"] = ABSENT
    name: Text = ABSENT


class PointTable(Table):
    """``[[point]]``."""

    id: Filled
    zone: Filled = ABSENT
    location: Filled = ABSENT
    name: Text = ABSENT
    range: Pair = ABSENT
    max_age_s: Seconds = ABSENT
    catalytic: bool = ABSENT
    limits: dict[str, float] = ABSENT


class RuleTable(Table):
    """``[[rule]]``."""

    id: Id
    point: Filled
    kind: Literal["limit", "abnormal_emission"]
    level: Literal["ALERT", "ALARM", "DANGER"]
    demands: list[Literal["SOUND", "CUT_POWER", "WITHDRAW"]] = ABSENT
    scope: list[str] = ABSENT
    op: Literal[">", ">=", "<", "<="] = ABSENT
    limit: float = ABSENT
    reset_op: Literal[">", ">=", "<", "<="] = ABSENT
    reset: float = ABSENT
    on_delay_s: SecondsOrZero = ABSENT
    off_delay_s: SecondsOrZero = ABSENT
    rise_per_min: Annotated[float, Field(gt=0)] = ABSENT
    reset_per_min: float = ABSENT
    window_s: Annotated[float, Field(ge=1, le=86_400)] = ABSENT
    min_samples: Annotated[int, Field(ge=2, le=256)] = ABSENT
    guidance: Text = ABSENT


class PeerTable(Table):
    """``[[peer]]``."""

    id: Id
    link: Filled
    unit: Unit
    heartbeat: Address
    permissive: Address
    watchdog_s: Annotated[float, Field(gt=0, le=600)]
    zones: Annotated[list[str], Field(min_length=1)]


class OutputTable(Table):
    """``[[output]]``."""

    id: Id
    kind: Literal["modbus-coil", "mqtt"]
    zones: Annotated[list[str], Field(min_length=1)]
    demand: Literal["SOUND", "CUT_POWER", "WITHDRAW", "FAULT"]
    peer: Filled = ABSENT
    link: Filled = ABSENT
    unit: Unit = ABSENT
    address: Address = ABSENT
    topic: Filled = ABSENT
    readback_topic: Filled = ABSENT
    readback: bool = ABSENT
    feed: Filled = ABSENT
    stops_ventilation: bool = ABSENT
    name: Text = ABSENT


class ExemptionTable(Table):
    """``[[exemption]]``."""

    point: Filled
    step: Filled
    limit: float
    authority: Filled
    document: Filled
    persons: Persons
    reason: Filled
    expires: Date


class JournalTable(Table):
    """``[journal]``."""

    path: Filled
    max_readings_mb: Annotated[int, Field(ge=1, le=100_000_000)] = ABSENT
    readings_commit_s: Annotated[float, Field(gt=0, le=0.5)] = ABSENT


class InfluxTable(Table):
    """``[influxdb]``."""

    url: Annotated[str, Field(pattern=r"^https?://")]
    org: Text
    bucket: Filled
    token_file: Filled = ABSENT
    batch_lines: Annotated[int, Field(ge=1, le=100_000)] = ABSENT
    timeout_s: Annotated[float, Field(gt=0, le=600)] = ABSENT


class ApiTable(Table):
    """``[api]``."""

    host: Filled = ABSENT
    port: Port = ABSENT
    tokens_file: Filled = ABSENT
    max_streams: Annotated[int, Field(ge=1, le=100_000)] = ABSENT


class CommandsTable(Table):
    """``[commands]``."""

    socket: Annotated[str, Field(min_length=1, max_length=100)]
    operators: list[Filled] = ABSENT
    api_user: Text = ABSENT


class HistorianTable(Table):
    """``[historian]``."""

    path: Filled
    keep_days: Annotated[int, Field(ge=1, le=36_500)] = ABSENT


@dataclass(frozen=True, slots=True)
class Section:
    """One kind of table: its model, and how often it stands in the file."""

    model: type[Table]
    many: bool
    required: bool = False


SECTIONS: Final[Mapping[str, Section]] = {
    "site": Section(SiteTable, many=False, required=True),
    "zone": Section(ZoneTable, many=True, required=True),
    "link": Section(LinkTable, many=True),
    "mqtt": Section(BrokerTable, many=False),
    "device": Section(DeviceTable, many=True, required=True),
    "point": Section(PointTable, many=True),
    "rule": Section(RuleTable, many=True),
    "peer": Section(PeerTable, many=True),
    "output": Section(OutputTable, many=True),
    "exemption": Section(ExemptionTable, many=True),
    "journal": Section(JournalTable, many=False, required=True),
    "historian": Section(HistorianTable, many=False),
    "api": Section(ApiTable, many=False),
    "commands": Section(CommandsTable, many=False, required=True),
    "influxdb": Section(InfluxTable, many=False),
}

NOT_YET: Final[Mapping[str, str]] = {
    "derived": "derived points are not in this version; remove the table",
    "vote": "voting groups are not in this version; each sensor raises its own alarm",
    "uplink": "the uplink to a fleet is not in this version; remove the table",
}
"""Tables of the language that this version refuses, each with what to do."""
