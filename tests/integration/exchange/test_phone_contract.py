"""The suite that every driver of `Phone` passes: what a telephone, the room and the API see of each call."""

import asyncio
import time

import pytest
from livekit import api
from livekit.protocol import room as room_proto
from livekit.protocol import sip as proto

from standins.media.ports import free_port
from standins.phones import CallRefused, Ending, Tone
from standins.phones.sounds import share_of
from standins.phrases import Ear, listen, load_book
from support.room_client import RATE as ROOM_RATE
from support.switchboard import Board
from support.waiting import wait_until

pytestmark = pytest.mark.media

CUSTOMER, HUMAN = "+15550001111", "agent-1"
HEADERS = {"X-Ani": CUSTOMER, "X-Dnis": "8001", "X-Customer-Id": "c-7", "X-Other": "other"}


async def test_a_call_is_answered_once_somebody_publishes_and_both_hear_each_other(board: Board) -> None:
    """The heart of it: the customer hears the agent's tone, the agent's ear understands the customer's phrase."""
    customer = await board.phones.phone(CUSTOMER)
    await customer.call("call-1", headers=HEADERS)
    async with board.client("call-1") as ai:
        identity = f"sip_{CUSTOMER}"
        assert (await ai.meets(identity))["sip.callStatus"] == "ringing"
        assert not customer.in_call

        published_at = time.monotonic()
        await ai.publish()
        assert await customer.wait_answered() >= published_at
        await wait_until(lambda: ai.statuses(identity) == ["ringing", "active"])

        spoke_at = await ai.say(Tone(600, 0.8))
        assert 0 <= await customer.wait_sound(after=spoke_at - 0.05) - spoke_at < 1.0
        assert share_of(customer.recording.heard(spoke_at), 8000, 600) > 0.8

        await customer.say("customer.ask_invoice")
        ear = await asyncio.to_thread(lambda: Ear(load_book()))

        async def understood() -> bool:
            said = await asyncio.to_thread(listen, ear, ai.pcm_of(identity), ROOM_RATE)
            return [one.heard.phrase_id for one in said] == ["customer.ask_invoice"]

        await wait_until(understood, within_s=5, every_s=0.2)

        await customer.hang_up()
        await wait_until(lambda: ai.left(identity) == ("CLIENT_INITIATED", "hangup"))
        assert await customer.wait_hung_up() is Ending.WE_HUNG_UP


async def test_the_caller_carries_the_attributes_of_trunk_rule_and_headers(board: Board) -> None:
    customer = await board.phones.phone(CUSTOMER)
    await customer.call("call-2", headers=HEADERS)
    async with board.client("call-2") as ai:
        attributes = await ai.meets(f"sip_{CUSTOMER}")
        assert ai.room.remote_participants[f"sip_{CUSTOMER}"].name == f"Phone {CUSTOMER}"
    for name in ("sip.callID", "sip.callIDFull", "sip.callTag", "sip.hostname"):
        assert attributes.pop(name), name
    assert attributes == {
        "sip.phoneNumber": CUSTOMER,
        "sip.trunkPhoneNumber": "call-2",
        "sip.trunkID": board.provisioned.inbound_trunk_id,
        "sip.ruleID": board.provisioned.dispatch_rule_id,
        "sip.callStatus": "ringing",
        "call.ani": CUSTOMER,
        "call.dnis": "8001",
        "call.customer": "c-7",
        "sip.h.x-ani": CUSTOMER,
        "sip.h.x-dnis": "8001",
        "sip.h.x-customer-id": "c-7",
        "sip.h.x-other": "other",
    }


async def test_a_call_without_headers_comes_in_all_the_same(board: Board) -> None:
    customer = await board.phones.phone(CUSTOMER)
    await customer.call("call-3")
    async with board.client("call-3") as ai:
        attributes = await ai.meets(f"sip_{CUSTOMER}")
    assert not [name for name in attributes if name.startswith(("call.", "sip.h."))]


async def test_a_caller_whom_nobody_answers_hears_486_after_the_ringing_timeout(board: Board) -> None:
    await board.reprovision(ringing_timeout_s=1)
    customer = await board.phones.phone(CUSTOMER)
    await customer.call("call-4")
    with pytest.raises(CallRefused) as refusal:
        await customer.wait_answered()
    assert refusal.value.status == 486


async def test_a_caller_who_gives_up_while_it_rings_leaves_the_room(board: Board) -> None:
    customer = await board.phones.phone(CUSTOMER)
    await customer.call("call-5")
    async with board.client("call-5") as ai:
        await ai.meets(f"sip_{CUSTOMER}")
        await customer.hang_up()
        await wait_until(lambda: ai.left(f"sip_{CUSTOMER}") == ("CLIENT_INITIATED", "hangup"))


async def test_a_human_answers_and_the_customer_and_the_human_hear_each_other(board: Board) -> None:
    """The API returns after the leg is active; nobody but the two phones takes part in the sound."""
    customer, human = await board.phones.phone(CUSTOMER), await board.phones.phone(HUMAN)
    async with board.client("call-6") as ai:
        await customer.call("call-6")
        await ai.publish()
        await customer.wait_answered()
        human.answer(after_s=0.3)
        info = await board.dial(
            HUMAN, "call-6", "human-1", participant_attributes={"dial_id": "d-1"}, headers={"X-Dial-Id": "d-1"}
        )
        # The leg is active before the API returns, but the two words travel apart: the room's may come second.
        await wait_until(lambda: ai.statuses("human-1")[-1:] == ["active"])
        attributes = ai.attributes("human-1")
        # On a busy machine the observer may hear of the leg only when it already rings.
        assert ai.statuses("human-1") in (["dialing", "ringing", "active"], ["ringing", "active"])
        assert info.sip_call_id == attributes["sip.callID"]
        assert attributes["dial_id"] == "d-1"
        assert attributes["sip.phoneNumber"] == HUMAN
        assert {"sip.callIDFull", "sip.callTag", "sip.trunkPhoneNumber", "sip.hostname"} <= attributes.keys()
        assert "sip.ruleID" not in attributes
        assert human.invited_headers["X-Dial-Id"] == "d-1"
        assert len(human.rang_at) == 1

        began, _ended = await customer.say("customer.ask_invoice")
        await human.wait_phrase("customer.ask_invoice", after=began - 0.2)
        began, _ended = await human.say(Tone(1300, 0.8))
        await customer.wait_sound(after=began - 0.05)
        await wait_until(lambda: share_of(customer.recording.heard(began), 8000, 1300) > 0.8)

        await human.hang_up()
        await wait_until(lambda: ai.left("human-1") == ("CLIENT_INITIATED", "hangup"))
        assert customer.in_call
        assert ai.attributes(f"sip_{CUSTOMER}")["sip.callStatus"] == "active"


#: status, error code, HTTP status, reason for leaving: as executed on livekit-server v1.13.5 with livekit-sip v1.11.0.
MATRIX = [
    (486, "resource_exhausted", 429, "USER_REJECTED"),
    (600, "resource_exhausted", 429, "USER_REJECTED"),
    (480, "resource_exhausted", 429, "USER_UNAVAILABLE"),
    (603, "permission_denied", 403, "USER_REJECTED"),
    (403, "permission_denied", 403, "USER_REJECTED"),
    (404, "not_found", 404, "USER_UNAVAILABLE"),
    (410, "not_found", 404, "USER_REJECTED"),
    (408, "deadline_exceeded", 408, "USER_UNAVAILABLE"),
    (488, "invalid_argument", 400, "USER_REJECTED"),
    (302, "not_found", 404, "CLIENT_INITIATED"),
    (500, "failed_precondition", 412, "CLIENT_INITIATED"),
    (503, "failed_precondition", 412, "CLIENT_INITIATED"),
]


async def test_each_refusal_has_its_error_and_its_reason_for_leaving(board: Board) -> None:
    human = await board.phones.phone(HUMAN)
    async with board.client("call-7") as ai:
        for status, code, http_status, reason in MATRIX:
            human.refuse(status, after_s=0.1)
            with pytest.raises(api.SipCallError) as refusal:
                await board.dial(HUMAN, "call-7", f"human-{status}")
            error = refusal.value
            assert (error.code, error.status, error.sip_status_code) == (code, http_status, status)
            assert error.sip_status
            assert error.message.startswith("twirp error unknown: ")
            assert error.message.endswith(f": sip status: {status}: {error.sip_status}")
            assert error.metadata["error_details"]
            await wait_until(lambda i=f"human-{status}": ai.left(i))
            assert (status, ai.left(f"human-{status}")) == (status, (reason, "ringing"))
            await human.wait_ringing_stopped()
        assert len(human.rang_at) == len(MATRIX)


async def test_an_unauthorised_refusal_carries_no_sip_status(board: Board) -> None:
    human = await board.phones.phone(HUMAN)
    human.refuse(401, after_s=0.1)
    async with board.client("call-8") as ai:
        with pytest.raises(api.ServerError) as refusal:
            await board.dial(HUMAN, "call-8", "human-1")
        assert (refusal.value.code, refusal.value.status) == ("failed_precondition", 412)
        assert not isinstance(refusal.value, api.SipCallError)
        await wait_until(lambda: (ai.left("human-1") or ("",))[0] == "USER_REJECTED")


async def test_a_phone_that_nobody_picks_up_ends_the_dial_as_cancelled(board: Board) -> None:
    human = await board.phones.phone(HUMAN)
    human.ring_out()
    async with board.client("call-9") as ai:
        with pytest.raises(api.ServerError) as refusal:
            await board.dial(HUMAN, "call-9", "human-1", ringing_s=1)
        _is_cancelled(refusal.value)
        await wait_until(lambda: ai.left("human-1") == ("USER_UNAVAILABLE", "ringing"))
        await human.wait_ringing_stopped()


async def test_a_phone_that_vanished_never_rings(board: Board) -> None:
    """Only the last status tells a black hole from a phone that nobody picked up."""
    human = await board.phones.phone(HUMAN)
    human.vanish()
    async with board.client("call-10") as ai:
        with pytest.raises(api.ServerError) as refusal:
            await board.dial(HUMAN, "call-10", "human-1", ringing_s=1)
        _is_cancelled(refusal.value)
        await wait_until(lambda: ai.left("human-1") == ("USER_UNAVAILABLE", "dialing"))
        assert human.rang_at == ()


@pytest.mark.parametrize(("means", "reason"), [("remove", "PARTICIPANT_REMOVED"), ("delete room", "ROOM_DELETED")])
async def test_removing_the_leg_stops_the_ringing_and_ends_the_dial(board: Board, means: str, reason: str) -> None:
    human = await board.phones.phone(HUMAN)
    human.ring_out()
    async with board.client("call-11") as ai, asyncio.TaskGroup() as group:
        dial = group.create_task(_outcome(board.dial(HUMAN, "call-11", "human-1", ringing_s=30)))
        await human.wait_ringing()
        await wait_until(lambda: ai.statuses("human-1")[-1:] == ["ringing"])
        if means == "remove":
            remove = room_proto.RoomParticipantIdentity(room="call-11", identity="human-1")
            await board.livekit.room.remove_participant(remove)
            await wait_until(lambda: ai.left("human-1") == (reason, "ringing"))
        else:
            await board.livekit.room.delete_room(room_proto.DeleteRoomRequest(room="call-11"))
        await human.wait_ringing_stopped(timeout_s=3)
        async with asyncio.timeout(3):
            _is_cancelled(await dial)


async def test_a_trunk_at_whose_address_nobody_listens_fails_at_once_without_a_sip_status(board: Board) -> None:
    trunk = proto.SIPOutboundTrunkInfo(
        name="closed", address=f"127.0.0.1:{free_port()}", transport=proto.SIP_TRANSPORT_TCP, numbers=["+15559990000"]
    )
    created = await board.livekit.sip.create_outbound_trunk(proto.CreateSIPOutboundTrunkRequest(trunk=trunk))
    request = proto.CreateSIPParticipantRequest(
        sip_trunk_id=created.sip_trunk_id,
        sip_call_to=HUMAN,
        room_name="call-14",
        participant_identity="human-1",
        wait_until_answered=True,
    )
    async with board.client("call-14") as ai:
        began = time.monotonic()
        with pytest.raises(api.ServerError) as refusal:
            await board.livekit.sip.create_sip_participant(request)
        assert time.monotonic() - began < 2
        assert (refusal.value.code, refusal.value.status) == ("failed_precondition", 412)
        assert not isinstance(refusal.value, api.SipCallError)
        assert "connection refused" in refusal.value.message
        await wait_until(lambda: ai.left("human-1") == ("CLIENT_INITIATED", "dialing"), within_s=10)


async def test_an_unknown_trunk_is_a_configuration_fault_and_nobody_joins(board: Board) -> None:
    request = proto.CreateSIPParticipantRequest(
        sip_trunk_id="ST_nothing", sip_call_to=HUMAN, room_name="call-12", participant_identity="human-1"
    )
    async with board.client("call-12") as ai:
        with pytest.raises(api.ServerError) as refusal:
            await board.livekit.sip.create_sip_participant(request)
        assert (refusal.value.code, refusal.value.status) == ("not_found", 404)
        assert not isinstance(refusal.value, api.SipCallError)
        assert ai.seen == []


async def test_a_dial_that_does_not_wait_shows_a_refusal_only_in_the_room(board: Board) -> None:
    human = await board.phones.phone(HUMAN)
    human.busy(after_s=0.2)
    async with board.client("call-13") as ai:
        info = await board.dial(HUMAN, "call-13", "human-1", wait=False)
        assert info.participant_identity == "human-1"
        await wait_until(lambda: ai.left("human-1") == ("USER_REJECTED", "ringing"))


async def test_the_same_identity_twice_drops_the_first_leg(board: Board) -> None:
    first, second = await board.phones.phone("agent-1"), await board.phones.phone("agent-2")
    first.answer()
    second.answer()
    async with board.client("call-14"):
        await board.dial("agent-1", "call-14", "human-1")
        await board.dial("agent-2", "call-14", "human-1")
        assert await first.wait_hung_up() is Ending.THEY_HUNG_UP
        await second.wait_answered()  # the dial returns with the phone's 200, which may be before the phone has its ACK
        assert second.in_call


async def test_dialling_into_a_room_that_is_gone_makes_a_new_one(board: Board) -> None:
    human = await board.phones.phone(HUMAN)
    human.answer()
    await board.dial(HUMAN, "call-15", "human-1")
    rooms = await board.livekit.room.list_rooms(room_proto.ListRoomsRequest(names=["call-15"]))
    assert [one.name for one in rooms.rooms] == ["call-15"]
    await board.livekit.room.delete_room(room_proto.DeleteRoomRequest(room="call-15"))
    assert await human.wait_hung_up() is Ending.THEY_HUNG_UP


async def test_a_transfer_that_the_phone_accepts_ends_the_call(board: Board) -> None:
    customer = await board.phones.phone(CUSTOMER)
    async with board.client("call-16") as ai:
        await customer.call("call-16")
        await ai.publish()
        await customer.wait_answered()
        await wait_until(lambda: ai.statuses(f"sip_{CUSTOMER}")[-1:] == ["active"])
        queue = await board.phones.phone("queue")
        queue.answer()
        await _transfer(board, "call-16")
        assert customer.referred_to == f"<{board.transfer_target}>"
        assert await customer.wait_hung_up() is Ending.THEY_HUNG_UP
        await wait_until(lambda: ai.left(f"sip_{CUSTOMER}") == ("CLIENT_INITIATED", "hangup"))


@pytest.mark.parametrize(("status", "code"), [(603, "permission_denied"), (405, "invalid_argument")])
async def test_a_refused_transfer_leaves_the_call_as_it_was(board: Board, status: int, code: str) -> None:
    customer = await board.phones.phone(CUSTOMER)
    customer.refuse_transfer(status)
    async with board.client("call-17") as ai:
        await customer.call("call-17")
        await ai.publish()
        await customer.wait_answered()
        await wait_until(lambda: ai.statuses(f"sip_{CUSTOMER}")[-1:] == ["active"])
        with pytest.raises(api.SipCallError) as refusal:
            await _transfer(board, "call-17")
        assert (refusal.value.code, refusal.value.sip_status_code) == (code, status)
        assert customer.in_call


async def test_a_phone_on_hold_is_dropped_after_the_media_timeout(board: Board) -> None:
    await board.reprovision(media_timeout_s=1)
    customer = await board.phones.phone(CUSTOMER)
    async with board.client("call-18") as ai:
        await customer.call("call-18")
        await ai.publish()
        await customer.wait_answered()
        await wait_until(lambda: ai.statuses(f"sip_{CUSTOMER}")[-1:] == ["active"])
        held_at = time.monotonic()
        customer.hold()
        assert await customer.wait_hung_up() is not Ending.WE_HUNG_UP
        assert time.monotonic() - held_at >= 0.9
        await wait_until(lambda: (ai.left(f"sip_{CUSTOMER}") or ("",))[0] == "CLIENT_INITIATED")


async def test_digits_pressed_on_one_phone_reach_the_other(board: Board) -> None:
    customer, human = await board.phones.phone(CUSTOMER), await board.phones.phone(HUMAN)
    human.answer()
    async with board.client("call-19") as ai:
        await customer.call("call-19")
        await ai.publish()
        await customer.wait_answered()
        await board.dial(HUMAN, "call-19", "human-1")
        await customer.press("42#")
        await wait_until(lambda: human.digits == "42#")


def _is_cancelled(error: object) -> None:
    assert isinstance(error, api.ServerError)
    assert not isinstance(error, api.SipCallError)
    assert (error.code, error.status) == ("canceled", 408)
    assert error.message == "twirp error unknown: sip request timed out"


async def _outcome(dial: "asyncio.Future[object] | object") -> object:
    try:
        return await dial  # type: ignore[misc]
    except api.ServerError as error:
        return error


async def _transfer(board: Board, room_name: str) -> None:
    request = proto.TransferSIPParticipantRequest(
        participant_identity=f"sip_{CUSTOMER}", room_name=room_name, transfer_to=board.transfer_target
    )
    request.ringing_timeout.seconds = 10
    await board.livekit.sip.transfer_sip_participant(request)
