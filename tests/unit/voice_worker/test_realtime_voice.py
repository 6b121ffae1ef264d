"""What the SDK raises must reach the call as a voice that is lost, never as a fault of the worker."""

from types import SimpleNamespace
from typing import Any, cast

import aiohttp
import pytest
from livekit import rtc
from livekit.agents import AgentSession, APIConnectionError, ConversationItemAddedEvent
from livekit.agents.llm import ChatMessage
from livekit.agents.voice import SpeechHandle

from call_events.ids import CallId
from unit.voice_worker.fakes import PROFILE
from voice_worker.adapters.example_book import ExampleBook
from voice_worker.adapters.realtime_model import ModelAccess, realtime_model
from voice_worker.adapters.realtime_voice import RealtimeVoice
from voice_worker.domain.call import SessionState
from voice_worker.domain.facts import AiSaid, Fact, RecogniserLost
from voice_worker.domain.signals import Signal, VoiceLost
from voice_worker.errors import VoiceFailed
from voice_worker.ports import Desk


class FakeDesk:
    def __init__(self) -> None:
        self.state = SessionState(call=CallId("call-1"), customer_identity="sip_1")
        self.signals: list[Signal] = []
        self.facts: list[Fact] = []

    def hear(self, fact: Fact) -> None:
        self.facts.append(fact)

    def signal(self, signal: Signal) -> None:
        self.signals.append(signal)


class FakeTrack(rtc.LocalAudioTrack):
    """Notes when it is silenced."""

    def __init__(self, order: list[str]) -> None:
        self._order = order

    def mute(self) -> None:
        self._order.append("silent")


class FakeRoom:
    """We are in it, with the tracks that we have published."""

    def __init__(self) -> None:
        self.local_participant = self
        self.identity = "agent"
        self.track_publications: dict[str, Any] = {}

    def publish(self, track: FakeTrack) -> None:
        self.track_publications["TR_1"] = SimpleNamespace(track=track)


def a_voice(desk: FakeDesk, room: FakeRoom | None = None) -> RealtimeVoice:
    access = ModelAccess(base_url="http://127.0.0.1:1/v1", api_key="k", realtime_model="m", stt_model="s")
    return RealtimeVoice(
        room=cast("rtc.Room | None", room),
        desk=cast("Desk", desk),
        source="ai1",
        profile=PROFILE,
        book=ExampleBook(),
        model=realtime_model(access, voice="marin", language="en-GB"),
    )


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError("closing"),
        APIConnectionError("x"),
        aiohttp.ClientConnectionError(),
        ConnectionResetError(),
        rtc.ConnectError("x"),
        rtc.participant.PublishTrackError("x"),
    ],
)
async def test_a_session_that_does_not_start_is_a_voice_that_failed(
    monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    async def refuse(*_: Any, **__: Any) -> None:
        raise error

    monkeypatch.setattr(AgentSession, "start", refuse)
    with pytest.raises(VoiceFailed, match=type(error).__name__):
        await a_voice(FakeDesk()).start("generic", ())


async def test_a_session_that_closed_by_itself_is_a_voice_that_is_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    async def start(*_: Any, **__: Any) -> None:
        """It is over before the first word."""

    monkeypatch.setattr(AgentSession, "start", start)
    desk = FakeDesk()
    voice = a_voice(desk)
    await voice.start("generic", ())
    voice.tell("Greet the caller.")
    voice.tell("Greet the caller.")
    assert desk.signals == [VoiceLost(detail="SessionClosed")]
    assert [type(fact) for fact in desk.facts] == [RecogniserLost]


async def test_the_track_is_silent_before_anything_else_is_done_about_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Interrupting the session takes turns of a loop that may be busy; what is queued would be heard meanwhile."""
    order: list[str] = []

    async def start(*_: Any, **__: Any) -> None:
        """Ready."""

    monkeypatch.setattr(AgentSession, "start", start)
    monkeypatch.setattr(AgentSession, "interrupt", lambda *_, **__: order.append("interrupted"))
    room = FakeRoom()
    voice = a_voice(FakeDesk(), room)
    await voice.start("generic", ())
    room.publish(FakeTrack(order))
    voice.mute()
    voice.mute()
    assert order == ["silent", "interrupted"], "without a turn of the loop in between"


async def test_a_voice_that_is_muted_while_it_starts_comes_up_silent(monkeypatch: pytest.MonkeyPatch) -> None:
    """A person is connected just as the AI comes (back): its track is published after it was told to be silent."""
    order: list[str] = []
    room = FakeRoom()
    voice = a_voice(FakeDesk(), room)

    async def start(*_: Any, **__: Any) -> None:
        voice.mute()
        assert order == []
        room.publish(FakeTrack(order))

    monkeypatch.setattr(AgentSession, "start", start)
    await voice.start("generic", ())
    assert order == ["silent"]


async def muted(monkeypatch: pytest.MonkeyPatch, desk: FakeDesk, *, state: str, speech: SpeechHandle) -> RealtimeVoice:
    """A voice that was silenced in this state, with that turn under way."""

    async def start(*_: Any, **__: Any) -> None:
        """Ready."""

    monkeypatch.setattr(AgentSession, "start", start)
    monkeypatch.setattr(AgentSession, "agent_state", state)
    monkeypatch.setattr(AgentSession, "current_speech", speech)
    voice = a_voice(desk)
    await voice.start("generic", ())
    voice.mute()
    return voice


def say(voice: RealtimeVoice, handle: SpeechHandle | None, words: str) -> None:
    """The session tells of an item, as part of a turn or of none."""
    message = ChatMessage(role="assistant", content=[words])
    if handle is not None:
        handle._item_added([message])
    voice.session.emit("conversation_item_added", ConversationItemAddedEvent(item=message))


async def test_of_what_the_ai_says_only_the_turn_that_was_cut_off_is_told_after_muting(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The model may have an answer ready that it was asked for meanwhile; on the muted track nobody hears it."""
    desk, speaking = FakeDesk(), SpeechHandle.create()
    voice = await muted(monkeypatch, desk, state="speaking", speech=speaking)
    say(voice, SpeechHandle.create(), "On the muted track")
    say(voice, speaking, "I am putting you")
    say(voice, None, "Late")
    assert [fact.text for fact in desk.facts if isinstance(fact, AiSaid)] == ["I am putting you"]


async def test_an_ai_that_was_not_speaking_when_it_was_muted_has_said_nothing_afterwards(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    desk, thinking = FakeDesk(), SpeechHandle.create()
    voice = await muted(monkeypatch, desk, state="thinking", speech=thinking)
    say(voice, thinking, "On the muted track")
    assert not [fact for fact in desk.facts if isinstance(fact, AiSaid)]
