"""The server behind an address changes: whoever builds upon what the old one knew is told before anything is sent."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from redis.asyncio import Redis

from call_events.connection import connect
from call_events.embedded import EmbeddedRedis
from call_events.errors import LogUnavailable, OurMistake, ServerChanged
from call_events.redis_log import RedisEventLog
from call_events.runner import ScriptRunner
from call_events.testing import started
from support.black_hole import BlackHole
from support.waiting import wait_until

KEY = "w"
OWN: tuple[Any, ...] = ("own", ("w",), ("worker-a", 60_000, ""))


@asynccontextmanager
async def two_servers() -> AsyncIterator[tuple[EmbeddedRedis, EmbeddedRedis, BlackHole, Redis]]:
    """Two servers that know nothing of each other, and an address that leads to the first."""
    async with EmbeddedRedis() as one, EmbeddedRedis() as two, BlackHole(one.url) as way, connect(way.url) as redis:
        yield one, two, way, redis


async def run_id(server: EmbeddedRedis) -> str:
    async with connect(server.url) as redis:
        return str((await redis.info("server"))["run_id"])


async def meets(runner: ScriptRunner) -> str:
    """Ask until there is an answer: a connection that was cut is found out by asking."""

    async def answered() -> bool:
        try:
            await runner.meet(KEY)
        except LogUnavailable:
            return False
        return True

    await wait_until(answered)
    return runner.server_of(KEY) or "nobody was met"


async def test_a_runner_knows_its_server_and_hears_once_of_every_change() -> None:
    async with two_servers() as (one, two, way, redis):
        runner, heard = ScriptRunner(redis), []
        assert runner.server_of(KEY) is None
        runner.on_change(lambda: heard.append(runner.server_of(KEY)))
        assert (await meets(runner), heard) == (await run_id(one), [])

        way.lead_to(two.url)
        way.cut()
        assert await meets(runner) == await run_id(two)
        await meets(runner)
        assert heard == [await run_id(two)]

        before = await run_id(two)
        await two.kill()
        await two.start()
        assert await meets(runner) != before
        assert heard == [before, await run_id(two)], "a restarted server is another one"


async def test_what_is_bound_to_a_server_is_not_sent_to_another_and_the_rest_of_the_batch_is() -> None:
    async with two_servers() as (one, two, way, redis):
        runner = ScriptRunner(redis)
        first = await meets(runner)
        way.lead_to(two.url)
        way.cut()
        await meets(runner)

        bound = runner.run("own", ("bound",), ("worker-a", 60_000, ""), server=first)
        free = runner.run("own", ("free",), ("worker-a", 60_000, ""))
        right = runner.run("own", ("right",), ("worker-a", 60_000, ""), server=runner.server_of(KEY))
        with pytest.raises(ServerChanged):
            await bound
        assert [(await one)[0] for one in (free, right)] == [1, 1]
        async with connect(two.url) as there, connect(one.url) as gone:
            assert sorted(await there.keys()) == [b"free", b"right"]
            assert await gone.dbsize() == 0


async def test_a_connection_left_over_from_the_old_server_carries_nothing_any_more() -> None:
    """The address leads to the new master, the old one is still alive on a connection that nobody has closed."""
    async with two_servers() as (one, two, way, redis):
        runner, log = ScriptRunner(redis, lanes=4, max_batch=1), RedisEventLog(redis)
        await asyncio.wait([runner.run(*OWN) for _ in range(8)])  # several connections to the first
        assert await run_id(one) == runner.server_of(KEY)
        way.lead_to(two.url)
        async with connect(way.url) as fresh:  # none of the pool's is broken: one more is made
            await fresh.ping()
        pool: Any = redis.connection_pool
        spare = await pool.get_connection()
        await spare.disconnect()
        await pool.release(spare)

        await asyncio.wait([runner.run(*OWN) for _ in range(20)])
        assert await run_id(two) == runner.server_of(KEY)
        async with connect(one.url) as old:
            before = (await old.info("commandstats"))["cmdstat_evalsha"]["calls"]
            await asyncio.wait([runner.run(*OWN) for _ in range(20)])
            assert (await old.info("commandstats"))["cmdstat_evalsha"]["calls"] == before
        await log.append(started("call-1"))


async def test_a_server_that_is_no_master_any_more_is_asked_once_and_then_looked_for_anew() -> None:
    async with two_servers() as (one, two, way, redis):
        runner = ScriptRunner(redis)
        await meets(runner)
        way.lead_to(two.url)
        async with connect(one.url) as old:
            await old.replicaof("127.0.0.1", 1)
            with pytest.raises(LogUnavailable, match="read only"):
                await runner.run(*OWN)
            assert (await runner.run(*OWN))[0] == 1
        assert runner.server_of(KEY) == await run_id(two)


async def test_a_client_made_elsewhere_is_refused_in_words() -> None:
    async with EmbeddedRedis() as server, Redis.from_url(server.url) as redis:
        with pytest.raises(OurMistake, match=r"connection\.connect"):
            await ScriptRunner(redis).meet(KEY)
