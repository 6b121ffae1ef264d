"""The telephone line: G.711 µ-law as ITU-T defines it."""

import numpy as np

from standins.phones.ulaw import decode, encode, through_the_line


def test_known_codes() -> None:
    samples = np.array([0, 32124, -32124, 8, -8, 32767, -32768], dtype=np.int16)
    assert encode(samples).tolist() == [0xFF, 0x80, 0x00, 0xFE, 0x7E, 0x80, 0x00]
    assert decode(np.array([0xFF, 0x80, 0x00, 0xFE, 0x7F], dtype=np.uint8)).tolist() == [0, 32124, -32124, 8, 0]


def test_every_code_survives_the_line_unchanged() -> None:
    values = decode(np.arange(256, dtype=np.uint8))
    assert np.array_equal(through_the_line(values), values)


def test_the_error_stays_below_the_step_of_the_segment() -> None:
    samples = np.arange(-32000, 32000, 7, dtype=np.int16)
    error = np.abs(through_the_line(samples).astype(np.int32) - samples)
    assert np.all(error <= np.maximum(8, np.abs(samples.astype(np.int32)) // 16 + 4))
