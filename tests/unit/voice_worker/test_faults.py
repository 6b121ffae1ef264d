"""A fault that nobody foresaw, in each phase of a call: no caller is left in silence and no log stays open."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta

import pytest

from call_events.catalogue import (
    AgentActivated,
    CallEnded,
    DialOutcome,
    EndedBy,
    LegLeft,
    TransferCancelled,
    TransferDialing,
    TransferFailed,
)
from call_events.testing import START
from support.waiting import wait_until
from unit.voice_worker.fakes import CALL, PROFILE, Stage
from unit.voice_worker.test_conduct import conducting, connected, of, request, tell, types
from voice_worker.domain.call import Phase
from voice_worker.domain.signals import CustomerGone, HumanGone, RoomGone, Signal, VoiceLost
from voice_worker.handlers.call import Conductor
from voice_worker.handlers.transfers import bad_news

Story = Callable[[Stage, Conductor], Awaitable[None]]


async def while_the_ai_talks(stage: Stage, conductor: Conductor) -> None:
    stage.log.breaks_at = AgentActivated
    conductor.desk.agent_entered("billing", reason="x", context_items=0)


async def while_a_phone_rings(stage: Stage, conductor: Conductor) -> None:
    asked = await request(stage, conductor)
    stage.log.breaks_at = TransferDialing
    dialing = TransferDialing(transfer_id=asked.transfer_id, attempt=1, dial_id="1", target="desk", identity="human-1")
    await tell(stage, dialing)


async def when_a_transfer_has_failed(stage: Stage, conductor: Conductor) -> None:
    asked = await request(stage, conductor)
    failed = TransferFailed(
        transfer_id=asked.transfer_id, destination="billing-desk", outcome=DialOutcome.BUSY, reason="Busy."
    )
    stage.studio.voices[0].breaks_at = bad_news(failed)
    await tell(stage, failed)


async def while_nobody_speaks(stage: Stage, conductor: Conductor) -> None:
    stage.log.breaks_at = TransferDialing
    conductor.signal(VoiceLost(detail="APIError"))
    await wait_until(lambda: conductor.state.phase is Phase.STRANDED and conductor.state.transfer)
    asked = conductor.state.transfer
    assert asked is not None
    dialing = TransferDialing(transfer_id=asked.transfer_id, attempt=1, dial_id="1", target="desk", identity="human-1")
    await wait_until(lambda: requested_is_written(stage))
    await tell(stage, dialing)


async def requested_is_written(stage: Stage) -> bool:
    return "transfer.requested" in await types(stage)


async def when_the_human_has_left(stage: Stage, conductor: Conductor) -> None:
    asked = await request(stage, conductor)
    stage.studio.breaks_at = PROFILE.human_left
    await tell(stage, connected(asked))
    await wait_until(lambda: conductor.state.phase is Phase.HUMAN)
    conductor.signal(HumanGone(identity="human-1", reason="CLIENT_INITIATED", at=START))


async def when_an_event_cannot_be_written(stage: Stage, conductor: Conductor) -> None:
    stage.log.refuses = AgentActivated
    conductor.desk.agent_entered("billing", reason="x", context_items=0)


@pytest.mark.parametrize(
    "story",
    [
        while_the_ai_talks,
        while_a_phone_rings,
        when_a_transfer_has_failed,
        while_nobody_speaks,
        when_the_human_has_left,
        when_an_event_cannot_be_written,
    ],
)
async def test_a_fault_ends_the_call_and_its_log(story: Story) -> None:
    stage = Stage()
    stage.legs.in_room = {"human-1"}
    async with conducting(stage) as (conductor, _):
        await story(stage, conductor)
    over = (await stage.log.read(CALL))[-1].data
    assert isinstance(over, CallEnded)
    assert (over.ended_by, over.cause) == (EndedBy.SYSTEM, "WORKER_FAULT")
    assert "sip_1" in [data.identity for data in await of(stage, LegLeft)]
    assert stage.legs.ended, "the caller is not left in silence"
    assert all(voice.closed for voice in stage.studio.voices)
    asked, outcomes = (await types(stage)).count("transfer.requested"), len(await of(stage, TransferCancelled))
    outcomes += len(await of(stage, TransferFailed)) + (await types(stage)).count("transfer.connected")
    assert asked == outcomes


async def test_a_fault_while_the_room_is_entered_ends_it() -> None:
    stage = Stage()
    stage.studio.breaks_at = PROFILE.greeting
    async with asyncio.timeout(5):
        await stage.conductor().run()
    assert (await types(stage))[-1] == "call.ended"
    assert stage.legs.ended


async def between_two_people(stage: Stage, conductor: Conductor) -> None:
    asked = await request(stage, conductor)
    await tell(stage, connected(asked))
    await wait_until(lambda: len(stage.studio.ears) == 2 and stage.studio.voices[0].closed)


@asynccontextmanager
async def left_to_two_people(stage: Stage) -> AsyncIterator[Conductor]:
    """A fault between a customer and a human: the log is closed, and they are still talking."""
    async with conducting(stage) as (conductor, task):
        await between_two_people(stage, conductor)
        stage.studio.ears[0].broken.set()

        async def closed() -> bool:
            return "call.ended" in await types(stage)

        await wait_until(closed)
        assert not task.done()
        assert not stage.legs.ended, "their conversation goes on"
        yield conductor


@pytest.mark.parametrize(
    "parting",
    [
        CustomerGone(reason="CLIENT_INITIATED", at=START),
        HumanGone(identity="human-1", reason="CLIENT_INITIATED", at=START),
        RoomGone(reason="ROOM_DELETED", at=START),
    ],
)
async def test_a_fault_between_two_people_ends_the_log_and_when_one_leaves_the_other_is_sent_home(
    parting: Signal,
) -> None:
    """Neither is cut off by our fault, and neither sits in silence for ever when the other has gone."""
    stage = Stage()
    stage.legs.in_room = {"human-1"}
    async with left_to_two_people(stage) as conductor:
        conductor.signal(HumanGone(identity="human-9", reason="CLIENT_INITIATED", at=START))
        conductor.signal(VoiceLost(detail="too late to matter"))
        conductor.signal(parting)
        await wait_until(lambda: stage.legs.ended)
    over = (await stage.log.read(CALL))[-1].data
    assert isinstance(over, CallEnded)
    assert (over.ended_by, over.cause) == (EndedBy.SYSTEM, "WORKER_FAULT")
    assert len(stage.studio.voices) == 1, "the AI does not talk over them"


async def test_two_people_who_never_leave_are_sent_home_in_the_end() -> None:
    stage = Stage()
    stage.limits = replace(stage.limits, people_s=0.1)
    stage.legs.in_room = {"human-1"}
    async with left_to_two_people(stage):
        await wait_until(lambda: stage.legs.ended)


async def test_whoever_is_left_behind_is_sent_home_while_the_log_does_not_answer() -> None:
    """The log is tried for a minute; nobody is to sit in silence for that."""
    stage = Stage()
    stage.legs.in_room = {"human-1"}
    async with conducting(stage) as (conductor, task):
        await between_two_people(stage, conductor)
        stage.log.there.clear()
        stage.studio.ears[0].broken.set()
        await wait_until(lambda: conductor.state.phase is Phase.ENDED)
        conductor.signal(HumanGone(identity="human-1", reason="CLIENT_INITIATED", at=START))
        await wait_until(lambda: stage.legs.ended)
        assert not task.done()
        stage.log.there.set()
    assert (await types(stage))[-1] == "call.ended"


async def test_two_people_talk_on_when_also_the_end_cannot_be_written() -> None:
    stage = Stage()
    stage.legs.in_room = {"human-1"}
    async with conducting(stage) as (conductor, task):
        await between_two_people(stage, conductor)
        stage.log.refuses = CallEnded
        stage.studio.ears[0].broken.set()
        await wait_until(lambda: stage.log.refused)
        assert not task.done()
        assert not stage.legs.ended, "their conversation goes on"
        conductor.signal(HumanGone(identity="human-1", reason="CLIENT_INITIATED", at=START))
    assert stage.legs.ended


async def test_a_room_that_cannot_be_ended_does_not_keep_the_log_from_its_end() -> None:
    stage = Stage()
    stage.legs.in_room = {"human-1"}
    async with conducting(stage) as (conductor, _):
        await between_two_people(stage, conductor)
        stage.log.there.clear()
        stage.legs.breaks = True
        stage.studio.ears[0].broken.set()
        await wait_until(lambda: conductor.state.phase is Phase.ENDED)
        conductor.signal(HumanGone(identity="human-1", reason="CLIENT_INITIATED", at=START))
        await wait_until(lambda: stage.legs.ended)
        stage.log.there.set()
    assert (await types(stage))[-1] == "call.ended"


async def test_a_customer_whose_human_is_not_there_is_not_left_alone_after_a_fault() -> None:
    """The log knows of a person; the room does not."""
    stage = Stage()
    async with conducting(stage) as (conductor, _):
        asked = await request(stage, conductor)
        stage.legs.in_room = {"human-1"}
        await tell(stage, connected(asked))
        await wait_until(lambda: len(stage.studio.ears) == 2 and stage.studio.voices[0].closed)
        stage.legs.in_room = set()
        stage.studio.ears[0].broken.set()
        await wait_until(lambda: stage.legs.ended)


async def test_the_room_is_ended_before_the_log_has_taken_everything() -> None:
    """With the log away the caller would otherwise wait in silence for it."""
    stage = Stage()
    async with conducting(stage) as (conductor, task):
        stage.log.there.clear()
        conductor.signal(CustomerGone(reason="CLIENT_INITIATED", at=START))
        await wait_until(lambda: stage.legs.ended)
        assert not task.done()
        stage.log.there.set()
    assert (await types(stage))[-1] == "call.ended"


async def test_the_call_was_over_when_the_customer_was_last_seen() -> None:
    stage = Stage()
    async with conducting(stage) as (conductor, _):
        stage.clock.advance(25)
        conductor.signal(CustomerGone(reason="VANISHED", at=START + timedelta(seconds=10)))
    assert (await of(stage, CallEnded))[0].duration_ms == 10_000
    left = next(one for one in await stage.log.read(CALL) if isinstance(one.data, LegLeft))
    assert left.time == START + timedelta(seconds=10)
