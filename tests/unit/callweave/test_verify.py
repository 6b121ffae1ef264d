"""Whatever can be wrong with a call is found, named, and said where; and a whole call is proven."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import orjson
import pytest

from call_events.codec import encode
from call_events.envelope import Event, EventData
from call_events.ids import CallId
from call_events.ports import Receipt
from call_events.registry import UnknownData
from callweave.proof.findings import MEANINGS, Code, Finding, numbers
from callweave.proof.reconcile import reconcile
from callweave.proof.verify import compare, proved, verify
from callweave.sources.record import Entry, Record, Standing, StoredReceipt
from support.records import CALL, receipts_of_story, record, stored, story, without

WHOLE = record()
LAST = len(WHOLE.entries)


def test_a_whole_call_is_proven_in_numbers() -> None:
    assert verify(WHOLE) == []
    assert proved(WHOLE) == "call-7: 23 events, 1 … 23, 11 receipts of ccm (live)"
    findings, tally = reconcile(WHOLE)
    assert [(one.code, one.level) for one in findings] == [(Code.LATE, "note")]
    assert tally.text == "9 delivered, 2 passed over, 1 late"


def test_a_call_that_runs_is_proven_as_far_as_it_is() -> None:
    events = story()[:9]
    running = replace(record(events, receipts_of_story()[:2]), groups={"ccm": Standing(5, 5)})
    assert [one for one in verify(running) if one.is_fault] == []
    assert proved(running).endswith("; still open (live)")
    findings, tally = reconcile(running)
    assert [(one.code, one.place) for one in findings] == [(Code.PENDING, "event 6, 8")]
    assert tally.pending == 2


def renumbered(whole: Record, at: str, number: int) -> Record:
    entries = list(whole.entries)
    entries[number - 1] = replace(entries[number - 1], at=at)
    return replace(whole, entries=tuple(entries))


def rewritten(whole: Record, number: int, **fields: Any) -> Record:
    """An entry whose bytes were changed."""
    entries = list(whole.entries)
    raw = orjson.dumps(orjson.loads(entries[number - 1].raw) | fields)
    entries[number - 1] = Entry(entries[number - 1].at, raw)
    return replace(whole, entries=tuple(entries))


def with_receipts(whole: Record, *more: Receipt | bytes) -> Record:
    added = [StoredReceipt("1-1", one) if isinstance(one, bytes) else stored([one])[0] for one in more]
    return replace(whole, receipts={"ccm": (*whole.receipts["ccm"], *added)})


def standing(whole: Record, **fields: Any) -> Record:
    return replace(whole, groups={"ccm": replace(Standing(LAST, LAST), **fields)})


def _unknown(whole: Record, name: str) -> Record:
    event = Event[EventData](data=UnknownData(wire_type=name, raw={}), call=CALL, producer="p")
    entries = list(whole.entries)
    entries[4] = Entry("0-5", encode(event))
    return replace(whole, entries=tuple(entries), index=None)


SPOILED: list[tuple[str, Callable[[], Record], list[tuple[Code, str]]]] = [
    ("one lost", lambda: without(WHOLE, 7), [(Code.GAP, "event 8")]),
    ("several lost", lambda: without(WHOLE, 7, 10, 11), [(Code.GAP, "event 8"), (Code.GAP, "event 12")]),
    (
        "the beginning lost",
        lambda: without(WHOLE, 1, 2),
        [(Code.GAP, "event 3"), (Code.NOT_OPENED, "event 3"), (Code.RECEIPT_WRONG, "receipt 1 of ccm")],
    ),
    (
        "the end lost",
        lambda: without(WHOLE, 22, 23),
        [
            (Code.NOT_CLOSED, "the mark of the end"),
            (Code.GAP, "after event 21"),
            (Code.CURSOR_BEYOND, "group ccm"),
            (Code.RECEIPT_WRONG, "receipt 11 of ccm"),
        ],
    ),
    ("nothing there", lambda: replace(WHOLE, entries=()), [(Code.STREAM_MISSING, "the log")]),
    (
        "an id of another kind",
        lambda: renumbered(WHOLE, "1700000000000-0", 7),
        [(Code.NUMBERING, "entry 7"), (Code.GAP, "event 8")],
    ),
    (
        "swapped",
        lambda: replace(renumbered(WHOLE, "0-6", 7), index=None),
        [(Code.ORDER, "event 6"), (Code.GAP, "event 8")],
    ),
    (
        "one event at two places",
        lambda: rewritten(WHOLE, 9, id="call-7-2"),
        [(Code.EVENT_TWICE, "event 9"), (Code.INDEX_WRONG, "event 9")],
    ),
    ("of another call", lambda: rewritten(WHOLE, 5, subject="call-8"), [(Code.FOREIGN_EVENT, "event 5")]),
    ("opened twice", lambda: rewritten(WHOLE, 9, **_wire(1)), [(Code.AFTER_END, "event 9")]),
    (
        "ended early",
        lambda: rewritten(WHOLE, 9, **_wire(23)),
        [(Code.AFTER_END, "event 9"), (Code.NOT_CLOSED, "the mark of the end")],
    ),
    ("not marked as ended", lambda: replace(WHOLE, closed_at=None), [(Code.NOT_CLOSED, "event 23")]),
    (
        "not in the index",
        lambda: replace(WHOLE, index={k: v for k, v in (WHOLE.index or {}).items() if v != 5}),
        [(Code.INDEX_WRONG, "event 5")],
    ),
    (
        "the index says another place",
        lambda: replace(WHOLE, index={**(WHOLE.index or {}), "call-7-5": 6}),
        [(Code.INDEX_WRONG, "event 5"), (Code.INDEX_WRONG, "event 6")],
    ),
    ("a receipt that is none", lambda: with_receipts(WHOLE, b"[]"), [(Code.RECEIPT_WRONG, "receipt 12 of ccm")]),
    ("a receipt with a text for a place", lambda: with_receipts(WHOLE, b'{"seq":"1","outcome":"x","detail":{}}'),
        [(Code.RECEIPT_WRONG, "receipt 12 of ccm")]),
    ("a receipt about nothing", lambda: with_receipts(WHOLE, Receipt(99, "delivered", {})),
        [(Code.RECEIPT_WRONG, "receipt 12 of ccm")]),
    ("a receipt that goes back", lambda: with_receipts(WHOLE, Receipt(4, "delivered", {})),
        [(Code.RECEIPT_ORDER, "receipt 12 of ccm")]),
    ("receipts before the cursor's time", lambda: standing(WHOLE, cursor=20, at_most=20),
        [(Code.RECEIPT_BEYOND, "receipt 11 of ccm")]),
    ("a cursor beyond the end", lambda: standing(WHOLE, cursor=99, at_most=99), [(Code.CURSOR_BEYOND, "group ccm")]),
]  # fmt: skip

NAMED: list[tuple[str, Callable[[], Record], tuple[Code, str]]] = [
    ("of a newer release", lambda: _unknown(WHOLE, "call.rated.v1"), (Code.UNKNOWN_TYPE, "event 5")),
    ("of a newer version", lambda: _unknown(WHOLE, "call.started.v9"), (Code.UNKNOWN_VERSION, "event 5")),
    (
        "no event at all",
        lambda: replace(
            WHOLE, index=None, entries=tuple(Entry(e.at, b"\x00{") if e.seq == 5 else e for e in WHOLE.entries)
        ),
        (Code.UNDECODABLE, "event 5"),
    ),
    ("parked", lambda: standing(WHOLE, parked="no route\x1b[2J"), (Code.PARKED, "group ccm, event 24")),
]


def _wire(number: int) -> dict[str, object]:
    wire = orjson.loads(WHOLE.entries[number - 1].raw)
    return {"type": wire["type"], "data": wire["data"]}


@pytest.mark.parametrize(("spoiled", "wanted"), [case[1:] for case in SPOILED], ids=[case[0] for case in SPOILED])
def test_what_is_wrong_is_named_with_its_place(spoiled: Callable[[], Record], wanted: list[tuple[Code, str]]) -> None:
    found = verify(spoiled())
    assert [(one.code, one.place) for one in found] == wanted
    assert all(one.is_fault and one.call == CALL for one in found)
    assert all(one.line.isprintable() for one in found)


@pytest.mark.parametrize(("strange", "wanted"), [case[1:] for case in NAMED], ids=[case[0] for case in NAMED])
def test_what_is_strange_is_named_and_no_fault(strange: Callable[[], Record], wanted: tuple[Code, str]) -> None:
    found = verify(strange())
    assert [(one.code, one.place, one.level) for one in found] == [(*wanted, "note")]
    assert all(one.line.isprintable() for one in found)


def test_a_finding_never_repeats_what_was_said() -> None:
    secret = "my PIN is 4711"
    whole = record(story(said=secret))
    for _, spoil, _ in SPOILED:
        spoiled = replace(whole, entries=spoil().entries) if spoil().entries else whole
        assert not any(secret in one.line for one in [*verify(spoiled), *reconcile(spoiled)[0]])


def test_differences_between_ccm_and_the_log_are_named() -> None:
    receipts = receipts_of_story()
    receipts[1] = Receipt(4, "refused", {"id": "m4", "event": "utterance", "status": 422, "reason": "too long"})
    receipts[5] = Receipt(12, "delivered", {"id": "m12", "event": "transfer.dialing"})
    receipts[8] = Receipt(16, "delivered", {"id": "m17", "event": "transfer.connected"})
    receipts[9] = Receipt(20, "discarded", {"reason": "the operator's", "by": "ops"})
    receipts.append(Receipt(23, "delivered", {"id": "m14", "event": "call.ended"}))
    findings = [(one.code, one.place) for one in reconcile(record(receipts=receipts))[0]]
    assert findings == [
        (Code.UNDELIVERED, "event 17"),
        (Code.REFUSED, "event 4, receipt 2 of ccm"),
        (Code.LATE, "event 6, receipt 5 of ccm"),
        (Code.WRONG_MESSAGE, "event 12, receipt 6 of ccm"),
        (Code.NO_SUCH_EVENT, "event 16, receipt 9 of ccm"),
        (Code.DISCARDED, "event 20, receipt 10 of ccm"),
        (Code.SENT_TWICE, "event 23, receipt 12 of ccm"),
    ]


def test_two_copies_are_compared_byte_for_byte() -> None:
    assert compare(WHOLE, WHOLE) == []
    assert compare(with_receipts(WHOLE, Receipt(23, "delivered", {})), WHOLE) == [], "receipts may have come since"
    changed = rewritten(WHOLE, 5, time="2026-01-05T09:00:03+00:00")
    lost = without(WHOLE, 23)
    assert [(one.place, one.text) for one in compare(WHOLE, changed)] == [("event 5", "the bytes differ")]
    assert [(one.place, one.text) for one in compare(WHOLE, lost)] == [("event 23", "only the live log has it")]
    assert [(one.place, one.text) for one in compare(lost, WHOLE)] == [("event 23", "only the archive has it")]
    fewer = replace(WHOLE, receipts={"ccm": WHOLE.receipts["ccm"][1:]})
    assert [one.place for one in compare(fewer, WHOLE)] == ["receipts of ccm"]


def test_every_code_has_a_meaning_and_a_mend() -> None:
    assert set(MEANINGS) == set(Code)
    assert all(meaning.means and meaning.mend.endswith(".") for meaning in MEANINGS.values())


def test_a_line_of_a_finding_cannot_be_forged() -> None:
    finding = Finding("parked", CallId("call-7"), "group ccm", "because\ncall-8: fault gap: event 1", "note")
    assert len(finding.line.splitlines()) == 1


def test_numbers_are_told_in_runs() -> None:
    assert numbers([1, 2, 3, 7, 9, 10]) == "1 to 3, 7, 9 to 10"


def test_an_event_whose_bytes_were_replaced_by_none_is_a_fault_where_the_index_knows_it() -> None:
    spoiled = replace(WHOLE, entries=tuple(Entry(e.at, b"\x00{") if e.seq == 5 else e for e in WHOLE.entries))
    found = {(one.code, one.place) for one in verify(spoiled) if one.is_fault}
    assert (Code.OVERWRITTEN, "event 5") in found


def test_a_call_that_ends_while_it_is_read_is_whole() -> None:
    index = {name: seq for name, seq in (WHOLE.index or {}).items() if seq < LAST}
    assert verify(replace(WHOLE, index=index, closed_at=None)) == []
    assert verify(replace(WHOLE, closed_at=None)) != []


def test_an_event_whose_bytes_were_replaced_is_a_fault_where_a_receipt_says_that_it_was_sent() -> None:
    """Without any index, as in the archive and in files."""
    entries = tuple(Entry(e.at, b"\x00{") if e.seq == 12 else e for e in WHOLE.entries)
    found = {(one.code, one.place) for one in verify(replace(WHOLE, entries=entries, index=None)) if one.is_fault}
    assert found == {(Code.OVERWRITTEN, "event 12")}
