"""Makes voices and ears for one call in a LiveKit room."""

import ssl
from collections.abc import AsyncIterator

from livekit import rtc

from call_events.catalogue import Speaker
from voice_worker.adapters.livekit_room import LiveKitLegs
from voice_worker.adapters.openai_stt import OpenAIEar
from voice_worker.adapters.realtime_voice import ModelAccess, RealtimeVoice
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

    def voice(self, desk: Desk, source: str) -> RealtimeVoice:
        """A new session of the AI."""
        return RealtimeVoice(
            room=self._room, desk=desk, source=source, profile=self._profile, book=self._book, access=self._access
        )

    def ear(self, speaker: Speaker, source: str, hear: Hear) -> OpenAIEar:
        """Speech-to-text for the leg of that speaker; its audio is kept from now on."""
        identity = speaker.identity
        self._legs.keep(identity)

        def frames() -> AsyncIterator[rtc.AudioFrame]:
            return self._legs.frames(identity)

        return OpenAIEar(
            frames=frames,
            speaker=speaker,
            source=source,
            hear=hear,
            access=self._access,
            language=self._profile.language.split("-")[0],
            tls=self._tls,
        )
