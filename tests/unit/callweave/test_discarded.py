"""What a person has let the bridge pass over is told as that, and not as something that CCM should have."""

from call_events.admin import DISCARDED
from call_events.claims import write_receipt
from call_events.codec import encode
from call_events.ports import Receipt
from call_events.testing import ended, said, speaking, started
from callweave.proof.findings import Code
from callweave.proof.reconcile import reconcile
from callweave.sources.record import Entry, Record, Standing, StoredReceipt, Where
from unit.ccm_bridge.world import CALL

EVENTS = (
    started(CALL),
    speaking(CALL, "u1", at_s=1),
    said(CALL, "u1", "One.", at_s=1),
    speaking(CALL, "u2", at_s=3),
    said(CALL, "u2", "Two.", at_s=3),
    ended(CALL),
)


def _record(*receipts: Receipt, cursor: int) -> Record:
    entries = tuple(Entry(f"0-{seq}", encode(event)) for seq, event in enumerate(EVENTS, 1))
    kept = tuple(StoredReceipt(f"{n}-0", write_receipt(one)) for n, one in enumerate(receipts, 1))
    return Record(CALL, Where.LIVE, entries, {"ccm": kept}, {"ccm": Standing(cursor, cursor)})


def _discarded(seq: int, what: str) -> Receipt:
    return Receipt(seq, DISCARDED, {"who": "anna", "reason": "a test", "what": what})


def _delivered(seq: int) -> Receipt:
    names = {1: "call.started", 6: "call.ended"}
    return Receipt(seq, "delivered", {"event": names.get(seq, "utterance"), "id": f"m{seq}", "status": 202})


def test_one_event_that_was_passed_over_lacks_nothing_else() -> None:
    receipts = (_delivered(1), _discarded(2, "one"), _delivered(4), _delivered(6))
    findings, _ = reconcile(_record(*receipts, cursor=6))
    assert [one.code for one in findings] == [Code.DISCARDED]


def test_without_the_decision_it_is_lacking() -> None:
    findings, _ = reconcile(_record(_delivered(1), _delivered(4), _delivered(6), cursor=6))
    assert [one.code for one in findings] == [Code.UNDELIVERED]


def test_of_a_call_that_was_let_go_nothing_more_is_expected_also_of_what_came_later() -> None:
    for cursor in (4, 6):
        findings, tally = reconcile(_record(_delivered(1), _discarded(2, "rest"), cursor=cursor))
        assert [one.code for one in findings] == [Code.DISCARDED]
        assert "or of anything that follows" in findings[0].text
        assert tally.pending == 0
