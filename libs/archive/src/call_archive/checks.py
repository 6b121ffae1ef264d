"""What must be true of one call's entries, wherever they were read from: a live stream or a sealed file. Pure."""

from collections.abc import Iterable, Sequence

import orjson

from call_archive.findings import Code, Finding
from call_archive.model import StoredEvent, StoredReceipt
from call_events.codec import decode
from call_events.errors import BadEvent
from call_events.ids import CallId
from call_events.registry import CLOSING_TYPE, OPENING_TYPE


def check_events(call: CallId, events: Sequence[StoredEvent], *, place: str, closed: bool = True) -> list[Finding]:
    """Numbered 1 … N, each event once, all of this call, opened by its first and closed by its last.

    Args:
        call: whose they are.
        events: in the order in which they were found.
        place: where; the event's number is added.
        closed: whether the call has to have ended.
    """
    found = _numbering(call, events, place)
    ids: dict[str, int] = {}
    types: list[str] = []
    for event in events:
        where = f"{place} event {event.seq}"
        frame = _frame(event.raw)
        types.append(str(frame.get("type", "")))
        if (fault := _undecodable(event)) is not None:
            found.append(Finding(Code.UNDECODABLE, call, where, fault))
            continue
        if frame["subject"] != call:
            found.append(Finding(Code.FOREIGN_EVENT, call, where, "it says that it belongs to another call"))
        first = ids.setdefault(str(frame["id"]), event.seq)
        if first != event.seq:
            found.append(Finding(Code.EVENT_TWICE, call, where, f"it has the id of event {first}"))
    if types and types[0] != OPENING_TYPE:
        found.append(Finding(Code.NOT_OPENED, call, f"{place} event {events[0].seq}", f"it is no {OPENING_TYPE}"))
    for event, kind in zip(events[:-1], types[:-1], strict=True):
        if kind == CLOSING_TYPE:
            found.append(Finding(Code.NOT_CLOSED, call, f"{place} event {event.seq}", "events follow after the end"))
    if closed and (not types or types[-1] != CLOSING_TYPE):
        last = f"{place} event {events[-1].seq}" if events else place
        found.append(Finding(Code.NOT_CLOSED, call, last, f"the last event is no {CLOSING_TYPE}"))
    return found


def _numbering(call: CallId, events: Iterable[StoredEvent], place: str) -> list[Finding]:
    found: list[Finding] = []
    before, seen = 0, set[int]()
    for event in events:
        where = f"{place} event {event.seq}"
        if event.seq in seen:
            found.append(Finding(Code.DOUBLE, call, where, "this number stands there twice"))
        elif event.seq <= before:
            found.append(Finding(Code.ORDER, call, where, f"it stands after event {before}"))
        elif event.seq > before + 1:
            gone = (
                f"event {before + 1} is" if event.seq == before + 2 else f"events {before + 1} to {event.seq - 1} are"
            )
            found.append(Finding(Code.GAP, call, where, f"{gone} missing before it"))
        seen.add(event.seq)
        before = max(before, event.seq)
    return found


def check_receipts(call: CallId, receipts: Iterable[StoredReceipt], *, last: int, place: str) -> list[Finding]:
    """Each is about an event of this call and stands, within its group, after those that were written before it."""
    found: list[Finding] = []
    newest: dict[str, tuple[int, int]] = {}
    for receipt in receipts:
        where = f"{place} receipt {receipt.entry} of {receipt.group}"
        seq = _frame(receipt.raw).get("seq")
        if not isinstance(seq, int) or not 1 <= seq <= last:
            found.append(Finding(Code.RECEIPT_WRONG, call, where, "it is about no event of this call"))
        left, _, right = receipt.entry.partition("-")
        at = int(left), int(right)
        if at <= newest.get(receipt.group, (0, 0)):
            found.append(Finding(Code.RECEIPT_WRONG, call, where, "it stands after one that was written later"))
        newest[receipt.group] = at
    return found


def _frame(raw: bytes) -> dict[str, object]:
    try:
        wire = orjson.loads(raw)
    except orjson.JSONDecodeError:
        return {}
    return wire if isinstance(wire, dict) else {}


def _undecodable(event: StoredEvent) -> str | None:
    try:
        decode(event.raw, seq=event.seq)
    except BadEvent as error:
        return f"it is no event of ours: {error}"
    return None
