"""The state of a log and of those who read it, at one moment."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from redis.asyncio import Redis

from call_events import overview
from call_events.admin import Admin
from call_events.dead_letters import DeadLetters
from call_events.ids import CallId
from call_events.runner import ScriptRunner
from call_events.survey import CallStanding, GroupStanding, survey
from callweave.operators import spool as spools

#: Refused messages are counted up to so many.
MOST_REFUSED = 1000


@dataclass(frozen=True, slots=True)
class Unhandled:
    """The event of a group that has waited longest, parked calls left out."""

    call: CallId
    seq: int
    type: str
    age_s: float
    attempts: int
    #: Who has it in hand.
    worker: str | None
    #: Seconds until it is looked at again, if it waits for a time.
    wake_in_s: float | None


@dataclass(slots=True)
class GroupStatus:
    """One group."""

    group: str
    doorbells: overview.GroupOverview
    calls_behind: int = 0
    events_behind: int = 0
    parked: int = 0
    refused: int = 0
    oldest: Unhandled | None = None


@dataclass(frozen=True, slots=True)
class LogStatus:
    """All of it."""

    #: Several on a Cluster.
    servers: Sequence[overview.Server]
    doorbells: int
    open_calls: int
    ended_calls: int
    retired_calls: int
    groups: Sequence[GroupStatus]
    spool: spools.Spool | None


async def look(redis: Redis, spool_dir: Path | None, *, now_s: float) -> LogStatus:
    """Ask the server, every shard, every call and every group.

    Args:
        redis: the log's.
        spool_dir: of this machine, or none.
        now_s: wall clock, seconds since 1970.

    Raises:
        LogUnavailable: Redis cannot be asked.
        BadSetting: the spool cannot be read.
    """
    spool = None if spool_dir is None else spools.look(spool_dir)
    names = await Admin(redis).groups()
    about = await overview.servers(redis)
    bells, theirs = await overview.overview(redis, names)
    groups = {one.group: GroupStatus(one.group, one) for one in theirs}
    calls = ended = 0
    async for page in survey(redis, ScriptRunner(redis), names):
        calls, ended = calls + page.calls, ended + page.ended
        for standing in page.standings:
            for one in standing.groups:
                _count(groups[one.group], standing, one, now_s)
    for group in groups.values():
        letters = await DeadLetters(redis).open(group.group, limit=MOST_REFUSED)
        group.refused = sum(letter.kind == "refused" for letter in letters)
    return LogStatus(about, bells.length, calls - ended, ended, bells.retired, list(groups.values()), spool)


def _count(group: GroupStatus, call: CallStanding, one: GroupStanding, now_s: float) -> None:
    if one.parked is not None:
        group.parked += 1
        return
    if not one.behind:
        return
    group.calls_behind += 1
    group.events_behind += one.behind
    age_s = one.age_s or 0.0
    if group.oldest is None or age_s > group.oldest.age_s:
        wake_in_s = None if one.wake_at is None else one.wake_at.timestamp() - now_s
        group.oldest = Unhandled(call.call, one.cursor + 1, one.event_type, age_s, one.attempts, one.worker, wake_in_s)
