"""Waiting for what a telephone becomes: every change of its state wakes all who wait."""

from __future__ import annotations

import asyncio
from collections.abc import Callable


class Changes:
    """Tells that something changed; whoever waits looks for himself whether it is what he waits for."""

    def __init__(self) -> None:
        self._next = asyncio.Event()

    @property
    def next(self) -> asyncio.Event:
        """Set by the next change after this was read: read it first, then look, then wait."""
        return self._next

    def tell(self) -> None:
        """Something changed."""
        changed, self._next = self._next, asyncio.Event()
        changed.set()

    async def until(self, condition: Callable[[], bool], timeout_s: float, failing: str) -> None:
        """Wait until `condition()` holds.

        Raises:
            TimeoutError: it did not in time; the text is `failing` and how long it was waited.
        """
        try:
            async with asyncio.timeout(timeout_s):
                while not condition():
                    await self._next.wait()
        except TimeoutError:
            raise TimeoutError(f"{failing} within {timeout_s:g} s") from None
