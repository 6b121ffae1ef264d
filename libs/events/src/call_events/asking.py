"""One question to Redis by somebody who asks once: a person at the command line, not a service."""

from collections.abc import Awaitable
from typing import Any

from redis.exceptions import RedisError

from call_events.runner import translated


async def asked(answer: Awaitable[Any]) -> Any:
    """The answer of Redis.

    Raises:
        LogUnavailable: it cannot be asked now.
        redis.exceptions.RedisError: the question itself is at fault.
    """
    try:
        return await answer
    except (RedisError, OSError) as error:
        raise translated(error) from error
