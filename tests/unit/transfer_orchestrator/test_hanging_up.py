"""The caller leaves, or the call ends, at every moment of a transfer."""

import pytest

from call_events.catalogue import (
    CallEnded,
    EndedBy,
    LegLeft,
    Role,
    TransferCancelled,
    TransferConnected,
)
from support.waiting import wait_until
from unit.transfer_orchestrator.fake_dialler import CUSTOMER
from unit.transfer_orchestrator.fakes import CALL, World

pytestmark = [pytest.mark.usefixtures("no_blocking", "watchers_are_quick"), pytest.mark.timeout(30)]


async def test_the_caller_leaving_stops_the_ringing_phone(world: World) -> None:
    await world.call_begins()
    async with world.instance() as one:
        await world.ask()
        await world.until("ringing")
        await world.customer_leaves()
        cancelled = (await world.until("cancelled")).data
        await wait_until(lambda: not one.gauges.running)
    assert isinstance(cancelled, TransferCancelled)
    assert cancelled.cause == "caller_left"
    assert world.dialler.removed
    assert await world.types() == ["requested", "dialing", "ringing", "cancelled"]


async def test_the_end_of_the_call_stops_the_ringing_phone_though_nothing_can_be_written(world: World) -> None:
    await world.call_begins()
    async with world.instance() as one:
        await world.ask()
        await world.until("ringing")
        await world.write(CallEnded(ended_by=EndedBy.CUSTOMER, cause="CLIENT_INITIATED", duration_ms=1))
        await wait_until(lambda: world.dialler.removed)
        await wait_until(lambda: not one.gauges.running)
        await wait_until(lambda: world.cursor == 5 and world.wake_at is None, what="the call is finished")
    assert await world.types() == ["requested", "dialing", "ringing"]


async def test_the_end_of_the_log_leaves_two_people_who_talk_alone(world: World) -> None:
    """A worker that has failed ends the log and stays with them itself: see docs/adr/0008."""
    await world.call_begins()
    async with world.instance() as one:
        await world.ask()
        await world.until("ringing")
        world.dialler.phone("7001").answer()
        await world.until("connected")
        await wait_until(lambda: not one.gauges.running)
        looks = world.dialler.looks
        await world.write(CallEnded(ended_by=EndedBy.SYSTEM, cause="WORKER_FAULT", duration_ms=1))
        await wait_until(lambda: world.cursor == 6 and world.wake_at is None, what="the call is finished")
        await one.handle()
    assert world.dialler.removed == []
    assert world.dialler.looks == looks, "nor does it watch them: whoever has the room does"


async def test_somebody_elses_cancelling_stops_the_ringing_phone(world: World) -> None:
    await world.call_begins()
    async with world.instance() as one:
        await world.ask()
        await world.until("ringing")
        await world.write(TransferCancelled(transfer_id="t1", cause="withdrawn"))
        await wait_until(lambda: world.dialler.removed)
        await wait_until(lambda: not one.gauges.running)
    assert await world.outcomes() == ["cancelled"]


async def test_the_caller_leaving_before_the_dial_dials_nobody(world: World) -> None:
    await world.call_begins()
    await world.ask()
    await world.customer_leaves()
    async with world.instance():
        await world.until("cancelled")
    assert world.dialler.dialled == []


async def test_hanging_up_just_as_the_person_answers_is_cancelled_and_the_person_let_go(world: World) -> None:
    """The caller's leaving enters the log between our decision to connect and its append."""
    await world.call_begins()
    leaving = LegLeft(identity=CUSTOMER, role=Role.CUSTOMER, reason="CLIENT_INITIATED")
    async with world.instance() as one:
        await world.ask()
        await world.until("ringing")
        world.log.before_append.append(lambda event: leaving if isinstance(event.data, TransferConnected) else None)
        world.dialler.phone("7001").answer()
        await world.until("cancelled")
        await wait_until(lambda: not one.gauges.running)
    assert await world.outcomes() == ["cancelled"]
    assert world.dialler.dialled[0].identity in world.dialler.removed


async def test_hanging_up_just_after_the_person_answered_leaves_the_connection_as_the_outcome(world: World) -> None:
    await world.call_begins()
    async with world.instance() as one:
        await world.ask()
        await world.until("ringing")
        world.dialler.phone("7001").answer()
        await world.until("connected")
        await world.customer_leaves()
        await one.handle()
        await wait_until(lambda: not one.gauges.running)
    assert await world.outcomes() == ["connected"]
    assert world.dialler.removed == []


async def test_a_caller_whom_the_log_has_not_missed_yet_is_missed_in_the_room(world: World) -> None:
    """The worker may be dead: nobody writes leg.left. A person is not left alone in an empty room for it."""
    await world.call_begins()
    async with world.instance() as one:
        await world.ask()
        await world.until("ringing")
        world.dialler.customer_leaves(str(CALL))
        await world.looked_at()
        world.dialler.phone("7001").answer()
        await world.until("cancelled")
        await wait_until(lambda: not one.gauges.running)
    assert world.dialler.dialled[0].identity in world.dialler.removed


async def test_no_phone_is_dialled_into_a_room_that_is_gone(world: World) -> None:
    await world.call_begins()
    world.dialler.delete_room(str(CALL))
    await world.ask()
    async with world.instance():
        await world.until("cancelled")
    assert world.dialler.dialled == []


async def test_a_phone_is_stopped_in_the_turn_in_which_the_caller_is_missed(world: World) -> None:
    await world.call_begins()
    async with world.instance("a"):
        await world.ask()
        await world.until("ringing")
    await world.customer_leaves()
    async with world.instance("b", consuming=False) as b:
        await b.handle()
        assert world.dialler.removed == [world.dialler.dialled[0].identity]
        assert await world.outcomes() == ["cancelled"]


async def test_a_caller_who_leaves_while_the_leg_is_still_joining_leaves_no_phone_ringing(world: World) -> None:
    """The handler's order to remove the leg comes before the leg."""
    await world.call_begins()
    world.dialler.join_s = 0.05
    async with world.instance() as one:
        await world.ask()
        await world.until("dialing")
        await world.customer_leaves()
        await world.until("cancelled")
        assert set(await world.dialler.legs(str(CALL))) == set()
        await wait_until(lambda: world.dialler.phone("7001").times_rung)
        await wait_until(lambda: not one.gauges.running)
        assert set(await world.dialler.legs(str(CALL))) == set()


async def test_a_dial_notices_the_callers_leaving_though_no_handler_comes(world: World) -> None:
    """The lease of the call may be with a process that has just died."""
    await world.call_begins()
    async with world.instance(consuming=False) as one:
        await world.ask()
        await one.handle()
        await world.until("ringing")
        await world.customer_leaves()
        await world.until("cancelled")
        await wait_until(lambda: not one.gauges.running)
    assert world.dialler.removed


async def test_a_room_deleted_while_the_phone_rings_is_not_taken_for_no_answer(world: World) -> None:
    """The worker deletes the room when the caller has gone, and may write so only after that."""
    await world.call_begins()
    async with world.instance() as one:
        await world.ask()
        await world.until("ringing")
        world.dialler.delete_room(str(CALL))
        await wait_until(lambda: world.dialler.ended, what="the API has told the dialler: canceled")
        await world.looked_at()
        await world.write(LegLeft(identity=CUSTOMER, role=Role.CUSTOMER, reason="ROOM_DELETED"))
        await world.until("cancelled")
        await wait_until(lambda: not one.gauges.running)
    assert await world.types() == ["requested", "dialing", "ringing", "cancelled"]
