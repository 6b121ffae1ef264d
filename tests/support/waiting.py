"""Waiting for something to become true, with a deadline instead of a guess."""

import asyncio
import inspect
import time
from collections.abc import Awaitable, Callable


async def wait_until(
    condition: Callable[[], object] | Callable[[], Awaitable[object]],
    *,
    within_s: float = 10.0,
    what: str = "",
    every_s: float = 0.005,
) -> None:
    """Return as soon as ``condition()`` (plain or async) is truthy.

    Raises:
        AssertionError: it was not within ``within_s`` seconds.
    """
    give_up = time.monotonic() + within_s
    while True:
        answer = condition()
        if inspect.isawaitable(answer):
            answer = await answer
        if answer:
            return
        if time.monotonic() > give_up:
            raise AssertionError(f"not within {within_s} s: {what or condition}")
        await asyncio.sleep(every_s)
