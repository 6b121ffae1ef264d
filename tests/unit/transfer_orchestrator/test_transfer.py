"""The transfer's table, and the call that is folded around it."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from call_events.catalogue import (
    DialOutcome,
    Human,
    LegJoined,
    LegLeft,
    Role,
    TransferAttemptFailed,
    TransferCancelled,
    TransferCompleted,
    TransferConnected,
    TransferDialing,
    TransferFailed,
    TransferRequested,
    TransferRinging,
)
from call_events.envelope import EventData
from call_events.testing import ended, event, numbered, started
from transfer_orchestrator.domain.call import CallState, fold
from transfer_orchestrator.domain.decisions import event_id
from transfer_orchestrator.domain.transfer import OPEN, TABLE, Phase, evolve, may_follow, requested
from transfer_orchestrator.errors import IllegalMove

CALL = "call-1"
T = "t1"
REQUESTED = TransferRequested(transfer_id=T, destination="billing-desk", reason="r", summary="s", agent="billing")
RINGING = TransferRinging(transfer_id=T, attempt=1, dial_id="d1")
FAILED_ATTEMPT = TransferAttemptFailed(
    transfer_id=T, attempt=1, dial_id="d1", target="phone", outcome=DialOutcome.BUSY, sip_status=486, evidence="SIP 486"
)
CONNECTED = TransferConnected(
    transfer_id=T, attempt=1, dial_id="d1", destination="billing-desk", human=Human(identity="human-d1", name="Maria")
)
FAILED = TransferFailed(transfer_id=T, destination="billing-desk", outcome=DialOutcome.BUSY, reason="busy")
CANCELLED = TransferCancelled(transfer_id=T, cause="caller_left")
COMPLETED = TransferCompleted(transfer_id=T)
KINDS = (TransferDialing, TransferRinging, TransferAttemptFailed, TransferConnected, TransferFailed, TransferCancelled)


def dialing(attempt: int = 1) -> TransferDialing:
    return TransferDialing(
        transfer_id=T, attempt=attempt, dial_id=f"d{attempt}", target="phone", identity=f"human-d{attempt}"
    )


def call(*data: EventData) -> CallState:
    return fold(numbered([started(CALL), *(event(CALL, one, at_s=at) for at, one in enumerate(data, 1))]))


def phase_after(*data: EventData) -> Phase:
    state = call(REQUESTED, *data)
    assert not state.strange
    return state.transfers[T].phase


@pytest.mark.parametrize(
    ("data", "phase"),
    [
        ((), Phase.REQUESTED),
        ((dialing(),), Phase.DIALING),
        ((dialing(), RINGING), Phase.RINGING),
        ((dialing(), RINGING, CONNECTED), Phase.CONNECTED),
        ((dialing(), CONNECTED), Phase.CONNECTED),
        ((dialing(), CONNECTED, COMPLETED), Phase.COMPLETED),
        ((dialing(), FAILED_ATTEMPT), Phase.BETWEEN),
        ((dialing(), RINGING, FAILED_ATTEMPT, FAILED), Phase.FAILED),
        ((dialing(), FAILED_ATTEMPT, dialing(2)), Phase.DIALING),
        ((dialing(), FAILED_ATTEMPT, CANCELLED), Phase.CANCELLED),
        ((dialing(), RINGING, CANCELLED), Phase.CANCELLED),
        ((CANCELLED,), Phase.CANCELLED),
        ((FAILED,), Phase.FAILED),
    ],
)
def test_the_story_of_a_transfer_ends_in_its_phase(data: tuple[EventData, ...], phase: Phase) -> None:
    assert phase_after(*data) is phase


def test_nothing_but_completion_follows_an_outcome() -> None:
    closed = [phase for phase in Phase if phase not in OPEN]
    followers = {(phase, kind) for phase, kind in TABLE if phase in closed}
    assert followers == {(Phase.CONNECTED, TransferCompleted)}


def test_every_phase_can_be_reached_from_the_request() -> None:
    reached = {Phase.REQUESTED}
    for _ in Phase:
        reached |= {after for (before, _), after in TABLE.items() if before in reached}
    assert reached == set(Phase)


@pytest.mark.parametrize(
    "data",
    [
        (RINGING,),
        (CONNECTED,),
        (dialing(2),),
        (dialing(), dialing(2)),
        (dialing(), FAILED),
        (dialing(), CONNECTED, CANCELLED),
        (FAILED, dialing()),
        (COMPLETED,),
        (dialing(), RINGING.model_copy(update={"attempt": 2})),
    ],
)
def test_an_illegal_move_is_refused_and_changes_nothing(data: tuple[EventData, ...]) -> None:
    before = call(REQUESTED, *data[:-1])
    last = event(CALL, data[-1], seq=99)
    with pytest.raises(IllegalMove):
        evolve(before.transfers[T], last)
    after = fold([last], before)
    assert after.transfers == before.transfers
    assert after.strange == (*before.strange, 99)


def test_an_event_of_a_transfer_that_nobody_requested_is_passed_over_and_told() -> None:
    state = call(RINGING)
    assert state.transfers == {}
    assert state.strange == (2,)
    with pytest.raises(IllegalMove):
        requested(event(CALL, RINGING))


def test_an_attempt_keeps_who_dialled_and_how_it_ended() -> None:
    state = call(REQUESTED, dialing(), RINGING, FAILED_ATTEMPT)
    (attempt,) = state.transfers[T].attempts
    assert (attempt.producer, attempt.rang, attempt.outcome, attempt.sip_status) == (
        "test",
        True,
        DialOutcome.BUSY,
        486,
    )
    (summary,) = state.transfers[T].summaries()
    assert (summary.attempt, summary.target, summary.outcome) == (1, "phone", DialOutcome.BUSY)


def test_the_end_of_the_call_cancels_an_open_transfer_and_leaves_its_phone_dangling() -> None:
    state = fold([ended(CALL).model_copy(update={"seq": 5})], call(REQUESTED, dialing(), RINGING))
    transfer = state.transfers[T]
    assert transfer.phase is Phase.CANCELLED
    assert transfer.closed_seq == 5
    assert transfer.dangling is not None
    assert transfer.dangling.identity == "human-d1"


def test_the_end_of_the_call_changes_no_outcome() -> None:
    state = fold([ended(CALL).model_copy(update={"seq": 5})], call(REQUESTED, dialing(), CONNECTED))
    assert state.transfers[T].phase is Phase.CONNECTED
    assert state.transfers[T].dangling is None


def test_the_customer_is_present_until_their_leg_has_left_and_again_when_it_is_back() -> None:
    left = LegLeft(identity="sip_100", role=Role.CUSTOMER, reason="CLIENT_INITIATED")
    other = LegLeft(identity="agent-1", role=Role.AI, reason="CLIENT_INITIATED")
    back = LegJoined(identity="sip_100", role=Role.CUSTOMER)
    assert [call(*facts).customer_present for facts in ((), (other,), (left,), (left, back))] == [
        True,
        True,
        False,
        True,
    ]


@given(st.lists(st.sampled_from([dialing(), dialing(2), RINGING, FAILED_ATTEMPT, CONNECTED, FAILED, CANCELLED])))
def test_no_order_of_events_gives_a_transfer_two_outcomes(data: list[EventData]) -> None:
    """Whatever anybody writes, the fold takes the first outcome and no other; folding in pieces is folding at once."""
    events = numbered([started(CALL), event(CALL, REQUESTED), *(event(CALL, one) for one in data)])
    at_once = fold(events)
    taken = [e for e in events if e.seq not in at_once.strange]
    ends = [e for e in taken if isinstance(e.data, TransferConnected | TransferFailed | TransferCancelled)]
    assert len(ends) <= 1
    assert at_once.transfers[T].open is (not ends)
    for cut in range(len(events)):
        assert fold(events[cut:], fold(events[:cut])) == at_once


def test_the_three_ends_of_a_transfer_share_one_id_and_nothing_else_does() -> None:
    state = call(REQUESTED)
    assert state.room == CALL
    ends = {event_id(event(CALL, one).call, one) for one in (CONNECTED, FAILED, CANCELLED)}
    others = {event_id(event(CALL, one).call, one) for one in (dialing(), dialing(2), RINGING, FAILED_ATTEMPT)}
    assert len(ends) == 1
    assert len(others) == 4
    assert not ends & others


def test_what_may_follow_is_the_table() -> None:
    transfer = call(REQUESTED, dialing()).transfers[T]
    allowed = {kind for kind in KINDS if may_follow(transfer, kind)}
    assert allowed == {TransferRinging, TransferConnected, TransferAttemptFailed, TransferCancelled}
    assert len(list(itertools.product(Phase, KINDS))) > len(TABLE)
