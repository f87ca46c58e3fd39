"""The application over a real live-state file and a real journal, driven without a socket."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import httpx
from fastapi import FastAPI

from alarms.events import Row
from gateway.api.app import build
from gateway.api.auth import Role, new_token
from gateway.api.picture import Now
from gateway.api.sources import Sources
from gateway.journal import JournalWriter
from gateway.live_state import LiveWriter
from gateway.sinks.historian import Historian
from sensors.frame import Batch
from tests.gateway.api.pretend import NOW, PLAN, LiveMine, S, config

CAPACITY: Final = 1_000_000


@dataclass(slots=True)
class Served:
    folder: Path
    sources: Sources
    app: FastAPI
    tokens: dict[str, str]
    now: Now = NOW

    @property
    def live_file(self) -> Path:
        return self.folder / "live.state"

    def publish(self, live: LiveMine) -> None:
        writer = LiveWriter(self.live_file, CAPACITY)
        writer.publish(live.meta(), live.arrays)
        writer.close()

    def journal(
        self,
        rows: Sequence[Row] = (),
        readings: Sequence[tuple[int, Batch]] = (),
        records: Sequence[tuple[str, int, dict[str, Any]]] = (),
    ) -> None:
        """Keep what is given, as the core would; returns when it is on the disk."""
        writer = JournalWriter(
            self.sources.book.config.journal, on_commit=lambda _seq: None, on_state=lambda _s: None
        )
        writer.start()
        points = {"digest": "d1", "points": list(PLAN.points.ids), "text": ""}
        writer.put_record("config", NOW.wall_ns, points)
        for t_ns, batch in readings:
            writer.put_readings(t_ns, batch)
        for kind, t_ns, data in records:
            writer.put_record(kind, t_ns, data)
        writer.put_rows(rows)
        assert writer.close(30.0)

    def client(self, role: str | None = "regulator") -> httpx.AsyncClient:
        headers = {"authorization": f"Bearer {self.tokens[role]}"} if role else {}
        # raise_app_exceptions: a fault must come out as the 500 that a client would see.
        transport = httpx.ASGITransport(self.app, raise_app_exceptions=False)
        return httpx.AsyncClient(transport=transport, base_url="http://mine", headers=headers)

    def later(self, seconds: float) -> None:
        self.now = Now(
            self.now.monotonic_ns + round(seconds * S), self.now.wall_ns + round(seconds * S)
        )


def serve(folder: Path, *, max_streams: int = 64, historian: Historian | None = None) -> Served:
    roles: tuple[Role, ...] = ("regulator", "operator")
    made = {role: new_token(role, f"a {role}") for role in roles}
    file = folder / "tokens"
    file.write_text("\n".join(line for _, line in made.values()), "utf-8")
    site = config(folder, tokens=file, max_streams=max_streams)
    served: Served
    sources = Sources(site, PLAN, folder / "live.state", historian, now=lambda: served.now)
    tokens = {role: token for role, (token, _) in made.items()} | {"bad": "no-such-token"}
    served = Served(folder, sources, build(sources), tokens)
    return served
