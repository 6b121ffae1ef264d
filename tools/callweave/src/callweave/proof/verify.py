"""Is this call whole, in order, and once? Pure: a record in, findings out.

What is looked at is what is stored, not what it means: numbers, ids, the call each entry names, the index by which the
log knows a repeat, and whether the receipts of each group are about places that are there, in an order that a group
can have worked in. What CCM should have got is :mod:`callweave.proof.reconcile`'s.
"""

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

import orjson

from call_events.claims import read_receipt
from call_events.codec import wire_type
from call_events.entries import UNDECODABLE
from call_events.ports import AnyEvent, Receipt
from call_events.registry import CLOSING_TYPE, OPENING_TYPE, SCHEMAS, UnknownData
from callweave.proof.findings import Code, Finding, found, numbers
from callweave.sources.record import Record, StoredReceipt

_UNFINISHED, _DELIVERED = "unfinished", "delivered"
_VERSIONED = re.compile(r"(.+)\.v\d+")
_KINDS = {name.rpartition(".v")[0] for name in SCHEMAS}


def verify(record: Record) -> list[Finding]:
    """Everything that is wrong with a call or worth knowing, as far as the record itself can tell."""
    if not record.entries and record.findings:  # a sealed file that cannot be read has told why
        return list(record.findings)
    if not record.entries:
        return [found(Code.STREAM_MISSING, record.call, "the log", "it is listed as a live call and has no events")]
    own = [*_numbering(record), *_identities(record), *_frame(record), *_index(record), *_overwritten(record)]
    own += _receipts(record)
    known = {finding.code for finding in record.findings}
    # What the archive has told about its file in its own words is not told again in ours.
    return [*record.findings, *(one for one in own if one.code not in known), *_strangers(record)]


def proved(record: Record) -> str:
    """What it means that nothing was found, in numbers."""
    last = record.entries[-1].seq if record.entries else 0
    parts = [f"{len(record.entries)} event{'' if len(record.entries) == 1 else 's'}", f"1 … {last}"]
    if record.head is not None:
        parts.append(f"chain head {record.head[:12]}…")
    parts += [
        f"{len(receipts)} receipt{'' if len(receipts) == 1 else 's'} of {group}"
        for group, receipts in sorted(record.receipts.items())
        if receipts
    ]
    ended = wire_type(record.events[-1]) == CLOSING_TYPE
    return f"{record.call}: {', '.join(parts)}{'' if ended else '; still open'} ({record.where})"


def _numbering(record: Record) -> Iterator[Finding]:
    expected = 1
    for position, entry in enumerate(record.entries, start=1):
        seq = entry.seq
        if seq is None:
            place = f"entry {position}"
            yield found(
                Code.NUMBERING, record.call, place, f"its id {entry.at[:40]} was not given by the append script"
            )
            continue
        if seq < expected:
            before = f"stands behind number {expected - 1}"
            yield found(Code.ORDER, record.call, f"event {seq}", before)
            continue
        if seq > expected:
            missing = numbers(range(expected, seq)) if seq - expected < 3 else f"{expected} to {seq - 1}"
            one = seq - expected == 1
            text = f"number{'' if one else 's'} {missing} {'is' if one else 'are'} missing before it"
            yield found(Code.GAP, record.call, f"event {seq}", text)
        expected = seq + 1


def _identities(record: Record) -> Iterator[Finding]:
    first: dict[str, int] = {}
    for event in record.events:
        if _is_undecodable(event):
            continue
        if event.call != record.call:
            yield found(Code.FOREIGN_EVENT, record.call, f"event {event.seq}", "it names another call as its own")
        if event.id in first:
            text = f"it bears the id of event {first[event.id]}"
            yield found(Code.EVENT_TWICE, record.call, f"event {event.seq}", text)
        first.setdefault(event.id, event.seq)


def _frame(record: Record) -> Iterator[Finding]:
    types = [wire_type(event) for event in record.events]
    events = record.events
    if types[0] != OPENING_TYPE:
        yield found(Code.NOT_OPENED, record.call, f"event {events[0].seq}", f"the log begins with {_shown(types[0])}")
    for event, name in list(zip(events, types, strict=True))[1:]:
        if name == OPENING_TYPE:
            yield found(Code.AFTER_END, record.call, f"event {event.seq}", "the call is opened a second time")
    end = next((event.seq for event, name in zip(events, types, strict=True) if name == CLOSING_TYPE), None)
    if end is not None and end != events[-1].seq:
        behind = numbers(event.seq for event in events if event.seq > end)
        yield found(Code.AFTER_END, record.call, f"event {end}", f"behind the end of the call there is {behind}")
    if record.closed_at is not None and record.closed_at != end:
        says = f"it says that the log ended with {record.closed_at}"
        has = "it has no end" if end is None else f"it ends with {end}"
        yield found(Code.NOT_CLOSED, record.call, "the mark of the end", f"{says}; {has}")
    sealed_open = record.where != "live" and end is None and record.head is not None
    if sealed_open and record.where == "archive":
        yield found(Code.NOT_CLOSED, record.call, f"event {events[-1].seq}", "it was sealed without its end")
    # The index is read before the events: a call that ends in between is not marked yet.
    is_indexed = record.index is not None and end is not None and end <= max(record.index.values(), default=0)
    if is_indexed and record.closed_at is None:
        yield found(Code.NOT_CLOSED, record.call, f"event {end}", "the call has ended and its log is not marked so")


def _index(record: Record) -> Iterator[Finding]:
    if record.index is None:
        return
    places: dict[str, set[int]] = {}
    for event in record.events:
        if not _is_undecodable(event):
            places.setdefault(event.id, set()).add(event.seq)
    last = max(event.seq for event in record.events)
    indexed = max(record.index.values(), default=0)
    for event_id, seqs in places.items():
        noted, place = record.index.get(event_id), f"event {min(seqs)}"
        if noted is None and min(seqs) <= indexed:
            yield found(Code.INDEX_WRONG, record.call, place, "its id is not in the index")
        elif noted is not None and noted not in seqs:
            yield found(Code.INDEX_WRONG, record.call, place, f"the index says that it stands at {noted}")
    undecodable = {event.seq for event in record.events if _is_undecodable(event)}
    there = {event.seq for event in record.events} - undecodable
    for event_id, noted in record.index.items():
        if event_id not in places and noted in there:
            yield found(Code.INDEX_WRONG, record.call, f"event {noted}", "the index knows another event there")
    lost = sorted(noted for noted in record.index.values() if noted > last)
    if lost:
        text = f"the index knows of events {numbers(lost)}, which are not in the log"
        yield found(Code.GAP, record.call, f"after event {last}", text)
    twice = [place for place, count in Counter(record.index.values()).items() if count > 1]
    if twice:
        yield found(Code.INDEX_WRONG, record.call, f"event {numbers(sorted(twice))}", "two ids stand for one place")


def _overwritten(record: Record) -> Iterator[Finding]:
    """What is no event now and was one once: the index has its id, or a group has delivered it."""
    indexed = set((record.index or {}).values())
    receipts = [one for stored in record.receipts.values() for one in map(readable, stored) if one is not None]
    delivered = {one.seq for one in receipts if one.outcome == _DELIVERED}
    for event in record.events:
        if _is_undecodable(event) and event.seq in indexed | delivered:
            knows = "the index has the id of an event there" if event.seq in indexed else "a receipt says it was sent"
            text = f"{knows}, and these bytes are none: they were changed"
            yield found(Code.OVERWRITTEN, record.call, f"event {event.seq}", text)


def _receipts(record: Record) -> Iterator[Finding]:
    there = {event.seq for event in record.events}
    last = max(there)
    for group, standing in record.groups.items():
        if standing.cursor > last:
            text = f"it has finished {standing.cursor} events and the log has {last}"
            yield found(Code.CURSOR_BEYOND, record.call, f"group {group}", text)
    for group, stored in record.receipts.items():
        known = record.groups.get(group)
        highest, waited = 0, set[int]()
        for number, one in enumerate(stored, start=1):
            place = f"receipt {number} of {group}"
            receipt = readable(one)
            if receipt is None:
                yield found(Code.RECEIPT_WRONG, record.call, place, "it cannot be read")
                continue
            if receipt.seq not in there:
                text = f"it is about event {receipt.seq}, which is not there"
                yield found(Code.RECEIPT_WRONG, record.call, place, text)
            elif known is not None and receipt.seq > known.at_most + 1:
                text = f"it is about event {receipt.seq}, and the group has finished {known.at_most}"
                yield found(Code.RECEIPT_BEYOND, record.call, place, text)
            if receipt.seq < highest and receipt.seq not in waited:
                text = f"it goes back to event {receipt.seq} after event {highest}"
                yield found(Code.RECEIPT_ORDER, record.call, place, text)
            if receipt.detail.get("reason") == _UNFINISHED:
                waited.add(receipt.seq)
            highest = max(highest, receipt.seq)


def _strangers(record: Record) -> Iterator[Finding]:
    """What is named and no error of the log."""
    for event in record.events:
        if not isinstance(event.data, UnknownData):
            continue
        name, place = event.data.wire_type, f"event {event.seq}"
        versioned = _VERSIONED.fullmatch(name)
        if name == UNDECODABLE:
            yield found(Code.UNDECODABLE, record.call, place, "it is no event of any release")
        elif versioned and versioned[1] in _KINDS:
            yield found(Code.UNKNOWN_VERSION, record.call, place, f"{_shown(name)}: this release knows another version")
        else:
            yield found(Code.UNKNOWN_TYPE, record.call, place, f"{_shown(name)}: not known to this release")
    for group, standing in record.groups.items():
        if standing.parked is not None:
            text = f"the group has put the call aside: {standing.parked}"
            yield found(Code.PARKED, record.call, f"group {group}, event {standing.cursor + 1}", text)


def compare(live: Record, archived: Record) -> list[Finding]:
    """Whether two copies of one call are the same, byte for byte. The log may have got receipts since."""
    findings = []
    for position in range(max(len(live.entries), len(archived.entries))):
        one, other = _at(live.entries, position), _at(archived.entries, position)
        if one == other:
            continue
        entry = one or other
        assert entry is not None
        where = f"event {entry.seq or position + 1}"
        if one is None or other is None:
            text = f"only the {'archive' if one is None else 'live log'} has it"
        else:
            text = "the bytes differ" if one.at == other.at else "the numbers differ"
        findings.append(found(Code.DIFFERS, live.call, where, text))
    for group, sealed in archived.receipts.items():
        if live.receipts.get(group, ())[: len(sealed)] != sealed:
            findings.append(found(Code.DIFFERS, live.call, f"receipts of {group}", "they are not the same"))
    return findings


def readable(stored: StoredReceipt) -> Receipt | None:
    """The receipt, or nothing if these bytes are none."""
    try:
        receipt = read_receipt(stored.raw)
    except (orjson.JSONDecodeError, KeyError, TypeError):
        return None
    fields: tuple[object, ...] = (receipt.seq, receipt.outcome, receipt.detail)  # JSON may hold anything there
    shape = tuple(map(type, fields))
    return receipt if shape == (int, str, dict) else None


def _at(entries: Sequence[Any], position: int) -> Any:
    return entries[position] if position < len(entries) else None


def _is_undecodable(event: AnyEvent) -> bool:
    return isinstance(event.data, UnknownData) and event.data.wire_type == UNDECODABLE


def _shown(name: str) -> str:
    return name[:80]
