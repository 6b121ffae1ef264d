"""A call as a file of JSON lines: the lines of a sealed call, for people to keep and for `verify --file` to prove.

What is exported of a sealed call are its own lines, so its chain head stays what the archive's chain names. A live call
gets a header and a manifest of its own, with a head over its lines, so that a change of the file shows; nobody else
vouches for that head.
"""

import secrets
from datetime import UTC, datetime
from pathlib import Path

import zstandard

from call_archive.archive import Archive
from call_archive.errors import BadObject
from call_archive.findings import Code as ArchiveCode
from call_archive.findings import Finding as ArchiveFinding
from call_archive.model import Header, Manifest, StoredEvent
from call_archive.model import StoredReceipt as SealedReceipt
from call_archive.paths import call_path
from call_archive.sealed import inspect_sealed, unpacked, write_sealed
from call_archive.summary import summary_of
from call_events.errors import CallEventsError
from call_events.ids import CallId
from callweave.proof.findings import Finding, of_archive
from callweave.sources.archived import as_record
from callweave.sources.record import Record, Where

_ZSTD = b"\x28\xb5\x2f\xfd"


class NoExport(CallEventsError):
    """The call cannot be written as a file, or the file is none."""


async def export_archived(archive: Archive, call: CallId) -> bytes:
    """The lines of a sealed call.

    Raises:
        NotThere, StoreUnavailable: could not be read.
        NoExport: the file cannot be unpacked.
    """
    return _unpacked(await archive.store.read(call_path(call)), call_path(call))


def export_live(record: Record, *, by: str) -> bytes:
    """The lines of a call as it is now.

    Raises:
        NoExport: an entry has no number of its own, so that there is no line for it.
    """
    events = []
    for entry in record.entries:
        if entry.seq is None:
            raise NoExport(
                f"{record.call}: entry {entry.at[:40]} was not written by the log; callweave verify tells more"
            )
        events.append(StoredEvent(entry.seq, {b"e": entry.raw}))
    receipts = [
        SealedReceipt(group, one.at, {b"r": one.raw})
        for group in sorted(record.receipts)
        for one in record.receipts[group]
    ]
    now = datetime.now(UTC)
    header = Header(
        call=record.call,
        salt=secrets.token_hex(32),
        opened_at=record.events[0].time,
        closed_at=None if record.closed_at is None else record.events[-1].time,
        summary=summary_of(record.events),
    )
    content, _ = write_sealed(
        header,
        events,
        receipts,
        lambda head: Manifest(
            call=record.call,
            first=events[0].seq,
            last=events[-1].seq,
            count=len(events),
            receipts={group: len(found) for group, found in sorted(record.receipts.items())},
            head=head,
            by=by,
            sealed_at=now,
        ),
    )
    return _unpacked(content, str(record.call))


def read_file(path: Path) -> Record:
    """A file that `export` wrote, or one out of an archive; what is wrong with it is in the record's findings.

    Raises:
        NoExport: it cannot be read, or it is nothing of the kind.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise NoExport(f"{path} cannot be read: {error.strerror}") from None
    packed = content if content.startswith(_ZSTD) else zstandard.ZstdCompressor().compress(content)
    told: list[ArchiveFinding] = []

    def tell(code: ArchiveCode, place: str, text: str) -> None:
        told.append(ArchiveFinding(code, None, place, text))

    sealed = inspect_sealed(packed, path=path.name, tell=tell)
    if sealed is None:
        first = told[0].text if told else "it is empty"
        raise NoExport(f"{path} is no exported call, or its beginning or end is gone: {first}")
    findings = [Finding(one.code, sealed.call, one.place, one.text, one.level) for one in map(of_archive, told)]
    manifest = sealed.manifest
    stands = (sealed.events[0].seq, sealed.events[-1].seq, len(sealed.events)) if sealed.events else (0, 0, 0)
    if (manifest.first, manifest.last, manifest.count) != stands:
        text = f"it names events {manifest.first} to {manifest.last}, {manifest.count} in all; others stand there"
        findings.append(
            of_archive(ArchiveFinding(ArchiveCode.MANIFEST_WRONG, sealed.call, f"{path.name} manifest", text))
        )
    return as_record(sealed, Where.FILE, findings)


def _unpacked(content: bytes, path: str) -> bytes:
    try:
        return b"".join(unpacked(content, path))
    except BadObject as error:
        raise NoExport(f"{error}; callweave verify --from archive tells more") from None
