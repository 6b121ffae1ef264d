"""A Cluster whose slots move and whose masters die, while calls go on."""

from collections.abc import AsyncIterator

import pytest_asyncio

from call_events import keys
from call_events.cluster_lanes import slot_of_key
from call_events.embedded import EmbeddedRedis
from call_events.ids import CallId
from standins.servers.asking import ask, caught_up, follows
from standins.servers.cluster import LoopbackCluster
from support.traffic import traffic
from support.waiting import wait_until

TAG = keys.TAGS[0]
SLOT = slot_of_key(keys.bell(TAG))
#: Eight of the tag that moves, and some of the others.
CALLS = [call for call in (CallId(f"call-{n}") for n in range(400)) if keys.tag_of(call) == TAG][:8] + [
    CallId(f"other-{n}") for n in range(8)
]


@pytest_asyncio.fixture
async def cluster() -> AsyncIterator[LoopbackCluster]:
    async with LoopbackCluster() as three:
        yield three


async def test_a_slot_that_moves_key_by_key_takes_its_calls_along(cluster: LoopbackCluster) -> None:
    source = await cluster.owner(SLOT)
    target = next(one for one in cluster.masters if one is not source)
    async with traffic(cluster.url, CALLS) as flow:
        await cluster.move_slot(SLOT, target, keys_at_once=1)
        await flow.grows()
        await cluster.move_slot(SLOT, source, keys_at_once=1)
        await flow.grows()
    assert await cluster.owner(SLOT) is source


async def test_a_slot_that_moves_in_one_piece_takes_its_calls_along(cluster: LoopbackCluster) -> None:
    """Valkey 9: the server carries the slot over by itself, and hands it on between two commands."""
    source = await cluster.owner(SLOT)
    target = next(one for one in cluster.masters if one is not source)
    async with traffic(cluster.url, CALLS) as flow:
        target_id = await cluster.id_of(target)
        await ask(source.port, "CLUSTER", "MIGRATESLOTS", "SLOTSRANGE", SLOT, SLOT, "NODE", target_id)
        await wait_until(lambda: owns(cluster, target), within_s=20, what="the slot has moved")
        await flow.grows()


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
