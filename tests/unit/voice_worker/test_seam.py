"""The moment when two recognisers hear the customer: each sentence belongs to exactly one of them."""

from datetime import datetime, timedelta

import pytest

from call_events.catalogue import Role, Speaker
from call_events.testing import START
from voice_worker.domain.facts import Fact, SpeechEnded, SpeechStarted, TextArrived
from voice_worker.domain.seam import doubled_item, dropped_items, rest_of, straddling_items, unfold

CUSTOMER = Speaker(role=Role.CUSTOMER, name="Customer", identity="sip_1")


def at(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


def segment(item: str, start: float, end: float | None = None, words: str | None = None) -> list[Fact]:
    facts: list[Fact] = [SpeechStarted(source="stt2", item=item, speaker=CUSTOMER, at=at(start))]
    if end is not None:
        facts.append(SpeechEnded(source="stt2", item=item, speaker=CUSTOMER, at=at(end)))
    if words is not None:
        facts.append(TextArrived(source="stt2", item=item, speaker=CUSTOMER, at=at(end or start), text=words))
    return facts


def test_what_the_realtime_model_understood_is_dropped() -> None:
    collected = segment("a", 1, 3.2, "tail of it")
    assert unfold(collected, at(3)) == ()


def test_its_text_that_comes_later_is_dropped_too() -> None:
    collected = segment("a", 1, 3.2)
    dropped = dropped_items(collected, unfold(collected, at(3)))
    late = TextArrived(source="stt2", item="a", speaker=CUSTOMER, at=at(5), text="tail of it")
    assert doubled_item(late, dropped)


def test_what_began_afterwards_stays() -> None:
    collected = segment("b", 3.5, 4, "new")
    assert list(unfold(collected, at(3))) == collected


def test_a_sentence_that_goes_on_long_after_stays() -> None:
    """The realtime model heard its first part only; what it heard is cut off, see the tests of ``rest_of``."""
    collected = segment("c", 2.5, 9, "long")
    assert list(unfold(collected, at(3))) == collected


def test_a_sentence_that_is_still_being_spoken_stays() -> None:
    collected = segment("d", 2.5)
    assert list(unfold(collected, at(3))) == collected


def test_if_the_realtime_model_understood_nothing_everything_stays() -> None:
    collected = segment("a", 1, 3, "all")
    assert list(unfold(collected, None)) == collected


def test_only_what_began_before_the_end_of_the_understood_part_straddles() -> None:
    kept = [*segment("a", 2.5, 9, "long"), *segment("b", 3.5, 4, "new")]
    assert straddling_items(kept, at(3)) == {"a"}
    assert straddling_items(kept, None) == frozenset()


@pytest.mark.parametrize(
    ("said", "text", "rest"),
    [
        ("I was charged twice for", "charged twice for the setup fee.", "the setup fee."),
        ("I was charged twice, for", "Charged TWICE for the setup fee.", "the setup fee."),
        ("I was charged twice for", "I was charged twice for the setup fee.", "the setup fee."),
        ("that is all", "that is all.", ""),
        ("and I", "I paid", "I paid"),
        ("I was charged", "it was paid", "it was paid"),
        ("", "it was paid", "it was paid"),
        ("I was charged", "", ""),
    ],
)
def test_the_words_that_have_been_told_are_cut_off(said: str, text: str, rest: str) -> None:
    assert rest_of(said, text) == rest
