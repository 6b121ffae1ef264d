"""Finds calls whose doorbell got lost, and rings for them.

A doorbell is lost if the server failed between the two writes of a script, or by a trim that was wrong. Nothing else
would ever look at such a call, so somebody has to look at all open ones. What that costs does not grow with the
workers: one of a group at a time has the *turn* of a shard, which lasts for an interval, and goes through its open
calls at a bounded pace. With very many open calls a round takes longer; nothing else becomes slower.

**Who is rung for.** A call looks *idle* if it has something to do and nobody holds it, it is not parked and waits for
no time. That alone means nothing: most such calls have a doorbell that is merely unread. So the sweeper also reads
which calls have a doorbell, *after* it has seen that they are idle, and those that nobody has taken before those that
are pending, for a doorbell moves in this direction only. A call without any is rung for, by a script that looks once
more. If a shard has more open doorbells than can be looked at, its workers are behind: nothing is rung there until they
have caught up.
"""

import asyncio
import random
from collections.abc import Sequence
from typing import Any

import structlog
from redis.asyncio import Redis

from call_events import keys, metrics
from call_events.claims import GroupClaims
from call_events.doorbells import call_of, named
from call_events.ids import CallId
from call_events.options import ConsumerOptions
from call_events.ports import Clock

log = structlog.get_logger()

_PAGE = 100
#: Doorbells of one shard that are looked at to find out which calls have one.
_MOST_DOORBELLS = 2_000


class Sweeper:
    """One worker's share of its group's sweeping."""

    def __init__(
        self, redis: Redis, claims: GroupClaims, *, group: str, worker: str, options: ConsumerOptions, clock: Clock
    ) -> None:
        self._redis = redis
        self._claims = claims
        self._group = group
        self._worker = worker
        self._clock = clock
        #: Shorter than the interval at which each worker asks for it, so that no round is left out.
        self._turn_ms = max(1, int(options.sweep_s * 750))
        self._page_s = _PAGE / options.sweep_calls_per_s

    async def sweep(self) -> None:
        """Go through the shards whose turn nobody has."""
        for tag in random.sample(keys.TAGS, len(keys.TAGS)):
            if await self._redis.set(keys.sweep(tag, self._group), self._worker, nx=True, px=self._turn_ms):
                await self._sweep_shard(tag)

    async def _sweep_shard(self, tag: str) -> None:
        start = rung = 0
        while page := await self._page(tag, start):
            start += len(page)
            rung += await self._ring_for_lost(tag, [call for raw in page if (call := named(raw)) is not None])
            if len(page) < _PAGE:
                break
            await asyncio.sleep(self._page_s)
            await self._redis.set(keys.sweep(tag, self._group), self._worker, px=self._turn_ms)  # it lasts on
        if rung:
            metrics.SWEPT.labels(self._group).inc(rung)
            log.warning(
                "consumer.swept",
                group=self._group,
                calls=rung,
                mend="their doorbells were lost, now they go on; look for an error of Redis some minutes ago",
            )

    async def _page(self, tag: str, start: int) -> list[bytes]:
        page: Any = await self._redis.zrange(keys.live(tag), start, start + _PAGE - 1)
        return list(page)

    async def _ring_for_lost(self, tag: str, page: Sequence[CallId]) -> int:
        idle = await self._claims.idle(page, now=self._clock.now())
        if not idle:
            return 0
        rung_for = await self._have_a_doorbell(tag)
        if rung_for is None:
            return 0
        return sum([await self._claims.ring(call) for call in idle if call not in rung_for])

    async def _have_a_doorbell(self, tag: str) -> set[CallId] | None:
        """Calls with a doorbell that is unread or pending; absent if there are too many to tell."""
        bell = keys.bell(tag)
        groups: Any = await self._redis.xinfo_groups(bell)
        last = next((one["last-delivered-id"] for one in groups if one["name"].decode() == self._group), b"0-0")
        unread: Any = await self._redis.xrange(bell, b"(" + last, "+", count=_MOST_DOORBELLS)
        pending: Any = await self._redis.xpending_range(bell, self._group, "-", "+", _MOST_DOORBELLS)
        if max(len(unread), len(pending)) >= _MOST_DOORBELLS:
            return None
        async with self._redis.pipeline(transaction=False) as pipe:
            for entry in pending:
                pipe.xrange(bell, entry["message_id"], entry["message_id"])
            taken: Any = await pipe.execute()
        doorbells = [*unread, *(entry for entries in taken for entry in entries)]
        return {call for _, fields in doorbells if (call := call_of(fields)) is not None}
