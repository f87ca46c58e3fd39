"""Messages: what people and scenarios can do to a pretend mine in operation.

A message is a small JSON object with one verb:

| message | effect |
|---|---|
| `{"set": {"T1-101.gas": 2.0}}` | the point shows exactly this; null: the mine's value again |
| `{"fault": "stuck", "point": "T1-101.gas"}` | see `simulators.faults`; also `size`, `for_s` |
| `{"fault": "none", "point": "T1-101.gas"}` | ends the point's faults |
| `{"device": "T1-101", "state": "silent"}` | the device says nothing any more; `up` |
| `{"device": "T1-101", "says": "INHIBITED"}` | its status registers say so; "" healthy |
| `{"link": "east", "state": "cut"}` | also `silent`, `garbled`, `up`; `mqtt` is the nodes' own |
| `{"fan": "main", "state": "stop"}` | `main`, a device or a zone; `run` |
| `{"emission": "LW101", "m3_per_min": 60}` | more methane; also `over_s`, `for_s`, `location` |
| `{"fire": "belt-road", "megawatt": 1}` | also `over_s`, `for_s`, `location` |
| `{"heating": "LW101-return", "megawatt": 1}` | carbon monoxide without smoke; likewise |
| `{"quench": "belt-road"}` | ends what emission, fire and heating began there |
| `{"barometer": 4.0}` | falls by so many hPa per hour from now on |
| `{"broker": "restart"}` | also `stop`, `start`: the pretend mine's own MQTT broker |
| `{"scenario": "belt-fire"}` | its events begin now |
| `{"status": true}` | changes nothing; the reply shows everything |

The reply is ``{"ok": true, ...}`` or ``{"ok": false, "error": reason}``.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import TYPE_CHECKING, Any, Final

from simulators.modbus_devices import LINK_STATES
from simulators.scenario import Message, load_scenario

if TYPE_CHECKING:
    from simulators.world import World

FOR_EVER_S: Final = 1.0e12
Reply = dict[str, Any]


class MessageError(ValueError):
    """A message that cannot be obeyed: the text says why, and what would do."""


def obey(world: World, message: Message) -> Reply:
    """Do what a message says and return the reply; a wrong message changes nothing."""
    try:
        verb = _verb_of(message)
        return {"ok": True, **(_VERBS[verb][0](world, message) or {})}
    except MessageError as error:
        return {"ok": False, "error": str(error)}


def _verb_of(message: Message) -> str:
    verb = next((key for key in message if key in _VERBS), None)
    if verb is None:
        raise MessageError(f"none of the keys is a verb; verbs: {', '.join(_VERBS)}")
    allowed = _VERBS[verb][1]
    if unknown := sorted(set(message) - {verb, *allowed}):
        raise MessageError(
            f"{verb} knows no {', '.join(unknown)}; it knows: {', '.join(allowed) or '-'}"
        )
    return verb


def _set(world: World, message: Message) -> None:
    values = message["set"]
    if not isinstance(values, Mapping):
        raise MessageError('write {"set": {"point": value}}')
    for point, value in values.items():
        _known(point, world.shown, "point")
        if value is not None and (isinstance(value, bool) or not isinstance(value, int | float)):
            raise MessageError(f"{point}: {value!r} is no number")
    for point, value in values.items():
        world.faults.set(point, None if value is None else float(value))
    world.look()


def _fault(world: World, message: Message) -> None:
    point, kind = _text(message, "point"), _text(message, "fault")
    _known(point, world.shown, "point")
    if kind == "none":
        world.faults.clear(point)
    else:
        size, for_s = _number(message, "size", 1.0), _number(message, "for_s", FOR_EVER_S)
        try:
            world.faults.add(point, kind, size, world.t_s, for_s)
        except ValueError as error:
            raise MessageError(str(error)) from error
    world.look()


def _device(world: World, message: Message) -> None:
    device = _text(message, "device")
    _known(device, world.devices, "device")
    says = _text(message, "says", "")
    registers = world.registers.get(device)
    can_say = registers.can_say() if registers else frozenset()
    if says and says not in can_say:
        raise MessageError(f"{device} can say: {', '.join(sorted(can_say)) or 'nothing'}")
    silent = _choice(message, "state", ("up", "silent"), "up") == "silent"
    if registers and "says" in message:
        registers.says = says
    if silent:
        world.silent.add(device)
    else:
        world.silent.discard(device)


def _link(world: World, message: Message) -> None:
    link = _text(message, "link")
    _known(link, world.links, "link")
    state = _choice(message, "state", LINK_STATES)
    world.links[link].set(next(s for s in LINK_STATES if s == state))


def _fan(world: World, message: Message) -> None:
    which = _text(message, "fan")
    running = _choice(message, "state", ("run", "stop")) == "run"
    mine = world.mine
    fans = [
        fan.device
        for fan in mine.fans
        if which in (fan.device, mine.zone_ids[fan.zone])
        or (which == "main" and fan.main and not (fan.standby and running))
    ]
    if not fans:
        _known(which, {"main", *mine.fan_told}, "fan")
    for fan in fans:
        mine.run_fan(fan, running=running)


def _emission(world: World, message: Message) -> None:
    zone = _zone(world, message, "emission")
    world.mine.emit(
        zone,
        _number(message, "m3_per_min"),
        over_s=_number(message, "over_s", 0.0),
        for_s=_number(message, "for_s", FOR_EVER_S),
        location=_text(message, "location", ""),
    )


def _burn(world: World, message: Message) -> None:
    kind = "fire" if "fire" in message else "heating"
    world.mine.burn(
        _zone(world, message, kind),
        kind,
        _number(message, "megawatt", 1.0),
        over_s=_number(message, "over_s", 5.0),
        for_s=_number(message, "for_s", FOR_EVER_S),
        location=_text(message, "location", ""),
    )


def _quench(world: World, message: Message) -> None:
    world.mine.quench(_zone(world, message, "quench"))


def _barometer(world: World, message: Message) -> None:
    world.mine.let_barometer_fall(_number(message, "barometer"))


def _broker(world: World, message: Message) -> None:
    order = _choice(message, "broker", ("start", "stop", "restart"))
    if world.on_broker is None:
        raise MessageError("the broker is not the pretend mine's own: stop it where it runs")
    world.on_broker(order)


def _scenario(world: World, message: Message) -> None:
    try:
        world.play(load_scenario(_text(message, "scenario")), world.t_s)
    except ValueError as error:
        raise MessageError(str(error)) from error


def _status(world: World, _message: Message) -> Reply:
    return {
        "t_s": world.t_s,
        "complaints": list(world.complaints),
        "values": {point: wire.value for point, wire in world.shown.items()},
        "links": {link: switch.state for link, switch in world.links.items()},
        "silent": sorted(world.silent),
        "fans": dict(world.mine.fan_told),
        "controllers": {f"{link}/{unit}": p.state() for (link, unit), p in world.plcs.items()},
        "outputs": {o.id: world.output_on(o.id) for o in world.config.outputs},
    }


def _zone(world: World, message: Message, key: str) -> str:
    zone = _text(message, key)
    _known(zone, world.mine.zone_index, "zone")
    return zone


def _known(name: str, names: Collection[str], what: str) -> None:
    if name not in names:
        raise MessageError(f"no {what} {name!r}; there are: {', '.join(sorted(names))}")


def _text(message: Message, key: str, default: str | None = None) -> str:
    value = message.get(key, default)
    if not isinstance(value, str):
        raise MessageError(f"{key} must be a text")
    return value


def _number(message: Message, key: str, default: float | None = None) -> float:
    value = message.get(key, default)
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise MessageError(f"{key} must be a number")
    return float(value)


def _choice(
    message: Message, key: str, choices: tuple[str, ...], default: str | None = None
) -> str:
    value = message.get(key, default)
    if value not in choices:
        raise MessageError(f"{key} must be one of: {', '.join(choices)}")
    return str(value)


_Act = Callable[["World", Message], Reply | None]
_GROWTH: Final = ("over_s", "for_s", "location")
_VERBS: Final[dict[str, tuple[_Act, tuple[str, ...]]]] = {
    "set": (_set, ()),
    "fault": (_fault, ("point", "size", "for_s")),
    "device": (_device, ("state", "says")),
    "link": (_link, ("state",)),
    "fan": (_fan, ("state",)),
    "emission": (_emission, ("m3_per_min", *_GROWTH)),
    "fire": (_burn, ("megawatt", *_GROWTH)),
    "heating": (_burn, ("megawatt", *_GROWTH)),
    "quench": (_quench, ()),
    "barometer": (_barometer, ()),
    "broker": (_broker, ()),
    "scenario": (_scenario, ()),
    "status": (_status, ()),
}
