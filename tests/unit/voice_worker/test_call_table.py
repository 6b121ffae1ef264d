"""The life of a call as a table."""

import pytest

from call_events.ids import CallId
from call_events.testing import START
from voice_worker.domain.call import TABLE, OpenTransfer, Phase, SessionState, Step, advance
from voice_worker.errors import IllegalMove


def test_a_transfer_that_succeeds_and_a_human_who_leaves_bring_the_ai_back() -> None:
    phase = Phase.AI
    for step in (Step.TRANSFER_REQUESTED, Step.CONNECTED, Step.HUMAN_LEFT):
        phase = advance(phase, step)
    assert phase is Phase.AI


def test_the_end_is_the_end() -> None:
    assert not [step for phase, step in TABLE if phase is Phase.ENDED]


@pytest.mark.parametrize("phase", [phase for phase in Phase if phase is not Phase.ENDED])
def test_every_call_can_end(phase: Phase) -> None:
    assert advance(phase, Step.ENDED) is Phase.ENDED


def test_an_illegal_step_changes_nothing() -> None:
    state = SessionState(call=CallId("c"), customer_identity="sip_1")
    with pytest.raises(IllegalMove, match="ai cannot take the step connected"):
        state.step(Step.CONNECTED)
    assert state.phase is Phase.AI


def test_messages_are_held_exactly_while_a_transfer_is_open() -> None:
    state = SessionState(call=CallId("c"), customer_identity="sip_1")
    assert not state.messages_held
    state.transfer = OpenTransfer(transfer_id="t", destination="billing-desk", requested_at=START)
    assert state.messages_held
