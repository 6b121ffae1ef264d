"""The AI's mouth and ears: one AgentSession on one shared realtime model.

It is started, told what to say, silenced and closed here; what it reports is in
:mod:`voice_worker.adapters.session_reports`. The model's socket is shared by all agents of the session, so that a
transcript that is late survives a handoff.
"""

import asyncio
import contextlib
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Literal

import aiohttp
import structlog
from livekit import rtc
from livekit.agents import (
    AgentSession,
    APIError,
    room_io,
)
from livekit.agents.llm import ChatContext

from call_events.catalogue import Role
from voice_worker.adapters.agents.cast import ProfileCast
from voice_worker.adapters.realtime_model import TappedModel
from voice_worker.adapters.session_reports import SessionReports
from voice_worker.domain.call import SessionState
from voice_worker.domain.conversation import Line
from voice_worker.domain.profile import Profile
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
        identity = room.local_participant.identity if room else "ai"
        self._reports = SessionReports(desk, source=source, profile=profile, identity=identity)
        model.tap, model.reconnected = self._reports.on_provider_event, self._reports.on_reconnected
        self._muted = False
        self._session: AgentSession[SessionState] | None = None

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
            # What the caller says over a sentence that may not be interrupted is said all the same.
            turn_handling={
                "turn_detection": "realtime_llm",
                "interruption": {"discard_audio_if_uninterruptible": False},
            },
            userdata=self._desk.state,
            max_tool_steps=5,
            user_away_timeout=None,
            # It would deafen the AI for the first three seconds; telephones cancel their own echo.
            aec_warmup_duration=None,
        )
        self._reports.attach(session)
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
        if self._muted:
            self._silence(session)  # what began to sound meanwhile; the track that was to be silenced was not there yet

    def tell(self, instruction: str) -> None:
        """Have the agent say something along this instruction."""
        if self._session is not None and not self._muted and not self._reports.failed:
            try:
                self._session.generate_reply(instructions=instruction)
            except RuntimeError:  # the session closes by itself, and does not always tell (1.8.9)
                self._reports.lost("SessionClosed")

    def hear_text(self, text: str) -> None:
        """The caller types instead of speaking; for calls without audio."""
        if not self._muted and not self._reports.failed:
            self.session.generate_reply(user_input=text)

    def mute(self) -> None:
        """Not another sound from now on.

        Waits for nothing: before this returns the media engine has silenced the track, whatever is queued in front of
        it and whatever the session is busy with.
        """
        if self._muted or self._session is None:
            return
        self._muted = True
        speaking = self._session.agent_state == "speaking"
        self._reports.silenced(cut_off=self._session.current_speech if speaking else None)
        self._silence(self._session)

    def usage(self) -> list[Usage]:
        """What was used since the last time."""
        return self._reports.meter.read(self._session.usage.model_usage) if self._session is not None else []

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
                if self._reports.failed and self._room is not None:
                    await session.room_io.aclose()
                await self._model.close_unused()
        except TimeoutError:
            log.warning("voice.close_timed_out", source=self._source, seconds=CLOSE_SECONDS)
        except RuntimeError as error:
            log.warning("voice.close_failed", source=self._source, why=str(error))
        self._reports.closed()

    def _silence(self, session: AgentSession[SessionState]) -> None:
        # First of all, for interrupting takes a few turns of the loop to reach the audio.
        for publication in self._room.local_participant.track_publications.values() if self._room else ():
            if isinstance(publication.track, rtc.LocalAudioTrack):
                publication.track.mute()
        # The session's audio output stays on: switched off, its text would be passed on as if all had been heard.
        with contextlib.suppress(RuntimeError):  # raised when the session has no activity (any more): it is silent then
            session.interrupt(force=True)

    def _room_options(self) -> room_io.RoomOptions:
        return room_io.RoomOptions(
            participant_identity=self._desk.state.customer_identity,
            close_on_disconnect=False,
            delete_room_on_close=False,
            text_input=False,
            # Gain control stays on, at 3 % of a call's cost: a caller far from the microphone must be understood, and
            # not every provider that OPENAI_BASE_URL may name levels by itself.
            audio_input=room_io.AudioInputOptions(frame_size_ms=FRAME_MS, pre_connect_audio=False),
            audio_output=room_io.AudioOutputOptions(track_publish_options=UNBROKEN),
        )


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
