"""Utterances out of what recognisers and the AI's mouth report, in whatever order they report it."""

from datetime import datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from call_events.catalogue import (
    DiscardReason,
    Role,
    Speaker,
    UtteranceCompleted,
    UtteranceDiscarded,
    UtteranceEnded,
    UtteranceStarted,
)
from call_events.testing import START
from voice_worker.domain.facts import (
    AiAudible,
    AiQuiet,
    AiSaid,
    AiSettled,
    Closing,
    Fact,
    Patience,
    RecogniserLost,
    SpeechEnded,
    SpeechStarted,
    TextArrived,
    TextFailed,
)
from voice_worker.domain.turns import Ledger, SpeechEvent, hear

CUSTOMER = Speaker(role=Role.CUSTOMER, name="Customer", identity="sip_1")
BILLING = Speaker(role=Role.AI, name="Billing AI", identity="agent", agent="billing")


def at(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


def heard(*facts: Fact) -> list[SpeechEvent]:
    ledger, events = Ledger(), list[SpeechEvent]()
    for fact in facts:
        ledger, more = hear(ledger, fact)
        events += more
    return events


def started(item: str, seconds: float) -> SpeechStarted:
    return SpeechStarted(source="ai1", item=item, speaker=CUSTOMER, at=at(seconds))


def ended(item: str, seconds: float) -> SpeechEnded:
    return SpeechEnded(source="ai1", item=item, speaker=CUSTOMER, at=at(seconds))


def text(item: str, seconds: float, words: str = "hello") -> TextArrived:
    return TextArrived(source="ai1", item=item, speaker=CUSTOMER, at=at(seconds), text=words)


def audible(turn: int, seconds: float) -> AiAudible:
    return AiAudible(source="ai1", item=f"turn{turn}", speaker=BILLING, at=at(seconds))


def quiet(seconds: float) -> AiQuiet:
    return AiQuiet(source="ai1", at=at(seconds))


def said(item: str, seconds: float, words: str = "hi", *, interrupted: bool = False) -> AiSaid:
    return AiSaid(source="ai1", item=item, speaker=BILLING, at=at(seconds), text=words, interrupted=interrupted)


def test_a_sentence_starts_ends_and_is_completed() -> None:
    assert heard(started("a", 1), ended("a", 2), text("a", 3)) == [
        UtteranceStarted(utterance_id="ai1:a", speaker=CUSTOMER, started_at=at(1)),
        UtteranceEnded(utterance_id="ai1:a", ended_at=at(2)),
        UtteranceCompleted(
            utterance_id="ai1:a", speaker=CUSTOMER, text="hello", started_at=at(1), ended_at=at(2), interrupted=False
        ),
    ]


def test_texts_that_overtake_each_other_keep_their_places() -> None:
    """The provider transcribes in its own order; a text belongs to its item, not to its turn of arriving."""
    events = heard(
        started("a", 1), ended("a", 2), started("b", 3), ended("b", 4), text("b", 5, "two"), text("a", 6, "one")
    )
    completed = [event for event in events if isinstance(event, UtteranceCompleted)]
    assert [(event.text, event.started_at) for event in completed] == [("two", at(3)), ("one", at(1))]


def test_a_text_without_a_start_still_gets_a_place() -> None:
    events = heard(text("a", 3))
    assert [type(event) for event in events] == [UtteranceStarted, UtteranceEnded, UtteranceCompleted]


def test_an_empty_text_is_noise() -> None:
    assert heard(started("a", 1), ended("a", 2), text("a", 3, " "))[-1] == UtteranceDiscarded(
        utterance_id="ai1:a", reason=DiscardReason.NOISE
    )


def test_a_failed_transcript_is_discarded_not_missing() -> None:
    events = heard(started("a", 1), ended("a", 2), TextFailed(source="ai1", item="a", at=at(3)))
    assert events[-1] == UtteranceDiscarded(utterance_id="ai1:a", reason=DiscardReason.TRANSCRIPT_FAILED)


def test_a_lost_connection_gives_up_only_its_own_texts() -> None:
    other = SpeechStarted(source="stt2", item="x", speaker=CUSTOMER, at=at(1.5))
    events = heard(started("a", 1), other, RecogniserLost(source="ai1", at=at(2)))
    discarded = [event.utterance_id for event in events if isinstance(event, UtteranceDiscarded)]
    assert discarded == ["ai1:a"]


def test_patience_ends_counted_from_the_end_of_speech() -> None:
    limit = timedelta(seconds=30)
    early = heard(started("a", 1), ended("a", 20), Patience(at=at(49), limit=limit))
    assert not any(isinstance(event, UtteranceDiscarded) for event in early)
    late = heard(started("a", 1), ended("a", 20), Patience(at=at(50), limit=limit))
    assert late[-1] == UtteranceDiscarded(utterance_id="ai1:a", reason=DiscardReason.TRANSCRIPT_TIMEOUT)


def test_somebody_who_speaks_for_minutes_is_listened_to() -> None:
    """Nobody pauses for the convenience of a recogniser: patience is for texts, not for people."""
    limit = timedelta(seconds=30)
    events = heard(started("a", 1), Patience(at=at(300), limit=limit), ended("a", 301), text("a", 302, "all of it"))
    assert [event.text for event in events if isinstance(event, UtteranceCompleted)] == ["all of it"]
    assert not any(isinstance(event, UtteranceDiscarded) for event in events)


def test_speech_whose_end_is_never_reported_is_given_up_in_the_end() -> None:
    events = heard(started("a", 1), Patience(at=at(601), limit=timedelta(seconds=30)))
    assert events[-1] == UtteranceDiscarded(utterance_id="ai1:a", reason=DiscardReason.TRANSCRIPT_TIMEOUT)


def test_a_text_that_comes_after_it_was_given_up_is_told_once() -> None:
    overdue: list[Fact] = [started("a", 1), ended("a", 2), Patience(at=at(40), limit=timedelta(seconds=30))]
    events = heard(*overdue, text("a", 41, "late"), text("a", 42, "again"))
    assert events[-2:] == [
        UtteranceDiscarded(utterance_id="ai1:a", reason=DiscardReason.TRANSCRIPT_TIMEOUT),
        UtteranceCompleted(utterance_id="ai1:a", speaker=CUSTOMER, text="late", started_at=at(1), ended_at=at(2)),
    ]
    assert heard(*overdue, text("a", 41, " "))[-1] == events[-2]


def test_the_ai_is_heard_from_its_first_sound_to_what_was_really_heard() -> None:
    events = heard(audible(1, 1), quiet(2), said("item", 2.1, "Wel", interrupted=True))
    assert events == [
        UtteranceStarted(utterance_id="ai1:turn1", speaker=BILLING, started_at=at(1)),
        UtteranceEnded(utterance_id="ai1:turn1", ended_at=at(2)),
        UtteranceCompleted(
            utterance_id="ai1:turn1", speaker=BILLING, text="Wel", started_at=at(1), ended_at=at(2), interrupted=True
        ),
    ]


def test_a_barge_in_keeps_the_order_of_starting() -> None:
    """The caller interrupts: the AI's utterance started first and is completed later, cut where it was heard."""
    events = heard(
        audible(1, 1),
        started("a", 2),
        quiet(2.2),
        said("i", 2.2, "I can", interrupted=True),
        ended("a", 3),
        text("a", 4),
    )
    order = [event.utterance_id for event in events if isinstance(event, UtteranceStarted)]
    assert order == ["ai1:turn1", "ai1:a"]
    assert [event.utterance_id for event in events if isinstance(event, UtteranceCompleted)] == order


def test_two_messages_of_one_turn_are_two_utterances() -> None:
    events = heard(audible(1, 1), quiet(3), said("i1", 3, "One."), said("i2", 3, "Two."))
    assert [event.text for event in events if isinstance(event, UtteranceCompleted)] == ["One.", "Two."]
    assert len({event.utterance_id for event in events}) == 2


def test_sound_without_words_is_not_spoken() -> None:
    events = heard(audible(1, 1), quiet(1.1), AiSettled(source="ai1", at=at(1.2)))
    assert events[-1] == UtteranceDiscarded(utterance_id="ai1:turn1", reason=DiscardReason.NOT_SPOKEN)


def test_settling_leaves_a_turn_that_is_still_playing_alone() -> None:
    events = heard(audible(1, 1), AiSettled(source="ai1", at=at(1.2)), quiet(2), said("i", 2))
    assert isinstance(events[-1], UtteranceCompleted)


@st.composite
def stories(draw: st.DrawFn) -> list[Fact]:
    """Facts about a few utterances: reordered, repeated and missing as the strategy likes, then the end of the call."""
    items = draw(st.lists(st.sampled_from("abcd"), min_size=1, max_size=4, unique=True))
    pool: list[Fact] = []
    for number, item in enumerate(items):
        pool += [started(item, number), ended(item, number + 1), text(item, number + 2), text(item, number + 3, "")]
        pool += [TextFailed(source="ai1", item=item, at=at(number + 4))]
        pool += [audible(number, number), quiet(number + 1), said(f"s{item}", number + 2)]
    pool += [RecogniserLost(source="ai1", at=at(9)), AiSettled(source="ai1", at=at(9))]
    pool += [Patience(at=at(40), limit=timedelta(seconds=30))]
    chosen = draw(st.lists(st.sampled_from(pool), max_size=30))
    return [*chosen, Closing(at=at(100))]


@given(stories())
def test_every_utterance_starts_once_and_ends_in_exactly_one_way(story: list[Fact]) -> None:
    """Whatever comes, and however: one start, at most one end of speech, one outcome, in that order."""
    seen: dict[str, list[str]] = {}
    for event in heard(*story):
        seen.setdefault(event.utterance_id, []).append(type(event).__name__)
    for kinds in seen.values():
        assert kinds[0] == "UtteranceStarted"
        if kinds[-2:] == ["UtteranceDiscarded", "UtteranceCompleted"]:
            kinds.pop(-2)  # a text that came after patience had ended, the only event that may follow an outcome
        assert kinds[-1] in ("UtteranceCompleted", "UtteranceDiscarded")
        assert kinds[1:-1] in ([], ["UtteranceEnded"])


@given(stories())
def test_no_text_is_lost_unless_it_was_given_up_before(story: list[Fact]) -> None:
    events = heard(*story)
    settled = {event.utterance_id for event in events if isinstance(event, UtteranceCompleted | UtteranceDiscarded)}
    for fact in story:
        if isinstance(fact, TextArrived):
            assert f"{fact.source}:{fact.item}" in settled


@given(stories())
def test_an_utterance_never_ends_before_it_starts(story: list[Fact]) -> None:
    for event in heard(*story):
        if isinstance(event, UtteranceCompleted):
            assert event.ended_at >= event.started_at
