"""Who speaks and who listens in one call: the AI's sessions, speech-to-text of the legs, and the seam between them."""

import asyncio
from collections.abc import Callable, Sequence
from datetime import datetime

from call_events.catalogue import LegJoined, LegLeft, Role, Speaker, UsageRecorded
from call_events.envelope import EventData
from voice_worker.domain.call import SessionState
from voice_worker.domain.profile import Profile
from voice_worker.errors import VoiceFailed
from voice_worker.handlers.emitter import Emitter
from voice_worker.handlers.limits import Limits
from voice_worker.handlers.speech import Speech
from voice_worker.ports import Desk, Ear, Legs, Studio, Usage, Voice, WallClock

Start = Callable[[Ear], None]


class Floor:
    """Opens and closes voices and ears, so that at any moment each party's words belong to exactly one recogniser."""

    def __init__(
        self,
        *,
        profile: Profile,
        state: SessionState,
        emitter: Emitter,
        speech: Speech,
        legs: Legs,
        studio: Studio,
        clock: WallClock,
        limits: Limits,
        first_number: int,
    ) -> None:
        self._profile = profile
        self._state = state
        self._emitter = emitter
        self._speech = speech
        self._legs = legs
        self._studio = studio
        self._clock = clock
        self._limits = limits
        #: Names of recognisers never repeat in a call, also not after another worker's.
        self._number = first_number
        self._voice: Voice | None = None
        self._voice_number = 0
        self._voice_since = clock.now()
        self._ears: dict[str, Ear] = {}
        #: Who comes back when a human has left.
        self.last_agent = profile.first_agent

    def tell(self, instruction: str) -> None:
        """Have the agent say something, if there is one."""
        if self._voice:
            self._voice.tell(instruction)

    def mute(self) -> None:
        """The AI is silent from now on; it goes on listening."""
        if self._voice:
            self._voice.mute()

    async def speak(self, desk: Desk, agent: str) -> None:
        """Begin a new session of the AI, with the conversation so far.

        If speech-to-text listens to the customer, it goes on, whatever happens here: it counts until
        :meth:`take_back`.

        Raises:
            VoiceFailed: it did not come up.
        """
        self._number += 1
        self._voice_number = self._number
        self._state.current_agent = ""
        self._voice = self._studio.voice(desk, f"ai{self._number}")
        if self._state.customer_identity in self._ears:
            self._speech.collect(self._voice.source)
        try:
            await self._voice.start(agent, self._speech.lines)
        except VoiceFailed:
            self._speech.forget(self._voice.source)
            raise
        self._voice_since = self._clock.now()
        self._emit(
            LegJoined(identity=self._legs.identity, role=Role.AI),
            ("leg.joined", self._legs.identity, self._voice_number),
        )

    async def hush(self, reason: str) -> None:
        """End the AI's session."""
        if (voice := self._voice) is None:
            return
        voice.mute()
        await voice.close()
        self.record_usage()
        self._voice = None
        self._emit(
            LegLeft(identity=self._legs.identity, role=Role.AI, reason=reason),
            ("leg.left", self._legs.identity, self._voice_number),
        )

    async def hand_over(self, human: Speaker, customer: Speaker, start: Start, gone: asyncio.Event) -> None:
        """From the AI to a human: speech-to-text listens first, then the AI goes, and no word is lost or doubled."""
        self.mute()
        since = self._clock.now()
        self._listen(human, start)
        # Speech-to-text of the customer goes on where the AI did not come up after an earlier human.
        listening = self._ears.get(customer.identity)
        theirs = listening.source if listening else self._listen(customer, start)
        if (voice := self._voice) is None:
            return
        self._speech.collect(theirs)
        await self._speech.settled(
            voice.source, running=self._limits.seam_speech_s, text=self._limits.text_s, leave=gone
        )
        await self.hush("HANDED_OVER")
        self._speech.closed(voice.source, at=self._clock.now(), others_since=since)
        self._speech.release(theirs, instead_of=voice.source)

    async def take_back(self, gone: asyncio.Event) -> None:
        """From a human back to the AI, which listens already: the same seam the other way round."""
        customer, voice = self._state.customer_identity, self._voice
        if (ear := self._ears.get(customer)) is None or voice is None:
            return
        await self._speech.settled(ear.source, running=self._limits.seam_speech_s, text=self._limits.text_s, leave=gone)
        await self.stop_listening(customer)
        self._speech.closed(ear.source, at=self._clock.now(), others_since=self._voice_since)
        self._speech.release(voice.source, instead_of=ear.source)

    async def customer_spoke_since(self, at: datetime, gone: asyncio.Event) -> bool:
        """Whether the customer has spoken at any time after ``at``; one who is just speaking is heard out."""
        if (voice := self._voice) is None:
            return False
        await self._speech.settled(
            voice.source, running=self._limits.seam_speech_s, text=self._limits.text_s, leave=gone
        )
        return self._speech.heard_since(at)

    async def last_words(self, gone: asyncio.Event) -> None:
        """The call ends: take what recognisers still owe, for a bounded time, and close everything."""
        if voice := self._voice:
            voice.mute()
            await self._speech.settled(voice.source, running=0, text=self._limits.text_s, leave=gone)
            await self.hush("CALL_ENDED")
        for identity in list(self._ears):
            await self.stop_listening(identity)

    async def stop_listening(self, identity: str) -> None:
        """Close one leg's speech-to-text, after the texts it still owes."""
        if ear := self._ears.pop(identity, None):
            await ear.stop(self._limits.text_s)
            self._used(None, ear.usage())

    async def close(self) -> None:
        """Close what is open, at once. After a clean end nothing is."""
        ears = list(self._ears.values())
        self._ears.clear()
        await self.hush("WORKER_STOPPED")
        for ear in ears:
            await ear.stop(0)
            self._used(None, ear.usage())

    def record_usage(self) -> None:
        """Write down what the active agent has used since the last time."""
        if self._voice:
            self._used(self._state.current_agent or self.last_agent, self._voice.usage())

    def _used(self, agent: str | None, usage: Sequence[Usage]) -> None:
        for used in usage:
            self._emit(
                UsageRecorded(
                    agent=agent,
                    provider=used.provider,
                    model=used.model,
                    input_tokens=used.input_tokens,
                    output_tokens=used.output_tokens,
                    input_audio_ms=used.input_audio_ms,
                    output_audio_ms=used.output_audio_ms,
                    latencies_ms=used.latencies_ms,
                )
            )

    def _listen(self, speaker: Speaker, start: Start) -> str:
        self._number += 1
        source = f"stt{self._number}"
        ear = self._studio.ear(speaker, source, self._speech.hear)
        self._ears[speaker.identity] = ear
        start(ear)
        return source

    def _emit(self, data: EventData, once: tuple[str | int, ...] | None = None) -> None:
        self._emitter.emit(data, at=self._clock.now(), once=once)
