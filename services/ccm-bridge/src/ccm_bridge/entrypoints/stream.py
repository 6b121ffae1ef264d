"""Follow the calls: the consumer loop, from the start of the service to its stop."""

import asyncio
from typing import Protocol


class Loop(Protocol):
    """What is run: ``call_events.consumer.Consumer``."""

    async def run(self) -> None:
        """Until told to stop."""
        ...

    def stop(self) -> None:
        """Let go within the budget."""
        ...


async def follow_calls(loop: Loop, stop: asyncio.Event) -> None:
    """Consume until ``stop`` is set and what is in hand is finished or handed back.

    Raises:
        LogUnavailable: Redis cannot be reached at the start.
    """
    async with asyncio.TaskGroup() as tasks:
        stopping = tasks.create_task(_stop_when_told(loop, stop), name="stop")
        await loop.run()
        stopping.cancel()


async def _stop_when_told(loop: Loop, stop: asyncio.Event) -> None:
    await stop.wait()
    loop.stop()
