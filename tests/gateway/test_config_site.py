"""What a configuration becomes: every limit at its place, every scope, every link and output."""

from __future__ import annotations

from pathlib import Path

import pytest

from alarms.alarm_table import alarm_table
from alarms.engine import Engine
from alarms.plan import Demand, Level, LimitRule, Plan
from gateway.config import Config
from gateway.config_file import load, parse
from gateway.site import Site, build, plan_of

ROOT = Path(__file__).parents[2]
SHIPPED = ROOT / "config.toml"
TEXT = SHIPPED.read_text("utf-8")
SMALL = ROOT / "tests" / "data" / "small.toml"
SITE = build(load(SHIPPED))

FACE, FACE_RETURN = "LW101", "LW101-return"
CUT, OUT = "CUT_POWER", "WITHDRAW"

# Typed in by hand from the tables of the profile: rule -> (op, limit, reset op, reset, level, cut
# where, withdraw where); "" is nowhere.
RULES: dict[str, tuple[str, float, str, float, str, str, str]] = {
    "T0-101.gas/alarm": (">=", 1.0, "<", 1.0, "ALARM", "", ""),
    "T0-101.gas/power-off": (">=", 1.5, "<", 1.0, "DANGER", "LW101 LW101-return", ""),
    "T0-101.gas/withdraw": (">=", 1.5, "<", 1.0, "DANGER", "LW101", "LW101"),
    "T1-101.gas/alarm": (">=", 1.0, "<", 1.0, "ALARM", "", ""),
    "T1-101.gas/power-off": (">=", 1.5, "<", 1.0, "DANGER", "LW101 LW101-return", ""),
    "T1-101.gas/withdraw": (">=", 1.5, "<", 1.0, "DANGER", "LW101", "LW101"),
    "T2-101.gas/alarm": (">=", 0.8, "<", 0.8, "ALARM", "", ""),  # stricter by [[point]]
    "T2-101.gas/power-off": (">=", 1.0, "<", 1.0, "DANGER", "LW101 LW101-return", ""),
    "T2-101.gas/withdraw": (
        *(">", 1.0, "<", 1.0, "DANGER"),
        *("LW101 LW101-return", "LW101 LW101-return"),
    ),
    "T3-101.gas/alarm": (">=", 0.5, "<", 0.5, "ALARM", "", ""),
    "T3-101.gas/power-off": (">=", 0.5, "<", 0.5, "DANGER", "LW101-intake", ""),
    "T3-101.gas/withdraw": (">=", 1.5, "<", 1.0, "DANGER", "LW101-intake", "LW101-intake"),
    "T1-201.gas/alarm": (">=", 1.0, "<", 1.0, "ALARM", "", ""),
    "T1-201.gas/power-off": (">=", 1.5, "<", 1.0, "DANGER", "H201", ""),
    "T1-201.gas/withdraw": (">=", 1.5, "<", 1.0, "DANGER", "H201", "H201"),
    "T2-201.gas/alarm": (">=", 1.0, "<", 1.0, "ALARM", "", ""),
    "T2-201.gas/power-off": (">=", 1.0, "<", 1.0, "DANGER", "H201", ""),
    "T2-201.gas/withdraw": (">", 1.0, "<", 1.0, "DANGER", "H201", "H201"),
    "TD-1.gas/alarm": (">=", 1.0, "<", 1.0, "ALARM", "", ""),
    "TD-1.gas/power-off": (">=", 1.0, "<", 1.0, "DANGER", "district-return", ""),
    "TD-1.gas/withdraw": (">", 1.0, "<", 1.0, "DANGER", "district-return", "district-return"),
    "TM-1.gas/alarm": (">=", 0.75, "<", 0.75, "ALARM", "", ""),
    "CO-101.gas/alarm": (">=", 24.0, "<", 24.0, "ALARM", "", ""),
    "CO-101.gas/withdraw": (">=", 24.0, "<", 24.0, "DANGER", "", "LW101-return"),
    "COB-1.gas/withdraw": (">=", 24.0, "<", 24.0, "DANGER", "", "belt-road"),
    "O2-101.gas/withdraw": ("<=", 18.0, ">", 18.0, "DANGER", "", "LW101"),
    "N-201.O2/alarm": ("<", 20.0, ">=", 20.0, "ALARM", "", ""),
    "V1-101.velocity/low": ("<", 0.25, ">=", 0.25, "ALARM", "", ""),
    "V1-101.velocity/high": (">", 4.0, "<=", 4.0, "ALERT", "", ""),
    "V2-101.velocity/high": (">", 6.0, "<=", 6.0, "ALERT", "", ""),
    "VM-1.velocity/high": (">", 8.0, "<=", 8.0, "ALERT", "", ""),
    "IO-B1.di1/smoke": (">=", 1.0, "<", 1.0, "DANGER", "", "belt-road"),
    "IO-101.di0/call": (">=", 1.0, "<", 1.0, "DANGER", "", "LW101"),
    "IO-201.di1/no-air": ("<", 1.0, ">=", 1.0, "DANGER", "H201", "H201"),
    "FAN-201.run/stop": ("<", 1.0, ">=", 1.0, "DANGER", "H201", "H201"),
    "MF-1.run/stop": ("<", 1.0, ">=", 1.0, "DANGER", "LW101 LW101-return H201 H202", ""),
    "belt-drive-hot": (">=", 60.0, "<", 45.0, "DANGER", "belt-road", "belt-road"),
    "main-fan-pressure-low": ("<=", 800.0, ">", 1000.0, "ALARM", "", ""),
    "power-H201.agrees/differs": ("<", 1.0, ">=", 1.0, "ALARM", "", ""),
    "gateway.journal/failed": ("<", 1.0, ">=", 1.0, "ALARM", "", ""),
    "gateway.clock/failed": ("<", 1.0, ">=", 1.0, "ALARM", "", ""),
    "gateway.inbox/failed": ("<", 1.0, ">=", 1.0, "ALERT", "", ""),
    "link.east/failed": ("<", 1.0, ">=", 1.0, "ALERT", "", ""),
    "link.mqtt/failed": ("<", 1.0, ">=", 1.0, "ALERT", "", ""),
}


def rules_of(plan: Plan) -> dict[str, LimitRule]:
    return {rule.id: rule for rule in plan.limits}


def where(plan: Plan, rule: LimitRule, demand: str) -> str:
    own = int(plan.points.zone[rule.point])
    scopes = [scope or (own,) for d, scope in rule.demands if d == Demand[demand]]
    return " ".join(plan.zones[zone].id for scope in scopes for zone in scope)


@pytest.mark.parametrize("name", sorted(RULES))
def test_each_limit_is_bound_to_its_place(name: str) -> None:
    rule = rules_of(SITE.plan)[name]
    got = (rule.op, rule.set, rule.reset_op, rule.reset, rule.level.name)
    cut, out = where(SITE.plan, rule, CUT), where(SITE.plan, rule, OUT)
    assert (*got, cut, out) == RULES[name]


def test_points_have_no_other_methane_limits_than_those() -> None:
    ids = {rule.id for rule in SITE.plan.limits}
    for device in ("T0-101", "T1-101", "T2-101", "T3-101", "T1-201", "T2-201", "TD-1", "TM-1"):
        got = {name for name in ids if name.startswith(f"{device}.")}
        assert got == {name for name in RULES if name.startswith(f"{device}.")}
    assert not any(name.startswith(("MF-2", "N-baro", "IO-101.di1")) for name in ids)


def test_demands_sound_in_the_own_zone() -> None:
    for rule in SITE.plan.limits:
        if rule.demands and rule.id != "main-return-withdraw":
            own = SITE.plan.zones[int(SITE.plan.points.zone[rule.point])].id
            assert where(SITE.plan, rule, "SOUND") == own


def test_a_rule_for_the_whole_mine_leaves_out_the_surface_and_the_gateway() -> None:
    rule = rules_of(SITE.plan)["main-return-withdraw"]
    zones = where(SITE.plan, rule, OUT).split()
    assert zones == [z.id for z in SITE.plan.zones if z.id not in ("surface", "gateway")]
    assert SITE.plan.all_zones == tuple(range(10))


def test_limits_carry_clause_edition_and_verified() -> None:
    for rule in SITE.plan.limits:
        assert rule.source.verified in ("partly", "no")
        step = rule.id.rpartition("/")[2]
        own = "/" not in rule.id or step in ("call", "differs", "failed")
        assert bool(rule.source.profile) != own
        assert own or (rule.source.clause and rule.source.edition and rule.source.source)


def test_an_outburst_mine_cuts_the_intake_too() -> None:
    text = TEXT.replace('gas_category = "high"', 'gas_category = "outburst"')
    plan = plan_of(parse(text, SHIPPED))
    zones = where(plan, rules_of(plan)["T1-101.gas/power-off"], CUT).split()
    assert zones == ["LW101-intake", "LW101", "LW101-return"]


def test_a_low_gas_mine_has_no_power_off_in_the_intake() -> None:
    text = TEXT.replace('gas_category = "high"', 'gas_category = "low"')
    rules = rules_of(plan_of(parse(text, SHIPPED)))
    assert "T3-101.gas/power-off" not in rules
    assert rules["T3-101.gas/withdraw"].set == 1.5


def test_two_longwalls_do_not_cut_each_other() -> None:
    """A scope reaches the returns of the own air way, not every return of the mine."""
    twin = TEXT.replace("LW101", "LW102").replace("-101", "-102")
    start, end = twin.index('[[zone]]\nid = "LW102-intake"'), twin.index('[[zone]]\nid = "H201"')
    zones = twin[start:end].replace('airflow = ["V2-102.velocity"]\n', "")
    device = (
        '[[device]]\nid = "T1-102"\ntype = "generic-gas"\nlink = "east"\nunit = 40\n'
        'zone = "LW102"\nlocation = "longwall_face"\npoints = { gas = "CH4" }\n'
    )
    plan = plan_of(parse(TEXT + zones + device, SHIPPED))
    rules = rules_of(plan)
    assert where(plan, rules["T1-102.gas/power-off"], CUT) == "LW102 LW102-return"
    assert where(plan, rules["T1-101.gas/power-off"], CUT) == "LW101 LW101-return"
    fan = where(plan, rules["MF-1.run/stop"], CUT).split()
    assert {"LW102", "LW102-return", "LW101", "H201"} <= set(fan)


def test_ladder_loss_and_trends() -> None:
    plan = SITE.plan
    assert plan.ladder is not None
    assert plan.zones[plan.ladder.zone].id == "main-fan"
    assert [plan.limits[r].id for r in plan.ladder.fan_rules] == ["MF-1.run/stop"]
    sections = [plan.zones[z].id for z in plan.ladder.sections]
    assert sections == ["LW101-intake", "LW101", "LW101-return", "H201", "H202"]
    assert plan.ladder.mine_after_s == 600.0
    loss = {z.id: z.loss for z in plan.zones}
    assert loss["surface"] is None
    assert loss["gateway"] is None
    face, fan = loss["LW101"], loss["main-fan"]
    assert face is not None
    assert fan is not None
    # The site's 120 s are stricter than the profile's 300 s.
    assert (face.lost_after_s, face.back_after_s, face.level) == (120.0, 60.0, Level.DANGER)
    assert (fan.lost_after_s, fan.level) == (120.0, Level.ALARM)
    assert {d for d, _ in face.demands} == {Demand.SOUND, Demand.CUT_POWER, Demand.WITHDRAW}
    trend = plan.trends[0]
    assert (trend.id, trend.rise_per_min, trend.min_samples) == ("LW101-emission", 0.15, 60)
    assert dict(trend.demands)[Demand.WITHDRAW] == (3, 4)


def test_the_fan_ladder_of_the_usa_has_fifteen_minutes() -> None:
    text = TEXT.replace('"cn-coal-2025"', '"us-coal-30cfr75"')
    text = text.replace("limits = { alarm = 0.8 }", "limits = { alarm = 0.9 }")
    plan = plan_of(parse(text, SHIPPED))
    assert plan.ladder is not None
    assert plan.ladder.mine_after_s == 900.0
    assert rules_of(plan)["T1-101.gas/power-off"].set == 1.0


def test_points_have_range_age_and_place() -> None:
    table = SITE.plan.points
    spec = table.specs[table.index["T1-101.gas"]]
    assert (spec.range_low, spec.range_high, spec.catalytic) == (0.0, 4.0, True)
    assert (spec.max_age_s, spec.poll_s, spec.location) == (5.0, 1.0, "longwall_face")
    node = table.specs[table.index["N-fan.pressure"]]
    assert (node.max_age_s, node.quantity) == (6.0, "pressure")
    drive = table.specs[table.index["MF-1.speed"]]
    assert (drive.range_low, drive.range_high) == (-150.0, 150.0)  # from the device type
    moved = table.specs[table.index["N-people.h202"]]
    assert SITE.plan.zones[moved.zone].id == "H202"
    switch = table.specs[table.index["IO-101.di0"]]
    assert (switch.range_low, switch.range_high) == (0.0, 1.0)


def test_the_gateways_own_points_stand_behind_all_others() -> None:
    plan, own = SITE.plan, len(SITE.compiled.site_points)
    assert all(spec.device for spec in plan.points.specs[:own])
    assert not any(spec.device or spec.guards for spec in plan.points.specs[own:])
    links = {f"link.{link.id}" for link in SITE.config.links} | {"link.mqtt"}
    parts = {"gateway.journal", "gateway.sink", "gateway.clock", "gateway.inbox"}
    assert set(SITE.health_points) == links | parts
    for name, point in SITE.health_points.items():
        spec = plan.points.specs[point]
        assert (spec.id, spec.quantity, plan.zones[spec.zone].id) == (name, "health", "gateway")
    for output in plan.outputs:
        spec = plan.points.specs[output.agreement_point]
        assert (spec.id, spec.zone) == (f"{output.id}.agrees", output.zones[0])
    rule = rules_of(plan)["power-H201.agrees/differs"]
    assert rule.on_delay_s == 1.0


def test_the_plan_for_recorded_readings_knows_only_the_field() -> None:
    plan = SITE.own_plan()
    assert plan.points.ids == SITE.plan.points.ids[: len(SITE.compiled.site_points)]
    assert [z.id for z in plan.zones] == [z.id for z in SITE.config.zones]
    assert all(rule.point < len(plan.points) for rule in plan.limits)
    assert plan.limits == SITE.plan.limits[: len(plan.limits)]
    assert {output.agreement_point for output in plan.outputs} == {-1}
    assert plan.ladder == SITE.plan.ladder


@pytest.mark.parametrize("plan", [SITE.plan, SITE.own_plan(), plan_of(load(SMALL))])
def test_the_engine_takes_the_plan_and_every_alarm_has_its_own_name(plan: Plan) -> None:
    ids = [alarm.id for alarm in alarm_table(plan)]
    assert len(ids) == len(set(ids))
    Engine(plan)


def test_links_broker_and_outputs() -> None:
    links = {link.id: link for link in SITE.modbus_links}
    assert list(links) == [link.id for link in SITE.config.links]
    assert links["east"].spacing_s == 0.002
    device = links["east"].devices[0]
    assert (device.id, device.unit, device.quantities) == ("T0-101", 1, {"gas": "CH4"})
    assert device.points == {"gas": SITE.plan.points.index["T0-101.gas"]}
    assert not links["outputs-east"].devices
    assert SITE.broker is not None
    assert (SITE.broker.port, SITE.broker.password, SITE.broker.tls) == (18830, "", False)
    fan = next(d for d in SITE.broker.devices if d.id == "N-fan")
    assert (fan.units, fan.quantities["pressure"]) == ({"pressure": "kPa"}, "pressure")
    names = [output.id for output in SITE.plan.outputs]
    coil = SITE.coil_outputs["outputs-west"][0]
    assert (names[coil.index], coil.unit, coil.address) == ("evacuate-H201", 1, 0)
    assert [p.index for p in SITE.peers["outputs-west"]] == [1]
    assert [names[o.index] for o in SITE.mqtt_outputs] == names[-2:]
    zones = [[SITE.plan.zones[z].id for z in peer] for peer in SITE.peer_zones]
    assert zones == [list(peer.zones) for peer in SITE.config.peers]
    cut = SITE.plan.outputs[names.index("power-H201")]
    assert SITE.plan.points.ids[cut.feed_point] == "IO-201.di2"
    beacon = SITE.plan.outputs[names.index("beacon-east")]
    assert (beacon.demand, beacon.on_fault) == (Demand.NONE, True)


def test_a_secret_reaches_the_broker_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("ge heim\r\n", "utf-8")
    text = SMALL.read_text("utf-8") + '[mqtt]\nhost = "h"\nuser = "u"\npassword_file = "secret"\n'
    site: Site = build(parse(text, tmp_path / "mine.toml", files=True))
    assert site.broker is not None
    assert site.broker.password == "ge heim"  # noqa: S105 - a made-up one
    assert "ge heim" not in repr(site.config)


EXEMPTION = """
[[exemption]]
point = "TD-1.gas"
step = "alarm"
limit = 1.2
authority = "Mine safety bureau"
document = "2026-117"
persons = ["Li Wei", "Zhang Min"]
reason = "trial of a new return"
expires = "2031-12-31"
"""


def test_an_exemption_loosens_the_limit_and_is_shown_with_it() -> None:
    rule = rules_of(plan_of(parse(TEXT + EXEMPTION, SHIPPED)))["TD-1.gas/alarm"]
    assert (rule.set, rule.reset) == (1.2, 1.0)
    for words in ("EXEMPTION", ">= 1", "2031-12-31", "2026-117", "Li Wei and Zhang Min"):
        assert words in rule.source.source
    assert rule.source.clause


def test_a_stricter_low_limit_moves_its_reset() -> None:
    text = TEXT + '[[point]]\nid = "O2-101.gas"\nlimits = { withdraw = 19.0 }\n'
    rule = rules_of(plan_of(parse(text, SHIPPED)))["O2-101.gas/withdraw"]
    assert (rule.op, rule.set, rule.reset_op, rule.reset) == ("<=", 19.0, ">", 19.0)


def test_the_reset_of_an_own_limit_stands_just_off_it_by_default() -> None:
    text = TEXT.replace('reset_op = "<"\nreset = 6.0\n', "")
    rule = rules_of(plan_of(parse(text, SHIPPED)))["main-fan-vibration"]
    assert (rule.reset_op, rule.reset) == ("<", 7.1)


def test_a_location_is_that_of_the_zone_if_the_device_says_none() -> None:
    config: Config = parse(TEXT.replace('location = "main_return"\n', ""), SHIPPED)
    assert plan_of(config).limits == SITE.plan.limits
