"""A Cluster whose slots move and whose masters die, while calls go on."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import pytest_asyncio

from call_events import keys
from call_events.claims import Claim, GroupClaims
from call_events.cluster_lanes import slot_of_key
from call_events.connection import connect
from call_events.consumer import Consumer
from call_events.embedded import EmbeddedRedis
from call_events.errors import LogUnavailable
from call_events.held import Held
from call_events.ids import CallId
from call_events.ports import CallView, Progress
from call_events.reader import create_groups
from call_events.redis_log import RedisEventLog
from call_events.runner import ScriptRunner
from call_events.testing import speaking, started
from standins.servers.asking import ask, caught_up, follows
from standins.servers.cluster import LoopbackCluster
from support.traffic import OPTIONS, traffic
from support.waiting import wait_until

TAG = keys.TAGS[0]
SLOT = slot_of_key(keys.bell(TAG))
#: Eight of the tag that moves, and some of the others.
CALLS = [call for call in (CallId(f"call-{n}") for n in range(400)) if keys.tag_of(call) == TAG][:8] + [
    CallId(f"other-{n}") for n in range(8)
]
#: To which nobody appends, of every tag.
QUIET = [CallId(f"quiet-{n}") for n in range(400)]


@pytest_asyncio.fixture
async def cluster() -> AsyncIterator[LoopbackCluster]:
    async with LoopbackCluster(spares=1) as three:
        yield three


async def test_a_slot_that_moves_key_by_key_takes_its_calls_along(cluster: LoopbackCluster) -> None:
    """To a master that had none before, of which nobody has heard."""
    source, target = await cluster.owner(SLOT), cluster.spares[0]
    async with traffic(cluster.url, CALLS) as flow:
        await cluster.move_slot(SLOT, target, keys_at_once=1)
        await flow.grows()
        await cluster.move_slot(SLOT, source, keys_at_once=1)
        await flow.grows()
    assert await cluster.owner(SLOT) is source


async def test_while_a_slot_moves_what_lies_there_already_is_asked_for_there(cluster: LoopbackCluster) -> None:
    """Nothing is tried twice here: whoever follows ``ASK`` needs no second try. A script that also names a key which is
    nowhere (an append: nobody has retired a call) is told to try again until the slot has moved.
    """
    source = await cluster.owner(SLOT)
    target = next(one for one in cluster.masters if one is not source)
    call = CALLS[0]
    async with connect(cluster.url) as redis:
        log = RedisEventLog(redis, deadline_s=0)
        await log.append(started(call))
        mine = await log.own(call, "worker-a", lease_ms=60_000)
        await create_groups(redis, "g")
        claims = GroupClaims(ScriptRunner(redis), group="g", worker="w1", lease_ms=60_000, max_events=10)
        rung: Any = await redis.xreadgroup("g", "w1", {keys.bell(TAG): ">"})
        token = rung[keys.bell(TAG).encode()][0][0][0].decode()
        claim = await claims.claim(call, token)
        assert isinstance(claim, Claim)
        held = Held(call, token, epoch=claim.epoch)

        await cluster.begin_to_move(SLOT, target)
        await cluster.move_keys(SLOT, target)
        fresh = RedisEventLog(
            redis, deadline_s=0, runner=ScriptRunner(redis)
        )  # it sends by digest what is unknown there
        assert await log.own(call, "worker-a", lease_ms=60_000, epoch=mine.epoch) == mine
        assert await fresh.own(call, "worker-a", lease_ms=60_000, epoch=mine.epoch) == mine
        assert await claims.renew(held)
        assert [event.seq for event in await log.read(call)] == [1]
        async with redis.pipeline(transaction=False) as pipe:
            pipe.xlen(keys.call_keys(call).stream)
            pipe.xlen(keys.bell(TAG))
            assert await pipe.execute() == [1, 1]
        with pytest.raises(LogUnavailable, match="during rehashing"):
            await log.append(speaking(call, "u1"))

        await cluster.end_move(SLOT, target)
        assert (await log.append(speaking(call, "u1"))).seq == 2
    assert await cluster.owner(SLOT) is target


async def test_a_slot_that_moves_in_one_piece_takes_its_calls_along(cluster: LoopbackCluster) -> None:
    """Valkey 9: the server carries the slot over by itself, and hands it on between two commands."""
    source = await cluster.owner(SLOT)
    target = next(one for one in cluster.masters if one is not source)
    async with traffic(cluster.url, CALLS) as flow:
        target_id = await cluster.id_of(target)
        await ask(source.port, "CLUSTER", "MIGRATESLOTS", "SLOTSRANGE", SLOT, SLOT, "NODE", target_id)
        await wait_until(lambda: owns(cluster, target), within_s=20, what="the slot has moved")
        await flow.grows()


async def test_a_master_that_stands_still_and_wakes_up_again_changes_nothing_any_more() -> None:
    async with LoopbackCluster(replicas=1, options=("--cluster-replica-validity-factor", "0")) as cluster:
        old = await cluster.owner(SLOT)
        heir = cluster.replicas[cluster.masters.index(old)]
        async with traffic(cluster.url, CALLS) as flow:
            async with flow.held():
                await caught_up(heir.port, old.port)
                os.kill(old.pid, signal.SIGSTOP)
            await flow.grows()
            os.kill(old.pid, signal.SIGCONT)
            await wait_until(lambda: follows(old.port, heir.port), within_s=20, what="it has heard of its heir")
            await flow.grows()
        assert await cluster.owner(SLOT) is heir


async def test_a_master_that_dies_without_a_replica_stops_only_its_own_calls() -> None:
    async with LoopbackCluster(options=("--cluster-require-full-coverage", "no")) as cluster:
        dead = await cluster.owner(SLOT)
        elsewhere = [one for one in CALLS if await cluster.owner(slot_of_key(keys.call_keys(one).stream)) is not dead]
        quiet = next(one for one in QUIET if keys.tag_of(one) == keys.tag_of(elsewhere[0]))
        assert 0 < len(elsewhere) < len(CALLS)
        async with traffic(cluster.url, CALLS) as flow, waiting_for(cluster.url, quiet) as asked:
            await dead.kill()
            await flow.grows(calls=elsewhere)
            await flow.grows(calls=elsewhere, handled=True)
            before = len(asked)
            await wait_until(lambda: len(asked) > before + 1, what="wakes of other masters ring")
            await dead.start()
            await flow.grows()


@asynccontextmanager
async def waiting_for(url: str, call: CallId) -> AsyncIterator[list[int]]:
    """A consumer that is never done with the call and wants to be asked again at once; grows by one each time."""
    asked: list[int] = []

    async def handler(view: CallView) -> Progress:
        if view.call != call:
            return Progress(through=len(view.events))
        asked.append(len(view.events))
        return Progress(through=view.cursor, wake_at=datetime.now(UTC) + timedelta(milliseconds=50))

    async with connect(url) as redis, asyncio.TaskGroup() as tasks:
        await RedisEventLog(redis).append(started(call))
        consumer = Consumer(redis, group="waits", worker="w1", handler=handler, options=OPTIONS)
        tasks.create_task(consumer.run())
        await wait_until(lambda: len(asked) > 1, what="it is asked again")
        yield asked
        consumer.stop()


async def owns(cluster: LoopbackCluster, node: EmbeddedRedis) -> bool:
    return await cluster.owner(SLOT) is node


async def test_a_master_that_dies_is_replaced_by_its_replica_and_comes_back_as_one() -> None:
    async with LoopbackCluster(replicas=1, options=("--cluster-replica-validity-factor", "0")) as cluster:
        old = await cluster.owner(SLOT)
        heir = cluster.replicas[cluster.masters.index(old)]
        async with traffic(cluster.url, CALLS) as flow:
            async with flow.held():
                await caught_up(heir.port, old.port)
                await old.kill()
            await flow.grows()
            assert await cluster.owner(SLOT) is heir
            await old.start()
            await wait_until(
                lambda: follows(old.port, heir.port), within_s=20, what="the old master follows the new one"
            )
            async with flow.held():
                await caught_up(old.port, heir.port)
                await heir.kill()
            await flow.grows()
        assert await cluster.owner(SLOT) is old
