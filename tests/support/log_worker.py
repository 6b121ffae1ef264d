"""A consumer in a process of its own: writes down in Redis what it was given, one event at a time.

``python -m support.log_worker REDIS_URL WORKER LEASE_S``; SIGTERM stops it.
"""

import asyncio
import sys

from call_events.connection import connect
from call_events.consumer import Consumer, ConsumerOptions
from call_events.ports import CallView, Progress, Receipt
from call_events.startup import run_service

GROUP = "witness"


async def _consume(stop: asyncio.Event, url: str, worker: str, lease_s: float) -> None:
    async with connect(url) as redis:

        async def handler(view: CallView) -> Progress:
            event = view.new[0]
            await redis.rpush(f"witness:{view.call}", f"{event.seq}")
            await asyncio.sleep(0.002)
            return Progress(through=event.seq, receipts=(Receipt(event.seq, "delivered", {"by": worker}),))

        options = ConsumerOptions(lease_s=lease_s, slots=16, sweep_s=1)
        consumer = Consumer(redis, group=GROUP, worker=worker, handler=handler, options=options)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(consumer.run())
            await stop.wait()
            consumer.stop()


def _main() -> None:
    _, url, worker, lease_s = sys.argv
    run_service(worker, lambda stop: _consume(stop, url, worker, float(lease_s)))


if __name__ == "__main__":
    _main()
