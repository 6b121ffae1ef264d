"""Removes contents whose time is over; the chain says so and stays."""

import asyncio
from datetime import timedelta

import structlog

from archiver.ports import Bookmark, Gauges
from call_archive.archive import Archive
from call_archive.chain import Chain
from call_archive.erasure import LiveLog, remove
from call_archive.errors import ArchiveError, BadObject, ErasureRefused, NotThere
from call_archive.model import Removal, StoredLink
from call_archive.ports import Store
from call_events.errors import LogUnavailable
from call_events.ports import Clock

log = structlog.get_logger()

#: Between two rounds, in seconds.
_ROUND_S = 3600.0


class Retention:
    """Goes along the chain behind time."""

    def __init__(
        self,
        store: Store,
        chain: Chain,
        bookmark: Bookmark,
        gauges: Gauges,
        clock: Clock,
        *,
        live: LiveLog,
        keep: timedelta,
        by: str,
    ) -> None:
        """``keep``: how long after it was sealed a content is kept. ``live``: where it may still be as well."""
        self._live = live
        self._store = store
        self._archive = Archive(store)
        self._chain = chain
        self._bookmark = bookmark
        self._gauges = gauges
        self._clock = clock
        self._keep = keep
        self._by = by

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            try:
                await self.once()
            except (ArchiveError, LogUnavailable) as error:
                log.warning(
                    "archive.retention_waits", error=str(error), mend="nothing was lost; tried again within the hour"
                )
            await asyncio.sleep(_ROUND_S)

    async def once(self) -> int:
        """Remove what is due; gives how many.

        Raises:
            StoreUnavailable, LogUnavailable, ChainBroken: could not go on; what is done is done.
        """
        removed, held_up, before = 0, False, self._clock.now() - self._keep
        for number in range(await self._bookmark.get() + 1, await self._archive.last_number() + 1):
            try:
                stored = await self._archive.link(number)
            except (NotThere, BadObject) as error:
                log.warning("archive.link_unreadable", link=number, error=str(error), mend="see callweave verify")
                continue
            if stored.link.at > before:
                break
            count, waits = await self._remove(stored)
            removed += count
            held_up = held_up or waits
            if not held_up:  # the next round begins where the first that waits is
                await self._bookmark.set(number)
        return removed

    async def _remove(self, stored: StoredLink) -> tuple[int, bool]:
        """How many went, and whether one must be kept for now: what the chain calls removed must be nowhere."""
        due, waits = list[Removal](), False
        for one in stored.link.calls:
            if not await self._archive.has(one.call):
                continue
            try:
                await self._live.forget(one.call)
            except ErasureRefused as error:
                waits = True
                log.warning("archive.retention_waits_for_call", call=one.call, error=str(error))
            else:
                due.append(Removal(call=one.call, object=one.object, why="retention", by=self._by))
        if due:
            await remove(self._store, self._chain, due)
            self._gauges.removed(len(due))
            log.info("archive.removed", calls=len(due), link=stored.link.number, why="retention")
        return len(due), waits
