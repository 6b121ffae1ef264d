"""A process dies or stops at every moment of a transfer, and others go on."""

import asyncio

import pytest

from call_events.catalogue import (
    CallEnded,
    DialOutcome,
    EndedBy,
    TransferAttemptFailed,
    TransferConnected,
    TransferDialing,
)
from call_events.ports import CallView
from call_events.testing import ManualClock
from support.waiting import wait_until
from transfer_orchestrator.handlers import transfers as transfers_module
from unit.transfer_orchestrator.fakes import CALL, LADDER, World

pytestmark = [pytest.mark.usefixtures("no_blocking", "watchers_are_quick"), pytest.mark.timeout(30)]


async def test_another_instance_goes_on_with_a_dial_and_the_phone_rings_once(world: World) -> None:
    await world.call_begins()
    async with world.instance("a"):
        await world.ask()
        await world.until("ringing")
    async with world.instance("b") as b:
        await wait_until(lambda: b.gauges.running, what="its wake has come")
        await world.looked_at()
        world.dialler.phone("7001").answer()
        await world.until("connected")
    assert len(world.dialler.dialled) == 1
    assert world.dialler.phone("7001").times_rung == 1
    assert await world.outcomes() == ["connected"]


async def test_a_person_who_answered_while_no_instance_lived_is_connected_by_the_next(world: World) -> None:
    await world.call_begins()
    async with world.instance("a"):
        await world.ask()
        await world.until("ringing")
    world.dialler.phone("7001").answer()
    async with world.instance("b"):
        connected = (await world.until("connected")).data
    assert isinstance(connected, TransferConnected)
    assert connected.human.name == "Maria Weber"
    assert connected.sip_call_id == f"SCL_{connected.dial_id}"


async def test_a_leg_that_was_gone_when_the_next_instance_came_is_a_failed_attempt_and_the_ladder_goes_on(
    world: World,
) -> None:
    await world.call_begins()
    async with world.instance("a"):
        await world.ask(LADDER.key)
        await world.until("ringing")
    world.dialler.phone("7003").refuse(486)
    world.dialler.phone("7013").answer()
    async with world.instance("b"):
        connected = (await world.until("connected")).data
    assert isinstance(connected, TransferConnected)
    assert connected.attempt == 2
    attempt = (await world.until("attempt_failed")).data
    assert isinstance(attempt, TransferAttemptFailed)
    assert attempt.outcome is DialOutcome.UNAVAILABLE
    assert "gone" in attempt.evidence


async def test_dying_between_dialing_and_the_dial_is_a_failed_attempt(world: World) -> None:
    """The event says that a dial was meant; whether it was made nobody knows, so it is not made again."""
    await world.call_begins()
    await world.ask(LADDER.key)
    dial_id = "0" * 16
    await world.write(
        TransferDialing(transfer_id="t1", attempt=1, dial_id=dial_id, target="first", identity=f"human-{dial_id}")
    )
    world.dialler.phone("7013").answer()
    async with world.instance("b"):
        await world.until("connected")
    assert [order.number for order in world.dialler.dialled] == ["7013"]


async def test_the_caller_leaving_while_no_instance_lived_stops_the_phone_later(world: World) -> None:
    await world.call_begins()
    async with world.instance("a"):
        await world.ask()
        await world.until("ringing")
    await world.customer_leaves()
    async with world.instance("b"):
        await world.until("cancelled")
        await wait_until(lambda: world.dialler.removed)
    assert await world.outcomes() == ["cancelled"]


async def test_two_instances_that_look_at_one_dial_write_one_outcome(still_world: World, clock: ManualClock) -> None:
    world = still_world
    await world.call_begins()
    async with world.instance("a", consuming=False) as a, world.instance("b", consuming=False) as b:
        await world.ask()
        await a.handle()
        await world.until("ringing")
        clock.advance(transfers_module.FRESH.total_seconds())
        await b.handle()
        assert (a.gauges.running, b.gauges.running) == (1, 1)
        await world.looked_at(4)
        world.dialler.phone("7001").answer()
        await world.until("connected")
        await wait_until(lambda: not a.gauges.running and not b.gauges.running, what="both have let go")
    assert await world.types() == ["requested", "dialing", "ringing", "connected"]
    assert len(world.dialler.dialled) == 1


async def test_two_handlers_that_decide_at_once_dial_once(world: World) -> None:
    """A paused instance wakes up after its lease was given to another: both decide to dial on the same log."""
    await world.call_begins()
    await world.ask()
    async with world.instance("a", consuming=False) as a, world.instance("b", consuming=False) as b:
        view = CallView(call=CALL, events=await world.log.read(CALL), cursor=0, receipts=())
        async with asyncio.TaskGroup() as both:
            for one in (a, b):
                both.create_task(one.handler(view))
        await world.until("ringing")
    assert len(world.dialler.dialled) == 1
    assert (await world.types()).count("dialing") == 1


async def test_stopping_leaves_a_ringing_phone_to_the_next_instance(world: World) -> None:
    await world.call_begins()
    async with world.instance("a") as a:
        await world.ask()
        await world.until("ringing")
        assert await a.dials.drain(0.05) == 1
    assert world.dialler.removed == []
    async with world.instance("b"):
        world.dialler.phone("7001").answer()
        await world.until("connected")


async def test_stopping_waits_for_a_dial_that_ends_within_the_grace(world: World) -> None:
    await world.call_begins()
    async with world.instance("a") as a:
        await world.ask()
        await world.until("ringing")
        async with asyncio.TaskGroup() as tasks:
            draining = tasks.create_task(a.dials.drain(5))
            world.dialler.phone("7001").answer()
        assert draining.result() == 0
    assert await world.outcomes() == ["connected"]


async def test_a_leg_that_joins_after_its_dialler_has_died_and_its_caller_has_left_is_put_out(world: World) -> None:
    await world.call_begins()
    world.dialler.join_s = 0.05
    async with world.instance("a", consuming=False) as a:
        await world.ask()
        await a.handle()
        await wait_until(lambda: world.dialler.dialled)
    await world.customer_leaves()
    async with world.instance("b"):
        await world.until("cancelled")
        assert not world.dialler.phone("7001").times_rung
        await wait_until(lambda: world.dialler.phone("7001").times_rung)

        async def silent() -> bool:
            return not await world.dialler.legs(str(CALL))

        await wait_until(silent, within_s=2)
        await wait_until(lambda: world.cursor == world.seen)
        assert world.wake_at is None


async def test_the_end_of_the_call_while_no_instance_lived_stops_the_phone_later(world: World) -> None:
    await world.call_begins()
    async with world.instance("a"):
        await world.ask()
        await world.until("ringing")
    await world.write(CallEnded(ended_by=EndedBy.CUSTOMER, cause="CLIENT_INITIATED", duration_ms=1))
    async with world.instance("b"):
        await wait_until(lambda: world.cursor == 5 and world.wake_at is None, what="the call is finished")
    assert set(world.dialler.removed) == {world.dialler.dialled[0].identity}


async def test_an_instance_that_has_let_go_of_a_dial_does_not_dial_again(world: World) -> None:
    await world.call_begins()
    world.dialler.phone("7001").vanish()
    async with world.instance("a", consuming=False) as a:
        await world.ask()
        await a.handle()
        await wait_until(lambda: world.dialler.dialled)
        assert await a.dials.drain(0) == 1
        await wait_until(lambda: not a.gauges.running)
        await a.handle()
        world.dialler.phone("7001").answer()
        await world.until("connected")
    assert len(world.dialler.dialled) == 1
