"""A master under Sentinels that dies while calls go on."""

import asyncio
import os
import signal
from typing import Any

import pytest

from call_events.connection import check_server, connect
from call_events.errors import LogUnavailable
from call_events.ids import CallId
from standins.servers.asking import ask, caught_up, follows
from standins.servers.sentinel import WatchedRedis
from support.traffic import traffic
from support.waiting import wait_until

CALLS = [CallId(f"call-{n}") for n in range(16)]


async def test_after_a_master_s_death_everything_goes_on_with_the_replica_and_back_again() -> None:
    async with WatchedRedis() as watched:
        first, second = watched.servers
        async with traffic(watched.url, CALLS) as flow:
            async with flow.held():
                await caught_up(second.port, first.port)
                await first.kill()
            await flow.grows()
            assert await watched.master() is second
            await first.start()
            await ask(first.port, "REPLICAOF", "127.0.0.1", second.port)  # as the Sentinels do, ten seconds later
            await wait_until(lambda: follows(first.port, second.port), within_s=20, what="the old master follows")
            async with flow.held():
                await caught_up(first.port, second.port)
                await second.kill()
            await flow.grows()
            assert await watched.master() is first


async def test_a_master_that_stands_still_and_wakes_up_again_changes_nothing_any_more() -> None:
    """It does not answer, so connections to it hang; when it goes on it still believes to be the master."""
    async with WatchedRedis() as watched:
        first, second = watched.servers
        async with traffic(watched.url, CALLS) as flow:
            async with flow.held():
                await caught_up(second.port, first.port)
                os.kill(first.pid, signal.SIGSTOP)
            await flow.grows()
            assert await watched.master() is second
            os.kill(first.pid, signal.SIGCONT)
            await flow.grows()


async def test_a_name_no_sentinel_knows_is_told_with_what_to_look_at() -> None:
    async with WatchedRedis() as watched:
        url = watched.url.replace("/callweave", "/nobody")
        async with connect(url) as redis:
            with pytest.raises(LogUnavailable, match=r"^REDIS_URL \(redis\+sentinel://.*/nobody.*a Sentinel run there"):
                await check_server(redis, url=url)


async def test_a_dead_sentinel_costs_none_of_the_others_however_many_ask_at_once() -> None:
    async with WatchedRedis() as watched, connect(watched.url) as redis:
        watched.kill_a_sentinel()
        pool: Any = redis.connection_pool
        for _ in range(3):
            async with asyncio.TaskGroup() as tasks:
                asking = [tasks.create_task(pool.get_master_address()) for _ in range(30)]
            assert {one.result() for one in asking} == {("127.0.0.1", watched.servers[0].port)}
        assert len(set(pool.sentinel_manager.sentinels)) == 3
        assert await redis.ping()
