"""The AI's mouth and ears: one AgentSession on one shared realtime model.

What the caller hears and says is reported to the desk as facts, in the order in which it happened. The model's socket
is shared by all agents of the session, so that a transcript that is late survives a handoff; the socket's raw events
carry the item ids that the SDK's own events have lost.
"""

import asyncio
import contextlib
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Literal

import aiohttp
import structlog
from livekit import rtc
from livekit.agents import (
    AgentSession,
    AgentStateChangedEvent,
    APIError,
    ConversationItemAddedEvent,
    ErrorEvent,
    FunctionCall,
    FunctionToolsExecutedEvent,
    SpeechCreatedEvent,
    ToolCallEnded,
    ToolCallStarted,
    ToolExecutionUpdatedEvent,
    room_io,
)
from livekit.agents.llm import ChatContext

from call_events.catalogue import Role, Speaker
from voice_worker.adapters.agents.cast import ProfileCast
from voice_worker.adapters.provider_events import read_fact
from voice_worker.adapters.realtime_model import TappedModel
from voice_worker.adapters.tool_outcomes import outcome_of
from voice_worker.adapters.usage import Meter
from voice_worker.domain.call import SessionState
from voice_worker.domain.conversation import Line
from voice_worker.domain.profile import Profile
from voice_worker.domain.signals import VoiceLost
from voice_worker.domain.turns import AiAudible, AiQuiet, AiSaid, AiSettled, Fact, RecogniserLost, SpeechEnded
from voice_worker.errors import VoiceFailed
from voice_worker.ports import CustomerBook, Desk, Usage

log = structlog.get_logger()

START_SECONDS = 15.0
CLOSE_SECONDS = 5.0
#: How a session fails to start: the provider, the network, the SDK's own state, or the room that takes no track.
NOT_STARTED = (
    APIError,
    aiohttp.ClientError,
    OSError,
    RuntimeError,
    rtc.ConnectError,
    rtc.participant.PublishTrackError,
)
#: The plugin sends its audio in pieces of 100 ms anyway.
FRAME_MS = 100

#: Packets go on through silence. With DTX, the default, none come while the AI is silent: livekit-sip's mixer then
#: starves, and on a busy machine it tears the first word of what is said next.
UNBROKEN = rtc.TrackPublishOptions(source=rtc.TrackSource.SOURCE_MICROPHONE, dtx=False)


class RealtimeVoice:
    """One session of the AI in one call."""

    def __init__(
        self,
        *,
        room: rtc.Room | None,
        desk: Desk,
        source: str,
        profile: Profile,
        book: CustomerBook,
        model: TappedModel,
    ) -> None:
        self._room = room
        self._desk = desk
        self._source = source
        self._profile = profile
        self._cast = ProfileCast(profile, desk, book, datetime.now(UTC).date())
        self._model = model
        model.tap, model.reconnected = self._on_provider_event, self._on_reconnected
        self._muted = False
        #: Whether the turn that was cut off by muting still has to tell what was heard of it.
        self._owed = False
        self._failed = False
        self._turn = 0
        self._tools: dict[str, tuple[FunctionCall, float]] = {}
        #: When the caller's last sentence ended, until it is answered.
        self._asked_at: datetime | None = None
        self._meter = Meter()
        self._session: AgentSession[SessionState] | None = None
        identity = desk.state.customer_identity
        self._customer = Speaker(role=Role.CUSTOMER, name="Customer", identity=identity)

    @property
    def source(self) -> str:
        """Name of its recogniser."""
        return self._source

    @property
    def session(self) -> AgentSession[SessionState]:
        """The session, once started; for the text entrypoint."""
        assert self._session is not None, "not started"
        return self._session

    async def start(self, agent: str, history: Sequence[Line]) -> None:
        """Begin to listen.

        Raises:
            VoiceFailed: the session did not come up.
        """
        session = AgentSession[SessionState](
            llm=self._model,
            vad=None,
            turn_handling={"turn_detection": "realtime_llm"},
            userdata=self._desk.state,
            max_tool_steps=5,
            user_away_timeout=None,
            # It would deafen the AI for the first three seconds; telephones cancel their own echo.
            aec_warmup_duration=None,
        )
        session.on("agent_state_changed", self._on_agent_state)
        session.on("conversation_item_added", self._on_item)
        session.on("speech_created", self._on_speech)
        session.on("tool_execution_updated", self._on_tool)
        session.on("function_tools_executed", self._on_tools_done)
        session.on("error", self._on_error)
        self._session = session
        first = self._cast.make(agent, chat_ctx=_context(history), reason="start", introduce=False)
        try:
            async with asyncio.timeout(START_SECONDS):
                if self._room is None:
                    await session.start(first, session_host=False, record=False)
                else:
                    await session.start(
                        first, room=self._room, room_options=self._room_options(), session_host=False, record=False
                    )
        except TimeoutError:
            raise VoiceFailed(f"the AI's session did not start within {START_SECONDS:.0f} s") from None
        except NOT_STARTED as error:
            raise VoiceFailed(f"the AI's session did not start: {type(error).__name__}") from error

    def tell(self, instruction: str) -> None:
        """Have the agent say something along this instruction."""
        if self._session is not None and not self._muted and not self._failed:
            try:
                self._session.generate_reply(instructions=instruction)
            except RuntimeError:  # the session closes by itself, and does not always tell (1.8.9)
                self._lost("SessionClosed")

    def hear_text(self, text: str) -> None:
        """The caller types instead of speaking; for calls without audio."""
        if not self._muted and not self._failed:
            self.session.generate_reply(user_input=text)

    def mute(self) -> None:
        """Not another sound from now on."""
        if self._muted or self._session is None:
            return
        self._muted = True
        self._owed = self._session.agent_state == "speaking"
        # Interrupting takes a few turns of the loop to reach the audio; the track is silent at once.
        for publication in self._room.local_participant.track_publications.values() if self._room else ():
            if isinstance(publication.track, rtc.LocalAudioTrack):
                publication.track.mute()
        with contextlib.suppress(RuntimeError):  # raised when the session has no activity (any more): it is silent then
            self._session.interrupt(force=True)
        if self._session.output.audio is not None:
            self._session.output.set_audio_enabled(False)

    def usage(self) -> list[Usage]:
        """What was used since the last time."""
        return self._meter.read(self._session) if self._session is not None else []

    async def close(self) -> None:
        """Leave the conversation."""
        if (session := self._session) is None:
            return
        self.mute()
        try:
            async with asyncio.timeout(CLOSE_SECONDS):
                try:
                    await session.aclose()
                except APIError as error:
                    # After a fatal error the SDK raises it again here and leaves its room side open (1.8.9).
                    log.info("voice.closed_after_error", source=self._source, why=type(error).__name__)
                if self._failed and self._room is not None:
                    await session.room_io.aclose()
                await self._model.close_unused()
        except TimeoutError:
            log.warning("voice.close_timed_out", source=self._source, seconds=CLOSE_SECONDS)
        except RuntimeError as error:
            log.warning("voice.close_failed", source=self._source, why=str(error))
        self._desk.hear(AiQuiet(source=self._source, at=_now()))
        self._desk.hear(AiSettled(source=self._source, at=_now()))

    def _room_options(self) -> room_io.RoomOptions:
        return room_io.RoomOptions(
            participant_identity=self._desk.state.customer_identity,
            close_on_disconnect=False,
            delete_room_on_close=False,
            text_input=False,
            audio_input=room_io.AudioInputOptions(frame_size_ms=FRAME_MS, pre_connect_audio=False),
            audio_output=room_io.AudioOutputOptions(track_publish_options=UNBROKEN),
        )

    # What the session reports -----------------------------------------------------------------------------------------

    def _hear(self, fact: Fact | None) -> None:
        if fact is not None:
            self._desk.hear(fact)

    def _speaker(self) -> Speaker:
        key = self._desk.state.current_agent or self._profile.first_agent
        identity = self._room.local_participant.identity if self._room else "ai"
        return Speaker(role=Role.AI, name=self._profile.agent(key).name, identity=identity, agent=key)

    def _on_provider_event(self, event: dict[str, Any]) -> None:
        fact = read_fact(event, source=self._source, speaker=self._customer, at=_now())
        if isinstance(fact, SpeechEnded):
            self._asked_at = fact.at
        self._hear(fact)

    def _on_reconnected(self) -> None:
        log.warning("voice.reconnected", source=self._source)
        self._hear(RecogniserLost(source=self._source, at=_now()))

    def _on_agent_state(self, event: AgentStateChangedEvent) -> None:
        at = datetime.fromtimestamp(event.created_at, UTC)
        if event.new_state == "speaking" and not self._muted:
            self._turn += 1
            if self._asked_at is not None:
                self._meter.note_latency((at - self._asked_at).total_seconds() * 1000)
                self._asked_at = None
            self._hear(AiAudible(source=self._source, item=f"turn{self._turn}", speaker=self._speaker(), at=at))
        elif event.old_state == "speaking":
            self._hear(AiQuiet(source=self._source, at=at))

    def _on_item(self, event: ConversationItemAddedEvent) -> None:
        item = event.item
        if item.type != "message" or item.role != "assistant":
            return
        metrics = item.metrics
        started, stopped = metrics.get("started_speaking_at"), metrics.get("stopped_speaking_at")
        heard = item.text_content or ""
        if self._muted and not self._owed:
            return  # the model went on answering after it was silenced: nobody heard it
        self._owed = False
        self._hear(
            AiSaid(
                source=self._source,
                item=item.id,
                speaker=self._speaker(),
                at=datetime.fromtimestamp(stopped, UTC) if stopped else _now(),
                text=heard,
                interrupted=item.interrupted,
                started_at=datetime.fromtimestamp(started, UTC) if started else None,
            )
        )

    def _on_speech(self, event: SpeechCreatedEvent) -> None:
        event.speech_handle.add_done_callback(lambda _: self._hear(AiSettled(source=self._source, at=_now())))

    def _on_tool(self, event: ToolExecutionUpdatedEvent) -> None:
        update = event.update
        if isinstance(update, ToolCallStarted):
            self._tools[update.function_call.call_id] = (update.function_call, time.monotonic())
        elif isinstance(update, ToolCallEnded) and update.call_id in self._tools:
            call, began = self._tools.pop(update.call_id)
            arguments, outcome, detail = outcome_of(call, update)
            self._desk.tool_called(
                tool_call_id=call.call_id,
                name=call.name,
                arguments=arguments,
                outcome=outcome,
                detail=detail,
                duration_ms=int((time.monotonic() - began) * 1000),
            )

    def _on_tools_done(self, event: FunctionToolsExecutedEvent) -> None:
        if not event.has_agent_handoff:
            self._desk.state.handing_over_to = None

    def _on_error(self, event: ErrorEvent) -> None:
        error = event.error
        if getattr(error, "recoverable", True) is not False or self._failed:
            return
        cause = getattr(error, "error", error)
        self._lost(type(cause).__name__)

    def _lost(self, why: str) -> None:
        self._failed = True
        self._hear(RecogniserLost(source=self._source, at=_now()))
        self._desk.signal(VoiceLost(detail=why))


def _context(history: Sequence[Line]) -> ChatContext | None:
    """The conversation as the model's own memory; what a human said is marked, for the model knows two roles only."""
    if not history:
        return None
    context = ChatContext.empty()
    for line in history:
        role: Literal["assistant", "user"] = "user" if line.role is Role.CUSTOMER else "assistant"
        said = f"({line.name}, a human colleague:) {line.text}" if line.role is Role.HUMAN else line.text
        context.add_message(role=role, content=said, created_at=line.started_at.timestamp())
    return context


def _now() -> datetime:
    return datetime.now(UTC)
