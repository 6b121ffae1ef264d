"""Mono 16-bit sound as numpy arrays: decoding, resampling, levels."""

from fractions import Fraction
from pathlib import Path
from typing import IO

import av
import numpy as np
import numpy.typing as npt

#: Mono samples, 16 bit.
Pcm = npt.NDArray[np.int16]


def resample(pcm: Pcm, rate: int, wanted: int) -> Pcm:
    """The same sound at another rate (Hz), by libswresample."""
    if rate == wanted or len(pcm) == 0:
        return pcm
    resampler = av.AudioResampler(format="s16", layout="mono", rate=wanted)
    frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(pcm).reshape(1, -1), format="s16", layout="mono")
    frame.sample_rate, frame.pts, frame.time_base = rate, 0, Fraction(1, rate)
    parts = [out.to_ndarray().reshape(-1) for part in (frame, None) for out in resampler.resample(part)]
    return np.concatenate(parts).astype(np.int16, copy=False)


def decode(source: Path | IO[bytes], wanted: int) -> Pcm:
    """A sound file as mono samples at `wanted` Hz.

    Raises:
        FileNotFoundError: there is no such file.
        av.error.InvalidDataError: the file holds no sound that can be decoded.
    """
    parts = []
    with av.open(str(source) if isinstance(source, Path) else source, "r") as container:
        resampler = av.AudioResampler(format="s16", layout="mono", rate=wanted)
        for frame in container.decode(audio=0):
            parts += [out.to_ndarray().reshape(-1) for out in resampler.resample(frame)]
        parts += [out.to_ndarray().reshape(-1) for out in resampler.resample(None)]
    return np.concatenate(parts).astype(np.int16, copy=False)
