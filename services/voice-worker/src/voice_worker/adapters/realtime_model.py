"""The provider's realtime model, tapped and opened early.

The SDK's own events have lost item ids and failures, so the raw events of every session are handed on. And a session
takes a while to come up (a socket, TLS, its configuration), so it can be opened before anybody needs it: while the
room is still being entered.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import structlog
from livekit.agents import APIError
from livekit.plugins import openai
from openai.types.realtime import AudioTranscription
from openai.types.realtime.realtime_audio_input_turn_detection import ServerVad

log = structlog.get_logger()

CLOSE_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class ModelAccess:
    """Where the models are and which ones."""

    base_url: str
    api_key: str = field(repr=False)
    realtime_model: str
    stt_model: str


class TappedModel(openai.realtime.RealtimeModel):
    """A realtime model whose sessions report every raw event, from the first one on."""

    tap: Callable[[dict[str, Any]], None] | None = None
    reconnected: Callable[[], None] | None = None
    _early: openai.realtime.RealtimeSession | None = None
    _failed_early = False

    def open_early(self) -> None:
        """Begin to connect; the first :meth:`session` is this one. Needs a running loop and the job's HTTP context."""
        self._early = self._tapped_session()
        # Nobody else listens yet: a session that fails now must not be handed out as a good one.
        self._early.on("error", self._on_early_error)

    def session(self, *, turn_detection_disabled: bool = False) -> openai.realtime.RealtimeSession:
        """A session, connected or connecting."""
        early = self._early
        if early is None or self._failed_early or turn_detection_disabled:
            return self._tapped_session(turn_detection_disabled=turn_detection_disabled)
        self._early = None
        early.off("error", self._on_early_error)
        return early

    async def close_unused(self) -> None:
        """Close what was opened early and never asked for."""
        early, self._early = self._early, None
        if early is not None:
            try:
                async with asyncio.timeout(CLOSE_SECONDS):
                    await early.aclose()
            except APIError as error:
                log.info("model.closed_after_error", why=type(error).__name__)  # a failed session raises it again
            except TimeoutError:
                log.warning("model.close_timed_out", seconds=CLOSE_SECONDS)

    def _tapped_session(self, *, turn_detection_disabled: bool = False) -> openai.realtime.RealtimeSession:
        session = super().session(turn_detection_disabled=turn_detection_disabled)
        session.on("openai_server_event_received", self._on_event)
        session.on("session_reconnected", self._on_reconnected)
        return session

    def _on_event(self, event: dict[str, Any]) -> None:
        if self.tap is not None:
            self.tap(event)

    def _on_reconnected(self, _event: Any) -> None:
        if self.reconnected is not None:
            self.reconnected()

    def _on_early_error(self, _error: Any) -> None:
        self._failed_early = True


def realtime_model(access: ModelAccess, *, voice: str, language: str) -> TappedModel:
    """The model of one AI session.

    Args:
        access: where it is.
        voice: its voice.
        language: of the caller, e.g. ``en-GB``; the transcription takes the first part.
    """
    return TappedModel(
        model=access.realtime_model,
        voice=voice,
        base_url=access.base_url,
        api_key=access.api_key,
        turn_detection=ServerVad(
            type="server_vad",
            threshold=0.5,
            prefix_padding_ms=300,
            silence_duration_ms=500,
            create_response=True,
            interrupt_response=True,
        ),
        input_audio_transcription=AudioTranscription(
            model=access.stt_model, language=language.split("-", maxsplit=1)[0]
        ),
    )
