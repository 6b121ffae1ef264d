"""What the length of a call costs: one call of 10 to 50,000 events.

At each length 200 further events are appended one by one, each after the one before it was handled by a consumer that
has followed the call from its beginning. "Server" and "process" are processor time an event, for its append, its read,
its claim and its commit; producer and consumer share the process. "Taken over" is how long another worker, which knows
nothing of the call, needs for its first event: it reads the whole call.
"""

import asyncio
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

from redis.asyncio import Redis

from call_events import keys, scripts
from call_events.codec import encode
from call_events.connection import connect
from call_events.embedded import EmbeddedRedis
from call_events.redis_log import RedisEventLog
from standins.bench.follower import Follower, server_cpu_s
from standins.bench.ours import call_of, event_of
from standins.bench.table import NotMeasured, percentile

LENGTHS = (10, 100, 1_000, 10_000, 50_000)
SAMPLES = 200
GOALS: Mapping[str, str] = {}
_PAGE = 500
_DOORBELLS_S, _GLANCE_S = 120.0, 0.02
_CALL = call_of(0)


async def measure(*, lengths: tuple[int, ...] = LENGTHS, samples: int = SAMPLES) -> Mapping[str, float]:
    """One run; a row per figure and length."""
    figures: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as scratch:
        async with EmbeddedRedis(Path(scratch, "redis")) as server, connect(server.url) as redis:
            log, tail = RedisEventLog(redis), 0
            for length in lengths:
                await _grow(redis, tail, length)
                tail = length
                async with Follower(redis, f"follower-{length}") as follower:
                    # The first event here is a worker's that has to catch up; what it knows then, it has followed.
                    tail += 1
                    began = time.perf_counter()
                    await log.append(event_of(_CALL, tail))
                    await follower.until(1)
                    taken_over = time.perf_counter() - began
                    figures |= {f"{length:,} events: {name}": value for name, value in (
                        await _one_by_one(redis, log, follower, tail, samples)
                    ).items()}  # fmt: skip
                    tail += samples
                    figures[f"{length:,} events: taken over ms"] = taken_over * 1000
    return figures


async def _grow(redis: Redis, tail: int, length: int) -> None:
    """Append up to ``length`` by pipelines, and let a worker finish it all that is forgotten afterwards."""
    at, script = keys.call_keys(_CALL).for_append, scripts.load("append")
    for first in range(tail + 1, length + 1, _PAGE):
        async with redis.pipeline(transaction=False) as pipe:
            for seq in range(first, min(first + _PAGE, length + 1)):
                event = event_of(_CALL, seq)
                mode = "open" if seq == 1 else "append"
                pipe.eval(script.text, len(at), *at, event.id, encode(event), _CALL, mode, "", "", "")
            await pipe.execute()
    async with Follower(redis, f"finisher-{length}") as finisher:
        await finisher.until(length - tail)
        # A doorbell for each of these events is there as well; what the next one costs is no work on those.
        give_up = time.monotonic() + _DOORBELLS_S
        while any(group["lag"] or group["pending"] for group in await redis.xinfo_groups(keys.call_keys(_CALL).bell)):
            if time.monotonic() > give_up:
                raise NotMeasured(f"the doorbells of {length} events were not taken in {_DOORBELLS_S:.0f} s")
            await asyncio.sleep(_GLANCE_S)


async def _one_by_one(
    redis: Redis, log: RedisEventLog, follower: Follower, tail: int, samples: int
) -> Mapping[str, float]:
    appends, handled, start = [], [], follower.handled
    server, process = await server_cpu_s(redis), time.process_time()
    for number in range(1, samples + 1):
        began = time.perf_counter()
        await log.append(event_of(_CALL, tail + number))
        appends.append((time.perf_counter() - began) * 1000)
        await follower.until(start + number)
        handled.append((time.perf_counter() - began) * 1000)
    process = time.process_time() - process
    server = await server_cpu_s(redis) - server
    return {
        "append p50 ms": percentile(appends, 50),
        "append → handled p50 ms": percentile(handled, 50),
        "server µs an event": server / samples * 1e6,
        "process µs an event": process / samples * 1e6,
    }
