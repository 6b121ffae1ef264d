"""Keeps the doorbell streams short, sets the gauges of a group, and tells of a group that keeps them long.

A doorbell may go when every group has finished with it: nothing is dropped from the oldest pending doorbell of any
group on, nor after the last one that was delivered to it. The limits are read before the trim and can only have grown
since, so a trim that comes late drops less than it might. A pending doorbell that was trimmed would be dropped by
XAUTOCLAIM without a word, and its call forgotten until the sweeper comes by.

A group that nobody reads as any more holds every doorbell since: 60 bytes an event, for ever. That is told, never
mended by itself: to drop a group is to drop its place in every call.
"""

from dataclasses import dataclass
from typing import Any

import structlog
from redis.asyncio import Redis

from call_events import keys, metrics
from call_events.ports import Clock

log = structlog.get_logger()

#: A group is told of when it keeps so many doorbells of a shard, and the oldest for so long; then again after a while.
_MANY = 10_000
_BEHIND_S = 600.0
_TELL_AGAIN_S = 600.0

Id = tuple[int, int]


@dataclass(frozen=True, slots=True)
class _Reading:
    """How far one group is with a shard's doorbells."""

    group: str
    pending: int
    #: Absent where the server cannot tell.
    lag: int | None
    #: The oldest one that is pending.
    first: Id | None
    delivered: Id

    @property
    def needed(self) -> Id:
        """Nothing from here on may go."""
        return self.first or self.delivered


class Trimmer:
    """Each worker trims: it is cheap, and the same whoever does it."""

    def __init__(self, redis: Redis, *, group: str, clock: Clock) -> None:
        self._redis = redis
        self._group = group
        self._clock = clock
        self._told: dict[str, float] = {}

    async def trim(self) -> None:
        """One round over all shards."""
        oldest_ms: int | None = None
        behind: dict[str, int] = {}
        for tag in keys.TAGS:
            bell = keys.bell(tag)
            readings = [await self._reading(bell, group) for group in await self._redis.xinfo_groups(bell)]
            keep_from = min((one.needed for one in readings), default=(0, 0))
            if keep_from > (0, 0):
                await self._redis.xtrim(bell, minid=f"{keep_from[0]}-{keep_from[1]}", approximate=True)
            length = int(await self._redis.xlen(bell))
            metrics.BELL_LENGTH.labels(tag).set(length)
            for one in readings:
                if one.group == self._group:
                    metrics.INFLIGHT.labels(self._group, tag).set(one.pending)
                    metrics.UNDELIVERED.labels(self._group, tag).set(one.lag or 0)
                    if one.first:
                        oldest_ms = min(oldest_ms or one.first[0], one.first[0])
                if length > _MANY and one.needed == keep_from and await self._is_behind(bell, one):
                    behind[one.group] = behind.get(one.group, 0) + length
        age = 0.0 if oldest_ms is None else max(0.0, self._clock.now().timestamp() - oldest_ms / 1000)
        metrics.OLDEST_SECONDS.labels(self._group).set(age)
        for group, length in behind.items():
            self._tell(group, length)

    async def _reading(self, bell: str, group: Any) -> _Reading:
        name, pending = group["name"].decode(), group["pending"]
        first = (await self._redis.xpending(bell, name))["min"] if pending else None
        return _Reading(name, pending, group.get("lag"), first and _id(first), _id(group["last-delivered-id"]))

    async def _is_behind(self, bell: str, reading: _Reading) -> bool:
        """What it has to do next was rung long ago."""
        milliseconds, count = reading.needed
        start = f"{milliseconds}-{count}" if reading.first else f"({milliseconds}-{count}"
        entries: Any = await self._redis.xrange(bell, start, "+", count=1)
        if not entries:
            return False
        return self._clock.now().timestamp() - _id(entries[0][0])[0] / 1000 > _BEHIND_S

    def _tell(self, group: str, length: int) -> None:
        now = self._clock.monotonic()
        if now - self._told.get(group, -_TELL_AGAIN_S) < _TELL_AGAIN_S:
            return
        self._told[group] = now
        log.error(
            "consumer.bell_grows",
            group=group,
            doorbells=length,
            mend=f"start the service that reads as group {group}; if it is gone for good, "
            f"XGROUP DESTROY <bell> {group} on every cc:{{*}}:bell frees the memory and forgets nothing but that group",
        )


def _id(raw: bytes) -> Id:
    milliseconds, _, count = raw.decode().partition("-")
    return int(milliseconds), int(count)
