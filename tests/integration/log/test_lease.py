"""A lease is worth something only if its holder lets go before anybody else may take the call."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from redis.asyncio import Redis

from call_events import keys
from call_events.admin import Admin
from call_events.connection import connect
from call_events.consumer import Consumer, ConsumerOptions
from call_events.ids import CallId
from call_events.ports import CallView, Progress
from call_events.redis_log import RedisEventLog
from call_events.testing import started
from support.black_hole import BlackHole
from support.waiting import wait_until

pytestmark = pytest.mark.usefixtures("no_blocking")

CALL = CallId("call-1")
OPTIONS = ConsumerOptions(lease_s=1.5, sweep_s=0.5, wake_poll_s=0.2, stop_budget_s=0.2, first_pause_s=0.05)


class Endpoint:
    """The outside world: notes who is in the middle of a request for the call."""

    def __init__(self) -> None:
        self.in_flight: list[str] = []
        self.asked: list[str] = []
        self.most = 0
        self.answer = asyncio.Event()

    async def ask(self, name: str) -> None:
        self.asked.append(name)
        self.in_flight.append(name)
        self.most = max(self.most, len(self.in_flight))
        try:
            await self.answer.wait()
        finally:
            self.in_flight.remove(name)


@asynccontextmanager
async def worker(redis: Redis, name: str, endpoint: Endpoint) -> AsyncIterator[Consumer]:
    async def handler(view: CallView) -> Progress:
        await endpoint.ask(name)
        return Progress(through=len(view.events))

    consumer = Consumer(redis, group="g", worker=name, handler=handler, options=OPTIONS)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(consumer.run())
        try:
            yield consumer
        finally:
            consumer.stop()


async def finished(redis: Redis) -> bool:
    return (await Admin(redis).state("g", CALL)).cursor == 1


async def test_a_connection_that_swallows_everything_cancels_the_handler_before_another_worker_asks(
    redis: Redis, redis_url: str
) -> None:
    """The server neither answers nor refuses: the renewal hangs for longer than the lease lasts."""
    endpoint = Endpoint()
    async with BlackHole(redis_url) as way, connect(way.url) as cut_off, worker(cut_off, "cut-off", endpoint):
        await RedisEventLog(redis).append(started(CALL))
        await wait_until(lambda: endpoint.in_flight, what="the first worker has the call in hand")
        async with worker(redis, "other", endpoint):
            way.swallow()
            await wait_until(lambda: "other" in endpoint.asked, what="the other worker takes the call over")
            assert (endpoint.in_flight, endpoint.most) == (["other"], 1)
            endpoint.answer.set()
            await wait_until(lambda: finished(redis))
            way.let_through()


async def test_without_another_worker_the_handler_is_cancelled_all_the_same_and_asked_again_later(
    redis: Redis, redis_url: str
) -> None:
    endpoint = Endpoint()
    async with BlackHole(redis_url) as way, connect(way.url) as cut_off, worker(cut_off, "cut-off", endpoint):
        await RedisEventLog(redis).append(started(CALL))
        await wait_until(lambda: endpoint.in_flight)
        way.swallow()
        await wait_until(lambda: not endpoint.in_flight, within_s=3, what="the handler is cancelled with its lease")
        endpoint.answer.set()
        way.let_through()
        await wait_until(lambda: finished(redis), within_s=15)
    assert endpoint.asked == ["cut-off", "cut-off"]
    assert (await Admin(redis).receipts("g", CALL)) == []


async def test_a_handler_goes_on_over_many_leases_while_renewals_are_answered(redis: Redis) -> None:
    endpoint = Endpoint()
    async with worker(redis, "one", endpoint):
        await RedisEventLog(redis).append(started(CALL))
        await wait_until(lambda: endpoint.in_flight)
        state = keys.group_keys("g", CALL).state
        first = int(await redis.hget(state, "dl") or 0)

        async def renewed() -> bool:
            return int(await redis.hget(state, "dl") or 0) > first + 2 * 1500

        await wait_until(renewed, what="two leases later")
        endpoint.answer.set()
        await wait_until(lambda: finished(redis))
    assert endpoint.asked == ["one"]
