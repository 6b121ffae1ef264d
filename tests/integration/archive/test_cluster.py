"""The archiver on a Cluster: the head of the chain and the calls lie on different masters."""

from pathlib import Path

from redis.asyncio import Redis

from call_archive.archive import Archive
from call_archive.directory import DirectoryStore
from call_archive.head import RedisHead
from call_archive.verify import verify_archive
from call_events import keys
from call_events.connection import connect
from call_events.ids import CallId
from integration.archive.conftest import Start, consuming, play
from standins.servers.cluster import LoopbackCluster
from support.waiting import wait_until

CALLS = [CallId(f"call-{number}") for number in range(12)]


async def test_calls_of_all_masters_are_sealed_and_let_go(start: Start, root: Path) -> None:
    async with LoopbackCluster() as cluster, connect(cluster.url) as redis:
        process = await start("real", REDIS_URL=cluster.url)
        async with consuming(redis, "ccm", "transfer"):
            for call in CALLS:
                await play(redis, call)
            for call in CALLS:
                await wait_until(lambda c=call: gone(redis, c), within_s=30, what=f"{call} is let go")
        process.terminate()
        await process.wait()
        found = verify_archive(Archive(DirectoryStore(root)), known_head=await RedisHead(redis).newest())
        assert [finding async for finding in found] == []
        assert {call async for call in Archive(DirectoryStore(root)).calls()} == set(CALLS)


async def gone(redis: Redis, call: CallId) -> bool:
    return await redis.zscore(keys.call_keys(call).gone, call) is not None
