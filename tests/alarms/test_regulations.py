"""Profiles: every row says where it comes from, and the rows are those of the tables we read."""

from __future__ import annotations

import pytest

from alarms.places import LOCATIONS, ZONE_CLASSES
from alarms.plan import Demand, Level, Source
from alarms.profile import GAS_CATEGORIES, Profile, overlaps
from alarms.regulations_file import load_profile, parse_profile, profile_ids
from sensors.toml_table import TomlError


def sources_of(profile: Profile) -> list[Source]:
    return [
        *(row.source for row in profile.limits),
        *(row.source for row in profile.losses),
        profile.ladder.source,
    ]


CN, US = load_profile("cn-coal-2025"), load_profile("us-coal-30cfr75")


def test_the_two_profiles_are_there() -> None:
    assert profile_ids() == ("cn-coal-2025", "us-coal-30cfr75")


@pytest.mark.parametrize("found", [CN, US], ids=["cn", "us"])
def test_every_row_says_where_it_comes_from(found: Profile) -> None:
    for source in sources_of(found):
        assert source.profile == found.id
        assert source.edition == found.edition
        assert source.clause
        assert source.source
        assert source.verified in ("yes", "partly", "no")


def test_nothing_claims_to_be_read_in_the_legal_text_itself() -> None:
    # No row was: the day one is, this test is changed together with that row.
    for profile in (CN, US):
        assert {source.verified for source in sources_of(profile)} == {"partly", "no"}


@pytest.mark.parametrize("found", [CN, US], ids=["cn", "us"])
def test_what_comes_from_memory_is_not_verified(found: Profile) -> None:
    unread = ("from memory", "practice of one mine", "own default", "orders")
    for source in sources_of(found):
        if any(word in source.source.lower() for word in unread):
            assert source.verified == "no", source


@pytest.mark.parametrize("found", [CN, US], ids=["cn", "us"])
def test_demands_fit_levels_and_nothing_waits(found: Profile) -> None:
    for row in found.limits:
        bits = {demand for demand, _ in row.demands}
        vital = bits & {Demand.CUT_POWER, Demand.WITHDRAW}
        assert bool(vital) == (row.level == Level.DANGER), row
        assert not bits or Demand.SOUND in bits, row
        assert row.on_delay_s == 0.0
        assert row.off_delay_s == 0.0
        assert not overlaps(row.op, row.value, row.reset_op, row.reset)


# Table of methane sensors, typed in by hand: location, category -> (alarm, power off, withdraw,
# reset of the power-off), in %; None: no such step.
CN_CH4: list[tuple[str, str, tuple[float | None, float | None, float | None, float | None]]] = [
    ("face_return_corner", "low", (1.0, 1.5, 1.5, 1.0)),
    ("longwall_face", "low", (1.0, 1.5, 1.5, 1.0)),
    ("longwall_face", "outburst", (1.0, 1.5, 1.5, 1.0)),
    ("face_return", "low", (1.0, 1.0, 1.0, 1.0)),
    ("face_intake", "low", (None, None, 1.5, None)),
    ("face_intake", "high", (0.5, 0.5, 1.5, 0.5)),
    ("face_intake", "outburst", (0.5, 0.5, 1.5, 0.5)),
    ("series_intake", "low", (0.5, 0.5, 1.5, 0.5)),
    ("face_return_middle", "low", (None, None, 1.0, None)),
    ("face_return_middle", "high", (1.0, 1.0, 1.0, 1.0)),
    ("machine_mounted", "low", (1.0, 1.5, 1.5, 1.0)),
    ("heading_face", "low", (1.0, 1.5, 1.5, 1.0)),
    ("heading_return", "low", (1.0, 1.0, 1.0, 1.0)),
    ("heading_series_fan", "low", (0.5, 0.5, 1.5, 0.5)),
    ("heading_intake_split", "high", (None, None, 1.5, None)),
    ("heading_intake_split", "outburst", (0.5, 0.5, 1.5, 0.5)),
    ("district_return", "low", (1.0, 1.0, 1.0, 1.0)),
    ("main_return", "high", (0.75, None, None, None)),
    ("trolley_haulage", "high", (0.5, 0.5, 1.5, 0.5)),
    ("return_conveyor_shaft", "high", (0.5, 0.7, 1.5, 0.7)),
    ("bunker", "high", (None, 1.5, None, 1.5)),
    ("belt_road", "high", (None, None, 1.5, None)),
    ("surface", "high", (None, None, None, None)),
]


@pytest.mark.parametrize(("location", "category", "expected"), CN_CH4)
def test_methane_of_china_by_place_and_category(
    location: str, category: str, expected: tuple[float | None, ...]
) -> None:
    rows = {row.step: row for row in CN.limits_for("CH4", location, category)}
    assert set(rows) <= {"alarm", "power-off", "withdraw"}
    alarm, off, withdraw = (rows.get(step) for step in ("alarm", "power-off", "withdraw"))
    got = (
        alarm.value if alarm else None,
        off.value if off else None,
        withdraw.value if withdraw else None,
        off.reset if off else None,
    )
    assert got == expected


def test_reaches_or_exceeds() -> None:
    """Articles 172 (returns: exceeds) and 173 (workplaces: reaches) differ in the operator."""
    ops = {
        place: {r.step: r.op for r in CN.limits_for("CH4", place, "high")}
        for place in ("longwall_face", "face_return", "district_return", "heading_face")
    }
    assert ops["longwall_face"] == {"alarm": ">=", "power-off": ">=", "withdraw": ">="}
    assert ops["heading_face"] == {"alarm": ">=", "power-off": ">=", "withdraw": ">="}
    assert ops["face_return"] == {"alarm": ">=", "power-off": ">=", "withdraw": ">"}
    assert ops["district_return"] == {"alarm": ">=", "power-off": ">=", "withdraw": ">"}


def test_power_off_ranges_of_a_longwall() -> None:
    def cut(location: str, category: str) -> set[str]:
        (row,) = [r for r in CN.limits_for("CH4", location, category) if r.step == "power-off"]
        return set(dict(row.demands)[Demand.CUT_POWER])

    assert cut("longwall_face", "low") == {"own", "face_return"}
    assert cut("longwall_face", "high") == {"own", "face_return"}
    assert cut("longwall_face", "outburst") == {"own", "face_return", "face_intake"}
    assert cut("face_return_corner", "high") == {"own", "face_return"}
    assert cut("face_return", "high") == {"own", "longwall_face"}
    assert cut("face_intake", "high") == {"own"}


CN_OTHER = [
    ("CO", "belt_road", {("alarm", ">=", 24.0), ("withdraw", ">=", 24.0)}),
    ("H2S", "longwall_face", {("alarm", ">=", 6.6), ("withdraw", ">=", 6.6)}),
    ("NO2", "longwall_face", {("alarm", ">=", 2.5), ("withdraw", ">=", 2.5)}),
    ("SO2", "longwall_face", {("alarm", ">=", 5.0), ("withdraw", ">=", 5.0)}),
    ("NH3", "longwall_face", {("alarm", ">=", 40.0), ("withdraw", ">=", 40.0)}),
    ("H2", "battery_room", {("alarm", ">=", 0.5)}),
    ("O2", "face_intake", {("alarm", "<", 20.0), ("withdraw", "<=", 18.0)}),
    ("O2", "face_return_corner", {("withdraw", "<=", 18.0)}),
    ("CO2", "face_intake", {("alarm", ">", 0.5), ("withdraw", ">=", 1.5)}),
    ("CO2", "face_return", {("withdraw", ">", 1.5)}),
    ("CO2", "main_return", {("alarm", ">", 0.75)}),
    ("temperature", "heading_face", {("alarm", ">", 26.0), ("withdraw", ">", 30.0)}),
    ("temperature", "machine_room", {("alarm", ">", 30.0), ("withdraw", ">", 34.0)}),
    ("temperature", "belt_road", set()),
    ("air_velocity", "longwall_face", {("low", "<", 0.25), ("high", ">", 4.0)}),
    ("air_velocity", "belt_road", {("low", "<", 0.25), ("high", ">", 6.0)}),
    ("air_velocity", "main_return", {("high", ">", 8.0)}),
    ("air_velocity", "trolley_haulage", {("low", "<", 1.0), ("high", ">", 8.0)}),
    ("smoke", "belt_road", {("smoke", ">=", 1.0)}),
    ("fan_run", "main_fan", {("stop", "<", 1.0)}),
    ("fan_run", "main_fan_standby", set()),
    ("fan_run", "local_fan", {("stop", "<", 1.0)}),
    ("fan_run", "local_fan_standby", set()),
    ("air_duct", "heading_face", {("no-air", "<", 1.0)}),
    ("barometer", "surface", set()),
]


@pytest.mark.parametrize(("quantity", "location", "expected"), CN_OTHER)
def test_other_limits_of_china(
    quantity: str, location: str, expected: set[tuple[str, str, float]]
) -> None:
    rows = CN.limits_for(quantity, location, "high")
    assert {(r.step, r.op, r.value) for r in rows} == expected


US_ROWS = [
    ("CH4", "longwall_face", {("power-off", ">=", 1.0, 1.0), ("withdraw", ">=", 1.5, 1.0)}),
    ("CH4", "belt_road", {("power-off", ">=", 1.0, 1.0), ("withdraw", ">=", 1.5, 1.0)}),
    ("CH4", "face_return", {("alarm", ">=", 1.0, 1.0), ("withdraw", ">=", 1.5, 1.0)}),
    ("CH4", "bleeder", {("withdraw", ">", 2.0, 2.0)}),
    (
        "CH4",
        "machine_mounted",
        {
            ("alarm", ">=", 1.0, 1.0),
            ("withdraw", ">=", 1.5, 1.0),
            ("power-off", ">=", 2.0, 1.0),
        },
    ),
    ("O2", "longwall_face", {("withdraw", "<", 19.5, 19.5)}),
    ("smoke_density", "belt_road", {("smoke", ">=", 0.022, 0.022)}),
    ("smoke", "belt_road", {("smoke", ">=", 1.0, 1.0)}),
]


@pytest.mark.parametrize(("quantity", "location", "expected"), US_ROWS)
def test_limits_of_the_usa(
    quantity: str, location: str, expected: set[tuple[str, str, float, float]]
) -> None:
    rows = US.limits_for(quantity, location, "low")
    assert {(r.step, r.op, r.value, r.reset) for r in rows} == expected


def test_the_fan_ladders() -> None:
    assert (CN.ladder.mine_after_s, US.ladder.mine_after_s) == (600.0, 900.0)
    for profile in (CN, US):
        ladder = profile.ladder
        steps = profile.limits_for(ladder.quantity, ladder.location, "low")
        assert [row.step for row in steps] == [ladder.step]
        assert {"longwall_face", "heading"} <= ladder.sections


def test_every_zone_class_in_which_people_work_has_a_rule_for_loss_of_monitoring() -> None:
    for profile in (CN, US):
        for zone_class in ZONE_CLASSES:
            row = profile.loss_for(zone_class)
            assert (row is None) == (zone_class == "surface"), zone_class
    face = CN.loss_for("longwall_face")
    assert face is not None
    assert {d for d, _ in face.demands} == {Demand.SOUND, Demand.CUT_POWER, Demand.WITHDRAW}


def test_locations_name_zone_classes() -> None:
    assert {zone for place in LOCATIONS.values() for zone in place.zones} <= set(ZONE_CLASSES)


def test_a_step_stands_once_for_each_place() -> None:
    for profile in (CN, US):
        for quantity in {row.quantity for row in profile.limits}:
            for location in LOCATIONS:
                for category in GAS_CATEGORIES:
                    steps = [r.step for r in profile.limits_for(quantity, location, category)]
                    assert len(steps) == len(set(steps))


@pytest.mark.parametrize(
    ("op", "value", "reset_op", "reset", "expected"),
    [
        (">=", 1.0, "<", 1.0, False),
        (">=", 1.0, "<=", 1.0, True),
        (">", 1.0, "<=", 1.0, False),
        (">=", 1.0, "<", 1.5, True),
        (">=", 1.5, "<", 1.0, False),
        (">=", 1.0, ">", 0.5, True),
        ("<", 20.0, ">=", 20.0, False),
        ("<=", 18.0, ">=", 18.0, True),
        ("<=", 18.0, ">", 18.0, False),
        ("<", 20.0, ">=", 19.0, True),
        (">=", 1.0, "<=", 1.0 - 1e-7, True),
    ],
)
def test_where_set_and_reset_overlap(
    op: str, value: float, reset_op: str, reset: float, *, expected: bool
) -> None:
    assert overlaps(op, value, reset_op, reset) is expected


GOOD = """
[profile]
name = "n"
jurisdiction = "j"
edition = "e"
note = "x"
[sources]
s = "a text"
[groups]
g = ["longwall_face"]
[[limit]]
quantity = "CH4"
locations = ["@g"]
step = "alarm"
op = ">="
value = 1.0
reset_op = "<"
reset = 1.0
level = "ALARM"
demands = { SOUND = ["own"] }
clause = "c"
source = "s"
verified = "no"
[[loss]]
zone_classes = ["heading"]
lost_after_s = 90.0
back_after_s = 60.0
level = "DANGER"
clause = "c"
source = "s"
verified = "no"
[ladder]
zone_class = "main_fan"
quantity = "fan_run"
location = "main_fan"
step = "stop"
sections = ["heading"]
mine_after_s = 900.0
clause = "c"
source = "s"
verified = "no"
"""

WRONG = [
    ('quantity = "CH4"', 'quantity = "CH5"', "t: limit 1 (CH5 alarm): quantity: 'CH5' is unknown"),
    ('locations = ["@g"]', 'locations = ["@h"]', "'@h' is no location class and no group"),
    ('locations = ["@g"]', "locations = []", "locations: missing"),
    ("reset = 1.0", "reset = 2.0", "reset: < 2.0 overlaps >= 1.0"),
    ("value = 1.0", "value = 1.0\non_delay_s = 9.0", "`approval`"),
    ("value = 1.0", "valeu = 1.0", "valeu: unknown key"),
    (
        'source = "s"\nverified = "no"\n[[loss]]',
        'source = "q"\nverified = "no"\n[[loss]]',
        "'q' does",
    ),
    ('verified = "no"\n[[loss]]', 'verified = "maybe"\n[[loss]]', "verified: 'maybe' is unknown"),
    ('SOUND = ["own"]', 'SIREN = ["own"]', "'SIREN' is not one of"),
    ('SOUND = ["own"]', 'SOUND = ["moon"]', "'moon' is no scope"),
    ('zone_classes = ["heading"]', 'zone_classes = ["haeding"]', "'haeding' is not one of"),
    (
        'clause = "c"\nsource = "s"\nverified = "no"\n[ladder]',
        'source = "s"\nverified = "no"\n[ladder]',
        "t: loss 1: clause: missing",
    ),
    ("lost_after_s = 90.0", "lost_after_s = 60.0", "lost_after_s: must exceed back_after_s"),
    ("[ladder]", "[leader]", "t: ladder: zone_class: missing"),
    ("[ladder]", "[[limit", "not TOML"),
]


def test_the_small_profile_is_right() -> None:
    assert parse_profile(GOOD, "t").limits[0].locations == {"longwall_face"}


@pytest.mark.parametrize(("old", "new", "expected"), WRONG)
def test_a_wrong_profile_is_named(old: str, new: str, expected: str) -> None:
    assert GOOD.count(old) >= 1
    with pytest.raises(TomlError) as caught:
        parse_profile(GOOD.replace(old, new, 1), "t")
    assert expected in str(caught.value)


def test_a_step_that_stands_twice_is_refused() -> None:
    row = GOOD[GOOD.index("[[limit]]") : GOOD.index("[[loss]]")]
    with pytest.raises(TomlError, match="stands twice for longwall_face, gas category low"):
        parse_profile(GOOD.replace("[[loss]]", row + "[[loss]]", 1), "t")


def test_a_profile_that_is_not_there() -> None:
    with pytest.raises(TomlError, match="no profile 'mars'; there are: cn-coal-2025"):
        load_profile("mars")
