"""Calls in an archive: sealed files and the chain that names them. The library proves; here its words become ours."""

import secrets
from collections.abc import AsyncIterator, Iterable
from datetime import date, datetime
from pathlib import Path

import orjson

from call_archive.archive import Archive
from call_archive.errors import ArchiveError, BadObject, NotThere
from call_archive.findings import Code as ArchiveCode
from call_archive.findings import Finding as ArchiveFinding
from call_archive.model import Header, LinkedCall, SealedCall
from call_archive.paths import CHAIN, call_path
from call_archive.ports import Head, HeadKeeper, Store
from call_archive.sealed import inspect_sealed
from call_archive.signing import Verifier, load_verifier
from call_archive.stores import S3Options, open_store
from call_archive.verify import ChainReader, ChainReport, removed_text, verify_archive, verify_call
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
        #: Where the newest link is remembered outside of the archive, if there is such a place.
        self.keeper: HeadKeeper | None = None
        self._reader = ChainReader(self.archive, verifier=verifier)
        self._told: list[ArchiveFinding] = []
        self._is_read = False

    async def load(self, call: CallId) -> Record | None:
        """The sealed call, and what its file says against itself or the chain against it.

        The whole chain is read, once for all calls: a file's own time of sealing proves nothing until its link does,
        and a link that is gone or forged may be the one that named other bytes.
        """
        path = call_path(call)
        try:
            content = await self.store.read(path)
        except NotThere:
            return None
        sealed = inspect_sealed(content, path=path, tell=lambda *_: None)
        await self._read_chain()
        report = self._reader.report
        linked = report.calls.get(call)
        findings = [*await verify_call(self.archive, call, linked=linked, content=content)]
        findings += [one for one in self._told if one.call in (None, call)]
        if linked is None:
            text = "no link of the chain names it; an archiver that has just sealed it links it within seconds"
            findings.append(ArchiveFinding(ArchiveCode.NOT_LINKED, call, path, text))
        if call in report.removed:
            number = report.removed[call][1].link.number
            text = f"link {number} says that its content was removed, but it is there; erase it again"
            findings.append(ArchiveFinding(ArchiveCode.STILL_THERE, call, path, text))
        told = [of_archive(one) for one in findings]
        if sealed is None:
            return Record(call=call, where=Where.ARCHIVE, entries=(), findings=tuple(told))
        return as_record(sealed, Where.ARCHIVE, told)

    async def chain_faults(self) -> list[Finding]:
        """What is wrong with the chain itself, whichever call it concerns."""
        await self._read_chain()
        return [of_archive(one) for one in self._told if one.call is None]

    async def _read_chain(self) -> None:
        """All of it, then only what is new. The remembered head is asked first: the chain may only be longer."""
        known = None
        if not self._is_read and self.keeper is not None:
            known = await self.keeper.newest()
        self._told += [one async for one in self._reader.run(known_head=known)]
        self._is_read = True

    async def ids(self) -> AsyncIterator[tuple[CallId, float]]:
        """See ``ports.CallSource``: the newest link first."""
        async for _, one in self.linked_calls():
            at = one.opened_at or one.closed_at
            yield one.call, 0.0 if at is None else at.timestamp()

    async def linked_calls(self, *, until: date | None = None) -> AsyncIterator[tuple[date, LinkedCall]]:
        """Every call that was ever sealed and the day of its link, newest link first.

        Links that are missing or cannot be read are passed over: :meth:`chain_faults` tells of them.
        """
        for number in range(await self.archive.last_number(), 0, -1):
            try:
                stored = await self.archive.link(number)
            except (NotThere, BadObject):
                continue
            day = date.fromisoformat(stored.link.day)
            if until is None or day <= until:
                for one in reversed(stored.link.calls):
                    yield day, one

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

    async def is_linked(self, call: CallId) -> bool:
        """Whether the chain says that the call was sealed. Reads all of it."""
        async for _, one in self.linked_calls():
            if one.call == call:
                return True
        return False


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
