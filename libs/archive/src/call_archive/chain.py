"""Adds to the chain: gathers what was sealed, writes the next link, and gives way to whoever was first.

**Contention.** The next number has one name in the store, and a name can be created once. Whoever finds it taken
reads what stands there and tries the number after it.

**Repeats.** An archiver may die between its link and its commit. Its successor looks back for the link; should it
miss it, the same call with the same digest stands in the chain twice, which proves no less than once.
"""

import asyncio
from collections.abc import Sequence

from call_archive.archive import Archive
from call_archive.errors import AlreadyThere, BadObject, ChainBroken, NotThere
from call_archive.links import next_link, read_link
from call_archive.model import LinkedCall, Removal, StoredLink
from call_archive.paths import link_path
from call_archive.ports import Head, HeadKeeper, Store
from call_archive.signing import Signer
from call_events.ports import Clock


class Chain:
    """The end of the chain, as one writer sees it."""

    def __init__(
        self, store: Store, keeper: HeadKeeper, clock: Clock, *, by: str, signer: Signer | None = None
    ) -> None:
        """Nothing is asked before :meth:`open`.

        Args:
            store: of the archive.
            keeper: where the newest link is remembered as well.
            clock: for the times of links.
            by: the writer, for the links.
            signer: if links are signed.
        """
        self._store = store
        self._archive = Archive(store)
        self._keeper = keeper
        self._clock = clock
        self._by = by
        self._signer = signer
        self._last: StoredLink | None = None
        self._writing = asyncio.Lock()

    async def open(self) -> int:
        """Find the end of the chain; gives its number, 0 for a new archive.

        Raises:
            ChainBroken: it is not where it was left. Nothing may be linked until somebody has looked.
            StoreUnavailable, LogUnavailable: could not be asked.
        """
        known = await self._keeper.newest()
        last = await self._archive.last_number()
        where = f"the archive at {self._store.url}"
        if known is not None and known.number > last:
            raise ChainBroken(
                f"{where} ends at link {last}, but link {known.number} was written: it is another archive, or its end "
                "is gone; name the right one, or restore it. To begin anew, delete cc:archive in Redis"
            )
        if known is not None and (await self._known(known.number, where)).digest != known.digest:
            raise ChainBroken(
                f"{where}: link {known.number} is not the one that was written: it is another archive, or was changed; "
                "name the right one, or find out with callweave verify"
            )
        if last:
            self._last = await self._known(last, where)
            await self._keeper.advance(Head(last, self._last.digest))
        return last

    async def _known(self, number: int, where: str) -> StoredLink:
        try:
            return await self._archive.link(number)
        except (BadObject, NotThere) as error:
            raise ChainBroken(f"{where}: {error}; find out with callweave verify") from error

    async def add(self, *, calls: Sequence[LinkedCall] = (), removed: Sequence[Removal] = ()) -> StoredLink:
        """Write the next link; gives it once it is durable and remembered.

        Raises:
            ChainBroken: what stands in the next link's place is none.
            StoreUnavailable, LogUnavailable: not known to be linked; do it again.
        """
        async with self._writing:
            while True:
                link = next_link(
                    self._last, at=self._clock.now(), by=self._by, calls=calls, removed=removed, signer=self._signer
                )
                path = link_path(link.link.number)
                try:
                    await self._store.create(path, link.content)
                except AlreadyThere:
                    self._last = await self._other(path)
                    if self._last.content != link.content:  # else it is ours: only the answer was lost
                        continue
                self._last = link
                await self._keeper.advance(Head(link.link.number, link.digest))
                return link

    async def _other(self, path: str) -> StoredLink:
        try:
            other = read_link(await self._store.read(path), path=path)
        except BadObject as error:
            raise ChainBroken(f"what stands in the place of the next link is none: {error}") from error
        if link_path(other.link.number) != path:
            raise ChainBroken(f"{path}: this is another link; find out with callweave verify")
        return other


class Gatherer:
    """One link for many calls: what comes up within a pause, or while a link is written, goes into the next one."""

    def __init__(self, chain: Chain, *, pause_s: float = 0.5, most: int = 500) -> None:
        """Nothing runs before :meth:`run`.

        Args:
            chain: to add to.
            pause_s: seconds that the first one waits for others; at least so far apart are links.
            most: calls in a link.
        """
        self._chain = chain
        self._pause_s = pause_s
        self._most = most
        self._waiting: list[tuple[LinkedCall, asyncio.Future[StoredLink]]] = []
        self._came = asyncio.Event()

    async def link(self, sealed: LinkedCall) -> StoredLink:
        """Its link, once it is durable. As :meth:`Chain.add`."""
        future: asyncio.Future[StoredLink] = asyncio.get_running_loop().create_future()
        self._waiting.append((sealed, future))
        self._came.set()
        return await future

    async def run(self) -> None:
        """Until cancelled; whoever waits then is cancelled too."""
        try:
            while True:
                await self._came.wait()
                await asyncio.sleep(self._pause_s)
                batch, self._waiting = self._waiting[: self._most], self._waiting[self._most :]
                if not self._waiting:
                    self._came.clear()
                await self._write([(sealed, future) for sealed, future in batch if not future.done()])
        finally:
            for _, future in self._waiting:
                future.cancel()

    async def _write(self, batch: list[tuple[LinkedCall, asyncio.Future[StoredLink]]]) -> None:
        if not batch:
            return
        try:
            link = await self._chain.add(calls=[sealed for sealed, _ in batch])
        except asyncio.CancelledError:
            for _, future in batch:
                future.cancel()
            raise
        except Exception as error:  # noqa: BLE001 - whatever it is, those who wait are told: nobody else would
            for _, future in batch:
                if not future.done():
                    future.set_exception(error)
            return
        for _, future in batch:
            if not future.done():
                future.set_result(link)
