"""How fast one process appends and consumes, and what the server can take of the append script at all.

The ceiling here is the append script by EVALSHA in pipelines of 100 on four connections: the server does all the work
of an append, the client next to none. ``./dev bench`` prefers redis-benchmark where it can be had.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any

import structlog
from hiredis import pack_command
from redis.asyncio import Redis

from call_events import keys, scripts
from call_events.codec import encode
from call_events.connection import connect
from call_events.consumer import Consumer
from call_events.ids import CallId
from call_events.options import ConsumerOptions
from call_events.ports import AnyEvent, CallView, Progress
from call_events.redis_log import RedisEventLog
from call_events.testing import said, started

_PRODUCERS = 256
_PIPELINE = 100
_CONNECTIONS = 4


async def append_rate(redis_url: str, seconds: float) -> dict[str, float]:
    """Appends per second of one process, over 256 calls with one producer each."""
    async with connect(redis_url) as redis:
        log = RedisEventLog(redis)
        calls = [CallId(f"bench-{number}") for number in range(_PRODUCERS)]
        await _open(log, calls)
        latencies: list[float] = []
        count = 0
        stop_at = time.perf_counter() + seconds

        async def produce(call: CallId) -> None:
            nonlocal count
            template = said(call, "u", "Could you tell me what the last invoice was about, please?")
            while (began := time.perf_counter()) < stop_at:
                await log.append(_fresh(template))
                latencies.append(time.perf_counter() - began)
                count += 1

        began = time.perf_counter()
        async with asyncio.TaskGroup() as tasks:
            journal = tasks.create_task(log.keep_journal())  # as every service does that appends
            await _all(produce, calls)
            rate = count / (time.perf_counter() - began)
            journal.cancel()
        latencies.sort()
        return {
            "appends": count,
            "appends_per_s": round(rate),
            "latency_p50_ms": round(latencies[count // 2] * 1000, 2),
            "latency_p99_ms": round(latencies[count * 99 // 100] * 1000, 2),
        }


async def ceiling_rate(redis_url: str, seconds: float) -> float:
    """Appends per second of the server alone, over 256 calls."""
    async with connect(redis_url) as redis:
        calls = [CallId(f"ceiling-{number}") for number in range(_PRODUCERS)]
        await _open(RedisEventLog(redis), calls)
        return await _ceiling(redis, calls, seconds)


async def consume_rate(redis_url: str, events: int, calls: int) -> dict[str, float]:
    """Events per second that one consumer with an idle handler takes from a backlog over so many calls."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(30))
    async with connect(redis_url) as redis:
        log = RedisEventLog(redis)
        names = [CallId(f"bench-{number}") for number in range(calls)]
        await _open(log, names)
        each = events // calls

        async def fill(call: CallId) -> None:
            for number in range(each - 1):
                await log.append(_fresh(said(call, f"u{number}", "What was the last invoice about?")))

        await _all(fill, names)
        total, handled = each * calls, 0
        done = asyncio.Event()

        async def handler(view: CallView) -> Progress:
            nonlocal handled
            handled += len(view.new)
            if handled >= total:
                done.set()
            return Progress(through=len(view.events))

        consumer = Consumer(redis, group="bench", worker="bench/1", handler=handler, options=ConsumerOptions())
        async with asyncio.TaskGroup() as tasks:
            began = time.perf_counter()
            tasks.create_task(consumer.run())
            async with asyncio.timeout(120):
                await done.wait()
            took = time.perf_counter() - began
            consumer.stop()
        return {"events": total, "calls": calls, "events_per_s": round(total / took), "seconds": round(took, 3)}


def _fresh(template: AnyEvent) -> AnyEvent:
    return AnyEvent(data=template.data, call=template.call, producer=template.producer)


async def _open(log: RedisEventLog, calls: list[CallId]) -> None:
    async def open_one(call: CallId) -> None:
        await log.append(started(call))

    await _all(open_one, calls)


async def _all(work: Callable[[CallId], Awaitable[None]], calls: list[CallId]) -> None:
    async def one(call: CallId) -> None:
        await work(call)

    async with asyncio.TaskGroup() as tasks:
        for call in calls:
            tasks.create_task(one(call))


async def _ceiling(redis: Redis, calls: list[CallId], seconds: float) -> float:
    script = scripts.load("append")
    stop_at = time.perf_counter() + seconds
    count = 0

    async def hammer(lane: int) -> None:
        nonlocal count
        pool: Any = redis.connection_pool
        connection = await pool.get_connection()
        try:
            batch = 0
            while time.perf_counter() < stop_at:
                batch += 1
                commands = (_append_command(script, calls, lane, batch, number) for number in range(_PIPELINE))
                await connection.send_packed_command(b"".join(map(pack_command, commands)))
                for _ in range(_PIPELINE):
                    await connection.read_response()
                count += _PIPELINE
        finally:
            await redis.connection_pool.release(connection)

    began = time.perf_counter()
    async with asyncio.TaskGroup() as tasks:
        for lane in range(_CONNECTIONS):
            tasks.create_task(hammer(lane))
    return count / (time.perf_counter() - began)


def _append_command(script: scripts.Script, calls: list[CallId], lane: int, batch: int, number: int) -> tuple[Any, ...]:
    call = calls[(batch * _PIPELINE + number) % len(calls)]
    at = keys.call_keys(call)
    return (
        *("EVALSHA", script.sha, len(at.for_append), *at.for_append),
        *(f"{lane}-{batch}-{number}", RAW, call, "append", "", "", ""),
    )


#: A typical event as it lies in the log.
RAW = encode(said("bench", "u", "Could you tell me what the last invoice was about, please?"))
