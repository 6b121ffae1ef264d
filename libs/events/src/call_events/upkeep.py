"""What a consumer does besides handling: renew, reclaim, wake, sweep (``sweeper``), trim and count (``trimmer``)."""

import asyncio
import random
from collections.abc import Awaitable, Callable, Coroutine
from datetime import datetime
from typing import Any

import structlog
from redis.asyncio import Redis
from redis.exceptions import RedisError

from call_events import keys
from call_events.claims import GroupClaims
from call_events.cluster import ClusterClient
from call_events.doorbells import call_of, named, offer
from call_events.errors import LogUnavailable
from call_events.held import Held
from call_events.options import ConsumerOptions
from call_events.ports import Clock
from call_events.reader import create_groups, has_no_group
from call_events.runner import passes
from call_events.sweeper import Sweeper
from call_events.trimmer import Trimmer
from call_events.workbench import Workbench, is_told_to_end

log = structlog.get_logger()

#: A token handed back looks as if abandoned this long ago, so that every worker's next reclaim takes it.
_LONG_AGO_MS = 1_000_000
_PAGE = 100


class Upkeep:
    """The side tasks of one worker. Each is safe to run on all workers at once."""

    def __init__(
        self,
        redis: Redis,
        claims: GroupClaims,
        bench: Workbench,
        *,
        group: str,
        worker: str,
        options: ConsumerOptions,
        clock: Clock,
        stopping: asyncio.Event,
    ) -> None:
        self._redis = redis
        self._claims = claims
        self._bench = bench
        self._group = group
        self._worker = worker
        self._options = options
        self._clock = clock
        self._stopping = stopping
        #: Ring for lost doorbells; drop read ones and set the gauges.
        self.sweep = Sweeper(redis, claims, group=group, worker=worker, options=options, clock=clock).sweep
        self.trim = Trimmer(redis, group=group, clock=clock).trim
        self._next_wake: float | None = None
        self._wake_sooner = asyncio.Event()
        #: Per shard, where the next look for abandoned tokens begins: the server looks at some ten per token asked for.
        self._reclaim_from: dict[str, Any] = {}

    def jobs(self) -> list[tuple[str, Coroutine[Any, Any, None]]]:
        """Name and endless work of every side task."""
        lease = self._options.lease_s
        return [
            ("renew", self._every(lease / 3, self.renew)),
            ("reclaim", self._every(lease / 4, self.reclaim)),
            ("wake", self._wake_in_time()),
            ("sweep", self._every(self._options.sweep_s, self.sweep)),
            ("trim", self._every(self._options.trim_s, self.trim)),
        ]

    async def renew(self) -> None:
        """Keep the leases of the calls in hand; a handler whose lease is lost is cancelled.

        A renewal that hangs cancels nothing and need not: the handler's deadline is the end of the lease, and only a
        good renewal moves it.
        """
        held = [one for one in self._bench.held.values() if one.epoch]
        async with asyncio.TaskGroup() as tasks:
            for one in held:
                tasks.create_task(self._renew(one))

    async def reclaim(self) -> None:
        """Take over tokens whose worker has not been heard of for a lease."""
        failed: RedisError | OSError | None = None
        for tag in random.sample(keys.TAGS, len(keys.TAGS)):
            if self._stopping.is_set() or not self._bench.free:
                break
            try:
                await self._reclaim_of(tag)
            except (RedisError, OSError) as error:
                if not isinstance(self._redis, ClusterClient):
                    raise
                failed = error  # other shards have other masters
        if failed is not None:
            raise failed

    async def _reclaim_of(self, tag: str) -> None:
        self._reclaim_from[tag], entries, *_ = await self._redis.xautoclaim(
            keys.bell(tag),
            self._group,
            self._worker,
            int(self._options.lease_s * 1050),
            start_id=self._reclaim_from.get(tag, "0-0"),
            count=max(1, min(_PAGE, self._bench.free)),
        )
        await offer(self._redis, self._bench, self._group, keys.bell(tag), entries)

    async def wake(self) -> float | None:
        """Ring for every call whose time has come; seconds until the next one's time, by the server's clock."""
        async with self._redis.pipeline(transaction=False) as pipe:
            pipe.time()
            for tag in keys.TAGS:
                pipe.zrange(keys.wake(tag, self._group), 0, _PAGE - 1, withscores=True)
            clock, *shards = await pipe.execute(raise_on_error=False)
        failed = [answer for answer in (clock, *shards) if isinstance(answer, BaseException)]
        if isinstance(clock, BaseException):
            raise clock
        now_ms = clock[0] * 1000 + clock[1] // 1000
        served = [shard for shard in shards if not isinstance(shard, BaseException)]  # on a Cluster one master may fail
        times = [(float(at), call) for shard in served for raw, at in shard if (call := named(raw)) is not None]
        async with asyncio.TaskGroup() as tasks:
            for at, call in times:
                if at <= now_ms:
                    tasks.create_task(self._claims.wake(call))
        if failed:
            raise failed[0]
        return min(((at - now_ms) / 1000 for at, _ in times if at > now_ms), default=None)

    def wake_at(self, when: datetime) -> None:
        """A wake was stored: be there in time, not at the next poll."""
        due = self._clock.monotonic() + max(0.0, (when - self._clock.now()).total_seconds())
        if self._next_wake is None or due < self._next_wake:
            self._next_wake = due
            self._wake_sooner.set()

    async def hand_back(self) -> None:
        """At the end: whatever is pending under our name goes to the others at once."""
        try:
            for tag in keys.TAGS:
                await self._hand_back(tag)
                await self._claims.leave(tag)
        except (LogUnavailable, RedisError, OSError) as error:  # they become idle by themselves, one lease later
            log.warning("consumer.cannot_hand_back", group=self._group, error=f"{type(error).__name__}: {error}")

    async def _hand_back(self, tag: str) -> None:
        bell = keys.bell(tag)
        pending: Any = await self._redis.xpending_range(bell, self._group, "-", "+", _PAGE * 10, self._worker)
        kept: list[Any] = []
        for token in (entry["message_id"] for entry in pending):
            entries: Any = await self._redis.xrange(bell, token, token)
            calls = [call for _, fields in entries if (call := call_of(fields)) is not None]
            if not (calls and await self._claims.pass_on(calls[0], token.decode())):
                kept.append(token)
        if (
            kept
        ):  # of handlers that would not end: whoever looks for abandoned ones finds them when their leases are over
            await self._redis.xclaim(bell, self._group, self._worker, 0, kept, idle=_LONG_AGO_MS, justid=True)

    async def _renew(self, held: Held) -> None:
        asked = asyncio.get_running_loop().time()
        try:
            kept = await self._claims.renew(held)
        except LogUnavailable:
            return  # the handler's deadline stands where the last good renewal has put it
        if kept:
            held.keep_until(asked + self._options.working_lease_s)
        else:
            held.lose()

    async def _every(self, seconds: float, work: Callable[[], Awaitable[Any]]) -> None:
        while not is_told_to_end():
            await asyncio.sleep(seconds * random.uniform(0.8, 1.1))  # noqa: S311 - jitter is no secret
            await self._bear_outages(work)

    async def _wake_in_time(self) -> None:
        while not is_told_to_end():
            self._wake_sooner.clear()
            poll = self._clock.monotonic() + self._options.wake_poll_s
            until = poll if self._next_wake is None else min(poll, self._next_wake)
            try:
                async with asyncio.timeout(max(0.0, until - self._clock.monotonic())):
                    await self._wake_sooner.wait()
                continue
            except TimeoutError:
                pass
            self._next_wake = None
            left = await self._bear_outages(self.wake)
            if left is not None:
                self._next_wake = self._clock.monotonic() + left

    async def _bear_outages(self, work: Callable[[], Awaitable[Any]]) -> Any:
        try:
            return await work()
        except* (LogUnavailable, RedisError, OSError) as errors:
            leaves = _leaves(errors)
            if any(has_no_group(leaf) for leaf in leaves):
                await self._make_groups_again()
            for error in leaves:
                if not (has_no_group(error) or isinstance(error, LogUnavailable) or passes(error)):
                    raise
        return None

    async def _make_groups_again(self) -> None:
        """Somebody has emptied the server; the next turn finds what it needs."""
        log.warning("consumer.group_missing", group=self._group)
        try:
            await create_groups(self._redis, self._group)
        except (RedisError, OSError) as error:
            if not passes(error):
                raise


def _leaves(errors: BaseExceptionGroup[Any]) -> list[BaseException]:
    return [
        leaf for one in errors.exceptions for leaf in (_leaves(one) if isinstance(one, BaseExceptionGroup) else [one])
    ]
