"""Nobody's words are lost or left open when the customer passes from one recogniser to another, or from one worker to
another."""

import asyncio

import pytest

from call_events.catalogue import (
    DiscardReason,
    Role,
    TransferCancelled,
    TransferConnected,
    TransferDialing,
    TransferFailed,
    TransferRequested,
    UtteranceCompleted,
    UtteranceDiscarded,
    UtteranceStarted,
)
from call_events.envelope import EventData
from call_events.testing import START, event, started
from support.waiting import wait_until
from unit.voice_worker.fakes import CALL, FakeVoice, Sentence, Stage
from unit.voice_worker.test_conduct import conducting, connected, hang_up, of, request, tell, texts
from voice_worker.domain.call import Phase
from voice_worker.domain.signals import HumanGone
from voice_worker.errors import VoiceFailed
from voice_worker.handlers.call import Conductor

REQUESTED = TransferRequested(transfer_id="t-1", destination="billing-desk", reason="r", summary="s", agent="billing")


async def discarded(stage: Stage) -> list[DiscardReason]:
    return [data.reason for data in await of(stage, UtteranceDiscarded)]


async def unfinished(stage: Stage) -> set[str]:
    done = {data.utterance_id for data in await of(stage, UtteranceCompleted)}
    done |= {data.utterance_id for data in await of(stage, UtteranceDiscarded)}
    return {data.utterance_id for data in await of(stage, UtteranceStarted)} - done


async def test_a_customer_who_talks_across_the_hand_over_leaves_no_utterance_open() -> None:
    """The other recogniser tells the words; an open utterance would hold up everything behind it."""
    stage = Stage()
    stage.legs.in_room = {"human-1"}
    async with conducting(stage) as (conductor, _):
        asked = await request(stage, conductor)
        endless = Sentence("ai1", "a", (1, 20), "never told")
        conductor.desk.hear(endless.start)
        await tell(stage, connected(asked))
        await wait_until(lambda: stage.studio.voices[0].closed)
        ear = stage.studio.ears[1]
        rest = Sentence(ear.source, "x", (2, 20), "all the rest")
        for fact in (rest.start, rest.end, rest.text):
            ear.hear(fact)

        async def told() -> bool:
            return await texts(stage) == ["all the rest"]

        await wait_until(told)
        assert await unfinished(stage) == set()
        assert await discarded(stage) == [DiscardReason.NOT_SPOKEN]
        hang_up(conductor)


async def test_a_sentence_that_only_the_closed_recogniser_heard_is_missing_not_unspoken() -> None:
    stage = Stage()
    stage.legs.in_room = {"human-1"}
    async with conducting(stage) as (conductor, _):
        asked = await request(stage, conductor)
        lost = Sentence("ai1", "a", (1, 2), "never told")
        conductor.desk.hear(lost.start)
        conductor.desk.hear(lost.end)
        stage.clock.advance(10)
        await tell(stage, connected(asked))
        await wait_until(lambda: stage.studio.voices[0].closed)
        hang_up(conductor)
    assert await discarded(stage) == [DiscardReason.TRANSCRIPT_TIMEOUT]


class SlowVoice:
    """Takes its time to come up, and may not come up at all."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *, fails: bool = False) -> None:
        self.opening = asyncio.Event()
        self.go = asyncio.Event()
        start = FakeVoice.start

        async def slowly(voice: FakeVoice, agent: str, history: object) -> None:
            if voice.source != "ai1":
                self.opening.set()
                await self.go.wait()
                if fails:
                    raise VoiceFailed("no")
            await start(voice, agent, history)  # type: ignore[arg-type]

        monkeypatch.setattr(FakeVoice, "start", slowly)


async def with_a_human(stage: Stage, conductor: Conductor) -> None:
    asked = await request(stage, conductor)
    await tell(stage, connected(asked))
    await wait_until(lambda: stage.studio.voices[0].closed and len(stage.studio.ears) == 2)


def human_leaves(conductor: Conductor) -> None:
    conductor.signal(HumanGone(identity="human-1", reason="CLIENT_INITIATED", at=START))


async def test_what_the_customer_says_while_the_ai_comes_back_is_heard(monkeypatch: pytest.MonkeyPatch) -> None:
    stage = Stage()
    stage.legs.in_room = {"human-1"}
    slow = SlowVoice(monkeypatch)
    async with conducting(stage) as (conductor, _):
        await with_a_human(stage, conductor)
        ear = stage.studio.ears[1]
        human_leaves(conductor)
        await slow.opening.wait()
        alone = Sentence(ear.source, "x", (5, 6), "Hello? Anybody there?")
        for fact in (alone.start, alone.end, alone.text):
            ear.hear(fact)
        across = Sentence(ear.source, "y", (7, 9), "I still have a question")
        ear.hear(across.start)
        slow.go.set()
        await wait_until(lambda: stage.studio.voices[1].told)
        twin = Sentence(stage.studio.voices[1].source, "z", (7.1, 9.1), "I still have a question")
        for fact in (twin.start, twin.end, twin.text, across.end, across.text):
            (conductor.desk if fact in (twin.start, twin.end, twin.text) else ear).hear(fact)
        await wait_until(lambda: not ear.running)
        after = Sentence(stage.studio.voices[1].source, "w", (11, 12), "Thank you")
        for fact in (after.start, after.end, after.text):
            conductor.desk.hear(fact)
        hang_up(conductor)
    assert await texts(stage) == ["Hello? Anybody there?", "I still have a question", "Thank you"]
    assert await unfinished(stage) == set()


async def test_if_the_ai_does_not_come_back_speech_to_text_stays_with_the_customer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    stage = Stage()
    stage.legs.in_room = {"human-1", "human-2"}
    slow = SlowVoice(monkeypatch, fails=True)
    slow.go.set()
    async with conducting(stage) as (conductor, _):
        await with_a_human(stage, conductor)
        human_leaves(conductor)
        await wait_until(lambda: conductor.state.phase is Phase.STRANDED)
        ear = stage.studio.ears[1]
        assert ear.running
        alone = Sentence(ear.source, "x", (5, 6), "Hello?")
        for fact in (alone.start, alone.end, alone.text):
            ear.hear(fact)
        await wait_until(lambda: conductor.state.phase is Phase.ENDED)
    assert await texts(stage) == ["Hello?"]
    assert not ear.running


async def taken_over(*events: EventData) -> Stage:
    stage = Stage()
    await stage.log.append(started(CALL))
    for data in events:
        await stage.log.append(event(CALL, data))
    return stage


async def test_a_worker_that_takes_over_two_people_listens_and_says_nothing() -> None:
    stage = await taken_over(REQUESTED, connected(REQUESTED))
    stage.legs.in_room = {"human-1"}
    conductor = stage.conductor()
    async with asyncio.timeout(10), asyncio.TaskGroup() as group:
        group.create_task(conductor.run())
        await wait_until(lambda: len(stage.studio.ears) == 2 and all(ear.running for ear in stage.studio.ears))
        maria, customer = stage.studio.ears
        assert (maria.speaker.role, customer.speaker.role) == (Role.HUMAN, Role.CUSTOMER)
        words = Sentence(maria.source, "m", (5, 6), "As I said", maria.speaker)
        for fact in (words.start, words.end, words.text):
            maria.hear(fact)
        assert not stage.studio.voices
        human_leaves(conductor)
        await wait_until(lambda: stage.studio.voices and stage.studio.voices[0].told)
        assert stage.studio.voices[0].told == ["The human left."]
        hang_up(conductor)
    assert await texts(stage) == ["As I said"]


async def test_a_human_who_left_between_two_workers_leaves_the_caller_with_the_ai() -> None:
    stage = await taken_over(REQUESTED, connected(REQUESTED))
    async with conducting(stage) as (conductor, _):
        assert stage.studio.voices[0].told == ["The human left."]
        hang_up(conductor)


async def test_a_worker_that_takes_over_an_open_transfer_hears_its_outcome() -> None:
    dialing = TransferDialing(transfer_id="t-1", attempt=1, dial_id="1", target="desk", identity="human-1")
    stage = await taken_over(REQUESTED, dialing)
    stage.legs.in_room = {"human-1"}
    async with conducting(stage) as (conductor, _):
        assert str(conductor.state.phase) == "transferring"
        assert conductor.state.transfer is not None
        assert conductor.state.transfer.legs == ("human-1",)
        assert conductor.state.messages_held
        refused = conductor.desk.request_transfer("front-desk", "r", "s")
        assert refused is not None
        assert "billing-desk" in refused
        assert "their phone is being called" in refused
        await tell(stage, connected(REQUESTED))
        await wait_until(lambda: stage.studio.voices[0].closed and conductor.state.phase is Phase.HUMAN)
        hang_up(conductor)
    ends = TransferConnected | TransferFailed | TransferCancelled
    assert sum(isinstance(one.data, ends) for one in await stage.log.read(CALL)) == 1


async def test_a_text_carries_the_language_of_the_call_unless_the_recogniser_tells() -> None:
    stage = Stage()
    async with conducting(stage) as (conductor, _):
        said = Sentence("ai1", "a", (1, 2), "hello")
        for fact in (said.start, said.end, said.text):
            conductor.desk.hear(fact)
        hang_up(conductor)
    assert [data.language for data in await of(stage, UtteranceCompleted)] == ["en-GB"]
