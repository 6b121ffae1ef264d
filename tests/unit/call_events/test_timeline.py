"""A timeline is what a person reads first when a call went wrong: each thing once, texts where the speech began."""

from datetime import timedelta

from call_events import catalogue as c
from call_events.envelope import Event, EventData
from call_events.ids import CallId, EventId
from call_events.ports import AnyEvent
from call_events.registry import UnknownData
from call_events.testing import START
from call_events.timeline import agent_names, line_of, timeline

CUSTOMER = c.Speaker(role=c.Role.CUSTOMER, name="Customer", identity="sip_1")
AI = c.Speaker(role=c.Role.AI, name="Billing AI", identity="agent-1", agent="billing")


def call_of(*data: EventData) -> list[AnyEvent]:
    return [
        Event[EventData](
            data=d,
            call=CallId("call-1"),
            producer="test",
            id=EventId(f"e{n}"),
            time=START + timedelta(seconds=n - 1),
            seq=n,
        )
        for n, d in enumerate(data, start=1)
    ]


def started(utterance: str, speaker: c.Speaker) -> c.UtteranceStarted:
    return c.UtteranceStarted(utterance_id=utterance, speaker=speaker, started_at=START)


def completed(utterance: str, speaker: c.Speaker, text: str, *, interrupted: bool = False) -> c.UtteranceCompleted:
    return c.UtteranceCompleted(
        utterance_id=utterance, speaker=speaker, text=text, interrupted=interrupted, started_at=START, ended_at=START
    )


def test_a_late_text_stands_where_the_speech_began() -> None:
    lines = timeline(
        call_of(
            started("u1", CUSTOMER),
            started("u2", AI),
            completed("u2", AI, "I am here", interrupted=True),
            completed("u1", CUSTOMER, "hello"),
        )
    )
    assert [(line.seq, line.at_s, line.who, line.text) for line in lines] == [
        (1, 0.0, "Customer", "“hello”"),
        (2, 1.0, "Billing AI", "“I am here” — interrupted"),
    ]


def test_speech_without_text_says_why() -> None:
    lines = timeline(
        call_of(
            started("u1", CUSTOMER),
            c.UtteranceDiscarded(utterance_id="u1", reason=c.DiscardReason.TRANSCRIPT_FAILED),
            started("u2", CUSTOMER),
        )
    )
    assert [line.text for line in lines] == ["(no text: transcript_failed)", "(text not yet known)"]


def test_an_event_of_a_newer_release_is_shown_and_not_hidden() -> None:
    lines = timeline(call_of(UnknownData(wire_type="call.teleported.v1", raw={})))
    assert [(line.kind, line.text) for line in lines] == [("other", "call.teleported.v1 (not known to this release)")]


HANDED_OFF = c.AgentHandedOff(
    from_agent="generic", from_name="Generic AI", to_agent="billing", to_name="Billing AI", reason="r", context_items=3
)
TOOL = c.ToolCalled(
    agent="billing", tool_call_id="t", name="find_invoice", arguments={"number": "1042"}, outcome="ok", duration_ms=4
)


def test_a_tool_is_told_under_the_name_that_people_know_the_agent_by() -> None:
    events = call_of(HANDED_OFF, TOOL)
    assert [line.who for line in timeline(events)] == ["Generic AI", "Billing AI"]
    assert line_of(events[1], START, agent_names(events[:1])).who == "Billing AI"
    assert line_of(events[1], START).who == "billing", "the name was never told"


def test_why_a_tool_failed_is_told_without_being_asked() -> None:
    failed = TOOL.model_copy(update={"outcome": "refused", "detail": "there is no such invoice"})
    assert [line.text for line in timeline(call_of(failed))] == [
        "tool find_invoice → refused (there is no such invoice) in 4 ms"
    ]


def test_everything_shows_arguments_summary_and_evidence() -> None:
    request = c.TransferRequested(
        transfer_id="t", destination="desk", reason="asked", summary="Charged twice.", agent="billing"
    )
    attempt = c.TransferAttemptFailed(
        transfer_id="t", attempt=1, dial_id="d", target="maria", outcome=c.DialOutcome.BUSY, evidence="486 Busy Here"
    )
    unknown = UnknownData(wire_type="call.teleported.v1", raw={"to": "Mars"})
    events = call_of(TOOL, request, attempt, unknown)
    story = [line.text for line in timeline(events)]
    whole = [line.text for line in timeline(events, everything=True)]
    assert [more.removeprefix(text) for text, more in zip(story, whole, strict=True)] == [
        '; arguments {"number":"1042"}',
        "; warm; for the human: “Charged twice.”",
        "; seen: 486 Busy Here",
        '; {"to":"Mars"}',
    ]


def test_what_was_said_cannot_act_on_the_terminal_or_forge_a_line() -> None:
    """A caller's words, a customer's number and an agent's reason come from outside."""
    forged = "well\x1b[2J\n  64  call ended"
    ai = AI.model_copy(update={"name": forged})
    events = call_of(
        started("u1", ai),
        completed("u1", ai, forged),
        TOOL.model_copy(update={"arguments": {"said": forged}, "detail": forged}),
        c.TransferRequested(transfer_id="t", destination="desk", reason=forged, summary=forged, agent="b"),
    )
    lines = timeline(events) + timeline(events, everything=True) + [line_of(event, START) for event in events]
    for line in lines:
        assert (line.who + line.text).isprintable()
    assert lines[0].text == "“well␛[2J␊  64  call ended”"


def test_every_event_of_the_catalogue_has_its_words() -> None:
    known: list[EventData] = [
        c.CallStarted(
            room="r",
            direction="inbound",
            customer=c.Customer(identity="sip_1"),
            profile="p",
            profile_hash="h",
            language="en",
            worker="w",
        ),
        c.LegJoined(identity="sip_1", role=c.Role.CUSTOMER),
        c.AgentActivated(agent="generic", name="Generic AI"),
        c.AgentHandedOff(
            from_agent="generic", from_name="Generic AI", to_agent="b", to_name="B", reason="invoice", context_items=3
        ),
        c.ToolCalled(agent="b", tool_call_id="t", name="find", arguments={}, outcome="ok", duration_ms=4),
        c.TransferRequested(transfer_id="t", destination="desk", reason="asked", summary="s", agent="b"),
        c.TransferDialing(transfer_id="t", attempt=1, dial_id="d", target="maria", identity="human-d"),
        c.TransferRinging(transfer_id="t", attempt=1, dial_id="d"),
        c.TransferAttemptFailed(
            transfer_id="t",
            attempt=1,
            dial_id="d",
            target="maria",
            outcome=c.DialOutcome.BUSY,
            sip_status=486,
            evidence="x",
        ),
        c.TransferConnected(
            transfer_id="t", attempt=2, dial_id="d", destination="desk", human=c.Human(identity="h", name="Maria")
        ),
        c.TransferFailed(transfer_id="t", destination="desk", outcome=c.DialOutcome.BUSY, reason="all busy"),
        c.TransferCancelled(transfer_id="t", cause="caller_left"),
        c.TransferCompleted(transfer_id="t"),
        c.UtteranceEnded(utterance_id="u", ended_at=START),
        completed("u", AI, "x"),
        c.UtteranceDiscarded(utterance_id="u", reason=c.DiscardReason.NOISE),
        started("u", AI),
        c.UsageRecorded(agent="b", provider="openai", model="m"),
        c.LegLeft(identity="sip_1", role=c.Role.CUSTOMER, reason="CLIENT_INITIATED"),
        c.CallEnded(ended_by=c.EndedBy.CUSTOMER, cause="CLIENT_INITIATED", duration_ms=12_340),
    ]
    lines = timeline(call_of(*known), everything=True)
    assert len(lines) == len(known)
    assert "other" not in {line.kind for line in lines}
    assert lines[-1].text == "ended by customer (CLIENT_INITIATED) after 12.3 s"
