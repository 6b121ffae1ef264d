"""What consumers have put aside, and how a call is given back to them."""

import asyncio
import time
from collections.abc import Sequence

from redis.asyncio import Redis

from call_events.admin import NOBODY, Admin, GroupState
from call_events.dead_letters import DeadLetter, newest_first
from call_events.errors import CallEventsError
from call_events.ids import CallId
from call_events.terminal import plain
from callweave.shown import moment

_POLL_S = 0.05


class NoSuchGroup(CallEventsError):
    """Nobody reads the log under this name."""


class NotParked(CallEventsError):
    """The group has not put this call aside."""


class ParkedAgain(CallEventsError):
    """The group has put the call aside once more."""


async def put_aside(redis: Redis, group: str | None, *, limit: int) -> list[DeadLetter]:
    """Calls that are parked and messages that were refused, of one group or of all, newest first.

    At most ``limit`` of each kind and group.

    Raises:
        NoSuchGroup: with the names of those there are.
    """
    admin = Admin(redis)
    groups = await admin.groups() if group is None else [await known_group(admin, group)]
    found = [letter for one in groups for letter in await admin.set_aside(one, limit=limit)]
    return newest_first(found)


def line(letter: DeadLetter) -> str:
    """One letter as a person reads it."""
    by = f" by {letter.who}" if letter.who else ""
    because = f": {letter.why}" if letter.why else ""
    match letter.kind:
        case "parked":
            what = f"parked at event {letter.seq}{because}"
        case "refused":
            what = f"message of event {letter.seq} refused{because}"
        case "requeued":
            what = f"given back at event {letter.seq}{by}{because}"
        case "discarded":
            which = f"event {letter.seq}" if letter.what == "one" else f"event {letter.seq} and all that follow"
            what = f"passed over {which}{by}{because}"
        case "seen":
            what = f"refused message of event {letter.seq} seen{by}{because}"
        case _:  # of a newer release
            what = f"{letter.kind} at event {letter.seq}{by}{because}"
    return plain(f"{moment(letter.at)}  {letter.group:<9} {letter.call}  {what}")


async def unpark(
    redis: Redis, group: str, call: CallId, *, wait_s: float, who: str = NOBODY, why: str = ""
) -> Sequence[str]:
    """Give a call back to a group and say what became of it, looking for at most ``wait_s`` seconds.

    That it was given back, by whom and why, is kept with the dead letters.

    Raises:
        NoSuchGroup, NotParked: nothing was changed.
        ParkedAgain: what it was parked for has not been mended.
    """
    admin = Admin(redis)
    before = await admin.state(await known_group(admin, group), call)
    tail = await admin.tail(call)
    if before.parked is None or not await admin.unpark(group, call, who=who, why=why):
        raise NotParked(f"group {group} has not parked {call}; `callweave dlq list` tells what is parked")
    now = await _settled(admin, group, call, tail, wait_s)
    if now.parked is not None:
        raise ParkedAgain(
            plain(
                f"group {group} went on with {call} and has parked it again at event {now.cursor + 1}: {now.parked}; "
                "mend that first"
            )
        )
    return (
        plain(f"{call}: unparked; group {group} had parked it at event {before.cursor + 1}: {before.parked}"),
        outcome(now, before, tail, group),
    )


async def _settled(admin: Admin, group: str, call: CallId, tail: int, wait_s: float) -> GroupState:
    """The group's state once it has finished with the call or parked it again, or when the time is up."""
    give_up = time.monotonic() + wait_s
    while True:
        state = await admin.state(group, call)
        if state.parked is not None or _is_finished(state, tail) or time.monotonic() >= give_up:
            return state
        await asyncio.sleep(_POLL_S)


def _is_finished(state: GroupState, tail: int) -> bool:
    """At the end, and looked at since: a call can be parked when all of it is done."""
    return state.cursor >= tail and not state.due and state.worker is None


def outcome(now: GroupState, before: GroupState, tail: int, group: str) -> str:
    """What became of a call that was given back, from the group's state before and after."""
    if _is_finished(now, tail):
        return f"group {group} has finished all {tail} events"
    where = f"at event {now.cursor + 1} of {tail}" if now.cursor < tail else f"at the end of its {tail} events"
    if now.wake_at is not None:
        return f"group {group} has it {where} and looks again at {moment(now.wake_at)}"
    if now.worker is not None or now.cursor > before.cursor:
        return f"group {group} is {where} and goes on"
    return f"no service of group {group} has taken it up yet; it goes on {where} as soon as one runs"


async def known_group(admin: Admin, group: str) -> str:
    """The group, if it reads this log.

    Raises:
        NoSuchGroup: with the names of those that do.
    """
    groups = await admin.groups()
    if group not in groups:
        there = f"there are: {', '.join(groups)}" if groups else "no service has read this log yet"
        raise NoSuchGroup(plain(f"no group {group} reads this log; {there}"))
    return group
