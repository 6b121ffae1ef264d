"""The lanes that carry scripts: nobody who waits for an answer is forgotten, whatever goes wrong."""

import asyncio
from typing import Any, cast

import pytest
from redis.asyncio import Redis
from redis.exceptions import ResponseError

from call_events import keys
from call_events.connection import connect
from call_events.errors import LogUnavailable, OurMistake
from call_events.ids import CallId
from call_events.redis_log import RedisEventLog
from call_events.runner import ScriptRunner
from call_events.testing import speaking, started

CALL = CallId("call-1")
#: Half of a pair: a str in Python, no text in UTF-8.
SURROGATE = "\ud800"


async def test_an_argument_that_cannot_be_sent_fails_its_caller_and_nobody_else(redis: Redis) -> None:
    log = RedisEventLog(redis)
    await log.append(started(CALL))

    async with asyncio.timeout(5), asyncio.TaskGroup() as tasks:
        good = [tasks.create_task(log.append(speaking(CALL, f"u{n}"))) for n in range(5)]
        bad = tasks.create_task(refused(log))
        more = tasks.create_task(log.own(CallId("call-2"), "worker-a", lease_ms=1000))

    assert [one.result().seq for one in good] == [2, 3, 4, 5, 6]
    assert more.result().epoch == 1
    assert SURROGATE not in bad.result()


async def refused(log: RedisEventLog) -> str:
    with pytest.raises(OurMistake, match=r"own.*UnicodeEncodeError") as told:
        await log.own(CALL, f"worker-{SURROGATE}", lease_ms=1000)
    return str(told.value)


class NobodyExpectedThis(Exception):
    """No error of the driver, no error of the system."""


class BrokenPool:
    """Breaks once, as no connection is expected to."""

    def __init__(self, pool: Any) -> None:
        self._pool = pool
        self.broken = True

    async def get_connection(self) -> Any:
        if self.broken:
            self.broken = False
            raise NobodyExpectedThis
        return await self._pool.get_connection()

    async def release(self, connection: Any) -> None:
        await self._pool.release(connection)


async def test_an_error_nobody_expected_reaches_every_caller_of_the_batch_and_the_lane_goes_on(
    redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(redis, "connection_pool", BrokenPool(redis.connection_pool))
    runner = ScriptRunner(redis)
    at = keys.call_keys(CALL).worker

    async with asyncio.timeout(5):
        first = [runner.run("own", (at,), ("worker-a", 60_000, "")) for _ in range(3)]
        for one in first:
            with pytest.raises(NobodyExpectedThis):
                await one
        assert (await runner.run("own", (at,), ("worker-a", 60_000, "")))[0] == 1
    monkeypatch.undo()


class Deaf:
    """redis-py at its worst: a cancelled read comes back empty, as if nobody had said anything."""

    def __init__(self) -> None:
        self.reading = asyncio.Event()

    async def xread(self, *_: object, **__: object) -> dict[bytes, Any]:
        assert not self.reading.is_set(), "asked again after it was cancelled"
        self.reading.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            return {}
        raise AssertionError("unreachable")


async def test_whoever_follows_a_call_can_be_cancelled_whatever_the_driver_makes_of_it() -> None:
    deaf = Deaf()
    log = RedisEventLog(cast("Redis", deaf))
    went_on = False

    async def follow() -> None:
        nonlocal went_on
        async for _ in log.follow(CALL):
            raise AssertionError("nothing was appended")
        went_on = True  # as if the call had ended

    async with asyncio.timeout(5), asyncio.TaskGroup() as tasks:
        task = tasks.create_task(follow())
        await deaf.reading.wait()
        task.cancel()

    assert task.cancelled()
    assert not went_on


async def test_plain_commands_go_with_the_scripts_and_each_caller_has_its_own_answers(redis: Redis) -> None:
    runner = ScriptRunner(redis)
    await redis.set("text", "x")
    await redis.script_flush()  # the batch is sent in two parts: what the server has to be told again, and the rest

    async with asyncio.timeout(5), asyncio.TaskGroup() as tasks:
        scripts = [runner.run("own", (f"k{n}",), ("worker-a", 60_000, "")) for n in range(3)]
        lengths = tasks.create_task(runner.ask(("STRLEN", "text"), ("STRLEN", "nothing")))
        wrong = tasks.create_task(refused_command(runner))

    assert lengths.result() == [1, 0]
    assert "WRONGTYPE" in wrong.result()
    assert [(await one)[0] for one in scripts] == [1, 1, 1]


async def refused_command(runner: ScriptRunner) -> str:
    with pytest.raises(ResponseError) as told:
        await runner.ask(("STRLEN", "text"), ("XLEN", "text"), ("LLEN", "text"))
    return str(told.value)


async def test_a_plain_command_without_a_server_is_an_outage(redis: Redis) -> None:
    async with connect("redis://127.0.0.1:1/0") as nobody:
        with pytest.raises(LogUnavailable):
            await ScriptRunner(nobody).ask(("STRLEN", "a"), ("STRLEN", "b"))
