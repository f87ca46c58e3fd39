"""A site: the plan of the engine, and what links, broker and output controllers are told."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from alarms.actuators.modbus_output import CoilOutput, PeerPort
from alarms.actuators.mqtt_output import MqttOutput
from alarms.plan import Plan
from gateway.config import Config, DeviceConfig
from gateway.config_draft import device_spec, is_mqtt
from gateway.config_file import device_types
from gateway.site_plan import SitePlan, compile_plan, without_own_points
from sensors.payloads import BrokerSpec, MqttDeviceSpec
from sensors.reading_plan import ModbusLinkSpec


@dataclass(frozen=True, slots=True)
class Site:
    """Everything that the core is built from.

    Parameters
    ----------
    coil_outputs, peers : dict
        Per Modbus link id; their `index` counts all outputs, and all peers, of the site.
    peer_zones : tuple
        Per peer the indices of the zones that it serves.
    """

    config: Config
    compiled: SitePlan
    modbus_links: tuple[ModbusLinkSpec, ...]
    broker: BrokerSpec | None
    coil_outputs: Mapping[str, tuple[CoilOutput, ...]]
    peers: Mapping[str, tuple[PeerPort, ...]]
    mqtt_outputs: tuple[MqttOutput, ...]
    peer_zones: tuple[tuple[int, ...], ...]

    @property
    def plan(self) -> Plan:
        """The plan of the engine."""
        return self.compiled.plan

    @property
    def health_points(self) -> dict[str, int]:
        """Point index of each part of the gateway: ``gateway.journal``, ``link.<id>`` …."""
        return self.compiled.health_points

    def own_plan(self) -> Plan:
        """Return the plan without the points that the gateway makes about itself."""
        return without_own_points(self.compiled)


def build(config: Config) -> Site:
    """Compile a valid configuration.

    Raises
    ------
    OSError
        If a secret's file can no longer be read.
    """
    compiled = compile_plan(config, device_types())
    zone_at = {zone.id: n for n, zone in enumerate(config.zones)}
    return Site(
        config=config,
        compiled=compiled,
        modbus_links=_links(config, compiled.plan),
        broker=_broker(config, compiled.plan),
        coil_outputs=_coils(config),
        peers=_peers(config),
        mqtt_outputs=tuple(
            MqttOutput(n, output.topic, output.readback_topic if output.readback else "")
            for n, output in enumerate(config.outputs)
            if output.kind == "mqtt"
        ),
        peer_zones=tuple(tuple(zone_at[z] for z in peer.zones) for peer in config.peers),
    )


def plan_of(config: Config) -> Plan:
    """Return the plan of a valid configuration alone; needs no secret."""
    return compile_plan(config, device_types()).plan


def _points(device: DeviceConfig, plan: Plan) -> dict[str, int]:
    return {key: plan.points.index[f"{device.id}.{key}"] for key in device.points}


def _links(config: Config, plan: Plan) -> tuple[ModbusLinkSpec, ...]:
    return tuple(
        ModbusLinkSpec(
            id=link.id,
            host=link.host,
            port=link.port,
            timeout_s=link.timeout_s,
            spacing_s=link.spacing_ms / 1e3,
            devices=tuple(
                device_spec(device, _points(device, plan))
                for device in config.devices
                if not is_mqtt(device) and device.link == link.id
            ),
        )
        for link in config.links
    )


def _broker(config: Config, plan: Plan) -> BrokerSpec | None:
    mqtt = config.mqtt
    if mqtt is None:
        return None
    return BrokerSpec(
        host=mqtt.host,
        port=mqtt.port,
        client_id=mqtt.client_id,
        user=mqtt.user,
        password=_secret(mqtt.password_file),
        tls=mqtt.tls,
        ca_file=str(mqtt.ca_file or ""),
        cert_file=str(mqtt.cert_file or ""),
        key_file=str(mqtt.key_file or ""),
        keepalive_s=mqtt.keepalive_s,
        devices=tuple(
            MqttDeviceSpec(
                id=device.id,
                type=device.type,
                topic=device.topic,
                qos=device.qos,
                points=_points(device, plan),
                paths=dict(device.paths),
                units=dict(device.units),
                time_path=device.time_path,
                lel_pct_vol=device.lel_pct_vol,
                quantities=dict(device.points),
            )
            for device in config.devices
            if is_mqtt(device)
        ),
    )


def _secret(file: Path | None) -> str:
    """Return the secret in a file, without the line end that editors add."""
    return "" if file is None else file.read_text(encoding="utf-8").rstrip("\r\n")


def _coils(config: Config) -> dict[str, tuple[CoilOutput, ...]]:
    peers = {peer.id: peer for peer in config.peers}
    found: dict[str, list[CoilOutput]] = {}
    for n, output in enumerate(config.outputs):
        if output.kind == "modbus-coil":
            peer = peers.get(output.peer)
            link, unit = (peer.link, peer.unit) if peer else (output.link, output.unit)
            coil = CoilOutput(n, unit, output.address, output.readback)
            found.setdefault(link, []).append(coil)
    return {link: tuple(coils) for link, coils in found.items()}


def _peers(config: Config) -> dict[str, tuple[PeerPort, ...]]:
    found: dict[str, list[PeerPort]] = {}
    for n, peer in enumerate(config.peers):
        port = PeerPort(n, peer.unit, peer.heartbeat, peer.permissive)
        found.setdefault(peer.link, []).append(port)
    return {link: tuple(ports) for link, ports in found.items()}
