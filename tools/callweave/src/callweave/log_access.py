"""Opens the log: the one at REDIS_URL, or the one that the demo left in a directory."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from call_events.connection import check_server, connect
from call_events.embedded import EmbeddedRedis
from call_events.errors import BadSetting, LogUnavailable
from call_events.redis_log import RedisEventLog
from callweave.settings import Settings


@asynccontextmanager
async def open_log(settings: Settings) -> AsyncIterator[RedisEventLog]:
    """The log, for the length of one command.

    Raises:
        BadSetting: neither REDIS_URL nor a local log; or the server is not fit to hold one.
        LogUnavailable: the server cannot be reached.
    """
    if settings.redis_url is not None:
        async with _connected(settings.redis_url.get_secret_value()) as log:
            yield log
        return
    running = await running_url(settings.log_dir)
    if running is not None:
        async with _connected(running) as log:
            yield log
        return
    if not settings.log_dir.is_dir():
        raise BadSetting(
            f"no log found: REDIS_URL is not set and there is no local log in {settings.log_dir}; "
            "set REDIS_URL to the Redis that holds the calls, or make a call with ./dev demo"
        )
    async with EmbeddedRedis(settings.log_dir) as server, _connected(server.url) as log:
        yield log


async def running_url(directory: Path) -> str | None:
    """URL of the server that has this directory open now, if one does.

    It leaves its address there while it runs; one that was killed leaves it for ever, so the address is tried.
    """
    address = directory / "url"
    url = address.read_text().strip() if address.is_file() else ""
    if not url:
        return None
    async with connect(url) as redis:
        try:
            await check_server(redis)
        except LogUnavailable:
            return None
    return url


@asynccontextmanager
async def _connected(url: str) -> AsyncIterator[RedisEventLog]:
    redis = connect(url)
    try:
        await check_server(redis)
        yield RedisEventLog(redis)
    finally:
        await redis.aclose()
