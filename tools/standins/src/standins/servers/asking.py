"""What these servers say about themselves, and waiting until they say it."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from call_events.errors import LogUnavailable

_GLANCE_S = 0.05
_READY_S = 30.0
_PATIENCE_S = 5.0


async def ask(port: int, *command: str | int) -> Any:
    """One command to the server on this loopback port, with the answer as it comes (text as bytes).

    Raises:
        redis.exceptions.RedisError, OSError: as it happens.
    """
    async with Redis(
        host="127.0.0.1", port=port, protocol=2, socket_timeout=_PATIENCE_S, retry=Retry(NoBackoff(), 0)
    ) as client:
        client.response_callbacks.clear()
        run: Any = client.execute_command
        return await run(*command)


async def answers(port: int, *command: str | int) -> Any:
    """Like :func:`ask`; None while the server is away."""
    try:
        return await ask(port, *command)
    except (RedisError, OSError):
        return None


async def follows(replica: int, master: int) -> bool:
    """Whether the one has the other for its master and a good link to it."""
    told = await answers(replica, "INFO", "replication") or b""
    return b"master_port:%d\r" % master in told and b"master_link_status:up" in told


async def caught_up(replica: int, master: int) -> None:
    """Wait until the replica on this port has all that the master has now.

    Raises:
        LogUnavailable: it did not get it in time.
    """
    want = await _offset(master, b"master_repl_offset")

    async def has_it() -> bool:
        return await _offset(replica, b"slave_repl_offset") >= want

    await until(has_it, "the replica did not catch up")


async def _offset(port: int, name: bytes) -> int:
    lines: list[bytes] = (await ask(port, "INFO", "replication")).splitlines()
    return next(int(value) for key, _, value in (line.partition(b":") for line in lines) if key == name)


async def until(is_so: Callable[[], Awaitable[bool]], otherwise: str, *, within_s: float = _READY_S) -> None:
    """Wait for it.

    Raises:
        LogUnavailable: it was not so in time; ``otherwise`` says what.
    """
    give_up = time.monotonic() + within_s
    while not await is_so():
        if time.monotonic() > give_up:
            raise LogUnavailable(f"{otherwise} within {within_s:.0f} s")
        await asyncio.sleep(_GLANCE_S)
