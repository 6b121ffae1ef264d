"""From a transfer's request its call's messages are held until the outcome is known."""

import pytest

from call_events.ports import AnyEvent
from call_events.testing import said, speaking, started
from unit.ccm_bridge.world import (
    CALL,
    MARIA,
    World,
    call_ended,
    cancelled,
    connected,
    dialing,
    failed,
    requested,
)


def asked_for_a_person(world: World) -> None:
    world.append(
        started(CALL),
        speaking(CALL, "c1", at_s=1),
        said(CALL, "c1", "A person, please", at_s=1),
        requested(3),
        dialing(3.1),
        speaking(CALL, "c2", at_s=4),
        said(CALL, "c2", "Hello?", at_s=4),
    )


def test_nothing_is_sent_from_the_request_on_but_everything_before_it() -> None:
    world = World()
    asked_for_a_person(world)
    assert world.ccm.texts == ["Call started", "A person, please"]
    assert world.cursor == 3


@pytest.mark.parametrize("outcome", [connected(9), failed(9), cancelled(9)], ids=["connected", "failed", "cancelled"])
def test_the_outcome_lets_everything_go_in_order(outcome: AnyEvent) -> None:
    world = World()
    asked_for_a_person(world)
    world.append(outcome)
    assert [message.seq for message in world.ccm.shown] == [1, 2, 4, 5, 6, 8]
    assert world.meter.counts["held"] == 3


def test_after_connected_messages_flow_at_once() -> None:
    world = World()
    asked_for_a_person(world)
    world.append(
        connected(9), speaking(CALL, "h", speaker=MARIA, at_s=10), said(CALL, "h", "Weber", speaker=MARIA, at_s=10)
    )
    assert world.ccm.texts[-2:] == ["Maria Weber is now on the line", "Weber"]


def test_a_transfer_without_outcome_holds_two_minutes_and_is_alarmed_once() -> None:
    world = World()
    asked_for_a_person(world)
    world.ccm.script = [503]
    world.until(world.events[3].time)
    world.later(117)
    assert len(world.ccm.shown) == 2
    assert "hold_timed_out" not in world.meter.counts
    world.later(30)
    assert [message.seq for message in world.ccm.shown] == [1, 2, 4, 5, 6]
    assert world.meter.counts["hold_timed_out"] == 1


def test_an_outcome_after_the_hold_timed_out_is_just_another_note() -> None:
    world = World()
    asked_for_a_person(world)
    world.later(200)
    world.append(connected(300))
    assert world.ccm.texts[-1] == "Maria Weber is now on the line"


def test_the_end_of_the_log_ends_the_hold() -> None:
    world = World()
    asked_for_a_person(world)
    world.append(call_ended(9))
    assert [message.seq for message in world.ccm.shown] == [1, 2, 4, 5, 6, 8]


def test_a_second_transfer_holds_again() -> None:
    world = World()
    asked_for_a_person(world)
    world.append(failed(9), requested(12, "t2"), dialing(12.5, "t2"))
    assert world.ccm.shown[-1].event == "transfer.failed"
    world.append(connected(20, "t2"))
    assert [message.event for message in world.ccm.shown[-3:]] == [
        "transfer.requested",
        "transfer.dialing",
        "transfer.connected",
    ]
