"""Does CCM have what the log has? Pure: a record in, differences out.

The bridge writes a receipt in the same script that moves its cursor, so for every event up to the cursor that CCM is
told of (``call_events.places``) there must be one, and every receipt must be about such an event.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass

from call_events.codec import wire_type
from call_events.places import Need, Place, places
from call_events.ports import Receipt
from call_events.registry import CLOSING_TYPE
from callweave.proof.findings import Code, Finding, found, numbers
from callweave.proof.verify import readable
from callweave.sources.record import Record, Where

#: The group of the bridge.
CCM = "ccm"
_DELIVERED, _REFUSED, _PASSED_OVER, _DISCARDED = "delivered", "refused", "passed_over", "discarded"
_UNFINISHED = "unfinished"


@dataclass(frozen=True, slots=True)
class Tally:
    """What CCM was told of a call, counted."""

    delivered: int
    passed_over: int
    refused: int
    late: int
    #: Events CCM will be told of, or has been and the receipt is not written yet.
    pending: int

    @property
    def text(self) -> str:
        """For people."""
        parts = [f"{self.delivered} delivered"]
        rest = (("passed over", self.passed_over), ("refused", self.refused), ("late", self.late))
        parts += [f"{count} {name}" for name, count in (*rest, ("to come", self.pending)) if count]
        return ", ".join(parts)


def reconcile(record: Record) -> tuple[list[Finding], Tally]:
    """Every difference between a call's events and what its receipts say that CCM has."""
    receipts = [one for one in map(readable, record.receipts.get(CCM, ())) if one is not None]
    told = places(record.events)
    done = _done(record, receipts)
    by_place: dict[int, list[Receipt]] = {}
    for receipt in receipts:
        by_place.setdefault(receipt.seq, []).append(receipt)
    let_go = _let_go_from(receipts)
    pending = [
        seq
        for seq, place in told.items()
        if done < seq < let_go and place.need is not Need.OPTIONAL and seq not in by_place
    ]
    finished = [place for place in told.values() if place.seq <= done and place.seq < let_go]
    findings = [
        *(one for place in finished for one in _place(record, place, by_place, done)),
        *_receipts(record, receipts, told),
        *_twice(record, receipts),
    ]
    if pending:
        text = (
            "the bridge has not told CCM of it yet" if len(pending) == 1 else "the bridge has not told CCM of them yet"
        )
        findings.append(found(Code.PENDING, record.call, f"event {numbers(pending)}", text))
    return findings, Tally(
        delivered=sum(one.outcome == _DELIVERED for one in receipts),
        passed_over=sum(one.outcome == _PASSED_OVER for one in receipts),
        refused=sum(one.outcome == _REFUSED for one in receipts),
        late=sum(bool(one.detail.get("late")) for one in receipts),
        pending=len(pending),
    )


def _done(record: Record, receipts: list[Receipt]) -> int:
    """Up to which event the bridge has finished."""
    if CCM in record.groups:
        return record.groups[CCM].cursor
    last = record.events[-1] if record.events else None
    if last is None:
        return 0
    if record.where is Where.ARCHIVE and wire_type(last) == CLOSING_TYPE:
        return last.seq  # sealed only when the bridge had passed it
    return max((receipt.seq for receipt in receipts), default=0)


def _let_go_from(receipts: list[Receipt]) -> float:
    """From which event on a person has decided that CCM is told nothing more (``callweave dlq discard``)."""
    decided = (one.seq for one in receipts if one.outcome == _DISCARDED and one.detail.get("what") == "rest")
    return min(decided, default=math.inf)


def _place(record: Record, place: Place, by_place: dict[int, list[Receipt]], done: int) -> Iterator[Finding]:
    """What is lacking at a place that the bridge has finished."""
    there = by_place.get(place.seq, [])
    where = f"event {place.seq}"
    if any(one.outcome == _DISCARDED for one in there):
        return
    settled = [one for one in there if one.outcome in (_DELIVERED, _REFUSED) and not one.detail.get("part")]
    passed = [one for one in there if one.outcome == _PASSED_OVER]
    if place.need is Need.MESSAGE and not settled:
        text = f"CCM must be told of it ({place.names[0]}) and there is no receipt"
        yield found(Code.UNDELIVERED, record.call, where, text)
    elif place.need is Need.RECEIPT and not settled and not passed:
        yield found(Code.UNDELIVERED, record.call, where, "somebody spoke, and there is no receipt for it")
    elif not settled and passed[-1:] and passed[-1].detail.get("reason") == _UNFINISHED:
        yield from _never_sent(record, place, done)


def _never_sent(record: Record, place: Place, done: int) -> Iterator[Finding]:
    if place.text_at is not None and place.text_at <= done:
        text = f"its text came with event {place.text_at} and was not sent"
        yield found(Code.NEVER_SENT, record.call, f"event {place.seq}", text)


def _receipts(record: Record, receipts: list[Receipt], told: dict[int, Place]) -> Iterator[Finding]:
    """What the receipts themselves tell."""
    for number, receipt in enumerate(receipts, start=1):
        where = f"event {receipt.seq}, receipt {number} of {CCM}"
        place, name = told.get(receipt.seq), str(receipt.detail.get("event", ""))
        if receipt.outcome == _DISCARDED:
            more = " or of anything that follows" if receipt.detail.get("what") == "rest" else ""
            yield found(Code.DISCARDED, record.call, where, f"a person decided that CCM is not told of it{more}")
            continue
        if receipt.outcome == _REFUSED:
            yield found(
                Code.REFUSED, record.call, where, f"CCM refused it (status {receipt.detail.get('status', '?')})"
            )
        if receipt.detail.get("late"):
            yield found(Code.LATE, record.call, where, "it reached CCM after what followed it, marked late")
        if receipt.outcome not in (_DELIVERED, _REFUSED):
            continue
        if place is None:
            yield found(Code.NO_SUCH_EVENT, record.call, where, f"{receipt.outcome}, and there is no event for it")
        elif name not in place.names and name not in _missing_notes(record, receipt):
            text = f"the receipt is of {name[:40] or 'no message'}, the event is {place.names[0]}"
            yield found(Code.WRONG_MESSAGE, record.call, where, text)


def _missing_notes(record: Record, receipt: Receipt) -> tuple[str, ...]:
    """At the end of the call stands also the note of a text that never came."""
    return ("utterance.missing",) if receipt.detail.get("late") and record.events else ()


def _twice(record: Record, receipts: list[Receipt]) -> Iterator[Finding]:
    delivered: dict[tuple[int, str], int] = {}
    ids: dict[str, tuple[int, str]] = {}
    for number, receipt in enumerate(receipts, start=1):
        if receipt.outcome != _DELIVERED:
            continue
        where = f"event {receipt.seq}, receipt {number} of {CCM}"
        message, name = (receipt.seq, str(receipt.detail.get("part", ""))), str(receipt.detail.get("id", ""))
        if message in delivered:
            text = f"receipt {delivered[message]} says that it was delivered before"
            yield found(Code.SENT_TWICE, record.call, where, text)
        elif name and ids.get(name, message) != message:
            text = f"it bears the id of the message about event {ids[name][0]}"
            yield found(Code.SENT_TWICE, record.call, where, text)
        delivered.setdefault(message, number)
        ids.setdefault(name, message)
