"""Transfers on the real livekit-server: what the phones, the room and the log see."""

import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from call_events.catalogue import (
    DialOutcome,
    TransferAttemptFailed,
    TransferCancelled,
    TransferConnected,
    TransferDialing,
    TransferFailed,
)
from integration.orchestrator.site import CUSTOMER, Site, site
from support.waiting import wait_until

pytestmark = pytest.mark.media


@pytest_asyncio.fixture
async def here(tmp_path: Path) -> AsyncIterator[Site]:
    async with site(tmp_path) as built:
        yield built


async def test_a_person_who_answers_is_connected(here: Site) -> None:
    human = await here.phone("7001")
    await here.customer_calls()
    async with here.served():
        asked = time.monotonic()
        await here.ask("billing-desk")
        rang = await human.wait_ringing()
        await here.until("ringing")
        human.answer()
        event = await here.until("connected")
    connected, dialing = event.data, (await here.until("dialing")).data
    assert isinstance(connected, TransferConnected)
    assert isinstance(dialing, TransferDialing)
    assert connected.human.name == "Maria Weber"
    assert connected.human.identity == dialing.identity == f"human-{dialing.dial_id}"
    assert (connected.sip_call_id or "").startswith("SCL_")
    assert await here.kinds() == ["requested", "dialing", "ringing", "connected"]
    assert human.in_call
    assert human.invited_headers["X-Dial-Id"] == dialing.dial_id
    assert human.invited_headers["X-Transfer-Summary"] == "Wants to know about invoice 4711 - the amount."
    assert human.invited_headers["X-Customer-Number"] == CUSTOMER
    assert rang - asked < 2.0


@pytest.mark.parametrize(
    ("status", "outcome"),
    [
        (486, DialOutcome.BUSY),
        (603, DialOutcome.DECLINED),
        (480, DialOutcome.UNAVAILABLE),
        (302, DialOutcome.UNAVAILABLE),
    ],
)
async def test_a_phone_that_refuses_fails_the_transfer(here: Site, status: int, outcome: DialOutcome) -> None:
    human = await here.phone("7001")
    human.refuse(status, 0.3)
    await here.customer_calls()
    async with here.served():
        await here.ask("billing-desk")
        failed = (await here.until("failed")).data
    assert isinstance(failed, TransferFailed)
    assert (failed.outcome, failed.attempts[0].sip_status) == (outcome, status)
    assert await here.kinds() == ["requested", "dialing", "ringing", "attempt_failed", "failed"]


async def test_a_number_that_nobody_has_is_not_found(here: Site) -> None:
    await here.customer_calls()
    async with here.served():
        await here.ask("billing-desk")
        failed = (await here.until("failed")).data
    assert isinstance(failed, TransferFailed)
    assert failed.outcome is DialOutcome.NOT_FOUND


@pytest.mark.parametrize("rings", [True, False])
async def test_a_phone_that_rings_out_is_no_answer_and_a_silent_one_unreachable(here: Site, rings: bool) -> None:
    human = await here.phone("7002")
    if not rings:
        human.vanish()
    await here.customer_calls()
    async with here.served():
        await here.ask("short-desk")
        attempt = (await here.until("attempt_failed")).data
        await here.until("failed")
    assert isinstance(attempt, TransferAttemptFailed)
    assert attempt.outcome is (DialOutcome.NO_ANSWER if rings else DialOutcome.UNREACHABLE)
    assert "canceled" in attempt.evidence
    assert ("ringing" in await here.kinds()) is rings


async def test_the_ladder_goes_on_to_the_next_phone(here: Site) -> None:
    first, second = await here.phone("7003"), await here.phone("7013")
    first.busy(0.1)
    second.answer(0.3)
    await here.customer_calls()
    async with here.served():
        await here.ask("support-desk")
        connected = (await here.until("connected")).data
    assert isinstance(connected, TransferConnected)
    assert (connected.attempt, connected.human.name) == (2, "Peter Novak")


async def test_the_caller_hanging_up_stops_the_ringing_phone_at_once(here: Site) -> None:
    human = await here.phone("7001")
    await here.customer_calls()
    async with here.served():
        await here.ask("billing-desk")
        await human.wait_ringing()
        await here.until("ringing")
        await here.customer_hangs_up()
        left = time.monotonic()
        stopped = await human.wait_ringing_stopped(5)
        cancelled = (await here.until("cancelled")).data
    assert isinstance(cancelled, TransferCancelled)
    assert cancelled.cause == "caller_left"
    assert stopped - left < 1.0
    assert await here.kinds() == ["requested", "dialing", "ringing", "cancelled"]


@pytest.mark.parametrize("head_start_s", [0.0, 0.02, 0.05])
async def test_answering_and_hanging_up_at_once_has_one_outcome(here: Site, head_start_s: float) -> None:
    """Whoever is first by the log wins; a person who comes too late is not left alone in the room."""
    human = await here.phone("7001")
    await here.customer_calls()
    async with here.served():
        await here.ask("billing-desk")
        await here.until("ringing")
        human.answer(head_start_s)
        await here.customer_hangs_up()
        await wait_until(lambda: not human.ringing)

        async def over() -> bool:
            return (await here.kinds())[-1] in ("connected", "cancelled")

        await wait_until(over)
        (outcome,) = [kind for kind in await here.kinds() if kind in ("connected", "cancelled")]
        if outcome == "cancelled":
            await wait_until(lambda: not human.in_call, within_s=5)
    assert (await here.kinds())[-1] == outcome


async def test_a_destination_that_is_not_listed_rings_nowhere(here: Site) -> None:
    human = await here.phone("7001")
    await here.customer_calls()
    async with here.served():
        await here.ask("7001")
        failed = (await here.until("failed")).data
    assert isinstance(failed, TransferFailed)
    assert failed.outcome is DialOutcome.NOT_ALLOWED
    assert human.rang_at == ()


async def test_trunks_provisioned_anew_are_found_again(here: Site) -> None:
    """LiveKit's Redis was lost: the trunk is there again under another id."""
    from livekit import api, protocol  # noqa: PLC0415 - only this test speaks to LiveKit itself

    from standins.media import OUTBOUND_TRUNK  # noqa: PLC0415

    human = await here.phone("7001")
    human.answer(0.1)
    await here.customer_calls()
    async with here.served():
        async with api.LiveKitAPI(here.exchange.url, here.media.api_key, here.media.api_secret) as livekit:
            listed = await livekit.sip.list_outbound_trunk(protocol.sip.ListSIPOutboundTrunkRequest())
            (trunk,) = [trunk for trunk in listed.items if trunk.name == OUTBOUND_TRUNK]
            await livekit.sip.delete_trunk(protocol.sip.DeleteSIPTrunkRequest(sip_trunk_id=trunk.sip_trunk_id))
            trunk.sip_trunk_id = ""
            await livekit.sip.create_outbound_trunk(protocol.sip.CreateSIPOutboundTrunkRequest(trunk=trunk))
        await here.ask("billing-desk")
        await here.until("connected")


async def test_a_killed_orchestrator_is_taken_over_and_the_phone_rings_once(here: Site) -> None:
    human = await here.phone("7001")
    await here.customer_calls()
    async with here.process() as first:
        await here.ask("billing-desk")
        await human.wait_ringing()
        await here.until("ringing")
        await first.kill()
    async with here.process() as second:
        await wait_until(lambda: second.said("transfer.dial_taken_over"), within_s=10)
        assert human.ringing
        human.answer()
        connected = (await here.until("connected")).data
    assert isinstance(connected, TransferConnected)
    assert len(human.rang_at) == 1
    assert human.in_call
    assert await here.kinds() == ["requested", "dialing", "ringing", "connected"]


async def test_sigterm_leaves_a_ringing_phone_to_the_next_and_exits_cleanly(here: Site) -> None:
    human = await here.phone("7001")
    await here.customer_calls()
    async with here.process() as first:
        await here.ask("billing-desk")
        await human.wait_ringing()
        first.process.terminate()
        assert await first.process.wait() == 0
        assert first.said("dials.left_ringing")
    assert human.ringing
    async with here.served():
        human.answer(0.5)
        await here.until("connected")
    assert len(human.rang_at) == 1


async def test_two_orchestrators_ring_the_phone_once(here: Site) -> None:
    human = await here.phone("7001")
    await here.customer_calls()
    async with here.served(), here.served():
        await here.ask("billing-desk")
        await human.wait_ringing()
        human.answer(3.0)  # long enough for the other one's wakes
        await here.until("connected")
    assert len(human.rang_at) == 1
    assert await here.kinds() == ["requested", "dialing", "ringing", "connected"]
