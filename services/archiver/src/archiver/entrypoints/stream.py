"""Follows the calls, and stops well.

Stopping is a sequence: no more sweeps, take no new work, let what is in hand be sealed, linked and committed (the
consumer's budget), then stop gathering links. What was committed and has not been let go yet the next sweep finds.
"""

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from typing import Any

from call_archive.chain import Gatherer
from call_events.consumer import Consumer

Sweep = Coroutine[Any, Any, None]


async def archive_calls(
    consumer: Consumer, gatherer: Gatherer, sweeps: Mapping[str, Callable[[], Sweep]], stop: asyncio.Event
) -> None:
    """Until ``stop`` is set and what is in hand is finished or handed back.

    Args:
        consumer: of the group ``archive``.
        gatherer: which its handler links through.
        sweeps: what runs beside it until the stop, by name.
        stop: set to stop.

    Raises:
        LogUnavailable: Redis cannot be reached at the start.
    """
    async with asyncio.TaskGroup() as tasks:
        gathering = tasks.create_task(gatherer.run(), name="gatherer")
        consuming = tasks.create_task(consumer.run(), name="consumer")
        sweeping = [tasks.create_task(sweep(), name=name) for name, sweep in sweeps.items()]
        stopping = tasks.create_task(stop.wait(), name="stop")
        await asyncio.wait({consuming, stopping}, return_when=asyncio.FIRST_COMPLETED)
        for sweep in sweeping:
            sweep.cancel()
        consumer.stop()
        await asyncio.wait({consuming})
        stopping.cancel()
        gathering.cancel()
