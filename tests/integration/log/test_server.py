"""What stands at REDIS_URL, and the embedded server."""

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from redis.asyncio import Redis

from call_events import keys
from call_events.connection import check_server, connect
from call_events.embedded import EmbeddedRedis
from call_events.errors import BadSetting, LogUnavailable
from call_events.redis_log import RedisEventLog
from call_events.testing import started
from support.waiting import wait_until


async def test_a_good_server_passes_and_keeps_the_layout(redis: Redis) -> None:
    await check_server(redis)
    await check_server(redis)

    assert await redis.get(keys.LAYOUT_KEY) == keys.LAYOUT.encode()


async def test_another_layout_is_refused(redis: Redis, redis_url: str) -> None:
    await redis.set(keys.LAYOUT_KEY, "1 4 a b c d")

    with pytest.raises(BadSetting, match=r"REDIS_URL.*another layout"):
        await check_server(redis, url=redis_url)


async def test_a_server_that_would_evict_calls_is_refused() -> None:
    async with EmbeddedRedis() as server, connect(server.url) as redis:
        await redis.config_set("maxmemory-policy", "allkeys-lru")

        with pytest.raises(BadSetting, match=r"maxmemory-policy is allkeys-lru.*noeviction"):
            await check_server(redis)


async def test_a_server_that_is_not_there_is_named_without_its_password() -> None:
    url = "redis://user:secret@127.0.0.1:1/0"
    async with connect(url) as redis:
        with pytest.raises(LogUnavailable, match=r"REDIS_URL \(redis://127.0.0.1:1/0\)") as refused:
            await check_server(redis, url=url)
    assert "secret" not in str(refused.value)


def test_what_is_no_redis_url_is_refused() -> None:
    with pytest.raises(BadSetting, match="REDIS_URL"):
        connect("http://127.0.0.1")


async def test_an_append_gives_up_at_its_deadline_and_says_so() -> None:
    async with connect("redis://127.0.0.1:1/0") as redis:
        with pytest.raises(LogUnavailable):
            await RedisEventLog(redis, deadline_s=0).append(started("call-1"))
        async with asyncio.timeout(5):
            with pytest.raises(LogUnavailable):
                await RedisEventLog(redis, deadline_s=0.2).append(started("call-1"))


async def test_the_embedded_server_keeps_what_it_was_given_when_it_has_a_directory(tmp_path: Path) -> None:
    async with EmbeddedRedis(tmp_path) as server:
        async with connect(server.url) as redis:
            await redis.set("kept", "yes")
        await server.stop()
        await server.start()
        async with connect(server.url) as redis:
            assert await redis.get("kept") == b"yes"


_PARENT = """
import asyncio
from call_events.embedded import EmbeddedRedis

async def main():
    server = EmbeddedRedis()
    await server.start()
    print(server.pid, flush=True)
    await asyncio.Event().wait()

asyncio.run(main())
"""


@pytest.mark.skipif(sys.platform != "linux", reason="PR_SET_PDEATHSIG is Linux's; elsewhere stop() ends the server")
async def test_the_embedded_server_dies_with_a_parent_that_was_killed() -> None:
    parent = subprocess.Popen([sys.executable, "-c", _PARENT], stdout=subprocess.PIPE, text=True)  # noqa: ASYNC220
    try:
        assert parent.stdout is not None
        pid = int(await asyncio.to_thread(parent.stdout.readline))
        os.kill(pid, 0)
    finally:
        parent.send_signal(signal.SIGKILL)
        await asyncio.to_thread(parent.communicate)

    def has_gone() -> bool:
        stat = Path(f"/proc/{pid}/stat")
        return not stat.exists() or stat.read_text().rpartition(")")[2].split()[0] == "Z"

    await wait_until(has_gone, what="the server ends with its parent")
