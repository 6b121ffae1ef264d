"""What telephony does to speech, for tests."""

from fractions import Fraction

import av
import numpy as np

from standins.phrases.pcm import Pcm, resample

OPUS_RATE = 48_000


def quiet_around(pcm: Pcm, rate: int, *, before_s: float = 0.3, after_s: float = 0.5) -> Pcm:
    """Silence before and after."""
    before, after = (np.zeros(int(rate * length), dtype=np.int16) for length in (before_s, after_s))
    return np.concatenate([before, pcm, after])


def gain(pcm: Pcm, decibel: float) -> Pcm:
    """Louder or softer, clipped at full scale."""
    louder: Pcm = np.clip(pcm.astype(float) * 10 ** (decibel / 20), -32768, 32767).astype(np.int16)
    return louder


def noise(pcm: Pcm, snr_db: float, seed: int = 7) -> Pcm:
    """White noise so far below the speech."""
    sound = pcm.astype(float)
    level = np.sqrt((sound[sound != 0] ** 2).mean()) * 10 ** (-snr_db / 20)
    added = sound + np.random.default_rng(seed).standard_normal(len(sound)) * level
    noisy: Pcm = np.clip(added, -32768, 32767).astype(np.int16)
    return noisy


def g711(pcm: Pcm, rate: int) -> tuple[Pcm, int]:
    """A telephone line: u-law, 8 kHz."""
    narrow = resample(pcm, rate, 8_000)
    encoder = av.CodecContext.create("pcm_mulaw", "w")
    encoder.rate, encoder.layout, encoder.format = 8_000, "mono", "s16"
    encoder.time_base = Fraction(1, 8_000)
    decoder = av.CodecContext.create("pcm_mulaw", "r")
    decoder.rate, decoder.layout = 8_000, "mono"
    return _through(encoder, decoder, narrow, 8_000, 160), 8_000


def opus(pcm: Pcm, rate: int, bit_rate: int = 16_000) -> tuple[Pcm, int]:
    """A WebRTC leg: Opus for voice at a low bit rate."""
    encoder = av.CodecContext.create("libopus", "w")
    encoder.rate, encoder.layout, encoder.format = OPUS_RATE, "mono", "s16"
    encoder.bit_rate, encoder.time_base = bit_rate, Fraction(1, OPUS_RATE)
    encoder.options = {"application": "voip", "compression_level": "1"}
    decoder = av.CodecContext.create("libopus", "r")
    decoder.rate, decoder.layout = OPUS_RATE, "mono"
    return _through(encoder, decoder, resample(pcm, rate, OPUS_RATE), OPUS_RATE, 960), OPUS_RATE


def _through(encoder: av.CodecContext, decoder: av.CodecContext, pcm: Pcm, rate: int, step: int) -> Pcm:
    heard: list[Pcm] = []
    for first in range(0, len(pcm) - step + 1, step):
        frame = av.AudioFrame.from_ndarray(pcm[first : first + step].reshape(1, -1), format="s16", layout="mono")
        frame.sample_rate, frame.pts, frame.time_base = rate, first, Fraction(1, rate)
        for packet in encoder.encode(frame):  # type: ignore[attr-defined]  # an audio context
            for out in decoder.decode(av.Packet(bytes(packet))):  # type: ignore[attr-defined]
                samples = out.to_ndarray().reshape(-1)
                heard.append(samples if samples.dtype == np.int16 else (samples * 32767).astype(np.int16))
    return np.concatenate(heard)


def jitter(pcm: Pcm, rate: int, seed: int = 3) -> Pcm:
    """A jitter buffer at work: every half second or so, 20 ms are left out or repeated."""
    dice = np.random.default_rng(seed)
    step, parts, place = rate // 50, [], 0
    while place < len(pcm):
        length = int(rate * dice.uniform(0.4, 0.7))
        parts.append(pcm[place : place + length])
        place += length
        if dice.random() < 0.5:
            place += step
        else:
            parts.append(pcm[max(0, place - step) : place])
    return np.concatenate(parts)


def tone(frequencies: tuple[float, ...], seconds: float, rate: int) -> Pcm:
    """Sines."""
    times = np.arange(int(seconds * rate)) / rate
    waves = np.stack([np.sin(2 * np.pi * frequency * times) for frequency in frequencies])
    sound: Pcm = (waves.mean(axis=0) * 8000).astype(np.int16)
    return sound
