"""Who is in the room: what the switch told of the customer, who really left, and who only vanished for a moment."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, cast

import pytest
from livekit import api, rtc

from support.waiting import wait_until
from voice_worker.adapters import livekit_room
from voice_worker.adapters.livekit_room import LiveKitLegs
from voice_worker.domain.signals import CustomerGone, HumanGone, RoomGone, Signal
from voice_worker.ports import CustomerLeg

SIP = rtc.ParticipantKind.PARTICIPANT_KIND_SIP
REJOIN_S = 0.05
STANDARD = rtc.ParticipantKind.PARTICIPANT_KIND_STANDARD


@dataclass
class FakeParticipant:
    identity: str
    kind: int = SIP
    attributes: dict[str, str] = field(default_factory=dict)
    disconnect_reason: int | None = None
    track_publications: dict[str, Any] = field(default_factory=dict)


class FakeRoom:
    name = "call-1"

    def __init__(self) -> None:
        self.remote_participants: dict[str, FakeParticipant] = {}
        self.local_participant = FakeParticipant("agent")
        self._listeners: dict[str, Callable[..., None]] = {}

    def on(self, what: str, listener: Callable[..., None]) -> None:
        self._listeners[what] = listener

    def joins(self, participant: FakeParticipant) -> None:
        self.remote_participants[participant.identity] = participant
        self._listeners["participant_connected"](participant)

    def changes(self, participant: FakeParticipant, **attributes: str) -> None:
        participant.attributes.update({name.replace("_", "."): value for name, value in attributes.items()})
        self._listeners["participant_attributes_changed"](attributes, participant)

    def leaves(self, participant: FakeParticipant, reason: int | None) -> None:
        del self.remote_participants[participant.identity]
        participant.disconnect_reason = reason
        self._listeners["participant_disconnected"](participant)

    def loses_the_server(self) -> None:
        """As the client tells of it: first of itself, then of everybody else."""
        self._listeners["reconnecting"]()
        for participant in list(self.remote_participants.values()):
            self.leaves(participant, None)

    def finds_the_server(self) -> None:
        self._listeners["reconnected"]()

    def closes(self, reason: int) -> None:
        self._listeners["disconnected"](reason)


@pytest.fixture
async def room() -> FakeRoom:
    return FakeRoom()


@pytest.fixture
async def signals() -> list[Signal]:
    return []


@pytest.fixture
async def legs(room: FakeRoom, signals: list[Signal]) -> LiveKitLegs:
    made = LiveKitLegs(cast("rtc.Room", room), cast("api.LiveKitAPI", None), rejoin_s=REJOIN_S)
    made.watch(signals.append, lambda _identity, _sid: None)
    return made


async def found(legs: LiveKitLegs) -> CustomerLeg:
    leg = await legs.customer(1)
    assert leg is not None
    return leg


def phone(**attributes: str) -> FakeParticipant:
    return FakeParticipant("sip_1", attributes={name.replace("_", "."): value for name, value in attributes.items()})


async def test_the_customer_is_the_telephone_that_is_no_human_agent(room: FakeRoom, legs: LiveKitLegs) -> None:
    room.joins(FakeParticipant("supervisor", kind=STANDARD))
    room.joins(FakeParticipant("human-1"))
    room.joins(phone())
    assert (await found(legs)).identity == "sip_1"


async def test_a_job_without_a_caller_gives_up(legs: LiveKitLegs) -> None:
    assert await legs.customer(0.02) is None


@pytest.mark.parametrize(
    ("attributes", "number", "dialled"),
    [
        ({"call.ani": "+491", "sip.phoneNumber": "+492", "call.dnis": "8001"}, "+491", "8001"),
        ({"sip.phoneNumber": "+492", "sip.trunkPhoneNumber": "+4980"}, "+492", "+4980"),
        ({"sip.phoneNumber": "+492", "sip.trunkPhoneNumber": "call-1"}, "+492", None),
        ({}, None, None),
    ],
)
async def test_numbers_come_from_the_best_source_there_is(
    room: FakeRoom, legs: LiveKitLegs, attributes: dict[str, str], number: str | None, dialled: str | None
) -> None:
    room.joins(FakeParticipant("sip_1", attributes=attributes))
    leg = await found(legs)
    assert (leg.number, leg.dialled_number) == (number, dialled)


async def test_a_call_without_a_dispatch_rule_was_dialled_by_us(room: FakeRoom, legs: LiveKitLegs) -> None:
    room.joins(FakeParticipant("sip_1", attributes={"sip.callID": "SCL_1"}))
    assert (await found(legs)).direction == "outbound"


async def test_a_ringing_phone_is_waited_for(room: FakeRoom, legs: LiveKitLegs) -> None:
    caller = FakeParticipant("sip_1", attributes={"sip.callStatus": "ringing"})
    room.joins(caller)
    leg = await found(legs)
    assert not await legs.answered(leg, 0.02)
    room.changes(caller, sip_callStatus="active")
    assert await legs.answered(leg, 1)


async def test_a_phone_that_hangs_up_while_ringing_is_not_waited_for(room: FakeRoom, legs: LiveKitLegs) -> None:
    caller = FakeParticipant("sip_1", attributes={"sip.callStatus": "ringing"})
    room.joins(caller)
    leg = await found(legs)
    room.leaves(caller, rtc.DisconnectReason.CLIENT_INITIATED)
    assert not await legs.answered(leg, 30)


async def test_a_caller_who_hangs_up_is_gone_at_once(room: FakeRoom, legs: LiveKitLegs, signals: list[Signal]) -> None:
    caller = phone()
    room.joins(caller)
    await found(legs)
    room.leaves(caller, rtc.DisconnectReason.CLIENT_INITIATED)
    assert [(type(one), getattr(one, "reason", "")) for one in signals] == [(CustomerGone, "CLIENT_INITIATED")]


async def test_a_caller_who_vanishes_may_come_back(room: FakeRoom, legs: LiveKitLegs, signals: list[Signal]) -> None:
    """After a restart of livekit-server legs rejoin by themselves, and their status is ``ringing`` again: it lies."""
    caller = FakeParticipant("sip_1", attributes={"sip.callStatus": "active"})
    room.joins(caller)
    leg = await found(legs)
    room.leaves(caller, None)
    assert await legs.joined("sip_1", 0)
    room.joins(FakeParticipant("sip_1", attributes={"sip.callStatus": "ringing"}))
    human = FakeParticipant("human-7")
    room.joins(human)
    room.leaves(human, None)
    await wait_until(lambda: signals)
    assert [type(one) for one in signals] == [HumanGone], "the caller, who vanished earlier, would have been first"
    assert await legs.answered(leg, 1)


async def test_a_caller_who_does_not_come_back_is_gone(
    room: FakeRoom, legs: LiveKitLegs, signals: list[Signal]
) -> None:
    caller = phone()
    room.joins(caller)
    await found(legs)
    before = datetime.now(UTC)
    room.leaves(caller, None)
    vanished = datetime.now(UTC)
    await wait_until(lambda: signals)
    assert isinstance(signals[0], CustomerGone)
    assert signals[0].reason == "VANISHED"
    assert before <= signals[0].at <= vanished, "when it was last seen, not when it was given up"


async def test_nobody_is_given_up_while_we_are_out_of_the_room_ourselves(
    room: FakeRoom, legs: LiveKitLegs, signals: list[Signal]
) -> None:
    """Whoever is away sees nobody come back: a caller who was there all the time would be hung up."""
    room.joins(phone())
    room.joins(FakeParticipant("human-7"))
    await found(legs)
    room.loses_the_server()
    await asyncio.sleep(3 * REJOIN_S)
    assert signals == []
    assert await legs.joined("sip_1", 0)
    room.finds_the_server()
    room.joins(phone())
    await wait_until(lambda: signals)
    assert [type(one) for one in signals] == [HumanGone], "the time of the one who stays away begins with our return"


async def test_time_that_ran_when_we_lost_the_server_begins_again(
    room: FakeRoom, legs: LiveKitLegs, signals: list[Signal]
) -> None:
    caller = phone()
    room.joins(caller)
    await found(legs)
    room.leaves(caller, None)
    room.loses_the_server()
    await asyncio.sleep(3 * REJOIN_S)
    room.finds_the_server()
    assert signals == []
    await wait_until(lambda: signals)
    assert isinstance(signals[0], CustomerGone)


async def test_a_room_that_we_do_not_find_again_is_gone(
    room: FakeRoom, legs: LiveKitLegs, signals: list[Signal], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(livekit_room, "AWAY_SECONDS", 0.05)
    room.joins(phone())
    await found(legs)
    room.loses_the_server()
    await wait_until(lambda: signals)
    assert isinstance(signals[0], RoomGone)
    assert signals[0].reason == "UNREACHABLE"


async def test_a_server_that_the_client_has_given_up_is_told_as_unreachable(
    room: FakeRoom, legs: LiveKitLegs, signals: list[Signal]
) -> None:
    room.joins(phone())
    await found(legs)
    room.loses_the_server()
    room.closes(rtc.DisconnectReason.UNKNOWN_REASON)
    assert [getattr(one, "reason", "") for one in signals] == ["UNREACHABLE"]


async def test_the_customer_of_the_call_is_not_mistaken_for_a_human(
    room: FakeRoom, legs: LiveKitLegs, signals: list[Signal]
) -> None:
    human = FakeParticipant("human-7")
    room.joins(phone())
    room.joins(human)
    await found(legs)
    room.leaves(human, rtc.DisconnectReason.USER_REJECTED)
    assert isinstance(signals[0], HumanGone)
    assert (signals[0].identity, signals[0].reason) == ("human-7", "USER_REJECTED")


async def test_a_human_whom_the_log_knows_first_is_waited_for(room: FakeRoom, legs: LiveKitLegs) -> None:
    assert not await legs.joined("human-7", 0.02)
    async with asyncio.TaskGroup() as group:
        coming = group.create_task(legs.joined("human-7", 2))
        await asyncio.sleep(0)
        room.joins(FakeParticipant("human-7"))
    assert coming.result()


async def test_a_human_is_not_missed_while_we_are_out_of_the_room_ourselves(room: FakeRoom, legs: LiveKitLegs) -> None:
    """They pick up while livekit-server restarts: taken for absent, the AI would talk over two people."""
    room.loses_the_server()
    async with asyncio.TaskGroup() as group:
        coming = group.create_task(legs.joined("human-7", 0.05))
        await asyncio.sleep(0.15)
        assert not coming.done()
        room.finds_the_server()
        room.joins(FakeParticipant("human-7"))
    assert coming.result()


async def test_a_human_who_has_left_already_is_not_waited_for(room: FakeRoom, legs: LiveKitLegs) -> None:
    human = FakeParticipant("human-7")
    room.joins(human)
    room.leaves(human, rtc.DisconnectReason.CLIENT_INITIATED)
    assert not await legs.joined("human-7", 30)


async def test_a_room_that_is_closed_is_told(room: FakeRoom, legs: LiveKitLegs, signals: list[Signal]) -> None:
    assert legs.identity == "agent"
    room.closes(rtc.DisconnectReason.ROOM_DELETED)
    assert isinstance(signals[0], RoomGone)
    assert signals[0].reason == "ROOM_DELETED"
