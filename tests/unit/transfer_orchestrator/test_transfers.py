"""Whole transfers on the log in memory, with a LiveKit that misbehaves on request."""

import pytest

from call_events.catalogue import (
    DialOutcome,
    TransferAttemptFailed,
    TransferConnected,
    TransferDialing,
    TransferFailed,
    UtteranceStarted,
)
from call_events.envelope import EventData
from call_events.ports import AnyEvent
from call_events.testing import AI, START
from support.waiting import wait_until
from unit.transfer_orchestrator.fakes import CALL, DESK, LADDER, QUICK, World

pytestmark = [pytest.mark.usefixtures("no_blocking", "watchers_are_quick"), pytest.mark.timeout(30)]


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
    assert await world.outcomes() == ["failed"]


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
    assert await world.outcomes() == ["connected"]


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
    assert await world.outcomes() == ["failed"]
    assert await world.outcomes("t2") == ["connected"]


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
    assert await world.outcomes() == ["connected"]


async def test_a_livekit_that_does_not_answer_fails_the_transfer_in_the_end(world: World) -> None:
    await world.call_begins()
    world.dialler.reachable = False
    await world.ask()
    async with world.instance():
        failed = (await world.until("failed")).data
    assert isinstance(failed, TransferFailed)
    assert failed.outcome is DialOutcome.OVERLOADED


async def test_a_leg_that_is_slow_to_join_is_waited_for(world: World) -> None:
    await world.call_begins()
    world.dialler.join_s = QUICK.absent * 3
    world.dialler.phone("7001").answer()
    async with world.instance():
        await world.ask()
        await world.until("connected")
    # Whether a look at the room falls between its joining and its answer, and sees it ring, is chance.
    assert [kind for kind in await world.types() if kind != "ringing"] == ["requested", "dialing", "connected"]


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
