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


@pytest.mark.parametrize(
    ("legs", "says"),
    [
        ((), "(billing-desk) is being called for the caller: the call to them is about to be placed."),
        (("human-1",), "(billing-desk) is being called for the caller: their phone is being called."),
        (("human-1", "human-2"), "1 of their phones did not answer, and the next one is being called."),
        (("human-1", "human-2", "human-3"), "2 of their phones did not answer, and the next one is being called."),
    ],
)
def test_an_agent_knows_how_far_the_transfer_is(legs: tuple[str, ...], says: str) -> None:
    """A caller who waits asks."""
    state = SessionState(call=CallId("c"), customer_identity="sip_1")
    assert state.transfer_under_way == ""
    state.transfer = OpenTransfer(transfer_id="t", destination="billing-desk", requested_at=START, legs=legs)
    assert says in state.transfer_under_way
    assert state.situation == f"It is not known who is calling. {state.transfer_under_way}"


def test_an_agent_knows_whether_the_caller_is_identified() -> None:
    state = SessionState(call=CallId("c"), customer_identity="sip_1", customer_id="C-2048")
    assert state.situation == "The caller is an identified customer."
    assert "C-2048" not in state.situation, "the number itself is of no use to the model"
