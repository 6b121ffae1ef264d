"""Finding speech in a stream."""

from itertools import pairwise

import numpy as np
import pytest

from standins.phrases import Ear, Turn, Vad, listen, load_book, stretches
from unit.standins.phrases import degrade

BOOK = load_book()
RATE = 16_000


@pytest.mark.parametrize("snr_db", [None, 20.0], ids=["clean", "noise at 20 dB"])
def test_no_phrase_is_split_at_its_inner_pauses(snr_db: float | None) -> None:
    split = {}
    for phrase in BOOK.values():
        sound = degrade.quiet_around(phrase.pcm16k, RATE, before_s=1.0)
        found = stretches(sound if snr_db is None else degrade.noise(sound, snr_db), RATE)
        if len(found) != 1:
            split[phrase.id] = found
    assert split == {}


def test_start_and_stop_are_where_the_speech_is() -> None:
    phrase = BOOK["customer.thanks"]
    (found,) = stretches(degrade.quiet_around(phrase.pcm16k, RATE, before_s=1.0), RATE)
    assert found.start_s == pytest.approx(1.0, abs=0.15)
    assert found.end_s == pytest.approx(1.0 + phrase.duration_s, abs=0.2)


def test_the_same_sound_gives_the_same_events_however_it_is_cut() -> None:
    sound = degrade.quiet_around(BOOK["customer.thanks"].pcm16k, RATE)
    results = []
    for size in (37, 160, 1600, len(sound)):
        vad = Vad(RATE)
        pieces = np.split(sound, range(size, len(sound), size))
        results.append([event for piece in pieces for event in vad.push(piece)])
    assert all(result == results[0] for result in results)
    assert [event.turn for event in results[0]] == [Turn.STARTED, Turn.STOPPED]


def test_steady_noise_and_clicks_are_not_speech() -> None:
    hiss = (np.random.default_rng(2).standard_normal(5 * RATE) * 400).astype(np.int16)
    click = np.zeros(RATE, dtype=np.int16)
    click[8000:8200] = 20_000
    assert stretches(hiss, RATE) == []
    assert stretches(click, RATE) == []


def test_a_recording_of_a_conversation_is_read_with_its_places() -> None:
    ids = ("human.greeting", "customer.to_human_1", "human.ask_which")
    sound = np.concatenate([degrade.quiet_around(BOOK[one].pcm16k, RATE) for one in ids])
    said = listen(Ear(BOOK), sound, RATE)
    assert [one.heard.phrase_id for one in said] == list(ids)
    assert all(one.end_s <= later.start_s for one, later in pairwise(said))
