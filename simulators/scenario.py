"""Scenarios: timed disturbances and what the gateway must make of them.

A scenario is a TOML file in `simulators/scenarios/`. Its events are the messages of the control
door (`simulators.world`), with the time after the disturbance's start at which they happen; so
whatever a scenario does, a person can do by hand.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

Message = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Event:
    """One message, `at_s` after the disturbance's start [s of the mine]."""

    at_s: float
    message: Message


@dataclass(frozen=True, slots=True)
class Expectation:
    """What must come of it in the shipped mine: an alarm, and a demand in force in a zone.

    Parameters
    ----------
    alarm : str
        Id of the alarm that must call.
    zone : str
        Zone in which the demand must hold.
    demand : str
        SOUND, CUT_POWER or WITHDRAW; empty if the alarm demands nothing.
    within_s : float
        Longest time from the disturbance's start on an unhurried machine [s of the mine].
    """

    alarm: str
    zone: str
    demand: str
    within_s: float


@dataclass(frozen=True, slots=True)
class Scenario:
    """One scenario; `quiet` ones must raise nothing at all."""

    name: str
    title: str
    about: str
    events: tuple[Event, ...]
    expects: tuple[Expectation, ...]

    @property
    def quiet(self) -> bool:
        """Whether nothing may be raised."""
        return not self.expects


def scenario_names() -> tuple[str, ...]:
    """Return the names of all scenarios that come with the simulators."""
    folder = files("simulators") / "scenarios"
    return tuple(sorted(f.name[:-5] for f in folder.iterdir() if f.name.endswith(".toml")))


def load_scenario(name: str) -> Scenario:
    """Read one scenario.

    Raises
    ------
    ValueError
        If there is none of that name, or its file is wrong; says which there are.
    """
    if name not in scenario_names():
        raise ValueError(f"no scenario {name!r}; there are: {', '.join(scenario_names())}")
    text = (files("simulators") / "scenarios" / f"{name}.toml").read_text("utf-8")
    return parse_scenario(text, name)


def parse_scenario(text: str, name: str) -> Scenario:
    """Read a scenario from TOML text.

    Raises
    ------
    ValueError
        With the scenario's name and the reason.
    """
    try:
        top = tomllib.loads(text)
        return Scenario(
            name,
            top["title"],
            top["about"],
            tuple(_event(row) for row in top.get("event", [])),
            tuple(_expectation(row) for row in top.get("expect", [])),
        )
    except (tomllib.TOMLDecodeError, KeyError, TypeError) as error:
        raise ValueError(f"scenario {name}: {type(error).__name__}: {error}") from error


def _event(row: dict[str, Any]) -> Event:
    message = {key: value for key, value in row.items() if key != "at_s"}
    return Event(float(row["at_s"]), message)


def _expectation(row: dict[str, Any]) -> Expectation:
    return Expectation(row["alarm"], row["zone"], row.get("demand", ""), row["within_s"])
