"""What a phone can be made to say: phrases of the book, tones, or anything else that gives samples."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

Samples = npt.NDArray[np.int16]


class Sound(Protocol):
    """Anything that can be played; `standins.phrases.Phrase` is one."""

    def pcm(self, rate: int) -> Samples:
        """Mono samples at `rate` Hz."""
        ...


@dataclass(frozen=True)
class Tone:
    """A sine tone, faded in and out over 10 ms so that it does not click."""

    hz: float
    seconds: float
    level: float = 0.3

    def pcm(self, rate: int) -> Samples:
        """Mono samples at `rate` Hz."""
        count = int(self.seconds * rate)
        wave = np.sin(2 * np.pi * self.hz * np.arange(count) / rate) * self.level * 32767
        fade = min(rate // 100, count // 2)
        if fade:
            ramp = np.linspace(0, 1, fade)
            wave[:fade] *= ramp
            wave[-fade:] *= ramp[::-1]
        return wave.astype(np.int16)


def share_of(samples: Samples, rate: int, hz: float, width_hz: float = 20.0) -> float:
    """The share (0 to 1) of the sound's energy within `width_hz` of `hz`; 0 for silence."""
    if not len(samples):
        return 0.0
    spectrum = np.abs(np.fft.rfft(samples.astype(np.float64) * np.hanning(len(samples)))) ** 2
    total = float(spectrum.sum())
    if total == 0:
        return 0.0
    frequencies = np.fft.rfftfreq(len(samples), 1 / rate)
    return float(spectrum[np.abs(frequencies - hz) <= width_hz].sum()) / total
