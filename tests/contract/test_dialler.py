"""What every dialler does: the fake of the unit tests, and LiveKit behind the exchange on a real livekit-server."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import pytest_asyncio

from integration.orchestrator.site import CUSTOMER, site
from support.waiting import wait_until
from transfer_orchestrator.adapters.livekit_sip import livekit_sip
from transfer_orchestrator.domain.dialling import DialOrder
from transfer_orchestrator.domain.outcome import LegStatus
from transfer_orchestrator.errors import DialRefused
from transfer_orchestrator.ports import Dialler
from unit.transfer_orchestrator.fake_dialler import FakeDialler

ROOM = "call-contract"
NUMBER = "7001"


class Ground:
    """A dialler, one phone, and a customer in the room, whatever they are made of."""

    def __init__(
        self,
        dialler: Dialler,
        *,
        answer: Callable[[], None],
        refuse: Callable[[int], None],
        vanish: Callable[[], None],
        rings: Callable[[], Awaitable[int]],
        customer: str,
    ) -> None:
        self.dialler = dialler
        self.answer = answer
        self.refuse = refuse
        self.vanish = vanish
        #: How often the phone has rung.
        self.rings = rings
        self.customer = customer

    async def status(self, identity: str = "human-d1") -> LegStatus | None:
        leg = (await self.dialler.legs(ROOM)).get(identity)
        return None if leg is None else leg.status

    async def until(self, status: LegStatus | None) -> None:
        async def so() -> bool:
            return await self.status() is status

        await wait_until(so, within_s=5, what=f"the leg is {status}", every_s=0.02)


@asynccontextmanager
async def on_fake() -> AsyncIterator[Ground]:
    dialler = FakeDialler()
    dialler.customer_joins(ROOM, "sip_100")
    phone = dialler.phone(NUMBER)

    async def rings() -> int:
        return phone.times_rung

    yield Ground(
        dialler, answer=phone.answer, refuse=phone.refuse, vanish=phone.vanish, rings=rings, customer="sip_100"
    )


@asynccontextmanager
async def on_livekit(directory: Path) -> AsyncIterator[Ground]:
    async with (
        site(directory) as here,
        livekit_sip(
            here.exchange.url, here.media.api_key, here.media.api_secret, trunk_name="callweave-outbound"
        ) as dialler,
    ):
        phone = await here.phone(NUMBER)
        await (await here.phone(CUSTOMER)).call(ROOM)

        async def rings() -> int:
            return len(phone.rang_at)

        yield Ground(
            dialler,
            answer=phone.answer,
            refuse=lambda status: phone.refuse(status, 0.1),
            vanish=phone.vanish,
            rings=rings,
            customer=f"sip_{CUSTOMER}",
        )


@pytest_asyncio.fixture(params=["fake", pytest.param("livekit", marks=pytest.mark.media)])
async def ground(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Ground]:
    async with on_fake() if request.param == "fake" else on_livekit(tmp_path) as built:
        yield built


def order(*, number: str = NUMBER, ring_seconds: int = 10, dial_id: str = "d1") -> DialOrder:
    return DialOrder(
        room=ROOM,
        identity=f"human-{dial_id}",
        dial_id=dial_id,
        transfer_id="t1",
        number=number,
        display_name="Maria Weber",
        ring_seconds=ring_seconds,
        headers={"X-Dial-Id": dial_id},
    )


async def test_an_answered_dial_gives_the_call_id_that_the_active_leg_shows(ground: Ground) -> None:
    async with asyncio.TaskGroup() as tasks:
        dial = tasks.create_task(ground.dialler.dial(order()))
        await ground.until(LegStatus.RINGING)
        assert not dial.done()
        ground.answer()
    legs = await ground.dialler.legs(ROOM)
    assert set(legs) == {ground.customer, "human-d1"}
    assert legs["human-d1"].status is LegStatus.ACTIVE
    assert legs["human-d1"].sip_call_id == dial.result() is not None


@pytest.mark.parametrize(("status", "code"), [(486, "resource_exhausted"), (603, "permission_denied")])
async def test_a_refused_dial_tells_status_and_code_and_leaves_no_leg(ground: Ground, status: int, code: str) -> None:
    ground.refuse(status)
    with pytest.raises(DialRefused) as refused:
        await ground.dialler.dial(order())
    assert (refused.value.sip_status, refused.value.code) == (status, code)
    await ground.until(None)


async def test_a_number_that_nobody_has_is_refused_with_404(ground: Ground) -> None:
    with pytest.raises(DialRefused) as refused:
        await ground.dialler.dial(order(number="7999"))
    assert (refused.value.sip_status, refused.value.code) == (404, "not_found")


@pytest.mark.parametrize("rings", [True, False])
async def test_a_dial_without_answer_is_canceled_without_a_status(ground: Ground, rings: bool) -> None:
    if not rings:
        ground.vanish()
    began = time.monotonic()
    seen: set[LegStatus | None] = set()
    async with asyncio.TaskGroup() as tasks:
        dial = tasks.create_task(_refusal(ground.dialler, order(ring_seconds=1)))

        async def over() -> bool:
            seen.add(await ground.status())
            return dial.done()

        await wait_until(over, within_s=5, every_s=0.02)
    refused = dial.result()
    assert (refused.code, refused.sip_status) == ("canceled", None)
    assert 0.9 < time.monotonic() - began < 3
    assert (LegStatus.RINGING in seen) is rings
    assert await ground.rings() == int(rings)


async def test_removing_a_ringing_leg_stops_the_phone_and_the_dial(ground: Ground) -> None:
    async with asyncio.TaskGroup() as tasks:
        dial = tasks.create_task(_refusal(ground.dialler, order()))
        await ground.until(LegStatus.RINGING)
        removed = time.monotonic()
        await ground.dialler.remove(ROOM, "human-d1")
    assert dial.result().code == "canceled"
    assert time.monotonic() - removed < 2
    await ground.until(None)


async def test_removing_an_answered_leg_puts_it_out_of_the_room(ground: Ground) -> None:
    ground.answer()
    await ground.dialler.dial(order())
    await ground.dialler.remove(ROOM, "human-d1")
    await ground.until(None)


async def test_removing_a_leg_that_is_not_there_is_fine(ground: Ground) -> None:
    await ground.dialler.remove(ROOM, "human-nobody")


async def test_a_room_that_does_not_exist_has_no_legs(ground: Ground) -> None:
    assert await ground.dialler.legs("call-that-never-was") == {}
    await ground.dialler.remove("call-that-never-was", "human-nobody")


async def test_a_dial_goes_on_when_the_one_who_asked_is_gone(ground: Ground) -> None:
    dial = asyncio.create_task(ground.dialler.dial(order()))  # noqa: TID251 - cancelled right here
    await ground.until(LegStatus.RINGING)
    dial.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await dial
    # Another dial from its beginning to its end: by then the first one's cancelling would have come through.
    await _refusal(ground.dialler, order(number="7999", dial_id="d2"))
    assert await ground.status() is LegStatus.RINGING
    ground.answer()
    await ground.until(LegStatus.ACTIVE)
    assert await ground.rings() == 1


async def _refusal(dialler: Dialler, dial: DialOrder) -> DialRefused:
    with pytest.raises(DialRefused) as refused:
        await dialler.dial(dial)
    return refused.value
