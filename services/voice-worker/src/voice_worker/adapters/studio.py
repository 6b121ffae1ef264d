"""Makes voices and ears for one call in a LiveKit room."""

import ssl

from livekit import rtc

from call_events.catalogue import Speaker
from voice_worker.adapters.livekit_room import LiveKitLegs
from voice_worker.adapters.openai_stt import OpenAIEar
from voice_worker.adapters.realtime_model import ModelAccess, TappedModel, realtime_model
from voice_worker.adapters.realtime_voice import RealtimeVoice
from voice_worker.domain.profile import Profile
from voice_worker.ports import CustomerBook, Desk, Hear


class LiveKitStudio:
    """One call's workshop."""

    def __init__(
        self,
        room: rtc.Room,
        legs: LiveKitLegs,
        *,
        profile: Profile,
        book: CustomerBook,
        access: ModelAccess,
        tls: ssl.SSLContext,
    ) -> None:
        self._room = room
        self._legs = legs
        self._profile = profile
        self._book = book
        self._access = access
        self._tls = tls
        self._opened: TappedModel | None = None

    async def open(self) -> None:
        """Begin to connect to the model for the first voice. Does not wait for it."""
        self._opened = self._model()
        self._opened.open_early()

    async def close(self) -> None:
        """Close what no voice was made of."""
        if self._opened is not None:
            await self._opened.close_unused()

    def voice(self, desk: Desk, source: str) -> RealtimeVoice:
        """A new session of the AI."""
        model, self._opened = self._opened or self._model(), None
        return RealtimeVoice(
            room=self._room, desk=desk, source=source, profile=self._profile, book=self._book, model=model
        )

    def ear(self, speaker: Speaker, source: str, hear: Hear) -> OpenAIEar:
        """Speech-to-text for the leg of that speaker; its audio is kept from now on."""
        identity, audio = speaker.identity, self._legs.audio
        self._legs.listen_to(identity)
        return OpenAIEar(
            frames=lambda: audio.frames(identity),
            release=lambda: audio.release(identity),
            speaker=speaker,
            source=source,
            hear=hear,
            access=self._access,
            language=self._profile.language.split("-")[0],
            tls=self._tls,
        )

    def _model(self) -> TappedModel:
        return realtime_model(self._access, voice=self._profile.voice, language=self._profile.language)
