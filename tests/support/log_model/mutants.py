"""Faults in the scripts. The schedules are worth something only if they notice each of them.

``FAULTS`` must each break a promise within a bounded number of schedules. ``BACKED_UP`` are guards behind which another
one stands: without one of them alone work may be done twice, and nothing else. What is too rare to be met at random has
a schedule by hand (``tests/property/test_log_directed.py``).
"""

from collections.abc import Awaitable, Callable, Sequence
from functools import reduce
from typing import Any, ClassVar

from support.log_model.schedule import Schedule
from support.log_model.stage import Mutate


def replacing(script: str, old: str, new: str) -> Mutate:
    def mutate(name: str, text: str) -> str:
        if name != script:
            return text
        assert old in text, f"the fault no longer fits {script}.lua"
        return text.replace(old, new)

    return mutate


def all_of(*faults: Mutate) -> Mutate:
    return lambda name, text: reduce(lambda so_far, fault: fault(name, so_far), faults, text)


class Resting(Schedule):
    """Calls that are soon at their end and wait there for a time: what is rare in the middle of a call."""

    ends = 0.4
    finishes = 0.7
    operations: ClassVar[Sequence[Callable[..., Awaitable[Any]]]] = (
        *(Schedule.append, Schedule.read, Schedule.claim, Schedule.commit, Schedule.retire) * 4,
        *(Schedule.pass_time, Schedule.wake, Schedule.park) * 2,
        *(Schedule.unpark, Schedule.discard),
    )


class Swept(Resting):
    """The same, and every doorbell is lost now and then."""

    operations = (*Resting.operations, *(Schedule.lose_doorbells,) * 3)


class Forgetful(Schedule):
    """Claims that the server forgets and others are given, and holders who do not know of it."""

    operations = (
        *(Schedule.append, Schedule.read, Schedule.claim, Schedule.rival) * 4,
        *(Schedule.commit, Schedule.park, Schedule.unpark, Schedule.renew, Schedule.release) * 2,
    )


class Stopping(Schedule):
    """Workers that stop while their handlers would not end, and others who come at once."""

    operations = (
        *(Schedule.append, Schedule.read, Schedule.claim, Schedule.rival) * 4,
        *(Schedule.stop, Schedule.commit) * 2,
    )


#: Faults that the schedules at large meet too seldom.
THEMES: dict[str, type[Schedule]] = {
    "renewed by epoch only": Forgetful,
    "released by epoch only": Forgetful,
    "unpark without bell": Resting,
    "discard without bell": Resting,
    "park leaves its wake": Resting,
    "claim ignores due": Resting,
    "retire asks the first group only": Resting,
    "sweeper passes over what is due": Swept,
    "holder's token passed on": Stopping,
}

#: Where a search for the rarely met begins, to be short. When schedules change, the next that meets it is elsewhere.
MET_AT = {
    "ownership renewed by epoch only": 1073,
    "claim ignores parked": 1123,
    "busy acknowledges the holder's token": 1219,
    "commit fenced by epoch only": 1150,
    "wake without bell": 1047,
    "wake without due": 1057,
    "park not fenced": 1195,
    "discard without bell": 1048,
    "renewed by epoch only": 1029,
    "released by epoch only": 1031,
    "sweeper believes a lease that ran out": 1031,
    "retire asks the first group only": 1039,
}

FENCE = "if g[2] ~= ARGV[1] or g[3] ~= ARGV[2] then return {-1} end"
CAS = "if tonumber(g[1] or '0') ~= tonumber(ARGV[4]) then return {-2} end"
STEP = "if g[4] ~= ARGV[3] then return {-3} end"
BY_EPOCH_ONLY = "if g[3] ~= ARGV[2] then return {-1} end"
OWNED = "if w[1] ~= ARGV[6] or w[2] ~= ARGV[7] then"
RENEWS = "if g[3] ~= ARGV[3] or g[1] ~= ARGV[1] then"
LEASED = "if g[2] and tonumber(g[3]) > now and not (g[2] == ARGV[1] and g[4] == ARGV[5]) then"
NO_TOKEN_CHECK = replacing(
    "claim", "if not rung or rung[2][2] ~= ARGV[6] then", "if rung and rung[2][2] ~= ARGV[6] then"
)
ANY_CALLS_TOKEN = replacing("claim", "if not rung or rung[2][2] ~= ARGV[6] then", "if not rung then")
BUSY_ACKS_ALL = replacing("claim", "if g[4] ~= ARGV[5] and", "if")
BUSY_ACKS_THE_HOLDERS_AMONG_LATER = replacing("claim", " and later[1] ~= keep", "")
ACKS_ANY_CALLS_LATER = replacing("claim", "later[2][2] == ARGV[6] and ", "")
BUSY_ACKS_BESIDE_A_LOST_ONE = replacing("claim", " and #redis.call('XRANGE', KEYS[3], g[4], g[4]) > 0 then", " then")
STEPS_NOT_COUNTED = replacing("commit", STEP, "")
PARKS_BY_EPOCH_ONLY = replacing("park", FENCE, BY_EPOCH_ONLY)
UNPARKS_WITHOUT_DUE = replacing("unpark", "redis.call('HSET', KEYS[1], 'due', 1)", "")
RETIRES = "if g[1] ~= last or g[2] or g[3] or g[4] or g[5] then"

#: By what stands in the way of retirement and is not looked at.
RETIRES_IN_SPITE: dict[str, Mutate] = {
    "ow": replacing("retire", RETIRES, "if g[1] ~= last or g[3] or g[4] or g[5] then"),
    "parked": replacing("retire", RETIRES, "if g[1] ~= last or g[2] or g[4] or g[5] then"),
    "due": replacing("retire", RETIRES, "if g[1] ~= last or g[2] or g[3] or g[5] then"),
    "wk": replacing("retire", RETIRES, "if g[1] ~= last or g[2] or g[3] or g[4] then"),
}

FAULTS: dict[str, Mutate] = {
    "no dedupe": replacing("append", "if r[1] then", "if false then"),
    "another event is called a repeat": replacing("append", "and 'DUP' or 'OTHER'", "and 'DUP' or 'DUP'"),
    "appended after the end": replacing("append", "if r[2] then", "if false then"),
    "anything opens a log": replacing("append", "if ARGV[4] ~= 'open' then", "if false then"),
    "no expected tail": replacing("append", "if ARGV[5] ~= '' and", "if false and"),
    "no stale check": replacing("append", "if ARGV[6] ~= '' then", "if false then"),
    "stale by epoch only": replacing("append", OWNED, "if w[1] ~= ARGV[6] then"),
    "append rings nobody": replacing("append", "redis.call('XADD', KEYS[3], '*', 'c', ARGV[3], 'n', n)", ""),
    "retired calls begin anew": replacing("append", "if redis.call('ZSCORE', KEYS[6], ARGV[3]) then", "if false then"),
    "ownership epoch not raised": replacing(
        "own", "redis.call('HINCRBY', KEYS[1], 'ep', 1)", "redis.call('HGET', KEYS[1], 'ep') or '1'"
    ),
    "ownership renewed by epoch only": replacing("own", RENEWS, "if g[3] ~= ARGV[3] then"),
    "cursor off by one": replacing("claim", "cur+1), '+'", "cur+2), '+'"),
    "epoch not raised": replacing(
        "claim", "redis.call('HINCRBY', KEYS[2], 'ep', 1)", "tonumber(redis.call('HGET', KEYS[2], 'ep') or '1')"
    ),
    "claim ignores due": replacing("claim", "if #ev == 0 and not g[6]", "if #ev == 0"),
    "claim ignores parked": replacing("claim", "if g[5] then", "if false then"),
    "busy acknowledges the holder's token": BUSY_ACKS_ALL,
    "neither fence nor compare-and-set": all_of(*(replacing("commit", guard, "") for guard in (FENCE, CAS, STEP))),
    "commit fenced by epoch only": replacing("commit", FENCE, BY_EPOCH_ONLY),
    "commit not fenced": replacing("commit", FENCE, ""),
    "release without a look at the tail": replacing("commit", "if #ev > 0 then", "if false then"),
    "release with the rest unfinished": replacing("commit", "if ARGV[7] == '' and", "if false and"),
    "receipts before the fence": replacing(
        "commit",
        FENCE,
        "for i = 14, 13 + 3 * ARGV[13], 3 do redis.call('XADD', KEYS[5], '*', 'r', ARGV[i+2]) end " + FENCE,
    ),
    "wake not stored": replacing("commit", "redis.call('ZADD', KEYS[4], ARGV[7], ARGV[11])", ""),
    "wake without bell": replacing("wake", "redis.call('XADD', KEYS[3], '*', 'c', ARGV[1], 'n', 0)", ""),
    "wake without due": replacing("wake", "redis.call('HSET', KEYS[2], 'due', 1)", ""),
    "park not fenced": all_of(*(replacing("park", guard, "") for guard in (FENCE, CAS, STEP))),
    "park leaves its wake": replacing("park", "redis.call('ZREM', KEYS[3], ARGV[8])", ""),
    "unpark without bell": replacing("unpark", "redis.call('XADD', KEYS[2], '*', 'c', ARGV[1], 'n', 0)", ""),
    "discard without bell": replacing("discard", "redis.call('XADD', KEYS[3], '*', 'c', ARGV[1], 'n', 0)", ""),
    "renewed by epoch only": replacing("renew", "if g[1] ~= ARGV[4] or", "if"),
    "released by epoch only": replacing("release", "if g[1] ~= ARGV[3] or", "if"),
    "release forgets its token": replacing(
        "release", "redis.call('XCLAIM'", "redis.call('XACK', KEYS[2], ARGV[2], ARGV[4]) redis.call('XCLAIM'"
    ),
    "doorbell passed on to nobody": replacing("pass_on", "redis.call('XADD', KEYS[2], '*', 'c', ARGV[4], 'n', 0)", ""),
    "holder's token passed on": replacing(
        "pass_on", "if redis.call('HGET', KEYS[1], 'tok') == ARGV[3] then return 0 end", ""
    ),
    "sweeper passes over what is behind": replacing("ring", ">= tail or g[6]", ">= 0 or g[6]"),
    "sweeper passes over what is due": replacing("ring", "if not g[5] and (", "if ("),
    "sweeper believes a lease that ran out": replacing("ring", "(g[2] and tonumber(g[3]) > now)", "g[2]"),
    "sweeper rings nobody": replacing("ring", "redis.call('XADD', KEYS[3], '*', 'c', ARGV[1], 'n', tail)", ""),
    "retire does not ask how far they are": replacing("retire", RETIRES, "if g[2] or g[3] or g[4] or g[5] then"),
    "retire asks the first group only": replacing("retire", "for i = 6, 5 + ARGV[3] do", "for i = 6, 6 do"),
    "retire leaves receipts": replacing("retire", "for i = 1, #KEYS do", "for i = 1, 5 + ARGV[3] do"),
    "retire forgets the name": replacing("retire", "redis.call('ZADD', KEYS[4], 'NX', now, ARGV[1])", ""),
}

#: Each alone. The fence is not among them: after a fail-over nothing stands behind it.
BACKED_UP: dict[str, Mutate] = {
    "compare-and-set": replacing("commit", CAS, ""),
    "park's compare-and-set": replacing("park", CAS, ""),
    "park's steps": replacing("park", STEP, ""),
    "lease": replacing("claim", LEASED, "if false then"),
    "ownership lease": replacing("own", "elseif g[1] and tonumber(g[2]) > now then", "elseif false then"),
}
#: As long as the server forgets nothing, each of these is backed up, too.
BACKED_UP_BY_MEMORY: dict[str, Mutate] = {
    "fence": replacing("commit", FENCE, ""),
    "steps": replacing("commit", STEP, ""),
    "worker in the fence": replacing("commit", FENCE, BY_EPOCH_ONLY),
    "park's fence": replacing("park", FENCE, ""),
}


class TrimsPending(Schedule):
    """The trimmer looks at what was delivered and not at what is pending."""

    operations = (*Schedule.operations, *(Schedule.trim,) * 10)

    async def needed(self, group: Any) -> bytes:
        return bytes(group["last-delivered-id"])


class TrimsForOneGroup(Schedule):
    """The trimmer asks one group only."""

    operations = (*Schedule.operations, *(Schedule.trim,) * 10)

    async def trim(self) -> None:
        group: Any = (await self.redis.xinfo_groups(self.bell))[-1]
        await self.redis.xtrim(self.bell, minid=await self.needed(group), approximate=False)
