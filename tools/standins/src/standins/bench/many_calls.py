"""What the number of open calls costs: 10 to 100,000 of them.

At each number 256 producers append for two seconds to calls in turn, with no consumer. Then a consumer in the same
process catches up, and events come at 500 a second, to calls in turn, for three seconds: the delays are of these. A
sweep is one look for lost doorbells in all shards, as it happens every thirty seconds in one worker of a group, here
without its pauses. Memory is the server's, with all that has been appended, divided by the calls.
"""

import asyncio
import itertools
import tempfile
import time
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path

from redis.asyncio import Redis

from call_events import keys
from call_events.claims import GroupClaims
from call_events.clock import SystemClock
from call_events.connection import connect
from call_events.embedded import EmbeddedRedis
from call_events.options import ConsumerOptions
from call_events.redis_log import RedisEventLog
from call_events.runner import ScriptRunner
from call_events.sweeper import Sweeper
from standins.bench.follower import Follower, server_cpu_s
from standins.bench.memory import used
from standins.bench.ours import GROUP, call_of, event_of
from standins.bench.table import percentile

NUMBERS = (10, 1_000, 10_000, 100_000)
LANES = 256
APPEND_S, RATE, STEADY_S = 2.0, 500, 3.0
GOALS: Mapping[str, str] = {}
#: Far above what is looked at in a second while others work.
_AT_ONCE = 1_000_000


async def measure(
    *, numbers: tuple[int, ...] = NUMBERS, append_s: float = APPEND_S, steady_s: float = STEADY_S
) -> Mapping[str, float]:
    """One run; a row per figure and number of calls."""
    figures: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as scratch:
        async with EmbeddedRedis(Path(scratch, "redis")) as server, connect(server.url) as redis:
            stage = _Stage(redis, await used(redis))
            for number in numbers:
                found = await stage.at(number, append_s, steady_s)
                figures |= {f"{number:,} calls: {name}": value for name, value in found.items()}
    return figures


class _Stage:
    """One server with ever more calls."""

    def __init__(self, redis: Redis, empty: int) -> None:
        self._redis = redis
        self._empty = empty
        self._log = RedisEventLog(redis)
        self._open = 0
        self._appended = 0
        self._finished = 0

    async def at(self, number: int, append_s: float, steady_s: float) -> Mapping[str, float]:
        await self._open_calls(number)
        turns = itertools.cycle(range(number))
        began, before = time.perf_counter(), self._appended
        await _in_lanes(lambda: self._append(next(turns)), until=began + append_s)
        rate = (self._appended - before) / (time.perf_counter() - began)
        async with Follower(self._redis, f"follower-{number}") as follower:
            await follower.until(self._appended - self._finished)
            follower.delays_ms.clear()
            start = time.perf_counter()
            async with asyncio.TaskGroup() as tasks:
                for count in range(int(RATE * steady_s)):
                    await asyncio.sleep(max(0.0, start + count / RATE - time.perf_counter()))
                    tasks.create_task(self._append(next(turns)))
            await follower.until(self._appended - self._finished)
            delays = follower.delays_ms
        self._finished = self._appended
        return {
            "appends/s": rate,
            "append → handled p50 ms": percentile(delays, 50),
            "append → handled p99 ms": percentile(delays, 99),
            "a sweep, server ms": await self._sweep() * 1000,
            "memory KiB a call": (await used(self._redis) - self._empty) / number / 1024,
        }

    async def _append(self, call: int) -> None:
        await self._log.append(event_of(call_of(call), 2))
        self._appended += 1

    async def _open_calls(self, number: int) -> None:
        to_open = iter(range(self._open, number))

        async def open_one() -> None:
            if (call := next(to_open, None)) is not None:
                await self._log.append(event_of(call_of(call), 1))
                self._open += 1
                self._appended += 1

        while self._open < number:
            await _in_lanes(open_one, until=0.0)

    async def _sweep(self) -> float:
        """Processor seconds of the server."""
        await self._redis.delete(*(keys.sweep(tag, GROUP) for tag in keys.TAGS))
        options = ConsumerOptions(sweep_calls_per_s=_AT_ONCE)
        lease_ms = int(options.lease_s * 1000)
        claims = GroupClaims(
            ScriptRunner(self._redis), group=GROUP, worker="sweeper", lease_ms=lease_ms, max_events=options.max_events
        )
        sweeper = Sweeper(
            self._redis, claims, group=GROUP, worker="sweeper", options=options, clock=SystemClock()
        )  # fmt: skip
        before = await server_cpu_s(self._redis)
        await sweeper.sweep()
        return await server_cpu_s(self._redis) - before


async def _in_lanes(work: Callable[[], Awaitable[None]], *, until: float) -> None:
    """Do it in 256 lanes, each at least once, and on until that moment."""

    async def lane() -> None:
        while True:
            await work()
            if time.perf_counter() >= until:
                return

    async with asyncio.TaskGroup() as tasks:
        for _ in range(LANES):
            tasks.create_task(lane())
