"""How a phone of the exchange behaves when it is called, without any media behind it."""

import asyncio

from standins.exchange import Ending, Exchange, Final, Invitation
from standins.phones import Telephone
from support.waiting import wait_until


class _Line:
    async def hang_up(self) -> None:
        """Not needed here."""

    def hold(self) -> None:
        """Not needed here."""

    def resume(self) -> None:
        """Not needed here."""

    async def press(self, digits: str) -> None:
        """Not needed here."""


def _phone() -> Telephone:
    exchange = Exchange("ws://127.0.0.1:9", "key", "secret-of-at-least-thirty-two-characters")
    return Telephone(exchange, "agent-1", username="", password="")


def _invitation(rings: list[str]) -> Invitation:
    async def ring() -> None:
        rings.append("180")

    return Invitation(call_id="c", from_number="1", to="agent-1", headers={"X-Dial-Id": "d"}, ring=ring)


async def test_a_phone_rings_before_it_is_picked_up() -> None:
    phone, rings = _phone(), list[str]()
    phone.answer()
    assert await phone.invited(_invitation(rings)) == Final(200)
    assert rings == ["180"]
    assert phone.invited_headers == {"X-Dial-Id": "d"}
    assert not phone.ringing


async def test_its_owner_may_decide_while_it_rings() -> None:
    phone = _phone()
    async with asyncio.timeout(5), asyncio.TaskGroup() as group:
        call = group.create_task(phone.invited(_invitation([])))
        await phone.wait_ringing()
        phone.decline(after_s=0)
    assert call.result() == Final(603)


async def test_giving_up_stops_the_ringing() -> None:
    phone = _phone()
    async with asyncio.timeout(5), asyncio.TaskGroup() as group:
        call = group.create_task(phone.invited(_invitation([])))
        await phone.wait_ringing()
        call.cancel()
        await phone.wait_ringing_stopped()
    assert len(phone.rang_at) == 1


async def test_a_vanished_phone_does_not_even_ring() -> None:
    phone, rings = _phone(), list[str]()
    phone.vanish()
    async with asyncio.timeout(5), asyncio.TaskGroup() as group:
        call = group.create_task(phone.invited(_invitation(rings)))
        await asyncio.sleep(0)
        phone.refuse(486, after_s=0)  # only to end the test: it shows that the phone was listening all the time
        await wait_until(call.done)
    assert len(rings) == 1
    assert phone.rang_at


async def test_a_phone_in_a_call_is_busy_and_free_again_afterwards() -> None:
    phone = _phone()
    phone.answer()
    phone.on_answered(_Line())
    assert await phone.invited(_invitation([])) == Final(486, "Busy Here")
    phone.on_ended(Ending.THEY_HUNG_UP, None)
    assert await phone.invited(_invitation([])) == Final(200)
