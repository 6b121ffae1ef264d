"""Everything said in one call: facts go in, utterance events come out in order, and the conversation is remembered."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from call_events.catalogue import DiscardReason, Role, UtteranceCompleted, UtteranceDiscarded
from call_events.envelope import EventData
from voice_worker.domain.conversation import Line, conversation
from voice_worker.domain.facts import (
    Closing,
    Fact,
    Patience,
    RecogniserClosed,
    RecogniserLost,
    SpeechEnded,
    SpeechStarted,
    TextArrived,
    TextFailed,
)
from voice_worker.domain.seam import doubled_item, dropped_items, rest_of, straddling_items, unfold
from voice_worker.domain.turns import Ledger, SpeechEvent, Utterance, hear

Emit = Callable[[EventData, datetime], None]

#: A text that has not come this long after the end of speech will not come.
TEXT_LIMIT = timedelta(seconds=30)


#: What a recogniser tells of a person; the AI's own speech has one source only and is never collected.
_ABOUT_PEOPLE = (SpeechStarted, SpeechEnded, TextArrived, TextFailed, RecogniserLost)

#: Somebody spoke, and nobody knows what; the other reasons mean that nothing was said.
_UNKNOWN_WORDS = (DiscardReason.TRANSCRIPT_FAILED, DiscardReason.TRANSCRIPT_TIMEOUT)


class Speech:
    """The ledger of one call, with the seam between two recognisers of the customer."""

    def __init__(self, emit: Emit, said_before: Sequence[UtteranceCompleted] = (), *, language: str) -> None:
        """``language`` (BCP-47) is what is spoken where the recogniser does not tell."""
        self._emit = emit
        self._language = language
        self._ledger = Ledger()
        self._said: list[UtteranceCompleted] = list(said_before)
        self._collecting: dict[str, list[Fact]] = {}
        self._dropped: dict[str, frozenset[str]] = {}
        #: Utterances of a recogniser whose beginning has been told by another, and its words.
        self._begun: dict[str, tuple[frozenset[str], str]] = {}
        #: When the latest words of a person ended that are settled, understood or not.
        self._heard_until: datetime | None = None
        self._changed = asyncio.Event()

    @property
    def lines(self) -> tuple[Line, ...]:
        """The conversation so far, in the order in which it was spoken."""
        return conversation(self._said)

    def waiting(self, source: str) -> tuple[Utterance, ...]:
        """Utterances that this recogniser still owes."""
        return self._ledger.waiting(source)

    def heard_since(self, at: datetime) -> bool:
        """Whether a person was speaking at any time after ``at``.

        Words whose text failed or never came count: somebody said them. What was only noise does not.
        """
        if any(not one.ai and (one.ended_at is None or one.ended_at > at) for one in self._ledger.open.values()):
            return True
        return self._heard_until is not None and self._heard_until > at

    def hear(self, fact: Fact) -> None:
        """Take a fact in. Never blocks."""
        source = getattr(fact, "source", None)
        if source in self._collecting and isinstance(fact, _ABOUT_PEOPLE):
            self._collecting[source].append(fact)
        elif source is None or not doubled_item(fact, self._dropped.get(source, frozenset())):
            self._apply(self._rest(fact))

    def collect(self, source: str) -> None:
        """From now on this recogniser's facts wait for :meth:`release`."""
        self._collecting[source] = []

    def release(self, source: str, instead_of: str) -> None:
        """The seam is over: what ``instead_of`` has turned into text meanwhile is not heard twice."""
        collected = self._collecting.pop(source, [])
        understood = [
            said
            for said in self._said
            if said.speaker.role is not Role.AI and said.utterance_id.startswith(f"{instead_of}:")
        ]
        last = max(understood, key=lambda said: said.ended_at, default=None)
        boundary = last.ended_at if last else None
        kept = unfold(collected, boundary)
        self._dropped[source] = dropped_items(collected, kept)
        self._begun[source] = (straddling_items(kept, boundary), last.text if last else "")
        for fact in kept:
            self._apply(self._rest(fact))

    def forget(self, source: str) -> None:
        """A recogniser that was to take over never came up: the other one has heard everything."""
        collected = self._collecting.pop(source, [])
        self._dropped[source] = dropped_items(collected, ())

    def closed(self, source: str, *, at: datetime, others_since: datetime) -> None:
        """A recogniser of the customer was closed, after another one had begun: nothing of it stays open."""
        self._apply(RecogniserClosed(source=source, at=at, others_since=others_since))

    async def settled(self, source: str, *, running: float, text: float, leave: asyncio.Event) -> bool:
        """Wait until a recogniser owes nothing.

        Args:
            source: the recogniser.
            running: seconds at most for somebody who is still speaking.
            text: seconds at most for a text after the speech has ended.
            leave: set when the customer is gone: nobody is speaking any more.
        """
        loop = asyncio.get_running_loop()
        speech_limit, text_limit = loop.time() + running, loop.time() + text
        while owed := [u for u in self.waiting(source) if not u.ai]:
            speaking = any(u.ended_at is None for u in owed) and not leave.is_set()
            if speaking:
                text_limit = loop.time() + text
            limit = speech_limit if speaking else text_limit
            if loop.time() >= limit:
                return False
            self._changed.clear()
            try:
                async with asyncio.timeout(min(limit - loop.time(), 0.1)):
                    await self._changed.wait()
            except TimeoutError:
                continue
        return True

    def give_up_overdue(self, now: datetime) -> None:
        """Discard what has been waiting for its text for too long."""
        self._apply(Patience(at=now, limit=TEXT_LIMIT))

    def close(self, now: datetime) -> None:
        """The call ends: everything open is settled, and what was collected counts."""
        for source in list(self._collecting):
            for fact in self._collecting.pop(source):
                self._apply(fact)
        self._apply(Closing(at=now))

    def _rest(self, fact: Fact) -> Fact:
        if isinstance(fact, TextArrived):
            items, said = self._begun.get(fact.source, (frozenset(), ""))
            if fact.item in items:
                return replace(fact, text=rest_of(said, fact.text))
        return fact

    def _apply(self, fact: Fact) -> None:
        before = self._ledger
        self._ledger, events = hear(before, fact)
        for event in events:
            if (ended := _words_ended(event, before, fact)) is not None:
                self._heard_until = max(ended, self._heard_until or ended)
            if isinstance(event, UtteranceCompleted):
                told = event if event.language else event.model_copy(update={"language": self._language})
                self._said.append(told)
                self._emit(told, fact.at)
            else:
                self._emit(event, fact.at)
        self._changed.set()


def _words_ended(event: SpeechEvent, before: Ledger, fact: Fact) -> datetime | None:
    """When the words ended that a person has said, if this event settles some."""
    match event:
        case UtteranceCompleted() if event.speaker.role is not Role.AI:
            return event.ended_at
        case UtteranceDiscarded() if event.reason in _UNKNOWN_WORDS and not before.open[event.utterance_id].ai:
            return before.open[event.utterance_id].ended_at or fact.at
        case _:
            return None
