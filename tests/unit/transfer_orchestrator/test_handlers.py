"""Whole transfers on the log in memory, with a LiveKit that misbehaves on request."""

import asyncio
import inspect
import random
from collections.abc import Callable

import pytest

from call_events.catalogue import (
    CallEnded,
    DialOutcome,
    EndedBy,
    LegLeft,
    Role,
    TransferAttemptFailed,
    TransferCancelled,
    TransferConnected,
    TransferDialing,
    TransferFailed,
    UtteranceStarted,
)
from call_events.envelope import EventData
from call_events.ports import AnyEvent, CallView
from call_events.testing import AI, START, ManualClock
from support.waiting import wait_until
from transfer_orchestrator.handlers import transfers as transfers_module
from unit.transfer_orchestrator.fakes import CALL, CUSTOMER, DESK, LADDER, OUTCOMES, QUICK, World

pytestmark = [pytest.mark.usefixtures("no_blocking", "watchers_are_quick"), pytest.mark.timeout(30)]


async def outcomes(world: World, transfer_id: str = "t1") -> list[str]:
    return [kind for kind in await world.types(transfer_id) if kind in OUTCOMES]


async def test_an_answered_phone_connects_the_person(world: World) -> None:
    await world.call_begins()
    async with world.instance() as one:
        await world.ask()
        await world.until("ringing")
        world.dialler.phone("7001").answer()
        connected = (await world.until("connected")).data
        await wait_until(lambda: not one.gauges.running)

    order = world.dialler.dialled[0]
    assert isinstance(connected, TransferConnected)
    assert connected.human.name == "Maria Weber"
    assert connected.human.identity == f"human-{order.dial_id}" == order.identity
    assert connected.sip_call_id == f"SCL_{order.dial_id}"
    assert await world.types() == ["requested", "dialing", "ringing", "connected"]
    assert order.headers["X-Transfer-Summary"] == "Invoice 7"
    assert order.headers["X-Customer-Number"] == "+15550100"
    assert world.dialler.removed == []


async def test_dialing_stands_in_the_log_before_the_phone_is_dialled(world: World) -> None:
    seen: list[int] = []
    await world.call_begins()

    def before(event: AnyEvent) -> EventData | None:
        if isinstance(event.data, TransferDialing):
            seen.append(len(world.dialler.dialled))
        return None

    world.log.before_append.append(before)
    async with world.instance():
        await world.ask()
        await world.until("ringing")
    assert seen == [0]


@pytest.mark.parametrize(
    ("status", "outcome"),
    [
        (486, DialOutcome.BUSY),
        (603, DialOutcome.DECLINED),
        (404, DialOutcome.NOT_FOUND),
        (480, DialOutcome.UNAVAILABLE),
    ],
)
async def test_a_refusing_phone_fails_the_transfer_with_its_typed_outcome(
    world: World, status: int, outcome: DialOutcome
) -> None:
    await world.call_begins()
    world.dialler.phone("7001").refuse(status)
    async with world.instance():
        await world.ask()
        failed = (await world.until("failed")).data
    assert isinstance(failed, TransferFailed)
    assert failed.outcome is outcome
    assert [(a.attempt, a.target, a.outcome, a.sip_status) for a in failed.attempts] == [
        (1, "billing-phone", outcome, status)
    ]
    assert await outcomes(world) == ["failed"]


async def test_a_phone_that_nobody_picks_up_is_no_answer_and_one_that_never_rings_is_unreachable(world: World) -> None:
    await world.call_begins()
    world.dialler.phone("7003").vanish()
    async with world.instance():
        await world.ask(LADDER.key)
        await world.until("failed")
    events = [e.data for e in await world.log.read(CALL)]
    ends = [data.outcome for data in events if isinstance(data, TransferAttemptFailed)]
    assert ends == [DialOutcome.UNREACHABLE, DialOutcome.NO_ANSWER]


async def test_the_next_phone_of_the_ladder_is_dialled_under_a_new_identity(world: World) -> None:
    await world.call_begins()
    world.dialler.phone("7003").refuse(486)
    world.dialler.phone("7013").answer()
    async with world.instance():
        await world.ask(LADDER.key)
        connected = (await world.until("connected")).data
    assert isinstance(connected, TransferConnected)
    assert (connected.attempt, connected.human.name) == (2, "Peter Novak")
    first, second = world.dialler.dialled
    assert first.identity != second.identity
    assert await outcomes(world) == ["connected"]


async def test_a_destination_that_is_not_listed_is_not_dialled(world: World) -> None:
    await world.call_begins()
    async with world.instance():
        await world.ask("+15559999999")
        failed = (await world.until("failed")).data
    assert isinstance(failed, TransferFailed)
    assert failed.outcome is DialOutcome.NOT_ALLOWED
    assert world.dialler.dialled == []
    assert await world.types() == ["requested", "failed"]


async def test_a_second_request_while_one_is_open_is_refused_and_the_first_goes_on(world: World) -> None:
    await world.call_begins()
    async with world.instance():
        await world.ask()
        await world.until("ringing")
        await world.ask(LADDER.key, "t2")
        refused = (await world.until("failed", "t2")).data
        world.dialler.phone("7001").answer()
        await world.until("connected")
    assert isinstance(refused, TransferFailed)
    assert refused.outcome is DialOutcome.REJECTED
    assert "under way" in refused.reason
    assert len(world.dialler.dialled) == 1


async def test_a_request_after_a_failed_one_is_served(world: World) -> None:
    await world.call_begins()
    world.dialler.phone("7001").refuse(486)
    world.dialler.phone("7003").answer()
    async with world.instance():
        await world.ask()
        await world.until("failed")
        await world.ask(LADDER.key, "t2")
        await world.until("connected", "t2")
    assert await outcomes(world) == ["failed"]
    assert await outcomes(world, "t2") == ["connected"]


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
    assert await outcomes(world) == ["cancelled"]


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
    assert await outcomes(world) == ["cancelled"]
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
    assert await outcomes(world) == ["connected"]
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


async def test_a_livekit_that_does_not_answer_fails_the_transfer_in_the_end(world: World) -> None:
    await world.call_begins()
    world.dialler.reachable = False
    await world.ask()
    async with world.instance():
        failed = (await world.until("failed")).data
    assert isinstance(failed, TransferFailed)
    assert failed.outcome is DialOutcome.OVERLOADED


async def test_speech_during_the_transfer_does_not_disturb_it(world: World) -> None:
    """Every append of ours finds that somebody has written first, again and again."""
    await world.call_begins()
    for number in range(5):
        words = UtteranceStarted(utterance_id=f"u{number}", speaker=AI, started_at=START)
        world.log.before_append.append(lambda _event, words=words: words)  # type: ignore[misc]
    world.dialler.phone("7001").answer()
    async with world.instance():
        await world.ask()
        await world.until("connected")
    assert await outcomes(world) == ["connected"]


async def test_a_phone_is_stopped_in_the_turn_in_which_the_caller_is_missed(world: World) -> None:
    await world.call_begins()
    async with world.instance("a"):
        await world.ask()
        await world.until("ringing")
    await world.customer_leaves()
    async with world.instance("b", consuming=False) as b:
        await b.handle()
        assert world.dialler.removed == [world.dialler.dialled[0].identity]
        assert await outcomes(world) == ["cancelled"]


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


async def test_a_leg_that_is_slow_to_join_is_waited_for(world: World) -> None:
    await world.call_begins()
    world.dialler.join_s = QUICK.absent * 3
    world.dialler.phone("7001").answer()
    async with world.instance():
        await world.ask()
        await world.until("connected")
    assert await world.types() == ["requested", "dialing", "connected"]


# -- when a process dies ----------------------------------------------------------------------------------------------


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
    assert await outcomes(world) == ["connected"]


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
    assert await outcomes(world) == ["cancelled"]


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


async def test_a_lost_answer_of_the_api_is_made_good_by_looking(world: World) -> None:
    await world.call_begins()
    world.dialler.loses_answers = True
    async with world.instance():
        await world.ask()
        await world.until("ringing")
        world.dialler.phone("7001").answer()
        await world.until("connected")
    assert await outcomes(world) == ["connected"]


async def test_an_outage_of_livekit_while_the_phone_rings_ends_no_attempt(world: World) -> None:
    await world.call_begins()
    async with world.instance():
        await world.ask()
        await world.until("ringing")
        world.dialler.reachable = False
        await world.looked_at()
        world.dialler.reachable = True
        world.dialler.phone("7001").answer()
        await world.until("connected")
    assert "attempt_failed" not in await world.types()


async def test_an_outage_of_the_log_delays_the_connection_and_loses_nothing(world: World) -> None:
    await world.call_begins()
    async with world.instance():
        await world.ask()
        await world.until("ringing")
        world.log.unavailable = True
        world.dialler.phone("7001").answer()
        await wait_until(lambda: world.log.turned_away, what="the connection could not be written")
        world.log.unavailable = False
        await world.until("connected")
    assert await outcomes(world) == ["connected"]


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
    assert await outcomes(world) == ["connected"]


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


@pytest.mark.parametrize("outage", [False, True])
async def test_a_watcher_is_patient_with_a_leg_that_is_not_listed_for_a_while(
    still_world: World, clock: ManualClock, outage: bool
) -> None:
    """After a restart of LiveKit its legs come back by themselves; one odd answer ends no attempt either."""
    world = still_world
    await world.call_begins()
    async with world.instance("a", consuming=False) as a:
        await world.ask()
        await a.handle()
        await world.until("ringing")
    clock.advance(transfers_module.FRESH.total_seconds())
    async with world.instance("b", consuming=False) as b:
        await b.handle()
        if outage:
            world.dialler.reachable = False
            await world.looked_at()
            world.dialler.reachable = True
        world.dialler.hidden = True
        await world.looked_at()
        clock.advance(QUICK.absent * (1.5 if outage else 0.5))
        await world.looked_at()
        world.dialler.hidden = False
        world.dialler.phone("7001").answer()
        await world.until("connected")
    assert "attempt_failed" not in await world.types()


@pytest.mark.parametrize("outage", [False, True])
async def test_the_patience_of_a_watcher_ends(still_world: World, clock: ManualClock, outage: bool) -> None:
    world = still_world
    await world.call_begins()
    async with world.instance("a", consuming=False) as a:
        await world.ask()
        await a.handle()
        await world.until("ringing")
    clock.advance(transfers_module.FRESH.total_seconds())
    async with world.instance("b", consuming=False) as b:
        await b.handle()
        if outage:
            world.dialler.reachable = False
            await world.looked_at()
            world.dialler.reachable = True
        world.dialler.hidden = True
        await world.looked_at()
        clock.advance(1.01 * (QUICK.absent_after_outage if outage else QUICK.absent))
        await world.until("attempt_failed")


async def test_a_refusal_heard_while_the_log_is_down_keeps_its_name(world: World) -> None:
    await world.call_begins()
    async with world.instance():
        await world.ask()
        await world.until("ringing")
        world.log.unavailable = True
        world.dialler.phone("7001").refuse(486)
        await wait_until(lambda: world.log.turned_away, what="the refusal could not be written")
        world.log.unavailable = False
        failed = (await world.until("failed")).data
    assert isinstance(failed, TransferFailed)
    assert failed.outcome is DialOutcome.BUSY


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


@pytest.mark.parametrize("seed", range(20))
async def test_whatever_happens_in_whatever_order_there_is_one_outcome_and_no_forgotten_phone(
    world: World, seed: int
) -> None:
    """Callers leave, people answer or refuse, instances die, LiveKit and the log are out.

    The pauses are what is tried out, seeded; nothing is concluded from their being over.
    """
    dice = random.Random(seed)
    await world.call_begins()
    first, second = world.dialler.phone("7003"), world.dialler.phone("7013")
    world.dialler.join_s = dice.choice([0, 0.02])

    async def later(act: Callable[[], object]) -> None:
        await asyncio.sleep(dice.uniform(0, 0.25))
        done = act()
        if inspect.isawaitable(done):
            await done

    async def outage(what: object, name: str, *, bad: bool) -> None:
        setattr(what, name, bad)
        await asyncio.sleep(0.03)
        setattr(what, name, not bad)

    happenings: list[Callable[[], object]] = [
        first.answer,
        lambda: first.refuse(486),
        second.answer,
        world.customer_leaves,
        lambda: outage(world.dialler, "reachable", bad=False),
        lambda: outage(world.log, "unavailable", bad=True),
    ]
    await world.ask(LADDER.key)
    async with asyncio.TaskGroup() as tasks:
        for act in dice.sample(happenings, k=3):
            tasks.create_task(later(act))
        for name in ("a", "b"):
            async with world.instance(name):
                await asyncio.sleep(dice.uniform(0, 0.2))
    async with world.instance("c") as last, world.instance("d") as other:

        async def over() -> bool:
            return bool(await outcomes(world)) and not last.gauges.running and not other.gauges.running

        await wait_until(over, within_s=10)
    (outcome,) = await outcomes(world)
    people = {identity for identity in await world.dialler.legs(str(CALL)) if identity.startswith("human-")}
    events = [e.data for e in await world.log.read(CALL)]
    connected = {data.human.identity for data in events if isinstance(data, TransferConnected)}
    assert people <= connected
    assert (outcome == "connected") is bool(connected)
    assert first.times_rung <= 1
    assert second.times_rung <= 1


# -- the consumer's side ----------------------------------------------------------------------------------------------


async def test_the_cursor_waits_before_an_open_transfer_and_moves_on_after_its_outcome(world: World) -> None:
    await world.call_begins()
    async with world.instance(consuming=False) as one:
        await world.ask()
        progress = await one.handle()
        assert progress.through == 1
        assert progress.wake_at is not None
        world.dialler.phone("7001").answer()
        await world.until("connected")
        progress = await one.handle()
    assert progress.through == len(await world.log.read(CALL))
    assert progress.wake_at is None


async def test_a_call_without_transfers_costs_no_question_to_livekit(world: World) -> None:
    await world.call_begins()
    world.dialler.reachable = False
    async with world.instance(consuming=False) as one:
        progress = await one.handle()
    assert (progress.through, progress.wake_at) == (1, None)


async def test_the_time_to_the_dial_is_measured(world: World) -> None:
    await world.call_begins()
    async with world.instance() as one:
        await world.ask(DESK.key)
        await world.until("ringing")
    assert len(one.gauges.to_dial_s) == 1
    assert one.gauges.to_dial_s[0] < 1
