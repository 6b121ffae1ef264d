"""Follows the call streams, and stops well.

Stopping is a sequence: take no new work and let the handlers in hand finish (the consumer's budget); look after the
phones that ring until they have their outcome, or the grace is over; leave the rest. A phone that is left goes on
ringing: its call has a wake in the log, and within two seconds another instance, or this one when it is back, takes the
dial over.
"""

import asyncio

import structlog

from call_events.consumer import Consumer
from transfer_orchestrator.handlers.dials import Dials

log = structlog.get_logger()


class Stream:
    """One consumer and the dials it has started."""

    def __init__(self, consumer: Consumer, dials: Dials, *, grace_s: float) -> None:
        self._consumer = consumer
        self._dials = dials
        self._grace_s = grace_s

    @property
    def reading(self) -> bool:
        """Whether the log can be read."""
        return self._consumer.status().reading

    async def run(self, stop: asyncio.Event) -> None:
        """Until ``stop`` is set and everything is finished or handed over.

        Raises:
            LogUnavailable: Redis cannot be reached at the start.
        """
        async with asyncio.TaskGroup() as tasks:
            consuming = tasks.create_task(self._consumer.run(), name="consumer")
            stopping = tasks.create_task(stop.wait(), name="stop")
            await asyncio.wait({consuming, stopping}, return_when=asyncio.FIRST_COMPLETED)
            self._consumer.stop()
            stopping.cancel()
        left = await self._dials.drain(self._grace_s)
        if left:
            log.warning("dials.left_ringing", dials=left, taken_over_by="another instance, or this one when it is back")
