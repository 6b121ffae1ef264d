"""Opens the log: the one at REDIS_URL, or the one that the demo left in a directory."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

from redis.asyncio import Redis

from call_events.connection import check_server, connect
from call_events.embedded import EmbeddedRedis
from call_events.errors import BadSetting, LogInUse, LogUnavailable
from callweave.settings import Settings

#: Somebody who has the directory open and leaves no address starts just now, or is a command like this one.
BUSY_DEADLINE_S = 5.0
_POLL_S = 0.05


def is_configured(settings: Settings) -> bool:
    """Whether there is a log to open at all."""
    return settings.redis_url is not None or settings.log_dir.is_dir()


@asynccontextmanager
async def open_redis(settings: Settings) -> AsyncIterator[Redis]:
    """A client of the server that holds the log, for the length of one command.

    Raises:
        BadSetting: neither REDIS_URL nor a local log; or the server is not fit to hold one.
        LogUnavailable: the server cannot be reached, or somebody has the local log and does not say where.
    """
    async with AsyncExitStack() as stack:
        if settings.redis_url is not None:
            url = settings.redis_url.get_secret_value()
        else:
            _check_directory(settings.log_dir)
            url = await _local(settings.log_dir, stack)
        redis = connect(url)
        stack.push_async_callback(redis.aclose)
        await check_server(redis)
        yield redis


def _check_directory(directory: Path) -> None:
    if not directory.is_dir():
        raise BadSetting(
            f"no log found: REDIS_URL is not set and there is no local log in {directory}; "
            "set REDIS_URL to the Redis that holds the calls, or make a call with ./dev demo"
        )


async def _local(directory: Path, stack: AsyncExitStack) -> str:
    """URL of the server on this directory: one that is started for us, or the one that runs already."""
    give_up = time.monotonic() + BUSY_DEADLINE_S
    while True:
        # First of all, for whoever may not write there may still read.
        if (running := await _running_url(directory)) is not None:
            return running
        try:
            return (await stack.enter_async_context(EmbeddedRedis(directory))).url
        except LogInUse:
            pass
        if time.monotonic() > give_up:
            raise LogInUse(
                f"another process has the log in {directory} open, and no server answers at the address in "
                f"{directory / 'url'}; end that process (a demo or a callweave), or set REDIS_URL to its server"
            )
        await asyncio.sleep(_POLL_S)


async def _running_url(directory: Path) -> str | None:
    """The address that whoever has this directory open leaves there, if a server answers at it."""
    try:
        url = (directory / "url").read_text().strip()
    except FileNotFoundError:
        return None
    if not url:
        return None
    async with connect(url) as redis:
        try:
            await check_server(redis)
        except LogUnavailable:
            return None
    return url
