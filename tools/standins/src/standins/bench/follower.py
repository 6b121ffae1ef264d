"""A consumer in this process that counts what it was given, and what the server's processor spent meanwhile."""

import asyncio
from datetime import UTC, datetime
from types import TracebackType
from typing import Self

from redis.asyncio import Redis

from call_events.consumer import Consumer
from call_events.ports import CallView, Progress
from standins.bench.ours import GROUP
from standins.bench.table import NotMeasured

_DEADLINE_S = 600.0


class Follower:
    """``async with Follower(redis, "name") as follower``; every event is decoded, nothing else is done with it."""

    def __init__(self, redis: Redis, worker: str) -> None:
        self._consumer = Consumer(redis, group=GROUP, worker=worker, handler=self._handle)
        self._tasks = asyncio.TaskGroup()
        self._more = asyncio.Event()
        #: Events it was given, repeats included.
        self.handled = 0
        #: From each event's time to its handling, in milliseconds.
        self.delays_ms: list[float] = []

    async def until(self, count: int) -> None:
        """Wait until it has handled so many in all.

        Raises:
            NotMeasured: it has not in ten minutes.
        """
        try:
            async with asyncio.timeout(_DEADLINE_S):
                while self.handled < count:
                    self._more.clear()
                    await self._more.wait()
        except TimeoutError:
            raise NotMeasured(f"only {self.handled} of {count} events were handled in {_DEADLINE_S:.0f} s") from None

    async def _handle(self, view: CallView) -> Progress:
        now = datetime.now(UTC)
        for event in view.new:
            self.delays_ms.append((now - event.time).total_seconds() * 1000)
        self.handled += len(view.new)
        self._more.set()
        return Progress(through=len(view.events))

    async def __aenter__(self) -> Self:
        await self._tasks.__aenter__()
        self._tasks.create_task(self._consumer.run())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._consumer.stop()
        await self._tasks.__aexit__(kind, error, trace)


async def server_cpu_s(redis: Redis) -> float:
    """Processor seconds the server has used since its start."""
    info = await redis.info("cpu")
    return float(info["used_cpu_user"]) + float(info["used_cpu_sys"])
