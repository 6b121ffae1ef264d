"""How one process appends: in turns, not too much at once, and no call waits for another's trouble."""

import asyncio
from typing import Any

from call_events.appender import Appender
from call_events.connection import connect
from call_events.ids import CallId
from call_events.records import record_of
from call_events.redis_log import RedisEventLog
from call_events.runner import ScriptRunner
from call_events.testing import speaking, started
from support.black_hole import BlackHole
from support.counted import number_of
from support.waiting import wait_until

CALLS = [CallId(f"call-{n}") for n in range(20)]


class Watched(ScriptRunner):
    """Knows how many scripts are without an answer, and how many ever were at once."""

    on_their_way = most = 0

    def run(self, *args: Any, **options: Any) -> "asyncio.Future[Any]":
        answer = super().run(*args, **options)
        self.on_their_way += 1
        self.most = max(self.most, self.on_their_way)
        answer.add_done_callback(self._answered)
        return answer

    def _answered(self, _: "asyncio.Future[Any]") -> None:
        self.on_their_way -= 1


def waiting() -> float:
    return number_of("cc_eventlog_append_waiting")


async def test_beyond_the_bound_whoever_appends_waits_and_is_seen_to_wait(redis_url: str) -> None:
    before = waiting()
    async with BlackHole(redis_url) as proxy, connect(proxy.url) as redis:
        runner = Watched(redis)
        appender = Appender(runner, deadline_s=20, max_in_flight=4)
        await runner.meet()
        proxy.swallow()
        async with asyncio.TaskGroup() as tasks:
            appending = [
                tasks.create_task(appender.append(record_of(started(call)), expected_tail=None, epoch=None))
                for call in CALLS
            ]
            await wait_until(lambda: runner.on_their_way == 4)
            assert waiting() - before == len(CALLS)
            appending.pop().cancel()  # one that waits for room
            proxy.let_through()

    assert [task.result() for task in appending] == [(b"OK", 1)] * (len(CALLS) - 1)
    assert runner.most == 4
    assert waiting() == before


async def test_appends_of_one_call_do_not_overtake_each_other_while_they_are_repeated(redis_url: str) -> None:
    """Nobody waits for an answer before the next one here, and every connection breaks on the way."""
    call = CALLS[0]
    events = [started(call), *(speaking(call, f"u{number}") for number in range(50))]
    async with BlackHole(redis_url) as proxy, connect(proxy.url) as redis:
        runner = Watched(redis)
        log = RedisEventLog(redis, deadline_s=20, runner=runner)
        await runner.meet()
        proxy.swallow()
        async with asyncio.TaskGroup() as tasks:
            for event in events:
                tasks.create_task(log.append(event))
            await wait_until(lambda: runner.on_their_way)
            proxy.cut()
            proxy.let_through()
        there = [event.id for event in await log.read(call)]
    assert there == [event.id for event in events]
