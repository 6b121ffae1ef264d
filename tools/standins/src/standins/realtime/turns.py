"""Turn taking: cuts the arriving sound into the caller's turns and says what each one was.

Two ways to end a turn, as the API offers them. `server_vad` waits for a fixed silence. `semantic_vad` asks whether the
words are complete: after a tenth of a second of silence the ear looks, and a whole phrase ends the turn at once, so the
reply starts as early as a good model's would; anything else gets the benefit of a longer silence.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from standins.phrases import Ear, Heard, Turn, Vad
from standins.phrases.pcm import Pcm

#: The wire's rate, Hz.
RATE = 24_000
#: Silence after which `semantic_vad` asks the ear, and after which it gives up waiting for the rest.
LOOK_MS, PATIENCE_MS = 60, 500
#: `server_vad` without a wish of its own: the API's default.
SERVER_VAD_MS = 500
#: Sound kept from before speech was noticed, seconds.
_LEAD_S = 0.3


@dataclass(frozen=True)
class TurnTaking:
    """What a session asked for in `turn_detection`."""

    silence_ms: int
    semantic: bool
    create_response: bool = True
    interrupt_response: bool = True

    @classmethod
    def wanted(cls, settings: Mapping[str, Any], silence_ms: int | None) -> "TurnTaking":
        """Read the session's settings; `silence_ms` overrules them."""
        semantic = settings.get("type") == "semantic_vad"
        asked = PATIENCE_MS if semantic else int(settings.get("silence_duration_ms") or SERVER_VAD_MS)
        return cls(
            silence_ms=silence_ms or asked,
            semantic=semantic,
            create_response=settings.get("create_response") is not False,
            interrupt_response=settings.get("interrupt_response") is not False,
        )


@dataclass(frozen=True)
class SpeechStarted:
    """The caller began to speak, at this place in the session's sound."""

    at_ms: int


@dataclass(frozen=True)
class SpeechEnded:
    """The caller's turn is over, and this is what it was."""

    at_ms: int
    heard: Heard
    duration_s: float


class Microphone:
    """The sound of one session, as far as it is still needed."""

    def __init__(self) -> None:
        self._pieces: deque[Pcm] = deque()
        self._first = 0
        self._total = 0

    @property
    def seconds(self) -> float:
        """How much sound has come in all, seconds."""
        return self._total / RATE

    @property
    def kept_s(self) -> float:
        """How much of it is still here, seconds."""
        return (self._total - self._first) / RATE

    def add(self, pcm: Pcm) -> None:
        """More sound."""
        self._pieces.append(pcm)
        self._total += len(pcm)

    def since(self, start_s: float) -> Pcm:
        """The sound from a moment on, or what is left of it."""
        kept = np.concatenate(self._pieces) if self._pieces else np.empty(0, dtype=np.int16)
        return kept[max(0, int(start_s * RATE) - self._first) :]

    def forget_before(self, start_s: float) -> None:
        """Drop what is older."""
        wanted = int(start_s * RATE)
        while self._pieces and self._first + len(self._pieces[0]) <= wanted:
            self._first += len(self._pieces.popleft())


class TurnTaker:
    """Feeds the detector and the ear of one session."""

    def __init__(self, ear: Ear) -> None:
        self._ear = ear
        self._microphone = Microphone()
        self._taking: TurnTaking | None = None
        self._vad = Vad(RATE)
        self._began_s = 0.0
        self._looked_at_s = -1.0

    @property
    def taking(self) -> TurnTaking | None:
        """How turns end; None while the client decides that itself."""
        return self._taking

    def configure(self, taking: TurnTaking | None) -> None:
        """Change how turns end, from now on."""
        self._taking = taking
        if taking is not None:
            self._vad.hangover_ms = taking.silence_ms

    async def push(self, pcm: Pcm) -> AsyncIterator[SpeechStarted | SpeechEnded]:
        """Take more sound (24 kHz); yields what happened in it."""
        self._microphone.add(pcm)
        if self._taking is None:
            return
        for event in self._vad.push(pcm):
            if event.turn is Turn.STARTED:
                self._began_s = event.at_s
                yield SpeechStarted(round(event.at_s * 1000))
            else:
                yield await self._ended(event.at_s)
        if not self._vad.speaking:
            self._microphone.forget_before(self._vad.now_s - _LEAD_S)
        elif self._taking.semantic and self._vad.silence_s * 1000 >= LOOK_MS:
            ended = await self._look()
            if ended is not None:
                yield ended

    async def _look(self) -> SpeechEnded | None:
        """End the turn early if what was said so far is a whole phrase; each pause is looked at once."""
        quiet_since = self._vad.now_s - self._vad.silence_s
        if quiet_since == self._looked_at_s:
            return None
        self._looked_at_s = quiet_since
        heard = await self._recognise()
        if not heard.complete:
            return None
        self._vad.end()
        return SpeechEnded(round(quiet_since * 1000), heard, quiet_since - self._began_s)

    async def _ended(self, at_s: float) -> SpeechEnded:
        return SpeechEnded(round(at_s * 1000), await self._recognise(), at_s - self._began_s)

    async def _recognise(self) -> Heard:
        return await asyncio.to_thread(
            self._ear.recognise, self._microphone.since(max(0.0, self._began_s - _LEAD_S)), RATE
        )

    async def commit(self) -> SpeechEnded | None:
        """End the turn because the client says so; None if there is less than 100 ms of sound."""
        if self._microphone.kept_s < 0.1:
            return None
        if self._taking is None:
            self._began_s = self._microphone.seconds - self._microphone.kept_s
        self._vad.end()
        ended = await self._ended(self._microphone.seconds)
        self._microphone.forget_before(self._microphone.seconds)
        return ended

    def clear(self) -> None:
        """Forget the sound of the turn."""
        self._vad.end()
        self._microphone.forget_before(self._microphone.seconds)
