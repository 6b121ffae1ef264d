"""The book: recordings that fit their texts."""

import json
from itertools import pairwise

import pytest

from standins.phrases import load_book
from standins.phrases.book import AUDIO, load_features, read_recipes


def test_every_recording_was_made_from_the_text_in_the_book() -> None:
    """Fails when somebody changed book.yaml and forgot `python -m standins.phrases.render`."""
    rendered = json.loads((AUDIO / "rendered.json").read_text())
    assert rendered == {recipe.id: recipe.fingerprint for recipe in read_recipes().values()}
    assert {path.stem for path in AUDIO.glob("*.ogg")} == set(rendered) == set(load_features())


def test_the_recordings_are_small() -> None:
    assert sum(path.stat().st_size for path in AUDIO.iterdir()) < 2_000_000


@pytest.mark.parametrize("rate", [8_000, 16_000, 24_000, 48_000])
def test_a_phrase_lasts_as_long_at_every_rate(rate: int) -> None:
    phrase = load_book()["customer.ask_invoice"]
    assert len(phrase.pcm(rate)) / rate == pytest.approx(phrase.duration_s, abs=0.01)


def test_the_monologue_is_long_enough_to_interrupt() -> None:
    assert load_book()["generic.monologue"].duration_s >= 8


def test_an_unknown_phrase_is_named_with_its_neighbours() -> None:
    with pytest.raises(KeyError, match=r"customer\.nonsense.*customer\.hello"):
        load_book()["customer.nonsense"]


def test_the_words_said_so_far_grow_with_the_sound() -> None:
    phrase = load_book()["customer.ask_invoice"]
    said = [phrase.spoken_until(share / 10) for share in range(11)]
    assert said[0] == ""
    assert said[-1] == phrase.text
    assert all(later.startswith(earlier) for earlier, later in pairwise(said))
