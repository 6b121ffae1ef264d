"""The seam between two recognisers of the customer's voice, when a human takes over from the AI.

For a moment both listen: the realtime model that served the AI, and the standalone speech-to-text that stays. Words
must be neither lost nor doubled, so each utterance belongs to exactly one of them:

- what the realtime model turned into text is the realtime model's;
- what the other one heard of the same stretch of time is dropped;
- everything else is the standalone recogniser's.

While both listen, the standalone recogniser's facts about the customer are only collected. :func:`unfold` then gives
those that count.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta

from voice_worker.domain.turns import Fact, SpeechEnded, SpeechStarted, TextArrived, TextFailed

#: Two voice activity detectors close the same sentence at slightly different times.
TOLERANCE = timedelta(seconds=1)


def unfold(collected: Sequence[Fact], boundary: datetime | None) -> tuple[Fact, ...]:
    """The collected facts without those of utterances that the realtime model has already turned into text.

    Args:
        collected: facts of one standalone recogniser about the customer, in order.
        boundary: when the last sentence that the realtime model understood ended; ``None`` if both heard nothing
        together.
    """
    if boundary is None:
        return tuple(collected)
    started: dict[str, datetime] = {}
    ended: dict[str, datetime] = {}
    for fact in collected:
        if isinstance(fact, SpeechStarted):
            started.setdefault(fact.item, fact.at)
        elif isinstance(fact, SpeechEnded):
            ended.setdefault(fact.item, fact.at)
    doubled = {
        item for item, at in started.items() if at <= boundary and item in ended and ended[item] <= boundary + TOLERANCE
    }
    return tuple(fact for fact in collected if not (isinstance(fact, _ITEM_FACTS) and fact.item in doubled))


_ITEM_FACTS = (SpeechStarted, SpeechEnded, TextArrived, TextFailed)


def doubled_item(fact: Fact, dropped: frozenset[str]) -> bool:
    """Whether a fact that came after the seam belongs to an utterance that was dropped at it."""
    return isinstance(fact, _ITEM_FACTS) and fact.item in dropped


def dropped_items(collected: Sequence[Fact], kept: Sequence[Fact]) -> frozenset[str]:
    """The items that :func:`unfold` took out; their late texts must be dropped too."""
    all_items = {fact.item for fact in collected if isinstance(fact, _ITEM_FACTS)}
    return frozenset(all_items - {fact.item for fact in kept if isinstance(fact, _ITEM_FACTS)})
