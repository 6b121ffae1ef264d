"""G.711 µ-law, the sound of an ordinary telephone: 8,000 samples a second, 8 bits each."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

_BIAS = 0x84
_CLIP = 32635


def _tables() -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int16]]:
    codes = np.arange(256, dtype=np.int32) ^ 0xFF
    exponent = (codes >> 4) & 0x07
    magnitude = (((codes & 0x0F) << 3) + _BIAS << exponent) - _BIAS
    decoded = np.where(codes & 0x80, -magnitude, magnitude).astype(np.int16)

    samples = np.arange(-32768, 32768, dtype=np.int32)
    level = np.minimum(np.abs(samples), _CLIP) + _BIAS
    exponent = np.floor(np.log2(level)).astype(np.int32) - 7
    mantissa = (level >> (exponent + 3)) & 0x0F
    encoded = ~(np.where(samples < 0, 0x80, 0) | (exponent << 4) | mantissa) & 0xFF
    return encoded.astype(np.uint8), decoded


_ENCODE, _DECODE = _tables()


def encode(samples: npt.NDArray[np.int16]) -> npt.NDArray[np.uint8]:
    """16-bit samples to µ-law bytes."""
    return _ENCODE[samples.astype(np.int32) + 32768]


def decode(codes: npt.NDArray[np.uint8]) -> npt.NDArray[np.int16]:
    """µ-law bytes to 16-bit samples."""
    return _DECODE[codes]


def through_the_line(samples: npt.NDArray[np.int16]) -> npt.NDArray[np.int16]:
    """What is left of the samples after a telephone line."""
    return decode(encode(samples))
