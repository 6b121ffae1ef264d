"""The recording is the witness of every test that asks when somebody was heard; it must place sound truthfully."""

import wave
from pathlib import Path

import numpy as np
import pytest

from standins.phones.recording import RATE, Recording
from standins.phones.sounds import Tone, share_of

FRAME_S = 0.02


class _Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def _play(recording: Recording, source: str, starts_at: float, tone: Tone, jitter: tuple[float, ...] = (0.0,)) -> None:
    frames = tone.pcm(RATE).reshape(-1, 160)
    for index, frame in enumerate(frames):
        recording.add_heard(source, frame, starts_at + (index + 1) * FRAME_S + jitter[index % len(jitter)])


def test_the_first_sound_is_placed_where_the_clock_says() -> None:
    recording = Recording(_Clock())
    _play(recording, "a", 101.0, Tone(600, 0.5))
    first, last = recording.first_sound(), recording.last_sound()
    assert first == pytest.approx(101.0, abs=0.03)
    assert last == pytest.approx(101.5, abs=0.03)
    assert recording.first_sound(after=102.0) is None


def test_jitter_of_the_arrival_makes_no_gap() -> None:
    recording = Recording(_Clock())
    _play(recording, "a", 101.0, Tone(600, 1.0), jitter=(0.0, 0.04, 0.01))
    pcm = recording.heard(101.1, 101.9)
    assert share_of(pcm, RATE, 600) > 0.99


def test_a_source_that_stopped_starts_anew_where_the_clock_says() -> None:
    recording = Recording(_Clock())
    _play(recording, "a", 101.0, Tone(600, 0.2))
    _play(recording, "a", 103.0, Tone(600, 0.2))
    assert recording.first_sound(after=101.5) == pytest.approx(103.0, abs=0.03)


def test_two_sources_are_heard_together() -> None:
    recording = Recording(_Clock())
    _play(recording, "a", 101.0, Tone(600, 1.0))
    _play(recording, "b", 101.0, Tone(1300, 1.0))
    pcm = recording.heard(101.0, 102.0)
    assert share_of(pcm, RATE, 600) == pytest.approx(0.5, abs=0.05)
    assert share_of(pcm, RATE, 1300) == pytest.approx(0.5, abs=0.05)


def test_silence_is_counted_from_the_last_sound() -> None:
    clock = _Clock()
    recording = Recording(clock)
    _play(recording, "a", 100.0, Tone(600, 0.5))
    clock.now = 102.0
    assert recording.silent_for() == pytest.approx(1.5, abs=0.03)


def test_a_silent_line_is_no_sound() -> None:
    recording = Recording(_Clock())
    recording.add_heard("a", np.full(160, 8, dtype=np.int16), 100.02)
    assert recording.sounds() == []


def test_the_file_has_what_was_said_on_the_left_and_what_was_heard_on_the_right(tmp_path: Path) -> None:
    recording = Recording(_Clock())
    for index, frame in enumerate(Tone(1000, 0.4).pcm(RATE).reshape(-1, 160)):
        recording.add_said(frame, 100.0 + (index + 1) * FRAME_S)
    _play(recording, "a", 100.4, Tone(600, 0.4))
    path = tmp_path / "call.wav"
    recording.save(path)
    with wave.open(str(path), "rb") as file:
        assert (file.getnchannels(), file.getframerate()) == (2, 8000)
        both = np.frombuffer(file.readframes(file.getnframes()), dtype="<i2").reshape(-1, 2)
    assert share_of(both[: RATE * 2 // 5, 0], RATE, 1000) > 0.95
    assert share_of(both[RATE * 2 // 5 :, 1], RATE, 600) > 0.95
    assert abs(both[RATE // 2 :, 0]).max() == 0
