"""A streaming detector of speech by its energy: start, and stop after a hangover.

The threshold follows the background (the quietest recent sound), so that a noisy line does not count as speech for
ever. Time is the time of the sound, not of the clock: results do not depend on how fast it is pushed.
"""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from standins.phrases.pcm import Pcm

#: One decision per this many milliseconds.
FRAME_MS = 10
#: Never take anything quieter than this for speech: RMS of 32767, about -57 dBFS.
QUIETEST = 45.0
#: Speech is at least this much louder (RMS ratio, 5 dB) than the background.
ABOVE_BACKGROUND = 1.8
#: The background is the quietest moment of the last 3 s (pieces of 100 ms), but never taken for louder than this RMS:
#: a recording may begin in the middle of a word.
_PIECE_FRAMES, _PIECES, _LOUDEST_BACKGROUND = 10, 30, 500.0
#: Loud frames in a row that start speech: a click is not a word.
_ONSET_FRAMES = 4


class Turn(StrEnum):
    """What changed."""

    STARTED = "started"
    STOPPED = "stopped"


@dataclass(frozen=True)
class VadEvent:
    """A change, and the place in the sound where speech began or ended (seconds since the first sample)."""

    turn: Turn
    at_s: float


class Vad:
    """Finds speech in sound pushed piece by piece, at one sample rate.

    `hangover_ms` is the silence that ends speech; pauses inside the phrases of the book are at most 110 ms.
    """

    def __init__(self, rate: int, *, hangover_ms: int = 300) -> None:
        self.hangover_ms = hangover_ms
        self._samples = rate * FRAME_MS // 1000
        self._rest = np.empty(0, dtype=np.int16)
        self._frame = 0
        self._pieces: deque[float] = deque(maxlen=_PIECES)
        self._piece: list[float] = []
        self._loud = 0
        self._last_loud = 0
        self.speaking = False

    @property
    def now_s(self) -> float:
        """How much sound has been judged, seconds."""
        return self._frame * FRAME_MS / 1000

    @property
    def silence_s(self) -> float:
        """Silence since the last loud moment, seconds."""
        return (self._frame - self._last_loud) * FRAME_MS / 1000

    def push(self, pcm: Pcm) -> Iterator[VadEvent]:
        """Judge more sound; yields what changed, in order."""
        sound = np.concatenate([self._rest, pcm])
        count = len(sound) // self._samples
        self._rest = sound[count * self._samples :]
        frames = sound[: count * self._samples].reshape(count, self._samples).astype(np.float32)
        for loudness in np.sqrt((frames**2).mean(axis=1)).tolist():
            event = self._judge(loudness)
            if event is not None:
                yield event

    def _judge(self, loudness: float) -> VadEvent | None:
        self._frame += 1
        loud = loudness > max(QUIETEST, self._background(loudness) * ABOVE_BACKGROUND)
        self._loud = self._loud + 1 if loud else 0
        if not self.speaking:
            if self._loud < _ONSET_FRAMES:
                return None
            self.speaking = True
            self._last_loud = self._frame
            return VadEvent(Turn.STARTED, (self._frame - self._loud) * FRAME_MS / 1000)
        if loud:
            self._last_loud = self._frame
        elif (self._frame - self._last_loud) * FRAME_MS >= self.hangover_ms:
            return self.end()
        return None

    def _background(self, loudness: float) -> float:
        self._piece.append(loudness)
        if len(self._piece) == _PIECE_FRAMES:
            self._pieces.append(sum(sorted(self._piece)[:3]) / 3)
            self._piece.clear()
        return min(_LOUDEST_BACKGROUND, *(self._pieces or self._piece or [loudness]))

    def end(self) -> VadEvent | None:
        """Stop at once, e.g. because the sound is over or somebody else decided that the turn is."""
        if not self.speaking:
            return None
        self.speaking = False
        self._loud = 0
        return VadEvent(Turn.STOPPED, self._last_loud * FRAME_MS / 1000)


@dataclass(frozen=True)
class Stretch:
    """One stretch of speech in a recording, seconds from its start."""

    start_s: float
    end_s: float


def stretches(pcm: Pcm, rate: int, *, hangover_ms: int = 300) -> list[Stretch]:
    """Every stretch of speech in a whole recording."""
    vad = Vad(rate, hangover_ms=hangover_ms)
    events = list(vad.push(pcm))
    last = vad.end()
    events += [last] if last else []
    starts = [event.at_s for event in events if event.turn is Turn.STARTED]
    ends = [event.at_s for event in events if event.turn is Turn.STOPPED]
    return [Stretch(start, end) for start, end in zip(starts, ends, strict=True)]
