"""Reads the doorbells of all shards for one worker."""

import asyncio
import math
from collections.abc import Awaitable, Callable
from typing import Any

import structlog
from redis.asyncio import Redis
from redis.exceptions import RedisError, ResponseError

from call_events import keys
from call_events.cluster import ClusterClient
from call_events.connection import BLOCK_MS
from call_events.doorbells import offer
from call_events.errors import LogUnavailable
from call_events.ports import Clock
from call_events.runner import passes, translated
from call_events.workbench import Workbench, is_told_to_end

log = structlog.get_logger()

_PAUSE_S = 0.2
#: Between two reads while doorbells come thick and fast, so that they are taken together: a read costs more than a
#: claim, and a claim that finds three events costs less than three.
_BREATH_S = 0.002
#: So many in one read are thick and fast. Fewer are read on at once: nobody waits in an idle worker.
_CROWD = 8
#: Without a good read for this long a worker is not healthy.
_SILENCE_S = 10.0


class DoorbellReader:
    """Blocking reads of all doorbell streams, only while there is room: one XREADGROUP for all that may be read in one,
    which are all of them on one server and one on a Cluster.
    """

    def __init__(
        self,
        redis: Redis,
        bench: Workbench,
        *,
        group: str,
        worker: str,
        clock: Clock,
        meet: Callable[..., Awaitable[object]],
    ) -> None:
        """``meet`` finds out which server has some keys (``ScriptRunner.meet``): asked when a connection was lost."""
        self._redis = redis
        self._meet = meet
        self._bench = bench
        self._group = group
        self._worker = worker
        self._clock = clock
        self._together = read_together(redis)
        #: When each of them was last read well.
        self._last_good = [clock.monotonic()] * len(self._together)
        self._told_at = -math.inf

    def is_reading(self) -> bool:
        """Whether the doorbells could be read lately, or need not be because all slots are taken."""
        return not self._bench.room.is_set() or self._clock.monotonic() - min(self._last_good) < _SILENCE_S

    async def prepare(self) -> None:
        """Create the group on every shard, from the beginning of the log.

        Raises:
            LogUnavailable: Redis cannot be reached.
        """
        try:
            await create_groups(self._redis, self._group)
        except (RedisError, OSError) as error:
            raise translated(error) from error

    async def run(self) -> None:
        """Read for ever; outages are waited for."""
        if len(self._together) == 1:
            await self._run(0)
            return
        async with asyncio.TaskGroup() as tasks:
            for number in range(len(self._together)):
                tasks.create_task(self._run(number))

    async def _run(self, number: int) -> None:
        start = "0"  # what was handed to a connection of ours that broke is pending under our name: take it first
        while not is_told_to_end():
            await self._bench.room.wait()
            try:
                if start == "0":
                    # The calls in hand should not be the last to hear of another server.
                    await self._meet(*map(keys.bell, self._together[number]))
                    await self._read(number, "0", block=None)
                    start = ">"
                if await self._read(number, ">", block=BLOCK_MS) >= _CROWD:
                    await asyncio.sleep(_BREATH_S)
            except (LogUnavailable, RedisError, OSError) as error:
                start = "0"
                await self._recover(error)

    async def _read(self, number: int, start: str, *, block: int | None) -> int:
        """Take doorbells; how many there were."""
        count = max(1, min(64, self._bench.free // max(4, len(self._together))))
        streams: dict[Any, Any] = {keys.bell(tag): start for tag in self._together[number]}
        answer: Any = await self._redis.xreadgroup(self._group, self._worker, streams, count=count, block=block)
        self._last_good[number] = self._clock.monotonic()
        count = 0
        for bell, rung in _entries(answer):
            count += len(rung)
            await offer(self._redis, self._bench, self._group, bell, rung)
        return count

    async def _recover(self, error: LogUnavailable | RedisError | OSError) -> None:
        if has_no_group(error):
            log.warning("consumer.group_missing", group=self._group)
            try:
                await create_groups(self._redis, self._group)
            except (RedisError, OSError) as again:
                if not passes(again):
                    raise
        elif isinstance(error, LogUnavailable) or passes(error):
            if self._clock.monotonic() - self._told_at >= _PAUSE_S:  # on a Cluster sixteen would say the same
                self._told_at = self._clock.monotonic()
                log.warning("consumer.cannot_read", group=self._group, error=f"{type(error).__name__}: {error}")
        else:
            raise error
        await asyncio.sleep(_PAUSE_S)


async def create_groups(redis: Redis, group: str) -> None:
    """Create ``group`` at 0 on every doorbell stream that lacks it."""
    async with redis.pipeline(transaction=False) as pipe:
        for tag in keys.TAGS:
            pipe.xgroup_create(keys.bell(tag), group, id="0", mkstream=True)
        for answer in await pipe.execute(raise_on_error=False):
            if isinstance(answer, BaseException) and not str(answer).startswith("BUSYGROUP"):
                raise answer


def read_together(redis: Redis) -> list[tuple[str, ...]]:
    """The tags whose doorbells one command may read."""
    return [(tag,) for tag in keys.TAGS] if isinstance(redis, ClusterClient) else [keys.TAGS]


def has_no_group(error: BaseException) -> bool:
    """Whether a doorbell stream or its group is gone, as after a FLUSHALL: :func:`create_groups` mends it."""
    return isinstance(error, ResponseError) and ("NOGROUP" in str(error) or "no such key" in str(error))


def _entries(answer: Any) -> list[tuple[str, list[tuple[bytes, dict[bytes, bytes]]]]]:
    """XREADGROUP's answer by streams: RESP3 has a map, each value wrapped once more; RESP2 has pairs."""
    streams = answer.items() if isinstance(answer, dict) else answer or ()
    return [
        (name.decode(), entries[0] if entries and isinstance(entries[0], list) else entries)
        for name, entries in streams
    ]
