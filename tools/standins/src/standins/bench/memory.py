"""What a call takes in the server's memory: its stream, its ids, one group's receipts, and the doorbells.

Calls of 60 events of 500 bytes, appended and then handled by one group, which leaves a receipt of the size of the
bridge's for every event. `MEMORY USAGE` of every key, divided by the events; the last rows are the growth of the
server's whole memory, divided by the calls. Doorbells are counted before they are trimmed (a worker does so every ten
seconds).
"""

import asyncio
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from redis.asyncio import Redis

from call_events import keys
from call_events.bench import RAW
from call_events.connection import connect
from call_events.consumer import Consumer
from call_events.embedded import EmbeddedRedis
from call_events.ports import CallView, Progress, Receipt
from call_events.redis_log import RedisEventLog
from standins.bench.ours import GROUP, call_of, event_of
from standins.bench.roles import Producing, talk

CALLS, EACH = 400, 60
GOALS: Mapping[str, str] = {}
_DEADLINE_S = 120.0


async def measure(*, calls: int = CALLS, each: int = EACH) -> Mapping[str, float]:
    """One run."""
    with tempfile.TemporaryDirectory() as scratch:
        async with EmbeddedRedis(Path(scratch, "redis")) as server, connect(server.url) as redis:
            return await _measure(redis, server.url, calls, each)


async def _measure(redis: Redis, url: str, calls: int, each: int) -> Mapping[str, float]:
    before = await used(redis)
    log = RedisEventLog(redis)

    async def append(call: int, seq: int) -> None:
        await log.append(event_of(call_of(call), seq))

    await talk(append, Producing(url, calls, each, 0.0))
    appended = await used(redis)
    await _handle(redis, calls * each)
    handled = await used(redis)
    names = [call_of(number) for number in range(calls)]
    call_keys = [keys.call_keys(name) for name in names]
    group_keys = [keys.group_keys(GROUP, name) for name in names]
    events = calls * each
    return {
        "the event itself, bytes": len(RAW),
        "stream, bytes an event": await _usage(redis, [one.stream for one in call_keys]) / events,
        "ids, bytes an event": await _usage(redis, [one.dedupe for one in call_keys]) / events,
        "receipts of a group, bytes an event": await _usage(redis, [one.receipts for one in group_keys]) / events,
        "doorbells, bytes an event": await _usage(redis, [keys.bell(tag) for tag in keys.TAGS]) / events,
        "state of a group, bytes a call": await _usage(redis, [one.state for one in group_keys]) / calls,
        "a call in all before it is handled, bytes": (appended - before) / calls,
        "a call in all after it is handled, bytes": (handled - before) / calls,
    }


async def used(redis: Redis) -> int:
    """Bytes the server has allocated."""
    return int((await redis.info("memory"))["used_memory"])


async def _usage(redis: Redis, names: Sequence[str]) -> int:
    async with redis.pipeline(transaction=False) as pipe:
        for name in names:
            pipe.memory_usage(name, samples=0)
        return sum(size or 0 for size in await pipe.execute())


async def _handle(redis: Redis, events: int) -> None:
    done, handled = asyncio.Event(), 0
    detail: dict[str, Any] = {"status": 202, "message": "6f1c0f7e-5d0b-4c1e-9f65-1f0c2f9e7a11", "attempts": 1}

    async def handler(view: CallView) -> Progress:
        nonlocal handled
        receipts = tuple(Receipt(event.seq, "delivered", detail) for event in view.new)
        handled += len(receipts)
        if handled >= events:
            done.set()
        return Progress(through=len(view.events), receipts=receipts)

    consumer = Consumer(redis, group=GROUP, worker="bench/1", handler=handler)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(consumer.run())
        async with asyncio.timeout(_DEADLINE_S):
            await done.wait()
        consumer.stop()
