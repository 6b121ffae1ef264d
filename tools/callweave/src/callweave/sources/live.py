"""Calls in a live log, read byte for byte.

**While the call runs** nothing stands still between two reads, so the order of reading decides what may be compared:
how far the groups are, their receipts, how far the groups are now, the index of event ids, the events. Whatever is read
later may hold more than what was read before it, never less.
"""

import heapq
from collections.abc import AsyncIterator, Awaitable
from typing import Any

from redis.asyncio import Redis
from redis.exceptions import RedisError

from call_events import keys
from call_events.admin import Admin
from call_events.ids import CallId
from call_events.runner import translated
from callweave.sources.record import Entry, Record, Standing, StoredReceipt, Where

_PAGE = 500
_CLOSED = "#closed"


class LiveCalls:
    """The calls of one log. Every method raises ``LogUnavailable`` while Redis cannot be asked."""

    where = Where.LIVE

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._admin = Admin(redis)

    async def load(self, call: CallId) -> Record | None:
        """The call, or nothing if the log does not have it."""
        groups = await self._admin.groups()
        before = {group: await self._admin.state(group, call) for group in groups}
        receipts = {group: await self._receipts(group, call) for group in groups}
        after = {group: await self._admin.state(group, call) for group in groups}
        index = await self._index(call)
        entries = await self._stream(keys.call_keys(call).stream, b"e")
        if not entries and not await self.is_listed(call):
            return None
        closed = index.pop(_CLOSED, None)
        return Record(
            call=call,
            where=Where.LIVE,
            entries=tuple(Entry(at, raw) for at, raw in entries),
            receipts={group: tuple(StoredReceipt(*one) for one in found) for group, found in receipts.items()},
            groups={
                group: Standing(before[group].cursor, after[group].cursor, before[group].parked) for group in groups
            },
            index=index,
            closed_at=closed,
        )

    async def ids(self) -> AsyncIterator[tuple[CallId, float]]:
        """Every call whose log has not been let go and when it was opened (seconds), newest first; few at a time."""
        shards = [self._shard(tag) for tag in keys.TAGS]
        heap: list[tuple[float, str, int]] = []
        for number, shard in enumerate(shards):
            if (first := await anext(shard, None)) is not None:
                heapq.heappush(heap, (-first[0], first[1], number))
        while heap:
            opened, call, number = heapq.heappop(heap)
            yield CallId(call), -opened
            if (following := await anext(shards[number], None)) is not None:
                heapq.heappush(heap, (-following[0], following[1], number))

    async def is_listed(self, call: CallId) -> bool:
        """Whether the call is on the list of live calls."""
        return await _asked(self._redis.zscore(keys.call_keys(call).live, call)) is not None

    async def has_let_go(self, call: CallId) -> bool:
        """Whether the log had this call and let it go."""
        return await _asked(self._redis.zscore(_gone(keys.tag_of(call)), call)) is not None

    async def gone(self) -> AsyncIterator[CallId]:
        """Calls that the log has let go, as far back as it remembers them."""
        for tag in keys.TAGS:
            at = 0
            while page := await _asked(self._redis.zscan(_gone(tag), cursor=at, count=_PAGE)):
                at = page[0]
                for call, _ in page[1]:
                    yield CallId(call.decode())
                if not at:
                    break

    async def _shard(self, tag: str) -> AsyncIterator[tuple[float, str]]:
        """By the time they were opened, not by rank: ranks move when calls come and go meanwhile."""
        top: float | str = "+inf"
        seen: set[bytes] = set()
        while True:
            page = await _asked(
                self._redis.zrange(
                    keys.live(tag),
                    top,
                    "-inf",
                    desc=True,
                    byscore=True,
                    withscores=True,
                    offset=0,
                    num=_PAGE + len(seen),
                )
            )
            fresh = [(call, score) for call, score in page if score != top or call not in seen]
            if not fresh:
                return
            for call, score in fresh:
                yield float(score), call.decode()
            last = fresh[-1][1]
            seen = {call for call, score in fresh if score == last} | (seen if last == top else set())
            top = last

    async def _receipts(self, group: str, call: CallId) -> list[tuple[str, bytes]]:
        return await self._stream(keys.group_keys(group, call).receipts, b"r")

    async def _stream(self, key: str, field: bytes) -> list[tuple[str, bytes]]:
        found: list[tuple[str, bytes]] = []
        after = "-"
        while page := await _asked(self._redis.xrange(key, after, "+", count=_PAGE)):
            found += [(at.decode(), fields.get(field, b"")) for at, fields in page]
            after = f"({found[-1][0]}"
        return found

    async def _index(self, call: CallId) -> dict[str, int]:
        found = await _asked(self._redis.hgetall(keys.call_keys(call).dedupe))
        return {name.decode(errors="replace"): int(place) for name, place in found.items()}


async def _asked(answer: Awaitable[Any] | Any) -> Any:
    """The answer of Redis; its errors as ours."""
    try:
        return await answer
    except (RedisError, OSError) as error:
        raise translated(error) from error


def _gone(tag: str) -> str:
    """The calls that a shard has let go, each with the second in which it did."""
    return f"cc:{{{tag}}}:gone"
