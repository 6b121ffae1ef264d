"""What a telephone says, as the frames that its network asks for every 20 ms."""

from __future__ import annotations

import time
from collections import deque
from dataclasses import dataclass

import numpy as np

from standins.exchange.handset import FRAME, RATE, Samples
from standins.exchange.leg import LEAD_S
from standins.phones.sounds import Sound
from standins.phones.ulaw import through_the_line
from standins.phrases import load_book

FRAME_S = FRAME / RATE
_SILENCE: Samples = np.zeros(FRAME, dtype=np.int16)


@dataclass
class Utterance:
    """Frames still to be said, and when (monotonic seconds) the first and the last were."""

    frames: deque[Samples]
    began_at: float | None = None
    ended_at: float | None = None


class Mouth:
    """Utterances one after the other, silence between them, nothing at all while on hold."""

    def __init__(self) -> None:
        self.on_hold = False
        self._speech: deque[Utterance] = deque()

    def say(self, pcm: Samples) -> Utterance:
        """Say this (8 kHz) after what is still to be said."""
        padded = np.pad(pcm, (0, -len(pcm) % FRAME)).reshape(-1, FRAME)
        utterance = Utterance(deque(padded))
        self._speech.append(utterance)
        return utterance

    def fall_silent(self) -> None:
        """Forget what is still to be said."""
        self._speech.clear()

    def next_frame(self) -> tuple[Samples, float, Utterance | None] | None:
        """The next 20 ms, when they end at the other side's ear, and what ended with them; None while on hold."""
        if self.on_hold:
            return None
        now = time.monotonic()
        ends_at = now + LEAD_S + FRAME_S
        frame, ended = _SILENCE, None
        if self._speech:
            utterance = self._speech[0]
            if utterance.began_at is None:
                utterance.began_at = now + LEAD_S
            frame = utterance.frames.popleft()
            if not utterance.frames:
                utterance.ended_at = ends_at
                ended = self._speech.popleft()
        return through_the_line(frame), ends_at, ended


def samples_of(what: Sound | str) -> Samples:
    """A sound, or a phrase by its id in the book, at 8 kHz."""
    sound: Sound = load_book()[what] if isinstance(what, str) else what
    return np.asarray(sound.pcm(RATE), dtype=np.int16)
