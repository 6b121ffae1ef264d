"""Seals one finished call: checks that it is whole, writes its file, reads it back. Safe to repeat, and to be raced."""

import asyncio
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from call_archive.checks import check_events
from call_archive.errors import AlreadyThere, BadObject, NotThere, SealRefused, StoreUnavailable
from call_archive.findings import Code
from call_archive.model import Header, LinkedCall, Manifest, SealedCall, StoredEvent, StoredReceipt
from call_archive.paths import call_path
from call_archive.ports import Store
from call_archive.sealed import entry_event, read_sealed, write_sealed
from call_archive.summary import summary_of
from call_events.codec import wire_type
from call_events.entries import UNDECODABLE, Entry
from call_events.ids import CallId

#: Faults of the numbering: such a log is not sealed. Strange contents are: what was written is what is kept.
_REFUSED = frozenset({Code.GAP, Code.DOUBLE, Code.ORDER, Code.NOT_OPENED, Code.NOT_CLOSED})


@dataclass(frozen=True, slots=True)
class FinishedCall:
    """Everything the log holds of a call, byte for byte."""

    call: CallId
    events: tuple[StoredEvent, ...]
    receipts: tuple[StoredReceipt, ...]


def finished_call(call: CallId, entries: Sequence[Entry], receipts: Mapping[str, Sequence[Entry]]) -> FinishedCall:
    """A call as it was read from Redis.

    Args:
        call: which.
        entries: its stream, in order.
        receipts: of every group that has finished with it, oldest first.

    Raises:
        SealRefused: its events are not numbered 1 … N, or the first does not open it, or the last does not close it.
    """
    try:
        events = tuple(entry_event(call, entry_id, fields) for entry_id, fields in entries)
    except BadObject as error:
        raise SealRefused(str(error)) from error
    faults = [one for one in check_events(call, events, place="its log") if one.code in _REFUSED]
    if faults:
        raise SealRefused(f"call {call}: {faults[0].place}: {faults[0].text}")
    stored = [
        StoredReceipt(group, entry_id.decode(), fields)
        for group in sorted(receipts)
        for entry_id, fields in receipts[group]
    ]
    return FinishedCall(call, events, tuple(stored))


async def seal(store: Store, finished: FinishedCall, *, by: str, at: datetime) -> tuple[SealedCall, bool]:
    """The call as it is in the archive now, and whether this was the one that wrote it.

    Args:
        store: where to.
        finished: what.
        by: the archiver.
        at: now.

    Raises:
        SealRefused: another content is sealed under this call's name.
        StoreUnavailable: not known to be sealed; do it again.
    """
    path = call_path(finished.call)
    content = await asyncio.to_thread(_written, finished, by=by, at=at)  # a long call takes a second to pack
    try:
        await store.create(path, content)
        created = True
    except AlreadyThere:  # a worker that died after it, another one that has it too, or our own answer was lost
        created = False
    sealed = await _read_back(store, path, content if created else None)
    if not _same(sealed, finished):
        raise SealRefused(
            f"call {finished.call}: {path} holds another content than the log; keep both and compare them"
        )
    return sealed, created


def _same(sealed: SealedCall, finished: FinishedCall) -> bool:
    """Byte for byte; of groups that only one of the two has looked at nothing can be said."""
    both = sealed.manifest.receipts.keys() & {receipt.group for receipt in finished.receipts}
    sealed_receipts = [receipt for receipt in sealed.receipts if receipt.group in both]
    receipts = [receipt for receipt in finished.receipts if receipt.group in both]
    return (sealed.events, sealed_receipts) == (finished.events, receipts)


def _written(finished: FinishedCall, *, by: str, at: datetime) -> bytes:
    decoded = [event.decoded(finished.call) for event in finished.events]
    known = [event for event in (decoded[0], decoded[-1]) if wire_type(event) != UNDECODABLE]
    header = Header(
        call=finished.call,
        salt=secrets.token_hex(32),
        opened_at=known[0].time if known else None,
        closed_at=known[-1].time if known else None,
        summary=summary_of(decoded),
    )
    counts: dict[str, int] = {}
    for receipt in finished.receipts:
        counts[receipt.group] = counts.get(receipt.group, 0) + 1

    def manifest_of(head: str) -> Manifest:
        return Manifest(
            call=finished.call,
            first=finished.events[0].seq,
            last=finished.events[-1].seq,
            count=len(finished.events),
            receipts=counts,
            head=head,
            by=by,
            sealed_at=at,
        )

    return write_sealed(header, finished.events, finished.receipts, manifest_of)[0]


async def _read_back(store: Store, path: str, written: bytes | None) -> SealedCall:
    try:
        content = await store.read(path)
    except NotThere as error:
        raise StoreUnavailable(f"{path}: the store took it and does not have it") from error
    if written is not None and content != written:
        raise StoreUnavailable(f"{path}: the store gives other bytes than it was given")
    try:
        return await asyncio.to_thread(read_sealed, content, path=path)
    except BadObject as error:
        raise SealRefused(f"what is sealed already cannot be read: {error}") from error


def linked(sealed: SealedCall) -> LinkedCall:
    """The call as its link names it."""
    return LinkedCall(
        call=sealed.call,
        object=sealed.digest,
        head=sealed.manifest.head,
        last=sealed.manifest.last,
        size=sealed.size,
        opened_at=sealed.header.opened_at,
        closed_at=sealed.header.closed_at,
    )
