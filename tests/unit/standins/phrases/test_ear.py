"""The ear: right through everything a telephone does to speech, and silent about everything else."""

import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from standins.phrases import Ear, load_book
from standins.phrases.pcm import Pcm, decode
from unit.standins.phrases import degrade

BOOK = load_book()
EAR = Ear(BOOK)
UNKNOWN = sorted((Path(__file__).parent / "unknown").glob("*.ogg"))

Degradation = Callable[[Pcm], tuple[Pcm, int]]

DEGRADATIONS: dict[str, Degradation] = {
    "as it is": lambda pcm: (pcm, 16_000),
    "G.711 with silence around": lambda pcm: degrade.g711(degrade.quiet_around(pcm, 16_000), 16_000),
    "Opus at 16 kbit/s": lambda pcm: degrade.opus(degrade.quiet_around(pcm, 16_000), 16_000),
    "12 dB softer, G.711": lambda pcm: degrade.g711(degrade.gain(pcm, -12), 16_000),
    "12 dB louder, clipping": lambda pcm: (degrade.gain(pcm, 12), 16_000),
    "noise at 15 dB": lambda pcm: (degrade.noise(degrade.quiet_around(pcm, 16_000), 15), 16_000),
    "noise at 20 dB, softer, G.711": lambda pcm: degrade.g711(degrade.gain(degrade.noise(pcm, 20), -12), 16_000),
    "the first 100 ms missing": lambda pcm: (pcm[int(0.14 * 16_000) :], 16_000),
    "jitter buffer": lambda pcm: (degrade.jitter(pcm, 16_000), 16_000),
    "G.711, then Opus": lambda pcm: degrade.opus(*degrade.g711(pcm, 16_000)),
}


#: Opus takes its time to encode: all that people say and every fourth phrase of the agents must do.
SLOW = {"Opus at 16 kbit/s", "G.711, then Opus"}
SPREAD = [
    *BOOK.of("customer", "human").values(),
    *list(BOOK.of("generic", "sales", "support", "billing").values())[::4],
]


@pytest.mark.parametrize("name", DEGRADATIONS)
def test_every_phrase_is_recognised_however_it_arrives(name: str) -> None:
    wrong = {}
    for phrase in SPREAD if name in SLOW else BOOK.values():
        heard = EAR.recognise(*DEGRADATIONS[name](phrase.pcm16k))
        if heard.phrase_id != phrase.id or not heard.complete or heard.text != phrase.text:
            wrong[phrase.id] = heard
    assert len(wrong) <= len(BOOK) // 100, wrong


@pytest.mark.parametrize("path", UNKNOWN, ids=lambda path: path.stem)
def test_a_sentence_that_is_not_in_the_book_is_unintelligible(path: Path) -> None:
    heard = EAR.recognise(decode(path, 16_000), 16_000)
    assert heard.phrase_id is None
    assert heard.text == ""


def test_the_unknown_sentences_are_there() -> None:
    assert len(UNKNOWN) >= 3


@pytest.mark.parametrize("phrase_id", list(BOOK))
def test_speech_backwards_is_unintelligible(phrase_id: str) -> None:
    assert EAR.recognise(BOOK[phrase_id].pcm16k[::-1], 16_000).phrase_id is None


@pytest.mark.parametrize(
    "sound",
    [
        np.zeros(16_000, dtype=np.int16),
        np.empty(0, dtype=np.int16),
        (np.random.default_rng(1).standard_normal(32_000) * 3000).astype(np.int16),
        degrade.tone((440,), 2, 16_000),
        degrade.tone((697, 1209), 0.3, 16_000),
        degrade.tone((350, 440), 3, 16_000),
    ],
    ids=["silence", "nothing", "noise", "a tone", "a keypress", "dial tone"],
)
def test_what_is_no_speech_is_unintelligible(sound: Pcm) -> None:
    assert EAR.recognise(sound, 16_000).phrase_id is None


def test_two_phrases_at_once_or_glued_together_are_not_taken_for_one() -> None:
    first, second = BOOK["customer.thanks"].pcm16k, BOOK["human.ask_which"].pcm16k
    length = min(len(first), len(second))
    assert EAR.recognise((first[:length] // 2 + second[:length] // 2), 16_000).phrase_id is None
    assert EAR.recognise(np.concatenate([second, first]), 16_000).phrase_id is None


@pytest.mark.parametrize("share", [0.3, 0.5, 0.8])
def test_the_beginning_of_a_phrase_tells_how_much_of_it_was_heard(share: float) -> None:
    phrase = BOOK["billing.invoice_found"]
    heard = EAR.recognise(phrase.pcm16k[: int(len(phrase.pcm16k) * share)], 16_000)
    assert heard.phrase_id == phrase.id
    assert heard.fraction == pytest.approx(share, abs=0.04)
    assert phrase.text.startswith(heard.text)
    assert not heard.complete


def test_recognising_is_quick() -> None:
    """Within 50 ms of one core each; the best of three, because test machines are busy."""
    for phrase in list(BOOK.values())[::5]:
        pcm = phrase.pcm16k
        taken = []
        for _ in range(3):
            began = time.thread_time()
            EAR.recognise(pcm, 16_000)
            taken.append(time.thread_time() - began)
        assert min(taken) < 0.05, phrase.id
