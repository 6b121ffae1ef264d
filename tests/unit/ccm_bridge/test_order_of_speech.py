"""Utterances go out in the order in which they began; a text that is not there is waited for, bounded."""

from datetime import timedelta

from call_events.catalogue import DiscardReason
from call_events.testing import said, speaking, started
from ccm_bridge.domain.conversation import Conversation
from ccm_bridge.domain.identity import Sources
from unit.ccm_bridge.world import (
    BILLING,
    CALL,
    CUSTOMER,
    World,
    call_ended,
    discarded,
    ended_speaking,
)


def two_overlapping(world: World) -> None:
    """The AI began first; the customer's text is there first."""
    world.append(
        started(CALL),
        speaking(CALL, "a", speaker=BILLING, at_s=1),
        speaking(CALL, "c", speaker=CUSTOMER, at_s=2),
        said(CALL, "c", "No, wait", speaker=CUSTOMER, at_s=2),
    )


def test_a_text_that_comes_first_waits_for_the_speech_that_began_first() -> None:
    world = World()
    two_overlapping(world)
    assert world.ccm.texts == ["Call started"]
    world.append(said(CALL, "a", "Your invoice", speaker=BILLING, at_s=1, lasts_s=3))
    assert world.ccm.texts == ["Call started", "Your invoice", "No, wait"]
    assert not any(message.late for message in world.ccm.shown)


def test_the_wait_ends_five_seconds_after_the_speech_and_the_text_comes_late_and_marked() -> None:
    world = World()
    two_overlapping(world)
    world.append(ended_speaking("a", 4))
    world.later(4.9)
    assert world.ccm.texts == ["Call started"]
    world.later(0.2)
    assert world.ccm.texts == ["Call started", "No, wait"]
    assert (world.receipts[-2].seq, world.receipts[-2].outcome) == (2, "passed_over")
    world.append(said(CALL, "a", "Your invoice", speaker=BILLING, at_s=1, lasts_s=20))
    assert world.ccm.texts == ["Call started", "No, wait", "Your invoice"]
    late = world.ccm.shown[-1]
    assert late.late
    assert late.seq == 2, "it still tells its true place"
    assert (world.receipts[-1].seq, world.receipts[-1].outcome) == (2, "delivered")


def test_a_speech_without_an_end_is_waited_for_two_minutes() -> None:
    world = World()
    two_overlapping(world)
    world.until(world.events[1].time + timedelta(seconds=119.9))
    assert world.ccm.texts == ["Call started"]
    world.later(0.2)
    assert world.ccm.texts == ["Call started", "No, wait"]


def test_noise_gives_no_message_but_a_receipt() -> None:
    world = World()
    world.append(
        started(CALL),
        speaking(CALL, "n", at_s=1),
        discarded("n", 2, DiscardReason.NOISE),
        speaking(CALL, "c", at_s=3),
        said(CALL, "c", "Hello", at_s=3),
    )
    assert world.ccm.texts == ["Call started", "Hello"]
    receipt = world.receipts[1]
    assert (receipt.seq, receipt.outcome, receipt.detail) == (2, "passed_over", {"reason": "noise"})


def test_a_failed_transcript_gives_a_note_in_nobodys_mouth() -> None:
    world = World()
    world.append(started(CALL), speaking(CALL, "c", at_s=1), discarded("c", 2))
    note = world.ccm.shown[-1]
    assert note.text == "[Customer spoke at 09:00:01 UTC; there is no transcript]"
    assert note.sender.name == "System"
    assert ("missing", "transcript_failed") in note.facts


def test_the_note_can_be_switched_off_and_the_receipt_stays() -> None:
    conversation = Conversation(Sources.parse("number"), Sources.parse("dialled"), note_missing=False)
    world = World(conversation=conversation)
    world.append(started(CALL), speaking(CALL, "c", at_s=1), discarded("c", 2))
    assert world.ccm.texts == ["Call started"]
    assert world.receipts[-1].detail == {"reason": "transcript_failed"}


def test_a_text_that_never_came_is_noted_when_the_call_ends() -> None:
    world = World()
    two_overlapping(world)
    world.append(call_ended(10))
    assert world.ccm.texts == [
        "Call started",
        "[Billing AI spoke at 09:00:01 UTC; there is no transcript]",
        "No, wait",
        "Call ended",
    ]


def test_a_text_passed_over_that_never_came_is_noted_late_when_the_call_ends() -> None:
    world = World()
    two_overlapping(world)
    world.append(ended_speaking("a", 4), call_ended(30))
    assert world.ccm.texts == [
        "Call started",
        "No, wait",
        "[Billing AI spoke at 09:00:01 UTC; there is no transcript]",
        "Call ended",
    ]
    assert world.ccm.shown[2].late


def test_a_text_found_after_it_was_given_up_is_shown_too() -> None:
    world = World()
    world.append(
        started(CALL), speaking(CALL, "c", at_s=1), discarded("c", 2), said(CALL, "c", "There it is", at_s=1, lasts_s=4)
    )
    assert world.ccm.texts[-1] == "There it is"
    assert world.ccm.shown[-1].late
    assert len({message.id for message in world.ccm.shown}) == 3


def test_repeats_of_an_utterance_are_told_once() -> None:
    world = World()
    world.append(
        started(CALL),
        speaking(CALL, "c", at_s=1),
        speaking(CALL, "c", at_s=1.5),
        said(CALL, "c", "Once", at_s=1),
        said(CALL, "c", "Twice", at_s=1, lasts_s=3),
    )
    assert world.ccm.texts == ["Call started", "Once"]


def test_a_text_without_a_beginning_is_still_told() -> None:
    world = World()
    world.append(started(CALL), said(CALL, "c", "Out of nowhere", at_s=1))
    assert world.ccm.texts == ["Call started", "Out of nowhere"]
