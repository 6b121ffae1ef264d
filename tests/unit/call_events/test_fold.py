"""Folding a call: what the command line shows is what the events say."""

from datetime import timedelta

from call_events.catalogue import (
    AgentActivated,
    AgentHandedOff,
    DialOutcome,
    Human,
    LegJoined,
    LegLeft,
    Role,
    ToolCalled,
    TransferAttemptFailed,
    TransferCompleted,
    TransferConnected,
    TransferDialing,
    TransferRequested,
    TransferRinging,
    UsageRecorded,
    UtteranceDiscarded,
)
from call_events.catalogue.speech import DiscardReason
from call_events.envelope import EventData
from call_events.fold import CallState, Owner, TransferStage, evolve, fold
from call_events.registry import UnknownData
from call_events.testing import START, ended, event, numbered, said, speaking, started

CALL = "call-1"


def state_after(*data: EventData) -> CallState:
    return fold(numbered([started(CALL), *(event(CALL, one) for one in data)]))


REQUESTED = TransferRequested(
    transfer_id="t1", destination="billing-desk", reason="asked", summary="invoice", agent="billing"
)
DIALING = TransferDialing(transfer_id="t1", attempt=1, dial_id="d1", target="desk-1", identity="human-d1")
CONNECTED = TransferConnected(
    transfer_id="t1",
    attempt=2,
    dial_id="d2",
    destination="billing-desk",
    human=Human(identity="human-d2", name="Maria Weber"),
)


def test_a_call_is_open_from_its_start_to_its_end() -> None:
    before, after = fold(numbered([started(CALL)])), fold(numbered([started(CALL), ended(CALL, at_s=60)]))

    assert (before.is_open, before.started_at, before.profile) == (True, START, "contact-centre")
    assert (after.is_open, after.ended_at, after.duration_ms) == (False, START + timedelta(seconds=60), 60_000)


def test_utterances_stand_in_the_order_they_started_whenever_their_text_comes() -> None:
    events = [
        started(CALL),
        speaking(CALL, "u1"),
        speaking(CALL, "u2"),
        said(CALL, "u2", "second"),
        said(CALL, "u1", "first"),
    ]

    utterances = fold(numbered(events)).utterances

    assert [(one.utterance_id, one.text, one.started_seq) for one in utterances] == [
        ("u1", "first", 2),
        ("u2", "second", 3),
    ]


def test_an_utterance_whose_start_was_never_written_is_not_lost() -> None:
    state = fold(numbered([started(CALL), said(CALL, "u9", "hello")]))

    assert [(one.utterance_id, one.text) for one in state.utterances] == [("u9", "hello")]


def test_a_discarded_utterance_says_why() -> None:
    events = [
        started(CALL),
        speaking(CALL, "u1"),
        event(CALL, UtteranceDiscarded(utterance_id="u1", reason=DiscardReason.NOISE)),
    ]

    (utterance,) = fold(numbered(events)).utterances

    assert (utterance.text, utterance.discarded) == (None, DiscardReason.NOISE)


def test_the_owner_follows_the_agents_and_the_transfer() -> None:
    active = AgentActivated(agent="generic", name="Generic AI")
    handed = AgentHandedOff(
        from_agent="generic",
        from_name="Generic AI",
        to_agent="billing",
        to_name="Billing AI",
        reason="invoice",
        context_items=3,
    )
    left = LegLeft(identity="human-d2", role=Role.HUMAN, reason="hung up")

    assert state_after().owner is Owner.NOBODY
    assert state_after(active).owner is Owner.AI
    assert state_after(active, handed).agent == "billing"
    assert state_after(active, REQUESTED, CONNECTED).owner is Owner.HUMAN
    assert state_after(active, REQUESTED, CONNECTED, left).owner is Owner.NOBODY


def test_a_transfer_walks_through_its_stages_and_is_open_until_its_outcome() -> None:
    busy = TransferAttemptFailed(
        transfer_id="t1", attempt=1, dial_id="d1", target="desk-1", outcome=DialOutcome.BUSY, evidence="486"
    )
    walk = [REQUESTED, DIALING, TransferRinging(transfer_id="t1", attempt=1, dial_id="d1"), busy, CONNECTED]
    states = [state_after(*walk[: n + 1]) for n in range(len(walk))]

    assert [state.transfers[0].stage for state in states] == [
        TransferStage.REQUESTED,
        TransferStage.DIALING,
        TransferStage.RINGING,
        TransferStage.REQUESTED,
        TransferStage.CONNECTED,
    ]
    assert [state.open_transfer is not None for state in states] == [True, True, True, True, False]
    assert state_after(*walk, TransferCompleted(transfer_id="t1")).transfers[0].stage is TransferStage.COMPLETED


def test_legs_tools_and_usage_are_kept() -> None:
    usage = UsageRecorded(agent="billing", provider="openai", model="m", input_tokens=3, output_tokens=4)
    state = state_after(
        LegJoined(identity="sip_1", role=Role.CUSTOMER),
        ToolCalled(agent="billing", tool_call_id="c1", name="look_up", arguments={}, outcome="ok", duration_ms=5),
        usage,
        usage,
        LegLeft(identity="sip_1", role=Role.CUSTOMER, reason="hung up"),
    )

    assert [(leg.identity, leg.reason) for leg in state.legs] == [("sip_1", "hung up")]
    assert [tool.name for tool in state.tools] == ["look_up"]
    assert (state.usage["openai/m"].input_tokens, state.usage["openai/m"].output_tokens) == (6, 8)


def test_an_unknown_event_changes_only_the_counts() -> None:
    before = state_after()
    after = evolve(before, event(CALL, UnknownData(wire_type="x.y.v9", raw={})))

    assert after.counts == {"call.started.v1": 1, "x.y.v9": 1}
    assert after.model_copy(update={"counts": before.counts, "seq": before.seq}) == before


def test_folding_in_pieces_is_folding_at_once_and_survives_json() -> None:
    events = numbered(
        [started(CALL), speaking(CALL, "u1"), event(CALL, REQUESTED), said(CALL, "u1", "hi"), ended(CALL)]
    )
    whole = fold(events)

    for cut in range(len(events)):
        assert fold(events[cut:], fold(events[:cut])) == whole
    assert CallState.model_validate_json(whole.model_dump_json()) == whole
