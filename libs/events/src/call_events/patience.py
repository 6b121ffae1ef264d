"""Asks the log again, while it cannot serve, until there is an answer or the time is up."""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

from redis.exceptions import RedisError

from call_events import metrics
from call_events.errors import LogUnavailable
from call_events.outages import translated

T = TypeVar("T")

FIRST_PAUSE_S = 0.02
LONGEST_PAUSE_S = 0.5


async def until_deadline(ask: Callable[[], Awaitable[T]], deadline_s: float) -> T:
    """The answer to a question that is safe to repeat.

    Args:
        ask: asks once.
        deadline_s: how long it is asked again while Redis cannot serve; 0 = once.

    Raises:
        LogUnavailable: no answer in time.
    """
    give_up = time.monotonic() + deadline_s
    pause = FIRST_PAUSE_S
    while True:
        try:
            return await ask()
        except (LogUnavailable, RedisError, OSError) as error:
            unavailable = error if isinstance(error, LogUnavailable) else translated(error)
            left = give_up - time.monotonic()
            if not isinstance(unavailable, LogUnavailable) or left <= 0:
                metrics.UNAVAILABLE.inc()
                raise unavailable from error.__cause__ or error
            await asyncio.sleep(min(left, pause * random.uniform(0.5, 1.0)))  # noqa: S311 - jitter is no secret
            pause = min(pause * 2, LONGEST_PAUSE_S)
