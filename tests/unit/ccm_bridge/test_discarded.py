"""A person has let the bridge pass over a place that it could not get past: the conversation goes on without it."""

import pytest

from call_events.admin import DISCARDED
from call_events.ports import Receipt
from call_events.testing import said, speaking, started
from unit.ccm_bridge.world import CALL, World, call_ended, connected, discarded, ended_speaking, requested


def _pass_over(world: World) -> None:
    """What discard.lua leaves: the cursor behind the event, and a receipt."""
    world.cursor += 1
    world.receipts.append(Receipt(world.cursor, DISCARDED, {"who": "anna", "reason": "a test", "what": "one"}))


@pytest.mark.parametrize("remembers", [True, False])
def test_what_was_said_at_a_place_that_was_passed_over_is_not_sent_and_the_rest_is(*, remembers: bool) -> None:
    world = World()
    world.append(started(CALL), speaking(CALL, "u1", at_s=1), ended_speaking("u1", 2))
    assert world.cursor == 1, "it waits for the text"
    _pass_over(world)
    if not remembers:
        world.restart()
    world.append(said(CALL, "u1", "One.", at_s=1), speaking(CALL, "u2", at_s=3), said(CALL, "u2", "Two.", at_s=3))
    world.append(call_ended(10))
    assert world.ccm.texts == ["Call started", "Two.", "Call ended"]
    assert world.cursor == len(world.events)


def test_no_note_is_sent_about_a_text_whose_place_was_passed_over() -> None:
    world = World()
    world.append(started(CALL), speaking(CALL, "u1", at_s=1))
    _pass_over(world)
    world.append(discarded("u1", 9), call_ended(10))
    assert world.ccm.texts == ["Call started", "Call ended"]


def test_a_transfer_holds_the_conversation_also_when_its_own_note_was_passed_over() -> None:
    world = World()
    world.append(started(CALL), requested(2))
    _pass_over(world)
    world.append(speaking(CALL, "u1", at_s=3), said(CALL, "u1", "One.", at_s=3))
    assert world.ccm.texts == ["Call started"]
    world.append(connected(9))
    assert world.ccm.texts == ["Call started", "One.", "Maria Weber is now on the line"]
