"""Calls in an archive: sealed files and the chain that names them. The library proves; here its words become ours."""

import secrets
from collections.abc import AsyncIterator, Iterable
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path

import orjson

from call_archive.archive import Archive
from call_archive.errors import ArchiveError, BadObject, NotThere
from call_archive.findings import Code as ArchiveCode
from call_archive.findings import Finding as ArchiveFinding
from call_archive.model import Header, LinkedCall, SealedCall
from call_archive.paths import CHAIN, call_path, link_path
from call_archive.ports import Head, Store
from call_archive.sealed import inspect_sealed
from call_archive.signing import Verifier, load_verifier
from call_archive.stores import S3Options, open_store
from call_archive.verify import ChainReport, removed_text, verify_archive, verify_call, verify_link
from call_events.ids import CallId
from callweave.proof.findings import Finding, of_archive
from callweave.readings import NotRecorded, Reading
from callweave.settings import Settings
from callweave.sources.record import Entry, Record, StoredReceipt, Where

_READS = "reads"


def open_archive(url: str, settings: Settings) -> "ArchivedCalls":
    """The archive at a directory or s3:// URL, with the keys that the settings name; asks nobody yet.

    Raises:
        BadSetting: it is no such place, or a key cannot be read.
    """
    files = [Path(part.strip()) for part in settings.archive_keys.split(",") if part.strip()]
    secret = settings.s3_secret_access_key
    s3 = S3Options(
        endpoint=settings.s3_endpoint,
        region=settings.s3_region,
        access_key_id=settings.s3_access_key_id,
        secret_access_key=None if secret is None else secret.get_secret_value(),
    )
    return ArchivedCalls(open_store(url, s3=s3), load_verifier(*files) if files else None)


class ArchivedCalls:
    """The calls of one archive. Every method raises ``StoreUnavailable`` while its store cannot be asked."""

    where = Where.ARCHIVE

    def __init__(self, store: Store, verifier: Verifier | None = None) -> None:
        self.store = store
        self.archive = Archive(store)
        self.readings = StoredReadings(store)
        self._verifier = verifier

    async def load(self, call: CallId) -> Record | None:
        """The sealed call, and what its file says against itself or the chain against it."""
        path = call_path(call)
        try:
            content = await self.store.read(path)
        except NotThere:
            return None
        sealed = inspect_sealed(content, path=path, tell=lambda *_: None)
        linked, link = (None, []) if sealed is None else await self._linked(sealed)
        found = await verify_call(self.archive, call, linked=linked, content=content)
        findings = [of_archive(one) for one in (*found, *link)]
        if sealed is None:
            return Record(call=call, where=Where.ARCHIVE, entries=(), findings=tuple(findings))
        return as_record(sealed, Where.ARCHIVE, findings)

    async def ids(self) -> AsyncIterator[tuple[CallId, float]]:
        """See ``ports.CallSource``: the newest link first."""
        async for _, one in self.linked_calls():
            at = one.opened_at or one.closed_at
            yield one.call, 0.0 if at is None else at.timestamp()

    async def linked_calls(
        self, *, until: date | None = None, damaged: list[Finding] | None = None
    ) -> AsyncIterator[tuple[date, LinkedCall]]:
        """Every call that was ever sealed and the day of its link, newest link first.

        Links that are missing or cannot be read are passed over, and told in ``damaged``.
        """
        last = await self.archive.last_number()
        if until is not None:
            midnight = datetime.combine(until + timedelta(days=1), time(), UTC)
            last = await self.archive.first_number_since(midnight, last) - 1
        for number in range(last, 0, -1):
            try:
                stored = await self.archive.link(number)
            except (NotThere, BadObject) as error:
                if damaged is not None:
                    gone = isinstance(error, NotThere)
                    code = ArchiveCode.LINK_MISSING if gone else ArchiveCode.LINK_UNREADABLE
                    text = f"link {number} is gone" if gone else "its bytes are no link"
                    damaged.append(of_archive(ArchiveFinding(code, None, link_path(number), text)))
                continue
            for one in reversed(stored.link.calls):
                yield date.fromisoformat(stored.link.day), one

    async def header(self, call: CallId) -> Header | None:
        """What a call can be found by; nothing if its content is gone or cannot be read."""
        try:
            return await self.archive.header(call)
        except (NotThere, BadObject):
            return None

    async def removal(self, call: CallId) -> Finding | None:
        """When, by whom and why the content of a call was removed, if it was. Reads the whole chain."""
        try:
            history = await self.archive.history(call)
        except BadObject as error:
            return of_archive(ArchiveFinding(ArchiveCode.LINK_UNREADABLE, None, CHAIN, str(error)))
        for stored in history:
            for one in stored.link.removed:
                if one.call == call:
                    text = removed_text(one, stored)
                    return of_archive(ArchiveFinding(ArchiveCode.REMOVED, call, call_path(call), text))
        return None

    async def prove(self, report: ChainReport, known_head: Head | None) -> AsyncIterator[Finding]:
        """The whole archive: the chain, every call it names, and whatever it does not name."""
        async for one in verify_archive(self.archive, known_head=known_head, verifier=self._verifier, report=report):
            yield of_archive(one)

    async def _linked(self, sealed: SealedCall) -> tuple[LinkedCall | None, list[ArchiveFinding]]:
        """As its link names it, of the day on which it was sealed or a later one, and what is wrong with that link."""
        call, path = sealed.call, call_path(sealed.call)
        try:
            async for stored, one in self.archive.linked(since=sealed.manifest.sealed_at.date()):
                if one.call == call:
                    return one, await verify_link(self.archive, stored, verifier=self._verifier)
        except BadObject as error:
            return None, [ArchiveFinding(ArchiveCode.LINK_UNREADABLE, None, CHAIN, str(error))]
        text = "no link of the chain names it; an archiver that has just sealed it links it within seconds"
        return None, [ArchiveFinding(ArchiveCode.NOT_LINKED, call, path, text)]

    async def is_linked(self, call: CallId) -> bool:
        """Whether the chain says that the call was sealed. Reads all of it."""
        async for _, one in self.linked_calls():
            if one.call == call:
                return True
        return False

    async def cut(self, known: Head | None) -> Finding | None:
        """Whether the chain ends before the link that is remembered outside as the newest."""
        last = await self.archive.last_number()
        if known is None or known.number <= last:
            return None
        text = f"link {known.number} was written, but the newest here is {last}: the end of the chain is gone"
        return of_archive(ArchiveFinding(ArchiveCode.CHAIN_CUT, None, link_path(known.number), text))


def as_record(sealed: SealedCall, where: Where, findings: Iterable[Finding]) -> Record:
    """A sealed call in the shape in which all checks look at calls."""
    groups = dict.fromkeys((*sealed.manifest.receipts, *(one.group for one in sealed.receipts)))
    return Record(
        call=sealed.call,
        where=where,
        entries=tuple(Entry(f"0-{event.seq}", event.raw) for event in sealed.events),
        receipts={
            group: tuple(StoredReceipt(one.entry, one.raw) for one in sealed.of_group(group)) for group in groups
        },
        head=sealed.manifest.head,
        findings=tuple(findings),
    )


class StoredReadings:
    """Readings as objects of the archive's store, which are only ever created: ``reads/<day>/<time>-<random>.json``."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def note(self, reading: Reading) -> None:
        """See ``readings.ReadingBook``."""
        content = orjson.dumps(
            {
                "at": reading.at.isoformat(),
                "who": reading.who,
                "why": reading.why,
                "how": reading.command,
                "calls": reading.calls,
            }
        )
        path = f"{_READS}/{reading.at:%Y-%m-%d}/{reading.at:%H%M%S.%f}-{secrets.token_hex(4)}.json"
        try:
            await self._store.create(path, content)
        except ArchiveError as error:
            raise NotRecorded(
                f"this reading cannot be recorded, so nothing is shown ({error}); let whoever reads create objects "
                f"under {_READS}/ in {self._store.url}, or set REDIS_URL, where readings are recorded if there is a log"
            ) from error

    async def readings(self) -> AsyncIterator[Reading]:
        """See ``readings.ReadingBook``."""
        for day in reversed(await self._store.names(_READS)):
            folder = f"{_READS}/{day.rstrip('/')}"
            for name in reversed(await self._store.names(folder)) if day.endswith("/") else ():
                try:
                    yield _reading(await self._store.read(f"{folder}/{name}"))
                except (NotThere, ValueError, KeyError, TypeError):
                    continue  # not one of ours


def _reading(content: bytes) -> Reading:
    wire = orjson.loads(content)
    return Reading(
        at=datetime.fromisoformat(wire["at"]),
        who=str(wire["who"]),
        why=str(wire["why"]),
        command=str(wire["how"]),
        calls=tuple(map(str, wire["calls"])),
    )
