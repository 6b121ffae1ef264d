"""Looks now and then whether the store still does, and sweeps what a killed process has left half-written."""

import asyncio

import structlog

from call_archive.ports import Store
from call_events.errors import CallEventsError

log = structlog.get_logger()

#: A half-written file is swept once it is an hour old: no later than this after that.
_ROUND_S = 1800.0


async def keep_tidy(store: Store, *, round_s: float = _ROUND_S) -> None:
    """Until cancelled. What it finds is told; sealing finds the same by itself, and waits."""
    while True:
        await asyncio.sleep(round_s)
        try:
            await store.check()
        except CallEventsError as error:
            log.warning("archive.store_does_not_do", error=str(error), mend="calls wait in Redis until it does")
