"""The seam between two recognisers of the customer's voice, when a human takes over from the AI.

For a moment both listen: the realtime model that served the AI, and the standalone speech-to-text that stays. Words
must be neither lost nor doubled, so each utterance belongs to exactly one of them:

- what the realtime model turned into text is the realtime model's;
- what the other one heard of the same stretch of time is dropped;
- everything else is the standalone recogniser's;
- a sentence that goes on after the part that the realtime model understood belongs to both: its words that the realtime
  model has already told are cut off (:func:`rest_of`).

While both listen, the standalone recogniser's facts about the customer are only collected. :func:`unfold` then gives
those that count.
"""

import re
from collections.abc import Sequence
from datetime import datetime, timedelta

from voice_worker.domain.facts import Fact, SpeechEnded, SpeechStarted, TextArrived, TextFailed

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


def straddling_items(kept: Sequence[Fact], boundary: datetime | None) -> frozenset[str]:
    """The items that began while the realtime model still understood and went on afterwards."""
    if boundary is None:
        return frozenset()
    return frozenset(fact.item for fact in kept if isinstance(fact, SpeechStarted) and fact.at <= boundary)


_WORD = re.compile(r"[\w'\u2019]+")
#: One word in common may be chance ("I … I"); two in the same place of the same sentence are not.
_FEWEST_WORDS = 2


def rest_of(said: str, text: str) -> str:
    """``text`` without its beginning that is the end of ``said``, punctuation and case apart.

    Recognisers differ: where they do not agree on the words, the text stays whole. Hearing a part twice is better than
    losing it.
    """
    before = [word.casefold() for word in _WORD.findall(said)]
    words = list(_WORD.finditer(text))
    folded = [word[0].casefold() for word in words]
    for count in range(min(len(before), len(folded)), _FEWEST_WORDS - 1, -1):
        if before[-count:] == folded[:count]:
            return text[words[count].start() :] if count < len(words) else ""
    return text
