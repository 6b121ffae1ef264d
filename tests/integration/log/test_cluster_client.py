"""What a Cluster is to whoever uses it: one Redis, with a few words that it does not know."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from redis.exceptions import ClusterDownError, RedisError, ResponseError

from call_events import keys, overview
from call_events.cluster import ClusterClient
from call_events.cluster_lanes import slot_of_key
from call_events.connection import check_server, connect
from call_events.embedded import EmbeddedRedis
from call_events.errors import BadSetting, LogUnavailable, ServerChanged
from call_events.runner import ScriptRunner
from support.backends import Backends

pytestmark = pytest.mark.backends

NAMES = [f"name-{number}" for number in range(30)]


@pytest_asyncio.fixture
async def cluster(backends: Backends) -> AsyncIterator[ClusterClient]:
    async with connect(await asyncio.to_thread(backends.url, "cluster-valkey-9.1")) as client:
        assert isinstance(client, ClusterClient)
        yield client
        await client.flushdb()


async def test_a_pipeline_goes_to_every_master_and_its_answers_come_in_its_order(cluster: ClusterClient) -> None:
    async with cluster.pipeline(transaction=False) as pipe:
        for number, name in enumerate(NAMES):
            pipe.set(name, number)
        assert await pipe.execute() == [True] * len(NAMES)
        pipe.time()
        for name in NAMES:
            pipe.get(name)
        (seconds, _), *answers = await pipe.execute()
    assert seconds > 1_700_000_000
    assert answers == [b"%d" % number for number in range(len(NAMES))]
    assert await cluster.dbsize() == len(NAMES)
    assert all([await one.dbsize() for one in await cluster.masters.all()]), "each has some"


async def test_what_one_command_of_a_pipeline_gets_wrong_is_the_answer_to_it(cluster: ClusterClient) -> None:
    await cluster.set("text", "x")
    async with cluster.pipeline(transaction=False) as pipe:
        pipe.get("other")
        pipe.lpush("text", "y")
        pipe.get("text")
        assert [type(one) for one in await pipe.execute(raise_on_error=False)] == [type(None), ResponseError, bytes]
        pipe.lpush("text", "y")
        with pytest.raises(ResponseError, match="WRONGTYPE"):
            await pipe.execute()


async def test_a_table_that_is_wrong_is_mended_by_the_first_who_is_sent_on(cluster: ClusterClient) -> None:
    """Scripts, plain commands and pipelines alike."""
    runner = ScriptRunner(cluster)
    asked: list[Any] = [
        lambda key: runner.run("own", (key,), ("worker-a", 60_000, "")),
        lambda key: cluster.hget(key, "ow"),
        lambda key: piped(cluster, key),
        lambda key: runner.ask(("HGET", key, "ow")),
    ]
    key = keys.bell(keys.TAGS[3])
    slot = slot_of_key(key)
    right = await cluster.masters.of(slot)
    for ask in asked:
        wrong = next(one for one in await cluster.masters.all() if one is not right)
        host = next(host for host, one in cluster.masters._clients.items() if one is wrong)
        cluster.masters._owners[slot] = host
        cluster.masters._in_doubt = False
        assert cluster.masters.known(slot) is wrong
        assert await ask(key) in ([1], [1, b""], b"worker-a", [b"worker-a"])
        assert await cluster.masters.of(slot) is right


async def piped(cluster: ClusterClient, key: str) -> list[Any]:
    async with cluster.pipeline(transaction=False) as pipe:
        pipe.hget(key, "ow")
        return await pipe.execute()


async def test_what_is_bound_to_a_server_is_done_there_or_not_at_all(cluster: ClusterClient) -> None:
    """A wrong table changes no server; a slot that somebody else has does, and is told of once."""
    runner, heard = ScriptRunner(cluster), list[str | None]()
    key = keys.bell(keys.TAGS[3])
    slot = slot_of_key(key)
    runner.on_change(lambda: heard.append(runner.server_of(key)))
    await runner.meet(key)
    right = runner.server_of(key)
    owner = await cluster.masters.of(slot)

    wrong = next(one for one in await cluster.masters.all() if one is not owner)
    cluster.masters._owners[slot] = next(host for host, one in cluster.masters._clients.items() if one is wrong)
    async with asyncio.timeout(5):
        assert (await runner.run("own", (key,), ("worker-a", 60_000, ""), server=right))[0] == 1
        assert (heard, runner.server_of(key)) == ([], right)
        for _ in range(2):
            with pytest.raises(ServerChanged):
                await runner.run("own", (key,), ("worker-b", 60_000, 1), server="somebody who had it before")
    assert heard == []
    assert await cluster.hget(key, "ow") == b"worker-a"


async def test_a_slot_without_a_master_is_an_outage_of_its_calls_only(cluster: ClusterClient) -> None:
    lost, there = keys.bell(keys.TAGS[0]), keys.bell(keys.TAGS[1])
    runner = ScriptRunner(cluster)
    await cluster.masters.of(slot_of_key(lost))
    cluster.masters._owners[slot_of_key(lost)] = None

    async with asyncio.timeout(5):
        good, bad = runner.run("own", (there,), ("a", 1, "")), runner.run("own", (lost,), ("a", 1, ""))
        assert (await good)[0] == 1
        with pytest.raises(LogUnavailable, match="no master"):
            await bad
        cluster.masters._owners[slot_of_key(lost)] = None
        cluster.masters._asked_at = asyncio.get_running_loop().time()
        with pytest.raises(ClusterDownError):
            await cluster.xlen(lost)
        cluster.masters._asked_at = -1.0
        assert await cluster.exists(lost) == 0, "the table was asked for anew"


@pytest.mark.parametrize(
    "command",
    [("WAIT", 1, 0), ("SCAN", 0), ("KEYS", "*"), ("WATCH", "a")],
    ids=lambda one: one[0],
)
async def test_what_has_no_one_place_is_refused_in_words(cluster: ClusterClient, command: tuple[Any, ...]) -> None:
    run: Any = cluster.execute_command
    with pytest.raises(RedisError, match="no one place"):
        await run(*command)
    with pytest.raises(RedisError, match="transaction"):
        cluster.pipeline()


async def test_every_master_is_looked_at_and_the_one_that_will_not_do_is_named(cluster: ClusterClient) -> None:
    await check_server(cluster)
    assert await cluster.get(keys.LAYOUT_KEY) == keys.LAYOUT.encode()
    bad = (await cluster.masters.all())[1]
    port = bad.connection_pool.connection_kwargs["port"]
    await bad.config_set("maxmemory-policy", "allkeys-lru")
    try:
        with pytest.raises(BadSetting, match=rf"master 127\.0\.0\.1:{port}: maxmemory-policy is allkeys-lru"):
            await check_server(cluster)
    finally:
        await bad.config_set("maxmemory-policy", "noeviction")


async def test_every_master_tells_of_itself(cluster: ClusterClient) -> None:
    ports = {one.connection_pool.connection_kwargs["port"] for one in await cluster.masters.all()}
    assert {one.address for one in await overview.servers(cluster)} == {f"127.0.0.1:{port}" for port in ports}


async def test_a_server_that_is_none_of_a_cluster_is_refused_with_the_url_to_write() -> None:
    async with EmbeddedRedis() as server:
        url = f"redis+cluster://127.0.0.1:{server.port}"
        async with connect(url) as redis:
            with pytest.raises(
                BadSetting, match=r"^REDIS_URL \(redis\+cluster://.*no node of a Redis Cluster.*redis://"
            ):
                await check_server(redis, url=url)


async def test_a_cluster_of_which_nobody_answers_is_named_without_its_password() -> None:
    url = "redis+cluster://user:s3cr@127.0.0.1:1,127.0.0.1:2"
    async with connect(url) as redis:
        with pytest.raises(LogUnavailable, match=r"^REDIS_URL \(redis\+cluster://127.0.0.1:1,127.0.0.1:2\)") as refused:
            await check_server(redis, url=url)
        with pytest.raises(LogUnavailable):
            await ScriptRunner(redis).meet("a", "b")
    assert "s3cr" not in str(refused.value)


async def test_a_sentinel_under_redis_is_refused_with_the_url_to_write(backends: Backends) -> None:
    url = await asyncio.to_thread(backends.url, "sentinel-redis-8.2")
    sentinel = url.removeprefix("redis+sentinel://").partition(",")[0]
    async with connect(f"redis://{sentinel}") as redis:
        with pytest.raises(BadSetting, match=r"this is a Sentinel; write redis\+sentinel://"):
            await check_server(redis)
