"""Follows the calls, and stops well.

Stopping is a sequence: take no new work, let what is in hand be sealed, linked and committed (the consumer's budget),
then stop gathering links, then the sweeps. What was committed and not let go yet the next sweep finds.
"""

import asyncio

from archiver.handlers.leaving import Departures
from archiver.handlers.retention import Retention
from call_archive.chain import Gatherer
from call_events.consumer import Consumer


async def archive_calls(
    consumer: Consumer, gatherer: Gatherer, departures: Departures, retention: Retention | None, stop: asyncio.Event
) -> None:
    """Until ``stop`` is set and what is in hand is finished or handed back.

    Raises:
        LogUnavailable: Redis cannot be reached at the start.
    """
    async with asyncio.TaskGroup() as tasks:
        gathering = tasks.create_task(gatherer.run(), name="gatherer")
        consuming = tasks.create_task(consumer.run(), name="consumer")
        sweeps = [tasks.create_task(departures.run(), name="departures")]
        if retention is not None:
            sweeps.append(tasks.create_task(retention.run(), name="retention"))
        stopping = tasks.create_task(stop.wait(), name="stop")
        await asyncio.wait({consuming, stopping}, return_when=asyncio.FIRST_COMPLETED)
        for sweep in sweeps:
            sweep.cancel()
        consumer.stop()
        await asyncio.wait({consuming})
        stopping.cancel()
        gathering.cancel()
