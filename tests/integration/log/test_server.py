"""What stands at REDIS_URL, and the embedded server."""

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from pydantic import BaseModel
from redis.asyncio import Redis
from structlog.testing import capture_logs

import ccm_bridge.settings
import transfer_orchestrator.settings
import voice_worker.settings
from call_events import keys
from call_events.connection import RedisUrl, check_server, connect, shown
from call_events.embedded import EmbeddedRedis
from call_events.errors import BadSetting, LogInUse, LogUnavailable
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


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1",
        "127.0.0.1:6379",
        "",
        "redis://a:6379,b:6379",
        "redis+sentinel://a:26379,b:26379",
        "redis+sentinel://a:26379/mymaster/x",
        "redis+sentinel://,/mymaster",
        "redis+cluster://a:7000/1",
        "redis+cluster://",
        "redis+cluster://a:seven",
        "unix+cluster://a",
    ],
)
def test_what_is_no_redis_url_is_refused_with_a_list_of_what_is(url: str) -> None:
    with pytest.raises(BadSetting, match=r"^REDIS_URL.*redis://.*unix://.*redis\+sentinel://.*redis\+cluster://"):
        connect(url)


#: Every one is misread by a URL parser in its own way.
UNESCAPED = [
    "redis://:s3cr/et9@host",
    "redis://:s3cr?et9@host:6379/0",
    "redis://:s3cr#et9@host:6379/0",
    "redis://us/er:s3cret9@host:6379/0",
    "redis://:63/s3cret9@host",
    "redis://:s3c[ret9@host:6379/0",
    "redis://:s3cret9@host:port/0",
    "redis+sentinel://:s3cr/et9@host,host/name",
    "redis+sentinel://:s3cr#et9@host,host/name",
    "redis+cluster://:s3cr?et9@host,host",
    "redis+cluster://:s3cr,et9@host,host:port",
]


@pytest.mark.parametrize("url", UNESCAPED)
def test_nothing_of_a_url_that_cannot_be_read_is_repeated(url: str) -> None:
    with pytest.raises(BadSetting, match="%2F") as refused:
        connect(url)

    text = f"{refused.value} {shown(url)} {refused.value.__cause__}"
    assert refused.value.__suppress_context__ or refused.value.__context__ is None
    assert not any(part in text for part in ("s3c", "et9"))


@pytest.mark.parametrize(
    ("url", "text"),
    [
        ("redis://user:s3cr@host:6379/3?password=s3cr#s3cr", "redis://host:6379/3"),
        ("rediss://:s3cr%2Fet@host", "rediss://host"),
        ("rediss+sentinel://user:s3cr@a:1,b/name/2?sentinel_password=s3cr", "rediss+sentinel://a:1,b/name/2"),
        ("redis+cluster://user:s3cr@a:1,b:2", "redis+cluster://a:1,b:2"),
        ("unix://user:s3cr@/run/redis.sock?db=1&password=s3cr", "unix:///run/redis.sock"),
    ],
)
def test_a_url_is_shown_without_user_password_and_options(url: str, text: str) -> None:
    assert shown(url) == text


class Holder(BaseModel):
    redis_url: RedisUrl


def test_a_setting_holds_the_url_and_its_repr_keeps_the_password_to_itself() -> None:
    url = "redis://user:s3cr@host:6379/0"
    holder = Holder(redis_url=url)

    assert holder.redis_url == url
    assert f"{holder!r} {holder} {[holder.redis_url]} {holder.model_dump()}".count("s3cr") == 0
    assert "redis://host:6379/0" in repr(holder)


@pytest.mark.parametrize(
    "url",
    [
        "redis://user:s3cr@host:6379/0",
        "rediss+sentinel://user:s3cr@a,b,c/calls?sentinel_password=s3cr",
        "redis+cluster://user:s3cr@a:1,b:2",
    ],
)
def test_the_repr_of_every_service_s_settings_is_without_the_password(
    monkeypatch: pytest.MonkeyPatch, url: str
) -> None:
    monkeypatch.setenv("REDIS_URL", url)
    for name in ("LIVEKIT_API_KEY", "LIVEKIT_API_SECRET", "OPENAI_API_KEY", "CCM_BRIDGE_BOT_ID", "CCM_BRIDGE_HUMAN_ID"):
        monkeypatch.setenv(name, "x" * 32)
    monkeypatch.setenv("LIVEKIT_URL", "ws://127.0.0.1:1")
    monkeypatch.setenv("CCM_URL", "http://127.0.0.1:1/ccm/message/receive")

    for module in (ccm_bridge.settings, transfer_orchestrator.settings, voice_worker.settings):
        settings = module.Settings()
        assert settings.redis_url == url
        assert "s3cr" not in repr(settings)


async def test_a_node_of_a_cluster_is_refused_in_one_line_before_anything_is_written() -> None:
    async with EmbeddedRedis(options=("--cluster-enabled", "yes")) as server, connect(server.url) as redis:
        with pytest.raises(
            BadSetting, match=r"^REDIS_URL \(redis://.*node of a Redis Cluster.*redis\+cluster://"
        ) as refused:
            await check_server(redis, url=server.url)
        assert "\n" not in str(refused.value)


async def test_a_server_that_keeps_nothing_on_disk_is_warned_about_and_used(tmp_path: Path) -> None:
    with capture_logs() as lines:
        async with EmbeddedRedis() as server, connect(server.url) as fleeting:
            await check_server(fleeting, url=server.url.replace("redis://", "redis://:s3cr@"))
    (line,) = lines
    assert (line["event"], line["log_level"]) == ("redis.not_durable", "warning")
    assert "appendonly is no" in line["problem"]
    assert "appendonly yes" in line["mend"]
    assert "s3cr" not in str(line)

    with capture_logs() as lines:
        async with EmbeddedRedis(tmp_path) as server, connect(server.url) as durable:
            await check_server(durable)
    assert lines == []


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


async def test_a_directory_has_one_server_at_a_time(tmp_path: Path) -> None:
    """Two that append to one file would leave a log that none can read; who was killed has left it free."""
    first, second = EmbeddedRedis(tmp_path), EmbeddedRedis(tmp_path)
    async with first:
        with pytest.raises(LogInUse, match=str(tmp_path)):
            await second.start()
        await first.kill()
        with pytest.raises(LogInUse):
            await second.start()
        await first.start()
    async with second:
        assert second.pid


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
