"""Fail-overs decided by Sentinels and by a Cluster, to a replica that has lost touch with a master under full load."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import pytest_asyncio
from redis.asyncio import Redis

from call_events import keys
from call_events.cluster_lanes import slot_of_key
from call_events.connection import connect
from call_events.embedded import EmbeddedRedis
from call_events.ids import CallId
from call_events.redis_log import RedisEventLog
from call_events.runner import ScriptRunner
from call_events.testing import ended, speaking, started
from standins.servers.asking import ask, follows
from standins.servers.cluster import LoopbackCluster
from standins.servers.sentinel import WatchedRedis
from support.counted import number_of
from support.traffic import traffic
from support.waiting import wait_until

CALLS = [CallId(f"call-{n}") for n in range(16)]


def restored() -> float:
    return number_of("cc_eventlog_journal_replayed_total", result="restored")


async def let_go_of_its_master(replica: EmbeddedRedis, master: EmbeddedRedis) -> None:
    """It stays a replica, and gets nothing more: it does not know the password, which there is none of."""
    await ask(replica.port, "CONFIG", "SET", "masterauth", "wrong")
    await ask(replica.port, "CLIENT", "KILL", "TYPE", "MASTER")
    assert not await follows(replica.port, master.port)


async def test_sentinels_promote_a_replica_that_lagged_and_it_is_given_what_it_lacks() -> None:
    before = restored()
    async with WatchedRedis() as watched:
        first, second = watched.servers
        async with traffic(watched.url, CALLS) as flow:
            await let_go_of_its_master(second, first)
            await flow.grows(handled=True)
            await first.kill()
            await flow.grows()
            assert await watched.master() is second
    assert restored() - before >= 10 * len(CALLS)


@pytest_asyncio.fixture
async def cluster() -> AsyncIterator[LoopbackCluster]:
    async with LoopbackCluster(replicas=1, options=("--cluster-replica-validity-factor", "0")) as three:
        yield three


async def on(cluster: LoopbackCluster, node: EmbeddedRedis, calls: Sequence[CallId]) -> list[CallId]:
    return [call for call in calls if await cluster.owner(slot_of_key(keys.call_keys(call).bell)) is node]


async def test_a_clusters_replica_that_lagged_is_given_what_it_lacks_and_the_other_shards_nothing(
    cluster: LoopbackCluster,
) -> None:
    before = restored()
    old = cluster.masters[0]
    theirs = await on(cluster, old, CALLS)
    assert 0 < len(theirs) < len(CALLS)
    async with traffic(cluster.url, CALLS) as flow:
        await let_go_of_its_master(cluster.replicas[0], old)
        await flow.grows(handled=True)
        acknowledged = sum(len(flow.acknowledged[call]) for call in theirs)
        await old.kill()
        await flow.grows(calls=theirs)
        again = restored() - before
    assert 10 * len(theirs) <= again <= acknowledged + len(theirs)


@asynccontextmanager
async def keeping(log: RedisEventLog) -> AsyncIterator[None]:
    async with asyncio.TaskGroup() as tasks:
        task = tasks.create_task(log.keep_journal())
        yield
        task.cancel()


async def has(redis: Redis, call: CallId, count: int) -> bool:
    return len(await RedisEventLog(redis).read(call)) == count


async def test_a_shard_without_a_master_keeps_no_quiet_call_of_another_waiting(cluster: LoopbackCluster) -> None:
    """The heir of one master has forgotten; another has died after that with its only replica."""
    gone, dead = cluster.masters[:2]
    for node in cluster.nodes:
        await ask(node.port, "CONFIG", "SET", "cluster-require-full-coverage", "no")
    cut_off = (await on(cluster, gone, CALLS))[0]
    stuck = (await on(cluster, dead, CALLS))[0]
    async with connect(cluster.url) as redis:
        runner = ScriptRunner(redis)
        log = RedisEventLog(redis, runner=runner)
        await log.append(started(stuck))
        await let_go_of_its_master(cluster.replicas[0], gone)
        for event in (started(cut_off), speaking(cut_off, "u1"), ended(cut_off)):
            await log.append(event)
        bell = keys.call_keys(cut_off).bell
        before = runner.server_of(bell)
        await gone.kill()
        await wait_until(lambda: is_master(cluster.replicas[0]), within_s=20, what="the heir is promoted")
        await cluster.replicas[1].kill()
        await dead.kill()
        async with keeping(log):
            await wait_until(lambda: has(redis, cut_off, 3), within_s=20, what="its events are there again")
        assert runner.server_of(bell) != before


async def is_master(node: EmbeddedRedis) -> bool:
    return bool((await ask(node.port, "ROLE"))[0] == b"master")
