"""The live state as a table in the terminal: for an engineer at a console."""

from __future__ import annotations

import threading
import time
from typing import Final

import numpy as np
from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from alarms.alarm_state import demand_words
from alarms.alarm_table import alarm_table
from alarms.demands import shown_level
from alarms.events import State
from alarms.plan import Level
from gateway.config import Config
from gateway.folders import live_path
from gateway.live_state import LiveReader, LiveState
from gateway.site import Site, build
from sensors.frame import NO_SOURCE_TIME
from sensors.quality import MAY_CLEAR, Quality
from sensors.quantities import QUANTITIES

DOWN_AFTER_NS: Final = 3_000_000_000
_STYLE: Final = {
    Level.DANGER: "bold white on red",
    Level.ALARM: "bold black on dark_orange",
    Level.ALERT: "bold black on yellow",
    Level.FAULT: "bold white on magenta",
    Level.NORMAL: "",
}
_MARK: Final = {
    Level.DANGER: "■1",
    Level.ALARM: "▲2",
    Level.ALERT: "▼3",
    Level.FAULT: "◆F",
    Level.NORMAL: "",
}


def newest_seq(config: Config) -> int:
    """Return the newest event that the live state shows; 0 where there is none."""
    state = LiveReader(live_path(config)).read()
    return int(state.meta["last_seq"]) if state else 0


def _zones(site: Site, state: LiveState) -> Table:
    table = Table("", "zone", "level", "demands", title="Zones, worst first", expand=True)
    levels, demands = state.arrays["zone_level"], state.arrays["zone_demands"]
    bad_points = site.plan.points.zone[~MAY_CLEAR[state.arrays["point_quality"]]]
    shown = np.array(
        [
            shown_level(int(level), int(bits), unusable=z in bad_points)
            for z, (level, bits) in enumerate(zip(levels, demands, strict=True))
        ]
    )
    for z in np.argsort(-shown, kind="stable").tolist():
        level = Level(int(shown[z]))
        words = " ".join(demand_words(int(demands[z])))
        table.add_row(_MARK[level], site.plan.zones[z].id, level.name, words, style=_STYLE[level])
    return table


def _alarms(site: Site, state: LiveState) -> Table:
    table = Table("", "alarm", "state", "since", "value", title="Alarms", expand=True)
    arrays = state.arrays
    active = np.flatnonzero(arrays["alarm_state"] != State.NORMAL).tolist()
    specs = alarm_table(site.plan)
    for a in sorted(active, key=lambda a: (-specs[a].level, arrays["alarm_since_ns"][a])):
        since_s = (state.meta["t_ns"] - int(arrays["alarm_since_ns"][a])) / 1e9
        value = float(arrays["alarm_value"][a])
        table.add_row(
            _MARK[specs[a].level],
            specs[a].id,
            State(int(arrays["alarm_state"][a])).name,
            f"{since_s:.0f} s",
            "" if np.isnan(value) else f"{value:g}",
            style=_STYLE[specs[a].level] if arrays["alarm_in_force"][a] else "",
        )
    if not active:
        table.add_row("", "no alarms", "", "", "")
    return table


def _points(site: Site, state: LiveState) -> Table:
    table = Table("point", "value", "unit", "quality", "age", title="Points", expand=True)
    arrays = state.arrays
    for i, spec in enumerate(site.plan.points.specs):
        quantity = QUANTITIES[spec.quantity]
        quality = Quality(int(arrays["point_quality"][i]))
        value, received = float(arrays["point_value"][i]), int(arrays["point_received_ns"][i])
        usable = bool(MAY_CLEAR[quality])
        text = "—" if np.isnan(value) else f"{value:.{quantity.decimals}f}"
        age = "—"
        if received != NO_SOURCE_TIME:
            age = f"{(state.meta['t_ns'] - received) / 1e9:.1f} s"
        row = (spec.id, text if usable else f"({text})", quantity.unit, quality.name, age)
        table.add_row(*row, style="" if usable else "magenta")
    return table


def picture(site: Site, state: LiveState | None, digest: str, now_ns: int) -> Group:
    """Return the whole picture; never shows an old state as a live one."""
    if state is None:
        return Group(Text("NO LIVE STATE: the core has not run here", style="bold white on red"))
    if state.meta["digest"] != digest:
        text = "THE CORE RUNS ANOTHER CONFIGURATION: names would be wrong, nothing is shown"
        return Group(Text(text, style="bold white on red"))
    silent_ns = now_ns - int(state.meta["published_monotonic_ns"])
    head = Text(f"step {state.meta['step']}, event {state.meta['last_seq']}", style="dim")
    if silent_ns > DOWN_AFTER_NS:
        what = f"CONNECTION LOST: the core has been silent for {silent_ns / 1e9:.0f} s; LAST STATE:"
        head = Text(what, style="bold white on red")
    return Group(head, _zones(site, state), _alarms(site, state), _points(site, state))


def show_status(config: Config, console: Console, *, once: bool) -> int:
    """Show the live state once, or until interrupted; return the exit code."""
    site = build(config)
    reader = LiveReader(live_path(config))
    if once:
        state = reader.read()
        console.print(picture(site, state, config.digest, time.monotonic_ns()))
        return 0 if state is not None else 1
    try:
        with Live(console=console, screen=True, auto_refresh=False) as live:
            while True:
                state = reader.read()
                live.update(picture(site, state, config.digest, time.monotonic_ns()), refresh=True)
                threading.Event().wait(0.5)
    except KeyboardInterrupt:
        return 0
