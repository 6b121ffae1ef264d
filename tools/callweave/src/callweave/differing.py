"""Two replays side by side: what differs in the events, and in the state after them. Pure."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Any

import orjson

from call_events.codec import wire_type
from call_events.fold import fold
from call_events.ports import AnyEvent
from call_events.registry import UnknownData
from call_events.terminal import plain, plain_json
from call_events.timeline import agent_names, line_of

#: Fields of the state that tell where one has looked, not what is true of the call.
_POSITION = ("seq", "counts")


@dataclass(frozen=True, slots=True)
class Change:
    """One value that is not the same."""

    #: ``owner``, ``transfers[0].stage`` …
    path: str
    #: JSON of each side; absent where that side has no such thing.
    one: str | None
    other: str | None


@dataclass(frozen=True, slots=True)
class Step:
    """An event that only one side has, as a timeline shows it."""

    side: str
    seq: int
    type: str
    line: str


@dataclass(frozen=True, slots=True)
class Difference:
    """Everything that is not the same."""

    steps: tuple[Step, ...]
    changes: tuple[Change, ...]

    @property
    def is_none(self) -> bool:
        """The two are the same."""
        return not self.steps and not self.changes


def difference(one: Sequence[AnyEvent], other: Sequence[AnyEvent]) -> Difference:
    """What must be done to the first to get the second.

    Two moments or copies of one call are compared event by event, ids included. Of two calls it is compared what
    happened, and not the ids and times that no two calls share.
    """
    same_call = bool(one and other and one[0].call == other[0].call)
    return Difference(tuple(_steps(one, other, same_call=same_call)), tuple(_changes(one, other, same_call=same_call)))


def _steps(one: Sequence[AnyEvent], other: Sequence[AnyEvent], *, same_call: bool) -> Iterator[Step]:
    before, after = ([_key(event, same_call=same_call) for event in side] for side in (one, other))
    for what, start, end, into, until in SequenceMatcher(None, before, after, autojunk=False).get_opcodes():
        if what == "equal":
            continue
        yield from (_step("-", one, index) for index in range(start, end))
        yield from (_step("+", other, index) for index in range(into, until))


def _step(side: str, events: Sequence[AnyEvent], index: int) -> Step:
    event = events[index]
    line = line_of(event, events[0].time, agent_names(events[:index]), everything=True)
    return Step(side, event.seq, wire_type(event), f"{line.at_s:>8.3f} s  {line.who:<14} {line.text}")


def _key(event: AnyEvent, *, same_call: bool) -> bytes:
    if same_call:
        return event.model_dump_json(exclude={"data"}).encode() + _data(event)
    line = line_of(event, event.time)
    return orjson.dumps((wire_type(event), line.who, line.text))


def _data(event: AnyEvent) -> bytes:
    data = event.data
    return orjson.dumps(data.raw) if isinstance(data, UnknownData) else data.model_dump_json().encode()


def _changes(one: Sequence[AnyEvent], other: Sequence[AnyEvent], *, same_call: bool) -> Iterator[Change]:
    states = [fold(side).model_dump(mode="json") for side in (one, other)]
    for state in states:
        for name in _POSITION:
            state.pop(name)
        if not same_call:
            _forget_instants(state)
    yield from _walk("", *states)


#: What no two calls share.
_OWN = frozenset({"call", "utterance_id", "transfer_id", "started_seq", "identity"})


def _forget_instants(value: Any) -> None:
    if isinstance(value, dict):
        for name in [name for name in value if name in _OWN or name.endswith("_at")]:
            del value[name]
        value.pop("duration_ms", None)
        for inner in value.values():
            _forget_instants(inner)
    elif isinstance(value, list):
        for inner in value:
            _forget_instants(inner)


def _walk(path: str, one: Any, other: Any) -> Iterator[Change]:
    if one == other:
        return
    if isinstance(one, dict) and isinstance(other, dict):
        for name in dict.fromkeys((*one, *other)):
            inner = f"{path}.{name}" if path else str(name)
            if name in one and name in other:
                yield from _walk(inner, one[name], other[name])
            else:
                yield Change(inner, _json(one.get(name)), _json(other.get(name)))
    elif isinstance(one, list) and isinstance(other, list):
        for index in range(max(len(one), len(other))):
            inner = f"{path}[{index}]"
            if index < min(len(one), len(other)):
                yield from _walk(inner, one[index], other[index])
            elif index < len(one):
                yield Change(inner, _json(one[index]), None)
            else:
                yield Change(inner, None, _json(other[index]))
    else:
        yield Change(path, _json(one), _json(other))


def _json(value: Any) -> str | None:
    return None if value is None else plain_json(value)


def lines(found: Difference) -> Iterator[str]:
    """For people; safe on a terminal."""
    if found.steps:
        yield "events"
        yield from (plain(f"  {step.side} {step.seq:>4}  {step.line}") for step in found.steps)
    if found.changes:
        yield "state"
        for change in found.changes:
            yield plain(f"  {change.path}: {change.one or '(nothing)'} → {change.other or '(nothing)'}")
