"""What a phone said and heard during one call, on the monotonic clock.

Each source (our mouth, every remote track) is laid on one time line: a frame goes right behind the previous one of its
source, so that jitter of its arrival is no gap, unless its source had stopped for longer than `GAP_S`: then it goes
where the clock says. What is heard is the sum of all tracks, as a telephone carries it (G.711).
"""

from __future__ import annotations

import time
import wave
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt

from standins.phones.ulaw import through_the_line

Samples = npt.NDArray[np.int16]

RATE = 8000
FRAME = 160
#: A source that was silent on the wire for longer than this starts anew where the clock says.
GAP_S = 0.12
#: Frames of 20 ms louder than this (root mean square of 16-bit samples) are sound; a silent line stays below.
SOUND_RMS = 150.0

_OURSELVES = "ourselves"
#: Frames in a second.
_SECOND = RATE // FRAME


@dataclass
class _Track:
    """One side of the time line, growing as needed."""

    samples: npt.NDArray[np.int32] = field(default_factory=lambda: np.zeros(RATE * 60, dtype=np.int32))
    length: int = 0

    def add(self, first: int, samples: Samples) -> None:
        last = first + len(samples)
        if last > len(self.samples):
            grown = np.zeros(max(last, 2 * len(self.samples)), dtype=np.int32)
            grown[: self.length] = self.samples[: self.length]
            self.samples = grown
        self.samples[first:last] += samples
        self.length = max(self.length, last)

    def pcm(self, first: int = 0, last: int | None = None) -> Samples:
        end = self.length if last is None else min(last, self.length)
        return np.clip(self.samples[max(first, 0) : max(end, 0)], -32768, 32767).astype(np.int16)


class Recording:
    """Stereo record of a call: what this phone said (left) and what it heard (right)."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        #: Monotonic seconds at which the record starts.
        self.began_at = clock()
        self._said = _Track()
        self._heard = _Track()
        self._ends: dict[str, int] = {}

    def add_said(self, samples: Samples, ends_at: float) -> None:
        """20 ms that this phone says, the last sample of it at `ends_at`."""
        self._place(self._said, _OURSELVES, samples, ends_at)

    def add_heard(self, source: str, samples: Samples, ends_at: float) -> None:
        """Sound of one remote source that has arrived by `ends_at`."""
        self._place(self._heard, source, samples, ends_at)

    def _place(self, track: _Track, source: str, samples: Samples, ends_at: float) -> None:
        by_clock = max(0, round((ends_at - self.began_at) * RATE) - len(samples))
        behind = self._ends.get(source)
        first = by_clock if behind is None or by_clock - behind > GAP_S * RATE else behind
        track.add(first, samples)
        self._ends[source] = first + len(samples)

    def said(self) -> Samples:
        """Everything said, at 8 kHz from `began_at`."""
        return self._said.pcm()

    def heard(self, after: float | None = None, until: float | None = None) -> Samples:
        """What was heard between two monotonic times, at 8 kHz; silence where nothing arrived."""
        first = 0 if after is None else max(0, self._index(after))
        last = self._heard.length if until is None else max(first, self._index(until))
        pcm = self._heard.pcm(first, last)
        return through_the_line(np.pad(pcm, (0, last - first - len(pcm))) if until is not None else pcm)

    def _index(self, at: float) -> int:
        return round((at - self.began_at) * RATE)

    def sounds(self, after: float | None = None) -> list[tuple[float, float]]:
        """Monotonic (start, end) of each 20 ms that held sound, in order."""
        first = self._first_frame(after)
        return [self._times(first + index) for index in self._loud(first, self._heard.length // FRAME)]

    def first_sound(self, after: float | None = None) -> float | None:
        """Monotonic time of the first sound heard (after a time); None if there was none."""
        end = self._heard.length // FRAME
        for first in range(self._first_frame(after), end, _SECOND):
            loud = self._loud(first, min(first + _SECOND, end))
            if len(loud):
                return self._times(first + int(loud[0]))[0]
        return None

    def last_sound(self, after: float | None = None) -> float | None:
        """Monotonic time at which the last sound ended; None if there was none.

        Looks from the end backwards: whoever waits for silence asks this many times a second.
        """
        start = self._first_frame(after)
        for last in range(self._heard.length // FRAME, start, -_SECOND):
            first = max(start, last - _SECOND)
            loud = self._loud(first, last)
            if len(loud):
                return self._times(first + int(loud[-1]))[1]
        return None

    def _first_frame(self, after: float | None) -> int:
        return 0 if after is None else max(0, -(-self._index(after) // FRAME))

    def _times(self, frame: int) -> tuple[float, float]:
        return self.began_at + frame * FRAME / RATE, self.began_at + (frame + 1) * FRAME / RATE

    def _loud(self, first: int, last: int) -> npt.NDArray[np.intp]:
        """Which of the frames from `first` to `last` hold sound, counted from `first`."""
        pcm = self._heard.pcm(first * FRAME, last * FRAME).astype(np.float64)
        return np.flatnonzero(np.sqrt(np.mean(pcm.reshape(-1, FRAME) ** 2, axis=1)) > SOUND_RMS)

    def silent_for(self) -> float:
        """Seconds since the last sound was heard (since the start, if there was none)."""
        last = self.last_sound(max(self.began_at, self._clock() - 30.0))
        return self._clock() - (self.began_at if last is None else last)

    def save(self, path: Path) -> None:
        """Write a stereo WAV file, 8 kHz: left what was said, right what was heard."""
        said, heard = self._said.pcm(), through_the_line(self._heard.pcm())
        length = max(len(said), len(heard))
        both = np.stack([np.pad(said, (0, length - len(said))), np.pad(heard, (0, length - len(heard)))], axis=1)
        with wave.open(str(path), "wb") as file:
            file.setnchannels(2)
            file.setsampwidth(2)
            file.setframerate(RATE)
            file.writeframes(both.astype("<i2").tobytes())
