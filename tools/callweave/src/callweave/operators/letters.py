"""Dead letters: what is stuck, what is known of one, and what a person decides about it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from redis.asyncio import Redis

from call_events import keys
from call_events.admin import Admin, GroupState
from call_events.asking import asked
from call_events.codec import as_stored
from call_events.dead_letters import DeadLetter, DeadLetters, newest_first
from call_events.errors import CallEventsError, OurMistake
from call_events.ids import CallId, call_id
from call_events.terminal import plain, plain_json
from callweave.stuck import NotParked, known_group, line, put_aside


class NothingKnown(CallEventsError):
    """No group has ever put this call aside."""


class NotRefused(OurMistake):
    """Only a refused message can be marked as seen."""


class BadUse(OurMistake):
    """The command was given what does not go together."""


class SeenBefore(CallEventsError):
    """Somebody has looked after this message already."""


@dataclass(frozen=True, slots=True)
class Event:
    """What is told of an event without telling what is in it."""

    seq: int
    type: str
    time: str
    producer: str
    size_bytes: int
    #: As it stands in the log, if that was asked for. Whoever shows it records the reading first.
    content: dict[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Case:
    """A call that a group has put aside at some time."""

    group: str
    call: CallId
    state: GroupState
    #: Events of the call.
    tail: int
    #: The one that the newest letter is about, if it is in the log.
    event: Event | None
    #: Newest first.
    letters: Sequence[DeadLetter]


async def listed(redis: Redis, group: str | None, *, everything: bool, limit: int) -> list[DeadLetter]:
    """What still counts, or all there ever was, newest first.

    Raises:
        NoSuchGroup: with the names of those there are.
    """
    if not everything:
        return await put_aside(redis, group, limit=limit)
    admin, letters = Admin(redis), DeadLetters(redis)
    groups = await admin.groups() if group is None else [await known_group(admin, group)]
    return newest_first([letter for one in groups for letter in await letters.history(one, limit=limit)])[:limit]


async def about(redis: Redis, what: str, group: str | None, *, content: bool = False) -> list[Case]:
    """All that is known of a letter, or of a call in all groups that have ever put it aside.

    With ``content`` the event itself too.

    Raises:
        NoSuchGroup, NoSuchLetter, NothingKnown, BadCallId: nothing to tell.
    """
    admin, letters = Admin(redis), DeadLetters(redis)
    if "/" in what:
        letter = await letters.find(what)
        found = await letters.of_call(letter.group, letter.call)
        theirs = [letter, *(one for one in found if one.id != letter.id)]
        return [await _case(redis, letter, theirs, content=content)]
    call = call_id(what)
    groups = await admin.groups() if group is None else [await known_group(admin, group)]
    histories = [await letters.of_call(one, call) for one in groups]
    cases = [await _case(redis, theirs[0], theirs, content=content) for theirs in histories if theirs]
    if not cases:
        where = f"group {group} has" if group else "no group has"
        raise NothingKnown(f"{where} ever put {call} aside; `callweave dlq list` tells what is stuck")
    return cases


async def _case(redis: Redis, letter: DeadLetter, letters: Sequence[DeadLetter], *, content: bool) -> Case:
    admin = Admin(redis)
    state, tail = await admin.state(letter.group, letter.call), await admin.tail(letter.call)
    number = f"0-{letter.seq}"
    stored = await asked(redis.xrange(keys.call_keys(letter.call).stream, number, number))
    event = _event(letter.seq, stored[0][1].get(b"e", b""), content=content) if stored else None
    return Case(letter.group, letter.call, state, tail, event, letters)


def _event(seq: int, raw: bytes, *, content: bool) -> Event:
    wire = as_stored(raw, seq=seq)
    kind, time, producer = (str(wire.get(name, "unreadable")) for name in ("type", "time", "producer"))
    return Event(seq, kind, time, producer, len(raw), wire if content else None)


async def discard_call(
    redis: Redis, group: str, call: CallId, what: Literal["one", "rest"], *, who: str, why: str
) -> str:
    """Let a group pass over what it cannot get past; what became of it, in one line.

    Raises:
        NoSuchGroup, NotParked, CannotDiscard: nothing was changed.
    """
    admin = Admin(redis)
    before = await admin.state(await known_group(admin, group), call)
    if before.parked is None:
        raise NotParked(f"group {group} has not parked {call}; only what is parked can be discarded")
    at = before.cursor + 1
    cursor = await admin.discard(group, call, at_event=at, what=what, who=who, why=why)
    if what == "one":
        return plain(f"{call}: group {group} passes over event {at} and goes on behind it; the log keeps it")
    told = f"events {at} to {cursor}" if cursor >= at else "nothing that is there yet"
    return plain(f"{call}: group {group} passes over {told} and whatever may follow; the log keeps all of it")


async def discard_message(redis: Redis, letter_id: str, *, who: str, why: str) -> str:
    """Mark a refused message as seen.

    Raises:
        NoSuchLetter, NotRefused, SeenBefore: nothing was changed.
    """
    letters = DeadLetters(redis)
    letter = await letters.find(letter_id)
    if letter.kind != "refused":
        raise NotRefused(
            f"{letter.id} is no refused message but a letter of kind {plain(letter.kind)}; for a parked call: "
            f"callweave dlq discard {letter.call} --group {letter.group} --why TEXT"
        )
    if not await letters.mark_seen(letter, who=who, why=why):
        raise SeenBefore(
            f"{letter.id} has been marked as seen before; `callweave dlq show {letter.call}` tells by whom"
        )
    return plain(f"{letter.call}: message of event {letter.seq} is marked as seen; it is not sent again")


def lines(case: Case) -> list[str]:
    """A case as a person reads it."""
    state = case.state
    if state.parked is not None:
        stands = f"parked at event {state.cursor + 1} of {case.tail}: {state.parked}"
    elif state.discarded:
        stands = "passes over the rest of the call"
    elif state.cursor < case.tail:
        stands = f"goes on at event {state.cursor + 1} of {case.tail}"
    else:
        stands = f"has finished all {case.tail} events"
    told = [f"{case.call}: group {case.group} {stands}"]
    if (event := case.event) is not None:
        told.append(f"event {event.seq}: {event.type} of {event.time}, by {event.producer}, {event.size_bytes} bytes")
        told += [] if event.content is None else [plain_json(event.content)]
    else:
        told.append(f"event {case.letters[0].seq} is not in the log")
    told += [f"  {line(letter)}  ({letter.id})" for letter in case.letters]
    if state.parked is not None:
        told.append(
            f"mend what the reason names, then: callweave dlq requeue {case.call} --group {case.group}; if it cannot "
            f"be mended: callweave dlq discard {case.call} --group {case.group} --one --why TEXT"
        )
    return [plain(one) for one in told]
