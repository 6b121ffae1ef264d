"""One plain consumer of one stream: XREADGROUP, handle one after the other, XACK the batch.

In order while there is one, and every call waits for every other. It reads what was pending under its name first, so
when it is started again after a crash nothing is lost.
"""

import asyncio
import time
from typing import Any

import uvloop
from redis.asyncio import Redis

from peer_event import payload, unpacked
from standins.bench.roles import Consuming, Producing, talk, told, wait_for_go
from standins.bench.witness import Witness

STREAM, GROUP, NAME = "bench:plain", "bench", "the-one"
BATCH = 100
#: Of a producer; else one that appends to more calls at once would fail.
MOST_CONNECTIONS = 1000


async def consume(asked: Consuming) -> None:
    """Until killed."""
    async with Redis.from_url(asked.url, protocol=3) as redis:
        await _create_group(redis)
        witness = Witness(asked.book)
        await wait_for_go(redis.exists)
        start = "0"
        done: list[bytes] = []
        while True:
            if done:
                await redis.xack(STREAM, GROUP, *done)
            answer: Any = await redis.xreadgroup(GROUP, NAME, {STREAM: start}, count=BATCH, block=1000)
            entries = [entry for value in (answer or {}).values() for page in value for entry in page]
            if start == "0" and not entries:
                start = ">"
            done = []
            for at, fields in entries:
                call, seq, appended = unpacked(fields[b"e"])
                witness.begins(call, seq, appended)
                await asked.work.do(call, seq)
                witness.ends(call, seq, appended)
                done.append(at)


async def produce(asked: Producing) -> None:
    """By plain commands of the same client."""
    async with Redis.from_url(asked.url, protocol=3, max_connections=MOST_CONNECTIONS) as redis:

        async def append(call: int, seq: int) -> None:
            await redis.xadd(STREAM, {"e": payload(call, seq, time.time())})

        await talk(append, asked)


async def _create_group(redis: Redis) -> None:
    if not await redis.exists(STREAM):
        await redis.xgroup_create(STREAM, GROUP, id="0", mkstream=True)


async def main() -> None:
    """See the module."""
    match told():
        case Consuming() as consuming:
            await consume(consuming)
        case Producing() as producing:
            await produce(producing)


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main())
