"""Speech made ready for the wire: pieces of base64 sound, each with the words it finishes."""

import base64
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from standins.phrases import Phrase
from standins.realtime.turns import RATE

#: One piece of sound, seconds.
PIECE_S = 0.2
#: Silence between two phrases: more than any detector's hangover would make them two utterances, so less.
_GAP_S = 0.25
#: Silence after everything said in one go, as synthesised speech has it: the next reply does not run into this one.
_TAIL_S = 0.45


@dataclass(frozen=True)
class Piece:
    """Sound (base64 PCM16), its length, where it ends in the utterance, and the words it completes."""

    audio: str
    duration_s: float
    until_ms: int
    words: str


@dataclass(frozen=True)
class Script:
    """What is said in one go."""

    phrases: tuple[Phrase, ...]

    @property
    def text(self) -> str:
        """All of it as text."""
        return " ".join(phrase.text for phrase in self.phrases)

    @cached_property
    def pieces(self) -> tuple[Piece, ...]:
        """All of it as sound."""
        gap = np.zeros(int(_GAP_S * RATE), dtype=np.int16)
        made: list[Piece] = []
        done_s = 0.0
        for number, phrase in enumerate(self.phrases):
            sound = phrase.pcm(RATE) if number == 0 else np.concatenate([gap, phrase.pcm(RATE)])
            if number == len(self.phrases) - 1:
                sound = np.concatenate([sound, np.zeros(int(_TAIL_S * RATE), dtype=np.int16)])
            written = 0
            step = int(PIECE_S * RATE)
            for first in range(0, len(sound), step):
                last = min(first + step, len(sound))
                said = phrase.spoken_until(last / len(sound))
                words, written = said[written:], len(said)
                if first == 0 and number:
                    words = f" {words}"
                until_ms = round((done_s + last / RATE) * 1000)
                data = base64.b64encode(sound[first:last].tobytes()).decode()
                made.append(Piece(data, (last - first) / RATE, until_ms, words))
            done_s += len(sound) / RATE
        return tuple(made)


class Scripts:
    """Scripts are made once: encoding costs time at the moment the caller waits."""

    def __init__(self) -> None:
        self._made: dict[tuple[str, ...], Script] = {}

    def of(self, phrases: Iterable[Phrase]) -> Script:
        """The script of these phrases."""
        wanted = tuple(phrases)
        key = tuple(phrase.id for phrase in wanted)
        if key not in self._made:
            self._made[key] = Script(wanted)
        return self._made[key]
