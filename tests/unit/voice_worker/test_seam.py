"""The moment when two recognisers hear the customer: each sentence belongs to exactly one of them."""

from datetime import datetime, timedelta

from call_events.catalogue import Role, Speaker
from call_events.testing import START
from voice_worker.domain.seam import doubled_item, dropped_items, unfold
from voice_worker.domain.turns import Fact, SpeechEnded, SpeechStarted, TextArrived

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
    """The realtime model heard its first part only; losing the rest would be worse than hearing the first part
    twice."""
    collected = segment("c", 2.5, 9, "long")
    assert list(unfold(collected, at(3))) == collected


def test_a_sentence_that_is_still_being_spoken_stays() -> None:
    collected = segment("d", 2.5)
    assert list(unfold(collected, at(3))) == collected


def test_if_the_realtime_model_understood_nothing_everything_stays() -> None:
    collected = segment("a", 1, 3, "all")
    assert list(unfold(collected, None)) == collected
