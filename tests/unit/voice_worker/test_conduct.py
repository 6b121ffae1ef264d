"""How a call is conducted: who speaks when, what is written, and that nobody is left in silence."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from typing import TypeVar

import pytest

from call_events.catalogue import (
    CallEnded,
    DialOutcome,
    EndedBy,
    Human,
    LegJoined,
    LegLeft,
    Role,
    TransferCancelled,
    TransferConnected,
    TransferFailed,
    TransferRequested,
    UsageRecorded,
    UtteranceCompleted,
)
from call_events.envelope import EventData
from call_events.ids import transfer_outcome_id
from call_events.testing import START, event, said, speaking, started
from support.waiting import wait_until
from unit.voice_worker.fakes import CALL, LEG, FakeVoice, Sentence, Stage
from voice_worker.domain.call import Phase
from voice_worker.domain.facts import Fact, RecogniserLost, TextFailed
from voice_worker.domain.signals import CustomerGone, GoodbyeAsked, HumanGone, RoomGone, TransferOutcome, VoiceLost
from voice_worker.handlers.call import Conductor
from voice_worker.handlers.limits import Limits

D = TypeVar("D", bound=EventData)


@asynccontextmanager
async def conducting(stage: Stage) -> AsyncIterator[tuple[Conductor, "asyncio.Task[None]"]]:
    conductor = stage.conductor()
    task = asyncio.get_running_loop().create_task(conductor.run())
    try:
        await wait_until(lambda: task.done() or (stage.studio.voices and stage.studio.voices[0].told))
        yield conductor, task
        async with asyncio.timeout(10):
            await task
    finally:
        task.cancel()


def hang_up(conductor: Conductor) -> None:
    conductor.signal(CustomerGone(reason="CLIENT_INITIATED", at=START))


async def types(stage: Stage) -> list[str]:
    return [one.type.removesuffix(".v1") for one in await stage.log.read(CALL)]


async def texts(stage: Stage) -> list[str]:
    return [one.data.text for one in await stage.log.read(CALL) if isinstance(one.data, UtteranceCompleted)]


async def of(stage: Stage, kind: type[D]) -> list[D]:
    return [one.data for one in await stage.log.read(CALL) if isinstance(one.data, kind)]


async def tell(stage: Stage, data: EventData) -> None:
    await stage.log.append(event(CALL, data))


async def request(stage: Stage, conductor: Conductor, destination: str = "billing-desk") -> TransferRequested:
    assert conductor.desk.request_transfer(destination, "asked", "invoice") is None
    return await requested(stage)


async def requested(stage: Stage, count: int = 1) -> TransferRequested:
    found: list[TransferRequested] = []

    async def there() -> bool:
        found[:] = [one.data for one in await stage.log.read(CALL) if isinstance(one.data, TransferRequested)]
        return len(found) >= count

    await wait_until(there)
    return found[-1]


def connected(asked: TransferRequested) -> TransferConnected:
    human = Human(identity="human-1", name="Maria Weber")
    return TransferConnected(
        transfer_id=asked.transfer_id, attempt=1, dial_id="1", destination=asked.destination, human=human
    )


async def test_a_call_is_greeted_and_ends_with_the_caller() -> None:
    stage = Stage()
    async with conducting(stage) as (conductor, _):
        hang_up(conductor)
    assert stage.studio.voices[0].told == ["Greet the caller."]
    assert stage.studio.voices[0].closed
    assert stage.legs.ended
    assert await types(stage) == [
        "call.started",
        "agent.activated",
        "leg.joined",
        "leg.joined",
        "leg.left",
        "leg.left",
        "call.ended",
    ]


async def test_a_call_that_nobody_answers_ends() -> None:
    stage = Stage()
    stage.legs.answers = False
    conductor = stage.conductor()
    async with asyncio.timeout(5):
        await conductor.run()
    assert (await types(stage))[-1] == "call.ended"


async def test_a_job_whose_caller_never_comes_writes_nothing() -> None:
    stage = Stage()
    stage.legs.customer_comes = False
    async with asyncio.timeout(5):
        await stage.conductor().run()
    assert not stage.studio.voices
    assert await stage.log.read(CALL) == []


async def test_the_greeting_is_asked_for_while_the_phone_rings_and_waits_for_the_customer() -> None:
    stage = Stage()
    stage.legs.picks_up = asyncio.Event()
    async with conducting(stage) as (conductor, _):
        assert stage.studio.voices[0].told == ["Greet the caller."]
        listening = asyncio.get_running_loop().create_task(conductor.desk.customer_listens())
        await wait_until(lambda: stage.legs.ringing)
        assert [data.identity for data in await of(stage, LegJoined)] == ["agent"]
        assert not listening.done()
        stage.legs.picks_up.set()
        await listening
        hang_up(conductor)


async def test_a_call_of_another_worker_is_left_alone() -> None:
    stage = Stage(log=type(Stage().log)(Stage().clock))
    await stage.log.own(CALL, "somebody else", lease_ms=60_000)
    async with asyncio.timeout(5):
        await stage.conductor().run()
    assert not stage.studio.voices
    assert not stage.legs.ended
    assert await stage.log.read(CALL) == []


async def test_a_call_that_is_taken_over_goes_on_with_its_conversation() -> None:
    stage = Stage()
    await stage.log.append(started(CALL))
    await stage.log.append(speaking(CALL, "ai1:turn1"))
    await stage.log.append(said(CALL, "ai1:turn1", "I have a question"))
    async with conducting(stage) as (conductor, _):
        voice = stage.studio.voices[0]
        assert [line.text for line in voice.history] == ["I have a question"]
        assert "Greet" not in voice.told[0]
        assert voice.source != "ai1"
        hang_up(conductor)
    assert (await types(stage)).count("call.started") == 1


async def test_a_phone_that_was_answered_once_is_not_waited_for_again() -> None:
    """After a restart of livekit-server its leg says ``ringing`` until it hangs up."""
    stage = Stage()
    stage.legs.picks_up = asyncio.Event()
    await stage.log.append(started(CALL))
    await stage.log.append(event(CALL, LegJoined(identity=LEG.identity, role=Role.CUSTOMER)))
    async with conducting(stage) as (conductor, _):
        async with asyncio.timeout(2):
            await conductor.desk.customer_listens()
        hang_up(conductor)
    assert (await types(stage)).count("leg.left") == 2


async def test_the_ai_is_muted_as_soon_as_the_human_is_connected_and_leaves_after_the_seam() -> None:
    stage = Stage()
    stage.legs.in_room = {"human-1"}
    async with conducting(stage) as (conductor, _):
        asked = await request(stage, conductor)
        assert conductor.state.messages_held
        voice = stage.studio.voices[0]
        sentence = Sentence("ai1", "a", (1, 2), "across the seam")
        conductor.desk.hear(sentence.start)
        await tell(stage, connected(asked))
        await wait_until(lambda: voice.muted)
        assert not voice.closed, "the customer is still speaking to the realtime model"
        await wait_until(lambda: len(stage.studio.ears) == 2)
        twin = Sentence(stage.studio.ears[1].source, "x", (1.5, 2.1), "the seam")
        for fact in (twin.start, sentence.end, twin.end, twin.text, sentence.text):
            stage.studio.ears[1].hear(fact)
        await wait_until(lambda: voice.closed)
        later = Sentence(stage.studio.ears[1].source, "y", (3, 4), "afterwards")
        for fact in (later.start, later.end, later.text):
            stage.studio.ears[1].hear(fact)
        hang_up(conductor)
    assert await texts(stage) == ["across the seam", "afterwards"]
    assert not conductor.state.messages_held


async def test_what_speech_to_text_used_while_a_human_had_the_call_is_written_down() -> None:
    stage = Stage()
    stage.legs.in_room = {"human-1"}
    async with conducting(stage) as (conductor, _):
        await tell(stage, connected(await request(stage, conductor)))
        await wait_until(lambda: len(stage.studio.ears) == 2)
        hang_up(conductor)
    used = [(data.agent, data.model, data.input_audio_ms) for data in await of(stage, UsageRecorded)]
    assert used == [(None, "transcribe", 1500)] * 2
    assert (await types(stage))[-1] == "call.ended"


async def test_the_ai_is_muted_by_the_news_itself_however_busy_the_call_is() -> None:
    """The inbox may hold something that takes seconds; the two people must not hear the AI meanwhile."""
    stage = Stage()
    stage.legs.in_room = {"human-1"}
    async with conducting(stage) as (conductor, _):
        asked = await request(stage, conductor)
        voice = stage.studio.voices[0]
        conductor.signal(TransferOutcome(connected(asked)))
        assert voice.muted, "without a turn of the loop in between"
        hang_up(conductor)


async def test_a_sentence_that_goes_on_long_after_the_seam_is_told_once() -> None:
    """The realtime model takes its first part, speech-to-text the rest, whenever that text comes."""
    stage = Stage()
    stage.legs.in_room = {"human-1"}
    async with conducting(stage) as (conductor, _):
        asked = await request(stage, conductor)
        voice = stage.studio.voices[0]
        head = Sentence("ai1", "a", (1, 2), "I was charged twice")
        conductor.desk.hear(head.start)
        await tell(stage, connected(asked))
        await wait_until(lambda: len(stage.studio.ears) == 2)
        ear = stage.studio.ears[1]
        whole = Sentence(ear.source, "x", (1.2, 6), "charged twice for the setup fee")
        ear.hear(whole.start)
        for fact in (head.end, head.text):
            conductor.desk.hear(fact)
        await wait_until(lambda: voice.closed)
        for fact in (whole.end, whole.text):
            ear.hear(fact)
        hang_up(conductor)
    assert await texts(stage) == ["I was charged twice", "for the setup fee"]


async def test_a_text_that_does_not_come_at_the_seam_does_not_keep_the_ai_on_the_line() -> None:
    stage = Stage()
    stage.legs.in_room = {"human-1"}
    async with conducting(stage) as (conductor, _):
        asked = await request(stage, conductor)
        sentence = Sentence("ai1", "a", (1, 2), "never transcribed")
        conductor.desk.hear(sentence.start)
        conductor.desk.hear(sentence.end)
        await tell(stage, connected(asked))
        await wait_until(lambda: stage.studio.voices[0].closed, within_s=3)
        hang_up(conductor)
    assert "utterance.discarded" in await types(stage)


async def test_a_failed_transfer_is_told_to_the_caller_with_its_outcome() -> None:
    stage = Stage()
    async with conducting(stage) as (conductor, _):
        asked = await request(stage, conductor)
        await tell(
            stage,
            TransferFailed(
                transfer_id=asked.transfer_id,
                destination="billing-desk",
                outcome=DialOutcome.NO_ANSWER,
                reason="Nobody answered.",
            ),
        )
        voice = stage.studio.voices[0]
        await wait_until(lambda: len(voice.told) == 2)
        assert "transfer failed: no_answer. Nobody answered." in voice.told[1]
        assert conductor.state.phase is Phase.AI
        assert not voice.muted
        hang_up(conductor)


async def test_a_cancelled_transfer_changes_nothing_for_the_caller() -> None:
    stage = Stage()
    async with conducting(stage) as (conductor, _):
        asked = await request(stage, conductor)
        await tell(stage, TransferCancelled(transfer_id=asked.transfer_id, cause="withdrawn"))
        await wait_until(lambda: conductor.state.phase is Phase.AI)
        assert len(stage.studio.voices[0].told) == 1
        hang_up(conductor)


async def test_the_outcome_of_another_transfer_is_not_ours() -> None:
    stage = Stage()
    async with conducting(stage) as (conductor, _):
        asked = await request(stage, conductor)
        await tell(stage, TransferCancelled(transfer_id="another", cause="withdrawn"))
        await tell(stage, TransferCancelled(transfer_id=asked.transfer_id, cause="withdrawn"))
        await wait_until(lambda: conductor.state.phase is Phase.AI)
        hang_up(conductor)


@pytest.mark.parametrize("destination", ["nowhere", "+49301234567", ""])
async def test_a_destination_that_is_not_in_the_profile_is_refused(destination: str) -> None:
    stage = Stage()
    async with conducting(stage) as (conductor, _):
        refusal = conductor.desk.request_transfer(destination, "r", "s")
        assert refusal == "There is no such destination. Choose one of: billing-desk, front-desk."
        hang_up(conductor)
    assert "transfer.requested" not in await types(stage)


async def test_when_the_human_leaves_a_new_session_knows_the_whole_conversation() -> None:
    stage = Stage()
    stage.legs.in_room = {"human-1"}
    async with conducting(stage) as (conductor, _):
        stage.studio.voices[0].says("Welcome.", 1)
        asked = await request(stage, conductor)
        await tell(stage, connected(asked))
        await wait_until(lambda: stage.studio.voices[0].closed)
        ear = stage.studio.ears[0]
        words = Sentence(ear.source, "m", (5, 6), "Hello, Maria here", ear.speaker)
        for fact in (words.start, words.end, words.text):
            ear.hear(fact)
        conductor.signal(HumanGone(identity="human-1", reason="CLIENT_INITIATED", at=START))
        await wait_until(lambda: len(stage.studio.voices) == 2 and stage.studio.voices[1].told)
        back = stage.studio.voices[1]
        assert back.told == ["The human left."]
        assert [line.text for line in back.history] == ["Welcome.", "Hello, Maria here"]
        assert not any(one.running for one in stage.studio.ears)
        hang_up(conductor)


async def test_a_human_who_is_gone_before_the_handover_is_done_leaves_the_caller_with_the_ai() -> None:
    stage = Stage()
    async with conducting(stage) as (conductor, _):
        asked = await request(stage, conductor)
        await tell(stage, connected(asked))
        await wait_until(lambda: len(stage.studio.voices) == 2 and stage.studio.voices[1].told)
        hang_up(conductor)


async def test_a_leg_that_was_dialled_in_vain_is_not_reported_as_left() -> None:
    stage = Stage()
    async with conducting(stage) as (conductor, _):
        await request(stage, conductor)
        conductor.signal(HumanGone(identity="human-0", reason="USER_REJECTED", at=START))
        hang_up(conductor)
    left = [one.data.identity for one in await stage.log.read(CALL) if isinstance(one.data, LegLeft)]
    assert left == ["sip_1", "agent"]


async def outcomes(stage: Stage) -> list[EventData]:
    ends = TransferConnected | TransferFailed | TransferCancelled
    return [one.data for one in await stage.log.read(CALL) if isinstance(one.data, ends)]


async def test_a_caller_who_leaves_while_the_phone_rings_is_written_down_before_the_transfer_ends() -> None:
    """The orchestrator calls the transfer off when it reads that the customer has left; the call ends after that."""
    stage = Stage(limits=Limits(text_s=0.1, outcome_s=5, drain_s=2))
    async with conducting(stage) as (conductor, task):
        asked = await request(stage, conductor)
        hang_up(conductor)

        async def customer_left() -> bool:
            return "leg.left" in await types(stage)

        await wait_until(customer_left)
        assert not task.done()
        assert "call.ended" not in await types(stage)
        assert not stage.legs.ended, "the room stays until the phone has been stopped"
        await tell(stage, TransferCancelled(transfer_id=asked.transfer_id, cause="caller_left"))
    written = await types(stage)
    assert written[-2:] == ["transfer.cancelled", "call.ended"]
    assert await outcomes(stage) == [TransferCancelled(transfer_id=asked.transfer_id, cause="caller_left")]
    assert stage.legs.ended


async def test_a_transfer_that_nobody_ends_is_cancelled_by_the_worker_before_the_call_ends() -> None:
    stage = Stage()
    async with conducting(stage) as (conductor, _):
        asked = await request(stage, conductor)
        hang_up(conductor)
    assert (await types(stage))[-2:] == ["transfer.cancelled", "call.ended"]
    assert await outcomes(stage) == [TransferCancelled(transfer_id=asked.transfer_id, cause="call_ended")]
    late = event(
        CALL,
        TransferCancelled(transfer_id=asked.transfer_id, cause="caller_left"),
        id=transfer_outcome_id(CALL, asked.transfer_id),
    )
    assert (await stage.log.append(late, first_wins=True)).duplicate, "the orchestrator's own word is known to be said"


async def test_an_outcome_the_worker_has_not_heard_of_stays_the_only_one() -> None:
    """The log decides: both write under one id."""
    stage = Stage()
    async with conducting(stage) as (conductor, _):
        asked = await request(stage, conductor)
        stage.log.deaf = True
        unheard = TransferFailed(
            transfer_id=asked.transfer_id, destination="billing-desk", outcome=DialOutcome.BUSY, reason="Busy."
        )
        await stage.log.append(event(CALL, unheard, id=transfer_outcome_id(CALL, asked.transfer_id)))
        hang_up(conductor)
    assert await outcomes(stage) == [unheard]
    assert (await types(stage))[-1] == "call.ended"


async def test_a_person_who_answers_as_the_caller_hangs_up_is_sent_home_with_the_call() -> None:
    stage = Stage(limits=Limits(text_s=0.1, outcome_s=5, drain_s=2))
    async with conducting(stage) as (conductor, _):
        asked = await request(stage, conductor)
        hang_up(conductor)
        await tell(stage, connected(asked))
    assert await outcomes(stage) == [connected(asked)]
    assert [data.identity for data in await of(stage, LegJoined)].count("human-1") == 1
    assert [data.identity for data in await of(stage, LegLeft)] == ["sip_1", "agent", "human-1"]
    assert (await types(stage))[-2:] == ["leg.left", "call.ended"]
    assert stage.legs.ended


async def test_when_the_model_dies_a_human_is_called_and_the_call_ends_if_nobody_comes() -> None:
    stage = Stage()
    async with conducting(stage) as (conductor, _):
        conductor.signal(VoiceLost(detail="APIError"))
        assert (await requested(stage)).destination == "front-desk"
        assert conductor.state.phase is Phase.STRANDED
    over = (await stage.log.read(CALL))[-1].data
    assert isinstance(over, CallEnded)
    assert (over.ended_by, over.cause) == (EndedBy.SYSTEM, "MODEL_UNAVAILABLE")


async def test_a_caller_who_is_stranded_again_after_a_human_has_the_whole_time_again() -> None:
    stage = Stage()
    stage.limits = replace(stage.limits, stranded_s=1.0)
    stage.legs.in_room = {"human-1"}
    loop = asyncio.get_running_loop()
    async with conducting(stage) as (conductor, _):
        conductor.signal(VoiceLost(detail="APIError"))
        first = loop.time()
        await tell(stage, connected(await requested(stage)))
        await wait_until(lambda: conductor.state.phase is Phase.HUMAN)
        await wait_until(lambda: loop.time() > first + 0.5, what="half of the first time is over")
        stage.studio.fails = True
        again = loop.time()
        conductor.signal(HumanGone(identity="human-1", reason="CLIENT_INITIATED", at=START))
        await requested(stage, count=2)
        await wait_until(lambda: conductor.state.phase is Phase.ENDED)
        assert loop.time() >= again + 1.0


async def test_a_session_that_does_not_start_is_a_model_that_died() -> None:
    stage = Stage()
    stage.studio.fails = True
    conductor = stage.conductor()
    async with asyncio.timeout(5):
        await conductor.run()
    assert "transfer.requested" in await types(stage)
    assert (await types(stage))[-1] == "call.ended"


async def test_the_agent_may_end_the_call_but_not_over_a_transfer() -> None:
    stage = Stage()
    async with conducting(stage) as (conductor, _):
        asked = await request(stage, conductor)
        conductor.state.ending = True
        conductor.signal(GoodbyeAsked(at=START))
        await wait_until(lambda: not conductor.state.ending, what="the agent may end the call later")
        await tell(stage, TransferCancelled(transfer_id=asked.transfer_id, cause="withdrawn"))
        await wait_until(lambda: conductor.state.phase is Phase.AI)
        conductor.signal(GoodbyeAsked(at=START))  # the same once more: its time is up
        conductor.signal(HumanGone(identity="nobody", reason="a mark in the inbox", at=START))
        await wait_until(conductor._inbox.empty)
        assert conductor.state.phase is Phase.AI, "a goodbye that was void stays so"
        conductor.signal(GoodbyeAsked(at=START + timedelta(seconds=20)))
    over = (await stage.log.read(CALL))[-1].data
    assert isinstance(over, CallEnded)
    assert over.ended_by is EndedBy.AI


@pytest.mark.parametrize(("words", "goes_on"), [("Wait, one more thing", True), ("", False)])
async def test_a_caller_who_has_something_to_add_is_not_hung_up_on(words: str, goes_on: bool) -> None:
    stage = Stage()
    async with conducting(stage) as (conductor, _):
        addition = Sentence(stage.studio.voices[0].source, "a", (1, 2), words)
        conductor.state.ending = True
        conductor.desk.hear(addition.start)
        conductor.signal(GoodbyeAsked(at=START))
        for fact in (addition.end, addition.text):
            conductor.desk.hear(fact)
        if goes_on:
            await wait_until(lambda: not conductor.state.ending, what="the goodbye is void")
            conductor.signal(GoodbyeAsked(at=START + timedelta(seconds=2)))
    over = (await stage.log.read(CALL))[-1].data
    assert isinstance(over, CallEnded)
    assert over.ended_by is EndedBy.AI
    assert await texts(stage) == ([words] if goes_on else [])


class Add:
    """What a caller does about an agent's goodbye that was decided at the fifth second."""

    def __init__(self, source: str, span: tuple[float, float]) -> None:
        self.words = Sentence(source, "a", span, "Wait, one more thing")
        self.failed = TextFailed(source=source, item="a", at=self.words.end.at + timedelta(seconds=1))
        self.lost = RecogniserLost(source=source, at=self.words.end.at)


@pytest.mark.parametrize(
    ("span", "facts", "goes_on"),
    [
        pytest.param((6, 7), lambda add: (add.words.start, add.words.end, add.failed), True, id="its text failed"),
        pytest.param((6, 7), lambda add: (add.words.start, add.lost), True, id="the recogniser broke meanwhile"),
        pytest.param((4, 6), lambda add: (add.words.start, add.words.end, add.words.text), True, id="begun before"),
        pytest.param((4, 6), lambda add: (add.words.start, add.words.end), True, id="begun before, no text yet"),
        pytest.param((3, 4), lambda add: (add.words.start, add.words.end, add.words.text), False, id="what led to it"),
        pytest.param((3, 4), lambda add: (add.words.start, add.words.end, add.failed), False, id="that, text failed"),
    ],
)
async def test_whether_the_call_goes_on_after_a_goodbye_is_a_matter_of_speech_and_not_of_its_text(
    span: tuple[float, float], facts: Callable[[Add], tuple[Fact, ...]], goes_on: bool
) -> None:
    stage = Stage()
    async with conducting(stage) as (conductor, task):
        conductor.state.ending = True
        for fact in facts(Add(stage.studio.voices[0].source, span)):
            conductor.desk.hear(fact)
        conductor.signal(GoodbyeAsked(at=START + timedelta(seconds=5)))
        await wait_until(lambda: task.done() or not conductor.state.ending)
        assert task.done() is not goes_on
        hang_up(conductor)
    over = (await stage.log.read(CALL))[-1].data
    assert isinstance(over, CallEnded)
    assert over.ended_by is (EndedBy.CUSTOMER if goes_on else EndedBy.AI)


async def test_a_room_that_is_taken_away_ends_the_call() -> None:
    stage = Stage()
    async with conducting(stage) as (conductor, _):
        conductor.signal(RoomGone(reason="ROOM_DELETED", at=START))
    over = (await stage.log.read(CALL))[-1].data
    assert isinstance(over, CallEnded)
    assert (over.ended_by, over.cause) == (EndedBy.SYSTEM, "ROOM_DELETED")


async def test_losing_the_call_mutes_the_ai_and_ends_nothing() -> None:
    stage = Stage()
    async with conducting(stage) as (conductor, _):
        stage.log._call(CALL).epoch += 1
        conductor.desk.agent_entered("billing", reason="x", context_items=0)
        await wait_until(lambda: stage.studio.voices[0].muted)
    assert isinstance(stage.studio.voices[0], FakeVoice)
    assert "call.ended" not in await types(stage)
    assert not stage.legs.ended


async def test_what_the_customer_said_last_is_waited_for_at_the_end() -> None:
    stage = Stage()
    async with conducting(stage) as (conductor, _):
        last = Sentence("ai1", "z", (1, 2), "goodbye then")
        conductor.desk.hear(last.start)
        conductor.desk.hear(last.end)
        hang_up(conductor)
        await wait_until(lambda: stage.studio.voices[0].muted)
        conductor.desk.hear(last.text)
    assert await texts(stage) == ["goodbye then"]
