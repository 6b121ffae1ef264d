"""FastStream's Redis streams: one stream, one consumer group, ``max_workers`` handlers at once in a process.

The group is made at the beginning of the stream by whoever starts first; FastStream itself would make it at the end,
and pass over what was there before. ``FastStream`` reads its own new entries only; what a killed consumer had in hand
it takes back only through a second subscriber with ``min_idle_time``, which is a setting of its own
(``BENCH_RECLAIM_MS`` here).
"""

import asyncio
import logging
import os
import time

import uvloop
from faststream import FastStream
from faststream.redis import RedisBroker, StreamSub
from redis.asyncio import Redis
from redis.exceptions import ResponseError

from peer_event import event
from standins.bench.roles import Consuming, Producing, talk, told, wait_for_go
from standins.bench.witness import Witness

STREAM, GROUP = "bench:faststream", "bench"
#: Of a producer; else one that appends to more calls at once would fail.
MOST_CONNECTIONS = 1000


async def consume(asked: Consuming) -> None:
    """Until killed."""
    async with Redis.from_url(asked.url) as redis:
        try:
            await redis.xgroup_create(STREAM, GROUP, id="0", mkstream=True)
        except ResponseError as error:
            if "BUSYGROUP" not in str(error):
                raise
        broker = RedisBroker(asked.url, logger=None)
        witness = Witness(asked.book)

        async def handle(call: int, seq: int, appended: float, text: str) -> None:  # noqa: ARG001 - it is sent
            witness.begins(call, seq, appended)
            await asked.work.do(call, seq)
            witness.ends(call, seq, appended)

        broker.subscriber(stream=StreamSub(STREAM, group=GROUP, consumer=asked.name), max_workers=asked.at_once)(handle)
        if reclaim_ms := os.environ.get("BENCH_RECLAIM_MS"):
            again = StreamSub(STREAM, group=GROUP, consumer=f"{asked.name}-again", min_idle_time=int(reclaim_ms))
            broker.subscriber(stream=again)(handle)
        await wait_for_go(redis.exists)
        await FastStream(broker, logger=None).run(log_level=logging.CRITICAL)


async def produce(asked: Producing) -> None:
    """By the broker's own ``publish``."""
    async with RedisBroker(asked.url, logger=None, max_connections=MOST_CONNECTIONS) as broker:

        async def append(call: int, seq: int) -> None:
            await broker.publish(event(call, seq, time.time()), stream=STREAM)

        await talk(append, asked)


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
