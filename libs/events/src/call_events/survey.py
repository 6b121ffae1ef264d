"""How every call of the log stands with every group: what is unfinished, since when, and who has it in hand.

One walk over the calls that have not been retired, so few at a time (one read-only script for each fifty, see
``standing.lua``) that nobody waits for it. It is no snapshot: calls go on while it walks.
"""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from redis.asyncio import Redis

from call_events import keys
from call_events.asking import asked
from call_events.ids import CallId
from call_events.runner import ScriptRunner

#: The server does nothing else while it looks at them: some 0.6 ms with three groups.
_CALLS_AT_ONCE = 50
#: More events than any call has: then only what is unfinished is told.
NEVER = 2**53


@dataclass(frozen=True, slots=True)
class GroupStanding:
    """A group that has not finished with a call, or has it in hand, or has parked it."""

    group: str
    cursor: int
    #: Events it has not finished.
    behind: int
    #: The reason while the call is parked.
    parked: str | None
    #: Who holds the call, as long as the lease lasts.
    worker: str | None
    lease_left_s: float
    epoch: int
    #: How often the event after the cursor has failed.
    attempts: int
    wake_at: datetime | None
    #: The event after the cursor: its wire name, and how long ago it happened; empty and ``None`` if unreadable.
    event_type: str
    age_s: float | None


@dataclass(frozen=True, slots=True)
class CallStanding:
    """One call."""

    call: CallId
    opened_at: datetime
    events: int
    ended: bool
    groups: tuple[GroupStanding, ...]


@dataclass(frozen=True, slots=True)
class Page:
    """What was seen of up to fifty calls."""

    calls: int
    ended: int
    #: Those that some group has not finished, and those that are long enough to be told.
    standings: tuple[CallStanding, ...]


async def survey(
    redis: Redis, runner: ScriptRunner, groups: Sequence[str], *, least_events: int = NEVER
) -> AsyncIterator[Page]:
    """Walk over all calls that have not been retired, shard by shard, the oldest of each first.

    Args:
        redis: from ``connection.connect``.
        runner: of the same Redis.
        groups: whose standing is asked for.
        least_events: calls of so many events are told whatever their standing.

    Raises:
        LogUnavailable: Redis cannot be asked.
    """
    for tag in keys.TAGS:
        start = 0
        while True:
            page: Any = await asked(redis.zrange(keys.live(tag), start, start + _CALLS_AT_ONCE - 1, withscores=True))
            if page:
                yield await _look(runner, [(CallId(call.decode()), at) for call, at in page], groups, least_events)
            if len(page) < _CALLS_AT_ONCE:
                break
            start += len(page)


async def _look(
    runner: ScriptRunner, calls: Sequence[tuple[CallId, float]], groups: Sequence[str], least_events: int
) -> Page:
    names = []
    for call, _ in calls:
        at = keys.call_keys(call)
        names += [at.dedupe, at.stream, *(keys.group_keys(group, call).state for group in groups)]
    now_ms, ended, rows = await runner.run("standing", names, (len(groups), least_events))
    now = datetime.fromtimestamp(now_ms / 1000, UTC)
    standings = []
    for place, events, closed, *theirs in rows:
        call, opened = calls[place]
        told = tuple(_group(groups[one[0]], one, events, now) for one in theirs)
        standings.append(CallStanding(call, datetime.fromtimestamp(opened, UTC), events, bool(closed), told))
    return Page(len(calls), ended, tuple(standings))


def _group(group: str, row: list[Any], events: int, now: datetime) -> GroupStanding:
    _, cursor, parked, worker, lease_left_ms, epoch, attempts, wake, kind, time = row
    return GroupStanding(
        group=group,
        cursor=cursor,
        behind=max(0, events - cursor),
        parked=parked.decode("utf-8", "replace") if parked else None,
        worker=worker.decode("utf-8", "replace") if lease_left_ms > 0 else None,
        lease_left_s=max(0.0, lease_left_ms / 1000),
        epoch=int(epoch or 0),
        attempts=int(attempts or 0),
        wake_at=datetime.fromtimestamp(int(wake) / 1000, UTC) if wake else None,
        event_type=kind.decode("utf-8", "replace"),
        age_s=_age(time, now),
    )


def _age(time: bytes, now: datetime) -> float | None:
    try:
        age: timedelta = now - datetime.fromisoformat(time.decode())
    except (ValueError, TypeError):  # no time, or one without a zone
        return None
    return max(0.0, age.total_seconds())
