"""taskiq-redis' ``RedisStreamBroker``: a task for each event, as many at once in a process as it is told.

It would look for what a killed worker had in hand after ten minutes; here after ``IDLE_MS``, as long as a lease of
Callweave, so that the run need not wait. The lock it does this under is given a time to live, without which a worker
killed in the act would stop all others from ever doing it.
"""

import asyncio
import logging
import time

import uvloop
from redis.asyncio import Redis
from taskiq.api import run_receiver_task
from taskiq_redis import RedisStreamBroker

from peer_event import event
from standins.bench.roles import Consuming, Producing, talk, told, wait_for_go
from standins.bench.witness import Witness

STREAM, IDLE_MS = "bench:taskiq", 6000


def broker_at(url: str) -> RedisStreamBroker:
    """The group begins at the beginning; by default it would pass over what was there before."""
    return RedisStreamBroker(
        url, queue_name=STREAM, consumer_id="0", idle_timeout=IDLE_MS, unacknowledged_lock_timeout=IDLE_MS / 1000
    )


async def consume(asked: Consuming) -> None:
    """Until killed."""
    broker = broker_at(asked.url)
    witness = Witness(asked.book)

    @broker.task(task_name="handle")  # type: ignore[untyped-decorator]  # its package is not in this environment
    async def handle(call: int, seq: int, appended: float, text: str) -> None:  # noqa: ARG001 - it is sent
        witness.begins(call, seq, appended)
        await asked.work.do(call, seq)
        witness.ends(call, seq, appended)

    async with Redis.from_url(asked.url) as redis:
        await wait_for_go(redis.exists)
    await run_receiver_task(broker, max_async_tasks=asked.at_once, run_startup=True)


async def produce(asked: Producing) -> None:
    """By the task's own ``kiq``."""
    broker = broker_at(asked.url)

    @broker.task(task_name="handle")  # type: ignore[untyped-decorator]  # its package is not in this environment
    async def handle(call: int, seq: int, appended: float, text: str) -> None:
        pass

    await broker.startup()

    async def append(call: int, seq: int) -> None:
        await handle.kiq(**event(call, seq, time.time()))

    await talk(append, asked)
    await broker.shutdown()


async def main() -> None:
    """See the module."""
    logging.disable(logging.WARNING)
    match told():
        case Consuming() as consuming:
            await consume(consuming)
        case Producing() as producing:
            await produce(producing)


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main())
