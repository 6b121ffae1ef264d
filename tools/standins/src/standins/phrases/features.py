"""What the ear compares: log-mel frames that telephony leaves alone.

Only 200-3400 Hz is used, so that 8 kHz G.711, wideband Opus and full-band recordings look the same. Everything that
lies `DEPTH` below the loudest speech is flattened (noise and codec residue live there), which also makes gain fall
out. A vector is the shape of the spectrum at three moments around a frame, plus one constant that lets silence look
like silence; vectors have unit length, so that their product is a similarity of at most 1.
"""

from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt

from standins.phrases.pcm import Pcm, resample

Features = npt.NDArray[np.float32]

#: The rate the ear works at, Hz: everything a telephone carries fits.
EAR_RATE = 8_000
#: Time from one frame to the next, seconds.
HOP_S = 0.02
BANDS = 26
#: Everything this far below the loudest frames counts as silence: natural-log power units, 5.5 are 24 dB.
DEPTH = 5.5
#: Loudest frames that set the level, so that silence around the speech does not (0.4 s).
LEVEL_FRAMES = 20
#: Quieter than this at its loudest is not speech at all: natural-log mel power, about -65 dBFS.
FLOOR = -9.0
#: Distance of the two neighbours that give a frame its context, frames.
_REACH = 2
_HOP = int(EAR_RATE * HOP_S)
_WINDOW = 256
_LOWEST_HZ, _HIGHEST_HZ = 200.0, 3400.0


def _mel(hertz: npt.NDArray[Any]) -> npt.NDArray[Any]:
    return 2595.0 * np.log10(1.0 + hertz / 700.0)


@cache
def _filters() -> Features:
    bins = _mel(np.fft.rfftfreq(_WINDOW, 1 / EAR_RATE))
    edges = np.linspace(_mel(np.array(_LOWEST_HZ)), _mel(np.array(_HIGHEST_HZ)), BANDS + 2)
    rising = (bins[:, None] - edges[:-2]) / (edges[1:-1] - edges[:-2])
    falling = (edges[2:] - bins[:, None]) / (edges[2:] - edges[1:-1])
    filters: Features = np.maximum(0.0, np.minimum(rising, falling)).astype(np.float32)
    return filters


def mel_power(pcm: Pcm, rate: int) -> Features:
    """Natural-log mel power, relative to full scale: one row per frame, one column per band."""
    sound = resample(pcm, rate, EAR_RATE).astype(np.float32) / 32768.0
    if len(sound) < _WINDOW:
        sound = np.pad(sound, (0, _WINDOW - len(sound)))
    windows = np.lib.stride_tricks.sliding_window_view(sound, _WINDOW)[::_HOP]
    spectrum = np.abs(np.fft.rfft(windows * np.hanning(_WINDOW).astype(np.float32), axis=1)) ** 2
    power: Features = np.log(spectrum.astype(np.float32) @ _filters() + 1e-9).astype(np.float32)
    return power


def vectors(power: Features) -> Features:
    """Unit vectors for comparing, silence at both ends cut off; no rows if there is no sound loud enough."""
    loudest = power.max(axis=1)
    level = float(np.sort(loudest)[-LEVEL_FRAMES:].mean())
    if level < FLOOR:
        return np.empty((0, 3 * BANDS + 1), dtype=np.float32)
    above = np.maximum(power - (level - DEPTH), 0.0)
    active = np.flatnonzero(above.mean(axis=1) > 0.25)
    if len(active) == 0:
        return np.empty((0, 3 * BANDS + 1), dtype=np.float32)
    above = above[active[0] : active[-1] + 1]
    shape = above - above.mean(axis=1, keepdims=True)
    padded = np.pad(shape, ((_REACH, _REACH), (0, 0)))
    count = len(shape)
    around = [padded[shift : shift + count] for shift in (0, _REACH, 2 * _REACH)]
    stacked = np.concatenate([*around, np.full((count, 1), 3.0)], axis=1)
    unit: Features = (stacked / np.linalg.norm(stacked, axis=1, keepdims=True)).astype(np.float32)
    return unit
