"""Reads an archive: one call, the beginnings of many, the chain from any day on."""

from collections.abc import AsyncIterator
from datetime import UTC, date, datetime, time, timedelta

from call_archive.errors import BadObject, NotThere
from call_archive.links import read_link
from call_archive.model import Header, LinkedCall, SealedCall, StoredLink
from call_archive.paths import CALLS, CHAIN, call_of, call_path, link_path, number_of
from call_archive.ports import ReadStore
from call_archive.sealed import read_header, read_sealed
from call_events.ids import CallId

#: A header seldom has more when compressed; else the whole file is read.
_HEADER_BYTES = 4096
#: The clocks of two archivers differ by less.
_SKEW = timedelta(minutes=2)


class Archive:
    """One archive. Every method raises ``StoreUnavailable`` while its store cannot be asked."""

    def __init__(self, store: ReadStore) -> None:
        self.store = store

    async def has(self, call: CallId) -> bool:
        """Whether the content of a call is here."""
        return await self.store.exists(call_path(call))

    async def load(self, call: CallId) -> SealedCall:
        """A whole call; its own chain holds, the chain of links was not looked at.

        Raises:
            NotThere: no such call, or its content was removed.
            BadObject: the file is not what was sealed.
        """
        path = call_path(call)
        return read_sealed(await self.store.read(path), path=path)

    async def header(self, call: CallId) -> Header:
        """What a call can be found by; reads only the beginning of the file.

        Raises:
            NotThere, BadObject: as above.
        """
        path = call_path(call)
        start = await self.store.read(path, first=_HEADER_BYTES)
        try:
            return read_header(start, path=path)
        except BadObject:
            if len(start) < _HEADER_BYTES:
                raise
        return read_header(await self.store.read(path), path=path)

    async def calls(self) -> AsyncIterator[CallId]:
        """Every call whose content is here, in no order that means anything."""
        for folder in await self.store.names(CALLS):
            for name in await self.store.names(f"{CALLS}/{folder.rstrip('/')}") if folder.endswith("/") else ():
                if (call := call_of(name)) is not None:
                    yield call

    async def link(self, number: int) -> StoredLink:
        """One link.

        Raises:
            NotThere: there is none of this number.
            BadObject: what is there is no link.
        """
        path = link_path(number)
        return read_link(await self.store.read(path), path=path)

    async def last_number(self) -> int:
        """The number of the newest link in the store; 0 without any."""
        for high in reversed(await self._folders(CHAIN)):
            for low in reversed(await self._folders(f"{CHAIN}/{high}")):
                numbers = [number_of(name) for name in await self.store.names(f"{CHAIN}/{high}/{low}")]
                if found := [number for number in numbers if number is not None]:
                    return max(found)
        return 0

    async def _folders(self, folder: str) -> list[str]:
        return [name[:-1] for name in await self.store.names(folder) if name.endswith("/")]

    async def links(self, *, since: date | None = None, until: date | None = None) -> AsyncIterator[StoredLink]:
        """The links of some days (UTC, both included), oldest first. One that is not there is passed over.

        Raises:
            BadObject: what stands in a link's place is none.
        """
        last = await self.last_number()
        first = 1 if since is None else await self.first_number_since(_midnight(since), last)
        async for stored in self._from(first, last):
            if until is not None and stored.link.day > until.isoformat():
                return
            yield stored

    async def _from(self, first: int, last: int) -> AsyncIterator[StoredLink]:
        for number in range(first, last + 1):
            try:
                yield await self.link(number)
            except NotThere:
                continue

    async def first_number_since(self, at: datetime, last: int) -> int:
        """The first number up to ``last`` that is not older than that; ``last + 1`` if all are. Reads few links."""
        low, high = 1, last + 1
        while low < high:
            middle = (low + high) // 2
            stands = await anext(self._from(middle, high - 1), None)
            if stands is not None and stands.link.at < at:
                low = stands.link.number + 1
            else:
                high = middle
        return low

    async def find_link(self, sealed: LinkedCall, *, since: datetime) -> StoredLink | None:
        """The link that names this very file, if there is one that was made since it was sealed.

        Raises:
            BadObject: what stands in a link's place is none.
        """
        last = await self.last_number()
        async for stored in self._from(await self.first_number_since(since - _SKEW, last), last):
            if sealed in stored.link.calls:
                return stored
        return None

    async def linked(
        self, *, since: date | None = None, until: date | None = None
    ) -> AsyncIterator[tuple[StoredLink, LinkedCall]]:
        """Every call that was sealed in those days, as its link names it, also if its content was removed since."""
        async for stored in self.links(since=since, until=until):
            for one in stored.link.calls:
                yield stored, one

    async def history(self, call: CallId) -> list[StoredLink]:
        """The links that name a call as sealed or removed, oldest first. Reads the whole chain."""
        return [
            stored
            async for stored in self.links()
            if any(one.call == call for one in stored.link.calls)
            or any(one.call == call for one in stored.link.removed)
        ]


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time(), UTC)
