"""Calls as records, without any server: whole ones, and whatever can be wrong with one."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import timedelta

from call_events import catalogue as c
from call_events.claims import write_receipt
from call_events.codec import encode
from call_events.envelope import Event, EventData
from call_events.ids import CallId, EventId
from call_events.ports import AnyEvent, Receipt
from call_events.testing import START
from callweave.sources.record import Entry, Record, Standing, StoredReceipt, Where

CALL = CallId("call-7")
CUSTOMER = c.Speaker(role=c.Role.CUSTOMER, name="Customer", identity="sip_1")
AGENT = c.Speaker(role=c.Role.AI, name="Generic AI", identity="agent-1", agent="generic")
HUMAN = c.Speaker(role=c.Role.HUMAN, name="Maria Weber", identity="human-1")


def at(seconds: float) -> timedelta:
    """After the beginning of the call."""
    return timedelta(seconds=seconds)


def story(call: CallId = CALL, *, said: str = "Where is my order?", name: str = "Maria Weber") -> list[AnyEvent]:
    """A call with everything in it: speech of three, a handoff, a late and a discarded text, a transfer."""
    human = HUMAN.model_copy(update={"name": name})
    data: list[tuple[float, EventData]] = [
        (
            0,
            c.CallStarted(
                room=call,
                direction="inbound",
                customer=c.Customer(identity="sip_1", number="+4930111222", customer_id="C-1"),
                dialled_number="+4930222",
                profile="contact-centre",
                profile_hash="h",
                language="en",
                worker="w",
            ),
        ),
        (0.1, c.LegJoined(identity="sip_1", role=c.Role.CUSTOMER)),
        (0.2, c.AgentActivated(agent="generic", name="Generic AI")),
        (0.3, c.UtteranceStarted(utterance_id="u1", speaker=AGENT, started_at=START + at(0.3))),
        (
            2,
            c.UtteranceCompleted(
                utterance_id="u1", speaker=AGENT, text="Hello", started_at=START + at(0.3), ended_at=START + at(2)
            ),
        ),
        (3, c.UtteranceStarted(utterance_id="u2", speaker=CUSTOMER, started_at=START + at(3))),
        (4, c.UtteranceEnded(utterance_id="u2", ended_at=START + at(4))),
        (5, c.UtteranceStarted(utterance_id="u3", speaker=CUSTOMER, started_at=START + at(5))),
        (5.5, c.UtteranceDiscarded(utterance_id="u3", reason=c.DiscardReason.NOISE)),
        (
            11,
            c.UtteranceCompleted(
                utterance_id="u2", speaker=CUSTOMER, text=said, started_at=START + at(3), ended_at=START + at(4)
            ),
        ),
        (
            11.2,
            c.ToolCalled(
                agent="generic",
                tool_call_id="t1",
                name="find_order",
                arguments={"said": said},
                outcome="ok",
                duration_ms=40,
            ),
        ),
        (
            12,
            c.AgentHandedOff(
                from_agent="generic",
                from_name="Generic AI",
                to_agent="billing",
                to_name="Billing AI",
                reason=said,
                context_items=3,
            ),
        ),
        (12.1, c.AgentActivated(agent="billing", name="Billing AI")),
        (
            13,
            c.TransferRequested(
                transfer_id="x1", destination="billing-desk", reason=said, summary=said, agent="billing"
            ),
        ),
        (
            13.1,
            c.TransferDialing(transfer_id="x1", attempt=1, dial_id="d1", target="billing-phone", identity="human-1"),
        ),
        (14, c.TransferRinging(transfer_id="x1", attempt=1, dial_id="d1")),
        (
            16,
            c.TransferConnected(
                transfer_id="x1",
                attempt=1,
                dial_id="d1",
                destination="billing-desk",
                human=c.Human(identity="human-1", name=name),
            ),
        ),
        (16.1, c.LegJoined(identity="human-1", role=c.Role.HUMAN)),
        (16.2, c.TransferCompleted(transfer_id="x1")),
        (17, c.UtteranceStarted(utterance_id="u4", speaker=human, started_at=START + at(17))),
        (
            20,
            c.UtteranceCompleted(
                utterance_id="u4",
                speaker=human,
                text="This is Maria.",
                started_at=START + at(17),
                ended_at=START + at(19),
                interrupted=True,
            ),
        ),
        (21, c.LegLeft(identity="sip_1", role=c.Role.CUSTOMER, reason="CLIENT_INITIATED")),
        (21.1, c.CallEnded(ended_by=c.EndedBy.CUSTOMER, cause="CLIENT_INITIATED", duration_ms=21_100)),
    ]
    return [
        Event[EventData](data=one, call=call, producer="test", id=EventId(f"{call}-{number}"), time=START + at(seconds))
        for number, (seconds, one) in enumerate(data, start=1)
    ]


def receipts_of_story() -> list[Receipt]:
    """What the bridge leaves behind: the customer's text came too late for its place, noise was not sent."""

    def sent(seq: int, event: str, **more: object) -> Receipt:
        return Receipt(seq, "delivered", {"id": f"m{seq}", "event": event, "status": 202, **more})

    return [
        sent(1, "call.started"),
        sent(4, "utterance"),
        Receipt(6, "passed_over", {"reason": "unfinished"}),
        Receipt(8, "passed_over", {"reason": "noise"}),
        sent(6, "utterance", late=True),
        sent(12, "handoff"),
        sent(14, "transfer.requested"),
        sent(15, "transfer.dialing"),
        sent(17, "transfer.connected"),
        sent(20, "utterance"),
        sent(23, "call.ended"),
    ]


def stored(receipts: Iterable[Receipt]) -> tuple[StoredReceipt, ...]:
    """As they stand in the receipts stream."""
    return tuple(
        StoredReceipt(f"{1_700_000_000_000 + number}-0", bytes(write_receipt(one)))
        for number, one in enumerate(receipts)
    )


def record(
    events: Sequence[AnyEvent] | None = None, receipts: Iterable[Receipt] | None = None, *, call: CallId = CALL
) -> Record:
    """A live call, whole unless told otherwise."""
    events = story(call) if events is None else events
    receipts = receipts_of_story() if receipts is None else receipts
    return Record(
        call=call,
        where=Where.LIVE,
        entries=tuple(Entry(f"0-{number}", encode(event)) for number, event in enumerate(events, start=1)),
        receipts={"ccm": stored(receipts)},
        groups={"ccm": Standing(len(events), len(events))},
        index={event.id: number for number, event in enumerate(events, start=1)},
        closed_at=len(events) if events and isinstance(events[-1].data, c.CallEnded) else None,
    )


def without(whole: Record, *numbers: int) -> Record:
    """The record as if these entries had been lost."""
    return replace(whole, entries=tuple(entry for entry in whole.entries if entry.seq not in numbers))
