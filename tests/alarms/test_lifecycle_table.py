"""The lifecycle table of section 5.9, typed in, and every cell of it driven through the engine.

The alarm is a vote of one out of two, so that it can be raised (a over), find a new cause (b over)
and return (both safe); plain with SOUND, latching with CUT_POWER.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import pytest

from alarms.events import CommandKind
from alarms.plan import Demand, Level, OutputSpec, VoteRule
from tests.alarms.hand import Mine, limit, point, sample

TABLE: Final = """
| state | RAISE | RETURN | CAUSE | ACK | RESET | SHELVE (P) | OUT |
|---|---|---|---|---|---|---|---|
| NORMAL | UNACKED | - | - | - | - | SHELVED | OUT_OF_SERVICE |
| UNACKED | - | RETURNED_UNACKED | UNACKED | ACKED | - | SHELVED | OUT_OF_SERVICE |
| ACKED | - | P NORMAL, L LATCHED | UNACKED | - | - | SHELVED | OUT_OF_SERVICE |
| RETURNED_UNACKED | UNACKED | - | - | P NORMAL, L LATCHED | - | SHELVED | OUT_OF_SERVICE |
| LATCHED (L) | UNACKED | - | - | - | L NORMAL | - | OUT_OF_SERVICE |
| SHELVED (P) | stays | stays | stays | - | - | - | OUT_OF_SERVICE |
| OUT_OF_SERVICE | stays | stays | stays | - | - | - | - |
"""

WORDS: Final = {"P": "SOUND", "L": "CUT_POWER"}
LEVEL: Final = {
    # States in which the alarm is in force: L by its state, P by its condition.
    "L": {"UNACKED", "ACKED", "RETURNED_UNACKED", "LATCHED"},
    "P": {"UNACKED", "ACKED", "SHELVED"},
}


def cells() -> dict[tuple[str, str, str], str]:
    """(P or L, state, event) -> next state; "-" stays "-"."""
    lines = [[c.strip() for c in row.strip("|").split("|")] for row in TABLE.strip().splitlines()]
    events = [head.split()[0] for head in lines[0][1:]]
    found: dict[tuple[str, str, str], str] = {}
    for first, *rest in lines[2:]:
        state, *only = first.split()
        for kind in "PL":
            if only and only != [f"({kind})"]:
                continue
            for event, cell in zip(events, rest, strict=True):
                choices = dict(part.split() for part in cell.split(", ") if " " in part)
                to_state = choices.get(kind, "-") if choices else cell
                if event == "SHELVE" and kind == "L":
                    to_state = "-"
                found[kind, state, event] = state if to_state == "stays" else to_state
    return found


CELLS: Final = cells()
OVER, SAFE = 1.2, 0.5


class Driver:
    """One vote ``v`` of the points a and b, one action a second."""

    def __init__(self, kind: str) -> None:
        demand = Demand.SOUND if kind == "P" else Demand.CUT_POWER
        vote = VoteRule("v", 0, (0, 1), 1, Level.ALARM, ((demand, ()),))
        self.mine = Mine(
            [point("a", max_age_s=1000.0), point("b", max_age_s=1000.0)],
            [limit("la", 0), limit("lb", 1)],
            votes=[vote],
            outputs=[OutputSpec("o", (0,), demand)],
        )
        self.now = 0
        self.safe()

    def read(self, a: float, b: float) -> list[str]:
        self.now += 1
        return self.rows(self.mine.at(self.now, sample(a), sample(b, p=1)))

    def ask(self, kind: CommandKind, until: float = 500.0) -> list[str]:
        self.now += 1
        return self.rows(self.mine.ask(self.now, kind, "v", second="Bob", until=until))

    def tick(self, seconds: float) -> list[str]:
        return self.rows(self.mine.at(seconds))

    def rows(self, told: list[str]) -> list[str]:
        """Only those of the vote: "states levels [demands]"."""
        return [" ".join(r.split(" ")[3:6]) for r in told if r.split(" ")[2] == "v:"]

    def safe(self) -> list[str]:
        return self.read(SAFE, SAFE)

    def over(self) -> list[str]:
        return self.read(OVER, SAFE)

    def both_over(self) -> list[str]:
        return self.read(OVER, OVER)


# How to come to a state, with the condition true or false there.
WAYS: Final[dict[tuple[str, bool], Callable[[Driver], object]]] = {
    ("NORMAL", False): lambda _: None,
    ("UNACKED", True): lambda d: d.over(),
    ("ACKED", True): lambda d: (d.over(), d.ask("ack")),
    ("RETURNED_UNACKED", False): lambda d: (d.over(), d.safe()),
    ("LATCHED", False): lambda d: (d.over(), d.ask("ack"), d.safe()),
    ("SHELVED", False): lambda d: d.ask("shelve"),
    ("SHELVED", True): lambda d: (d.over(), d.ask("shelve")),
    ("OUT_OF_SERVICE", False): lambda d: d.ask("out"),
    ("OUT_OF_SERVICE", True): lambda d: (d.over(), d.ask("out")),
}

COMMANDS: Final[dict[str, CommandKind]] = {
    "ACK": "ack", "RESET": "reset", "SHELVE": "shelve", "OUT": "out",
}  # fmt: skip


def in_force(kind: str, state: str, condition: bool) -> bool:
    return state in LEVEL[kind] and (condition or kind == "L")


def told(kind: str, before: tuple[str, bool], after: tuple[str, bool]) -> str:
    levels = ["ALARM" if in_force(kind, *where) else "NORMAL" for where in (before, after)]
    demands = WORDS[kind] if in_force(kind, *after) else ""
    return f"{before[0]}>{after[0]} {levels[0]}>{levels[1]} [{demands}]"


def at(kind: str, state: str, condition: bool) -> Driver:
    driver = Driver(kind)
    WAYS[state, condition](driver)
    return driver


PLACES: Final = [
    (kind, state, condition)
    for kind in "PL"
    for state, condition in WAYS
    if (kind, state, "RAISE") in CELLS and not (kind == "L" and state == "SHELVED")
]


def test_the_table_has_every_cell() -> None:
    assert len(CELLS) == 2 * 6 * 7
    assert CELLS["P", "ACKED", "RETURN"] == "NORMAL"
    assert CELLS["L", "ACKED", "RETURN"] == "LATCHED"
    assert CELLS["L", "NORMAL", "SHELVE"] == "-"


@pytest.mark.parametrize(("kind", "state", "condition"), PLACES)
@pytest.mark.parametrize("event", COMMANDS)
def test_commands(kind: str, state: str, condition: bool, event: str) -> None:
    to_state = CELLS[kind, state, event]
    driver = at(kind, state, condition)
    here = (state, condition)
    if to_state == "-":  # refused, as a row, never an exception
        assert driver.ask(COMMANDS[event]) == [told(kind, here, here)]
    else:
        assert driver.ask(COMMANDS[event]) == [told(kind, here, (to_state, condition))]


@pytest.mark.parametrize(("kind", "state", "condition"), PLACES)
def test_raise(kind: str, state: str, condition: bool) -> None:
    driver = at(kind, state, condition)
    to_state = CELLS[kind, state, "RAISE"]
    rows = driver.over()
    if condition:  # cannot occur: it is raised already
        assert rows == []
    else:
        assert rows == [told(kind, (state, False), (to_state, True))]


@pytest.mark.parametrize(("kind", "state", "condition"), PLACES)
def test_return(kind: str, state: str, condition: bool) -> None:
    driver = at(kind, state, condition)
    to_state = CELLS[kind, state, "RETURN"]
    rows = driver.safe()
    if condition:
        assert rows == [told(kind, (state, True), (to_state, False))]
    else:  # cannot occur: there is nothing to return from
        assert rows == []


@pytest.mark.parametrize(("kind", "state", "condition"), PLACES)
def test_cause(kind: str, state: str, condition: bool) -> None:
    driver = at(kind, state, condition)
    to_state = CELLS[kind, state, "CAUSE" if condition else "RAISE"]
    assert driver.both_over() == [told(kind, (state, condition), (to_state, True))]


@pytest.mark.parametrize("condition", [False, True])
def test_unshelve_and_the_end_of_the_shelf(condition: bool) -> None:
    after = ("UNACKED", True) if condition else ("NORMAL", False)
    row = [told("P", ("SHELVED", condition), after)]
    assert at("P", "SHELVED", condition).ask("unshelve") == row
    driver = at("P", "SHELVED", condition)
    assert driver.tick(499.999999999) == []
    assert driver.tick(500) == row


@pytest.mark.parametrize("kind", ["P", "L"])
@pytest.mark.parametrize("condition", [False, True])
def test_in_and_the_end_of_out(kind: str, condition: bool) -> None:
    after = ("UNACKED", True) if condition else ("NORMAL", False)
    row = [told(kind, ("OUT_OF_SERVICE", condition), after)]
    assert at(kind, "OUT_OF_SERVICE", condition).ask("in") == row
    driver = at(kind, "OUT_OF_SERVICE", condition)
    assert driver.tick(499.999999999) == []
    assert driver.tick(500) == row


@pytest.mark.parametrize(("kind", "state", "condition"), PLACES)
@pytest.mark.parametrize(("command", "needs"), [("unshelve", "SHELVED"), ("in", "OUT_OF_SERVICE")])
def test_unshelve_and_in_are_refused_elsewhere(
    kind: str, state: str, condition: bool, command: CommandKind, needs: str
) -> None:
    if state != needs:
        here = (state, condition)
        assert at(kind, state, condition).ask(command) == [told(kind, here, here)]


# A manual evacuation: raised and caused by people, never returned; reset from ACKED, by two.
MANUAL: Final[dict[tuple[str, CommandKind], str]] = {
    ("NORMAL", "evacuate"): "UNACKED",
    ("NORMAL", "ack"): "-",
    ("NORMAL", "reset"): "-",
    ("NORMAL", "shelve"): "-",
    ("NORMAL", "out"): "-",
    ("UNACKED", "evacuate"): "UNACKED",
    ("UNACKED", "ack"): "ACKED",
    ("UNACKED", "reset"): "-",
    ("UNACKED", "shelve"): "-",
    ("UNACKED", "out"): "-",
    ("ACKED", "evacuate"): "UNACKED",
    ("ACKED", "ack"): "-",
    ("ACKED", "reset"): "NORMAL",
    ("ACKED", "shelve"): "-",
    ("ACKED", "out"): "-",
}


@pytest.mark.parametrize(("state", "command"), MANUAL)
@pytest.mark.parametrize("place", ["z", "all"])
def test_manual(state: str, command: CommandKind, place: str) -> None:
    mine, alarm = Mine(), f"manual/{place}"
    if state != "NORMAL":
        mine.ask(1, "evacuate", place)
    if state == "ACKED":
        mine.ask(2, "ack", alarm)
    target = place if command == "evacuate" else alarm
    row = mine.ask(3, command, target, second="Bob", until=60)[0]
    to_state = state if MANUAL[state, command] == "-" else MANUAL[state, command]
    assert f" {alarm}: {state}>{to_state} " in row
