"""The shapes of the API's answers: plain dictionaries with declared keys.

They type `views.py` and become the schemas of the OpenAPI document. A time is ISO 8601 UTC; a
value that is missing is null, never 0.
"""

from __future__ import annotations

# pydantic refuses typing.TypedDict before Python 3.12.
from typing_extensions import TypedDict


class Reading(TypedDict):
    """One value and what it is worth; `usable`: it may lower an alarm, not only raise one."""

    value: float | None
    unit: str
    quality: str
    usable: bool
    source_time: str | None
    receive_time: str | None
    age_s: float | None


class PointAnswer(Reading):
    """One point; `limits` are ids of `/limits`; `level` is the worst of its alarms in force."""

    id: str
    zone: str
    device: str
    location: str
    description: str
    quantity: str
    label: str
    decimals: int
    range_low: float | None
    range_high: float | None
    max_age_s: float
    poll_s: float
    level: str
    limits: list[str]


class SourceAnswer(TypedDict):
    """Where a limit comes from; `verified` is yes, partly or no: checked against the legal text."""

    profile: str
    edition: str
    clause: str
    source: str
    verified: str


class DemandAnswer(TypedDict):
    """What must be done, and the zones where."""

    demand: str
    zones: list[str]


class ExemptionAnswer(TypedDict):
    """Who allowed a limit looser than the profile's, and until when."""

    limit: float
    authority: str
    document: str
    persons: list[str]
    reason: str
    expires: str


class LimitAnswer(TypedDict):
    """One rule: a limit, trend, vote, loss of monitoring or stage of the main-fan ladder.

    `condition` says it in words; `op`, `limit`, `reset_op`, `reset` are null except for a limit.
    """

    id: str
    kind: str
    zone: str
    point: str | None
    unit: str
    condition: str
    op: str | None
    limit: float | None
    reset_op: str | None
    reset: float | None
    on_delay_s: float
    off_delay_s: float
    level: str
    demands: list[DemandAnswer]
    latching: bool
    source: SourceAnswer
    guidance: str
    exemption: ExemptionAnswer | None


class PointDetail(PointAnswer):
    """One point with its limits in full."""

    limits_in_full: list[LimitAnswer]


class AckAnswer(TypedDict):
    """Who acknowledged an alarm, and when."""

    actor: str
    time: str | None


class AlarmAnswer(TypedDict):
    """One alarm; `committed` false: its last change is not yet on disk.

    `priority` 1: people must leave; 2: power must be cut, or ALARM; 3: ALERT; F: no trust in a
    measurement. `now` is the present value of its only point; `raised` the time it was raised
    from NORMAL, and `age_s` the time from then; `since` the time of its last change of state,
    `until` the end of a shelf or of being out of service.
    """

    id: str
    kind: str
    priority: str
    level: str
    state: str
    condition: bool
    in_force: bool
    latching: bool
    two_persons: bool
    demands: list[DemandAnswer]
    zone: str
    zone_name: str
    points: list[str]
    description: str
    quantity: str
    decimals: int
    value_at_alarm: float | None
    now: Reading | None
    limit: LimitAnswer | None
    raised: str | None
    since: str | None
    age_s: float | None
    until: str | None
    ack: AckAnswer | None
    guidance: str
    last_seq: int
    committed: bool


ZoneAnswer = TypedDict(
    "ZoneAnswer",
    {
        "id": str,
        "name": str,
        "class": str,
        "priority": str,
        "level": str,
        "demands": list[str],
        "must_leave": bool,
        "people": float | None,
        "downwind": list[str],
        "points": int,
        "unusable_points": list[str],
        "alarms": list[str],
        "unacked": int,
    },
)
"""One zone; `level` is never NORMAL while one of its points is unusable or the core is silent."""


class OutputAnswer(TypedDict):
    """One siren, beacon or power cut; null: not known. `feed` is the load side's own voltage."""

    id: str
    name: str
    demand: str
    zones: list[str]
    commanded: bool | None
    read_back: bool | None
    agrees: bool | None
    since: str | None
    feed_point: str | None
    feed: Reading | None


class LinkAnswer(TypedDict):
    """One field connection and its counters since the core's start."""

    id: str
    kind: str
    connected: bool
    polls: int
    good: int
    errors: dict[str, int]
    reconnects: int
    last_error: str
    last_good_age_s: float | None


class PeerAnswer(TypedDict):
    """One output controller; `proven`: its own watchdog was seen to trip at commissioning."""

    id: str
    proven: bool


class LinksAnswer(TypedDict):
    """All field connections and output controllers."""

    links: list[LinkAnswer]
    peers: list[PeerAnswer]


class SiteAnswer(TypedDict):
    """The site."""

    id: str
    name: str
    profile: str
    gas_category: str
    timezone: str
    language: str


class CoreAnswer(TypedDict):
    """The alarm path; `state` is ok, down, other_configuration or none (has never run)."""

    state: str
    core_down: bool
    reason: str
    silent_s: float | None
    started: str | None
    step: int | None
    evaluated: str | None
    digest: str | None


class LeaveAnswer(TypedDict):
    """A zone that people must leave; `people` null: nobody counts them there."""

    zone: str
    name: str
    people: float | None


class PartAnswer(TypedDict):
    """Whether a part of the gateway works."""

    ok: bool
    reason: str


class CountsAnswer(TypedDict):
    """How many; points by quality, alarms not normal by level."""

    points: int
    usable: int
    by_quality: dict[str, int]
    alarms: dict[str, int]
    unacked: int


class StatusAnswer(TypedDict):
    """The mine at a glance; the null fields are unknown, not empty."""

    time: str
    site: SiteAnswer
    digest: str
    core: CoreAnswer
    level: str | None
    leave: list[LeaveAnswer] | None
    counts: CountsAnswer | None
    last_seq: int | None
    committed_seq: int | None
    uncommitted: int | None
    health: dict[str, PartAnswer] | None
    supervisory: str


class PointColumns(TypedDict):
    """What moves of each point, in the order of `/points`."""

    value: list[float | None]
    quality: list[str]
    age_s: list[float | None]
    level: list[str]


class TickAnswer(TypedDict):
    """The `state` event of the stream; null where the live state cannot be shown.

    `monotonic_ms` is the server's steady clock: a client finds by it that ticks arrive late.
    """

    status: StatusAnswer
    monotonic_ms: int
    points: PointColumns | None
    zones: list[ZoneAnswer] | None
    alarms: list[AlarmAnswer] | None
    outputs: list[OutputAnswer] | None
    links: LinksAnswer | None


class EventAnswer(TypedDict):
    """One committed row, with the fields of the event contract."""

    seq: int
    time: str
    t_ns: int
    rule: str
    point: str
    zone: str
    from_state: str
    to_state: str
    from_level: str
    to_level: str
    demands: list[str]
    reason: str
    value: float | None
    quality: str
    actor: str
    cause_seq: int


class EventsAnswer(TypedDict):
    """A page of rows; `next_after` is the `after` of the next page."""

    events: list[EventAnswer]
    next_after: int
    more: bool


class SampleAnswer(TypedDict):
    """One recorded sample; `time` is when it was measured, as far as that can be believed."""

    time: str
    value: float | None
    quality: str
    source_time: str | None
    receive_time: str
    retained: bool


class StepAnswer(TypedDict):
    """The envelope of one step: every finite value lies in `min` to `max`; `worst` is a quality."""

    time: str
    samples: int
    usable: int
    min: float | None
    max: float | None
    mean: float | None
    last: float | None
    worst: str


class HistoryAnswer(TypedDict):
    """Recorded samples (`samples`), or their envelope if a step was asked for (`steps`).

    `next_start` is the `start` of the rest, null if the answer is complete.
    """

    point: str
    unit: str
    start: str
    end: str
    step_s: float | None
    samples: list[SampleAnswer] | None
    steps: list[StepAnswer] | None
    next_start: str | None


class HealthAnswer(TypedDict):
    """Whether evaluation and polling move; `failing` reasons make it 503, `degraded` do not."""

    ok: bool
    failing: list[str]
    degraded: list[str]


class ErrorAnswer(TypedDict):
    """Every error of this API: what is wrong and what to do."""

    status: int
    error: str
    detail: str
