"""Proves a call, or the whole archive, or says what is wrong: never raises for what it finds, only for what it cannot
ask.

The proof of completeness goes from the outside in. The head that Redis remembers names the newest link; each link
names the bytes of the one before, down to the first; each names its calls' files by their digest; each file's
manifest names its first and last number and the chain over its lines. So a missing call, a missing link or a changed
byte shows somewhere above it.
"""

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from call_archive.archive import Archive
from call_archive.checks import check_events, check_receipts
from call_archive.errors import ArchiveError, BadObject, NotThere
from call_archive.findings import Code, Finding
from call_archive.links import signed_line
from call_archive.model import NO_LINK, LinkedCall, Removal, SealedCall, StoredLink
from call_archive.paths import call_path, link_path
from call_archive.ports import Head
from call_archive.sealed import inspect_sealed
from call_archive.signing import Verifier
from call_events.envelope import now
from call_events.ids import CallId

#: A sealed file may wait so long for its link; longer, and its archiver has died and none took its place.
_FRESH = timedelta(minutes=10)


@dataclass(slots=True)
class ChainReport:
    """What the chain tells: kept while it is read, so that calls can be asked for afterwards."""

    links: int = 0
    newest: Head | None = None
    #: Every call that was ever sealed, and whether its content was removed.
    calls: dict[CallId, LinkedCall] = field(default_factory=dict)
    removed: dict[CallId, tuple[Removal, StoredLink]] = field(default_factory=dict)


async def verify_call(
    archive: Archive, call: CallId, *, linked: LinkedCall | None = None, content: bytes | None = None
) -> list[Finding]:
    """Whether the sealed file of a call is whole and unchanged.

    Args:
        archive: where.
        call: which.
        linked: as the chain names it; without it only what the file says of itself is checked.
        content: the file, if it has been read already.

    Raises:
        StoreUnavailable: the store could not be asked.
    """
    path = call_path(call)
    if content is None:
        try:
            content = await archive.store.read(path)
        except NotThere:
            return [Finding(Code.OBJECT_MISSING, call, path, "the sealed file is gone")]
    found: list[Finding] = []

    def tell(code: Code, place: str, text: str) -> None:
        found.append(Finding(code, call, place, text))

    sealed = inspect_sealed(content, path=path, tell=tell)
    if sealed is not None:
        found += _judge(call, sealed, path)
        if linked is not None and linked.object != sealed.digest:
            tell(Code.OBJECT_EDITED, path, "its bytes are not those that the chain names")
        if linked is not None and (linked.head, linked.last) != (sealed.manifest.head, sealed.manifest.last):
            tell(Code.OBJECT_EDITED, path, "its manifest is not the one that the chain names")
    return found


def _judge(call: CallId, sealed: SealedCall, path: str) -> list[Finding]:
    manifest, found = sealed.manifest, list[Finding]()
    if {sealed.header.call, manifest.call} != {call}:
        found.append(Finding(Code.MISPLACED, call, path, "it is the file of another call"))
    found += check_events(call, sealed.events, place=path)
    found += check_receipts(call, sealed.receipts, last=manifest.last, place=path)
    numbers = [event.seq for event in sealed.events] or [0]
    if (manifest.first, manifest.last, manifest.count) != (numbers[0], numbers[-1], len(sealed.events)):
        text = f"it names events {manifest.first} to {manifest.last}, {manifest.count} in all; others stand there"
        found.append(Finding(Code.MANIFEST_WRONG, call, f"{path} manifest", text))
    groups = manifest.receipts.keys() | {receipt.group for receipt in sealed.receipts}
    for group in sorted(groups):
        if manifest.receipts.get(group, 0) != (there := len(sealed.of_group(group))):
            text = f"it names {manifest.receipts.get(group, 0)} receipts of {group}; {there} stand there"
            found.append(Finding(Code.MANIFEST_WRONG, call, f"{path} manifest", text))
    return found


class ChainReader:
    """Walks the chain once, tells what is wrong with it, and fills a report."""

    def __init__(self, archive: Archive, *, verifier: Verifier | None = None) -> None:
        """With a ``verifier`` every link must be signed by a key that it knows."""
        self._archive = archive
        self._verifier = verifier
        self.report = ChainReport()
        self._before: StoredLink | None = None
        self._next = 1

    async def run(self, *, known_head: Head | None = None) -> AsyncIterator[Finding]:
        """Every link after the last that was read; then whether the chain goes as far as it must.

        Args:
            known_head: the newest link as Redis, or an auditor's own notes, remember it.

        Raises:
            StoreUnavailable: the store could not be asked.
        """
        last = await self._archive.last_number()
        for number in range(self._next, max(last, 0) + 1):
            for finding in await self._one(number):
                yield finding
        self._next = max(self._next, last + 1)
        if known_head is not None and known_head.number > last:
            text = f"link {known_head.number} was written, but the newest here is {last}: the end of the chain is gone"
            yield Finding(Code.CHAIN_CUT, None, link_path(known_head.number), text)
        elif known_head is not None and (fault := await self._head_fault(known_head)):
            yield Finding(Code.LINK_EDITED, None, link_path(known_head.number), fault)

    async def _head_fault(self, head: Head) -> str | None:
        try:
            stored = await self._archive.link(head.number)
        except (NotThere, BadObject):
            return None  # told already, where it was read
        return None if stored.digest == head.digest else "its bytes are not those that are remembered outside"

    async def _one(self, number: int) -> list[Finding]:
        path, found = link_path(number), list[Finding]()

        def tell(code: Code, text: str, call: CallId | None = None) -> None:
            found.append(Finding(code, call, path, text))

        try:
            stored = await self._archive.link(number)
        except NotThere:
            self._before = None
            return [Finding(Code.LINK_MISSING, None, path, f"link {number} is gone")]
        except BadObject as error:
            self._before = None
            return [Finding(Code.LINK_UNREADABLE, None, path, str(error).removeprefix(f"{path}: "))]
        self._check_place(stored, number, tell)
        self._check_signature(stored, tell)
        self._take_in(stored, tell)
        self.report.links += 1
        self.report.newest = Head(number, stored.digest)
        self._before = stored
        return found

    def _check_place(self, stored: StoredLink, number: int, tell: Callable[..., None]) -> None:
        link, before = stored.link, self._before
        if link.number != number:
            tell(Code.LINK_DISORDER, f"it says that it is link {link.number}")
        if f"{link.at.astimezone(UTC):%Y-%m-%d}" != link.day:
            tell(Code.LINK_DISORDER, "its day is not the day of its time")
        if before is None and number == 1 and link.previous != NO_LINK:
            tell(Code.LINK_EDITED, "it is the first, and yet names one before it")
        if before is not None and link.previous != before.digest:
            tell(
                Code.LINK_EDITED, f"it does not name the bytes of link {before.link.number}: one of the two was changed"
            )
        if before is not None and link.at < before.link.at:
            tell(Code.LINK_DISORDER, f"it is older than link {before.link.number}")

    def _check_signature(self, stored: StoredLink, tell: Callable[..., None]) -> None:
        if self._verifier is None:
            return
        if stored.signature is None:
            tell(Code.SIGNATURE_MISSING, "it is not signed")
        elif (fault := self._verifier.fault(signed_line(stored), stored.signature)) is not None:
            tell(Code.SIGNATURE_WRONG, fault)

    def _take_in(self, stored: StoredLink, tell: Callable[..., None]) -> None:
        for one in stored.link.calls:
            known = self.report.calls.setdefault(one.call, one)
            if known != one:  # the same again is what an archiver leaves that died between two steps
                tell(Code.LINKED_TWICE, "it was linked before, and otherwise", one.call)
            if one.call in self.report.removed:
                tell(Code.LINKED_TWICE, "it was linked again after its content was removed", one.call)
        for removal in stored.link.removed:
            linked = self.report.calls.get(removal.call)
            if linked is None or linked.object != removal.object:
                tell(Code.NOT_LINKED, "a content was removed that the chain does not name", removal.call)
            self.report.removed.setdefault(removal.call, (removal, stored))


async def verify_archive(
    archive: Archive,
    *,
    known_head: Head | None = None,
    verifier: Verifier | None = None,
    report: ChainReport | None = None,
    at: datetime | None = None,
) -> AsyncIterator[Finding]:
    """The whole chain, then every call that it names, then whether anything is there that it does not name.

    May run beside archivers: what is sealed or removed meanwhile is no finding.

    Args:
        archive: which. known_head: the newest link as it is remembered outside; without it a cut end shows only by
        files without a link. verifier: knows the public keys; without it signatures are not looked at. report: filled
        as the chain is read, if given. at: now.

    Raises:
        StoreUnavailable: the store could not be asked.
    """
    reader = ChainReader(archive, verifier=verifier)
    if report is not None:
        reader.report = report
    there = [call async for call in archive.calls()]
    async for finding in reader.run(known_head=known_head):
        yield finding
    for call, linked in list(reader.report.calls.items()):
        for finding in await _linked(archive, reader, call, linked):
            yield finding
    for call in there:
        if call not in reader.report.calls and (loose := await _loose(archive, call, at or now())) is not None:
            yield loose


async def _linked(archive: Archive, reader: ChainReader, call: CallId, linked: LinkedCall) -> list[Finding]:
    path = call_path(call)
    if call not in reader.report.removed:
        found = await verify_call(archive, call, linked=linked)
        if not any(finding.code is Code.OBJECT_MISSING for finding in found):
            return found
        _ = [one async for one in reader.run()]  # perhaps it was removed since
        if call not in reader.report.removed:
            return found
    removal, stored = reader.report.removed[call]
    if await archive.has(call):
        text = f"link {stored.link.number} says that its content was removed, but it is there; erase it again"
        return [Finding(Code.STILL_THERE, call, path, text)]
    return [Finding(Code.REMOVED, call, path, removed_text(removal, stored))]


def removed_text(removal: Removal, stored: StoredLink) -> str:
    """When, by whom and why a content was removed."""
    note = f", {removal.note}" if removal.note else ""
    at = f"{stored.link.at.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"
    return f"its content was removed on {at} by {removal.by} ({removal.why}{note}); link {stored.link.number} proves it"


async def _loose(archive: Archive, call: CallId, at: datetime) -> Finding | None:
    path = call_path(call)
    try:
        sealed = await archive.load(call)
    except NotThere:
        return None
    except ArchiveError as error:
        if error.retry:
            raise
        return Finding(Code.UNREADABLE, call, path, f"no link names it, and it cannot be read: {error}")
    if at - sealed.manifest.sealed_at < _FRESH:
        return None
    return Finding(Code.NOT_LINKED, call, path, "no link of the chain names it")
