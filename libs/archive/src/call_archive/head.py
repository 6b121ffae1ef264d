"""``ports.HeadKeeper`` in Redis: the newest link, remembered where whoever can write to the archive cannot."""

from collections.abc import Awaitable
from typing import Any

from redis.asyncio import Redis
from redis.exceptions import RedisError

from call_archive.ports import Head
from call_events.runner import translated

#: HASH number, digest: of the newest link. kept: how far retention has come. One log has one archive.
HEAD_KEY = "cc:archive"

#: Only forward: two archivers may tell of theirs in any order.
_ADVANCE = """
local known = tonumber(redis.call('HGET', KEYS[1], 'number') or '0')
if tonumber(ARGV[1]) > known then redis.call('HSET', KEYS[1], 'number', ARGV[1], 'digest', ARGV[2]) end
return 1
"""


class RedisHead:
    """Beside the log."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis

    async def newest(self) -> Head | None:
        """See ``ports.HeadKeeper``."""
        number, digest = await _asked(self._redis.hmget(HEAD_KEY, ["number", "digest"]))
        return None if number is None or digest is None else Head(int(number), digest.decode())

    async def advance(self, head: Head) -> None:
        """See ``ports.HeadKeeper``."""
        await _asked(self._redis.eval(_ADVANCE, 1, HEAD_KEY, str(head.number), head.digest))


async def _asked(answer: Awaitable[Any] | Any) -> Any:
    try:
        return await answer
    except (RedisError, OSError) as error:
        raise translated(error) from error
