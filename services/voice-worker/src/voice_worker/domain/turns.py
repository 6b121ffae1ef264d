"""From facts about speech to utterances: ``hear(ledger, fact) -> (ledger, events)``, pure.

- A customer's or human's utterance has its place reserved by ``SpeechStarted``; text may come any time later, or never.
- The order of the AI's texts is the order of playing, so the oldest unfinished AI utterance gets the next text.

Whatever comes in whatever order, each utterance gets exactly one ``utterance.started`` and, in the end, exactly one of
``completed`` and ``discarded``, never before its ``started``. The one exception: a text that comes after it was given
up for being overdue is told after all. Silence never passes for speech, and speech never vanishes.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime

from call_events.catalogue import (
    DiscardReason,
    Speaker,
    UtteranceCompleted,
    UtteranceDiscarded,
    UtteranceEnded,
    UtteranceStarted,
)
from voice_worker.domain.facts import (
    AiAudible,
    AiQuiet,
    AiSaid,
    AiSettled,
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

SpeechEvent = UtteranceStarted | UtteranceEnded | UtteranceCompleted | UtteranceDiscarded


@dataclass(frozen=True, slots=True)
class Utterance:
    """One that has started and has no text yet."""

    id: str
    source: str
    speaker: Speaker
    started_at: datetime
    ended_at: datetime | None = None
    #: AI utterances are matched by order, the others by item.
    ai: bool = False


@dataclass(frozen=True, slots=True)
class Ledger:
    """Every utterance of a call: the open ones in order of their start, and the ids that are settled."""

    open: Mapping[str, Utterance] = field(default_factory=dict)
    settled: frozenset[str] = frozenset()
    #: Settled ones that were given up for being overdue; a text may still come.
    overdue: Mapping[str, Utterance] = field(default_factory=dict)

    def waiting(self, source: str) -> tuple[Utterance, ...]:
        """Utterances of one recogniser that still owe their text."""
        return tuple(u for u in self.open.values() if u.source == source)


Heard = tuple[Ledger, tuple[SpeechEvent, ...]]


def hear(ledger: Ledger, fact: Fact) -> Heard:  # noqa: C901, PLR0911 - one case for each fact
    """Take one fact in; the events are in the order in which they must be written."""
    match fact:
        case SpeechStarted():
            return _start(ledger, _id(fact.source, fact.item), fact.source, fact.speaker, fact.at, ai=False)
        case SpeechEnded():
            ledger, events = _start(ledger, _id(fact.source, fact.item), fact.source, fact.speaker, fact.at, ai=False)
            return _then(ledger, events, lambda now: _end(now, _id(fact.source, fact.item), fact.at))
        case TextArrived():
            return _text(ledger, fact)
        case TextFailed():
            return _discard(ledger, [_id(fact.source, fact.item)], DiscardReason.TRANSCRIPT_FAILED, fact.at)
        case RecogniserLost():
            ids = [u.id for u in ledger.waiting(fact.source) if not u.ai]
            return _discard(ledger, ids, DiscardReason.TRANSCRIPT_FAILED, fact.at)
        case RecogniserClosed():
            return _closed(ledger, fact)
        case AiAudible():
            return _start(ledger, _id(fact.source, fact.item), fact.source, fact.speaker, fact.at, ai=True)
        case AiQuiet():
            return _quiet(ledger, fact)
        case AiSaid():
            return _said(ledger, fact)
        case AiSettled():
            ids = [u.id for u in ledger.waiting(fact.source) if u.ai and u.ended_at is not None]
            return _discard(ledger, ids, DiscardReason.NOT_SPOKEN, fact.at)
        case Patience():
            return _give_up(ledger, fact)
        case Closing():
            spoken = [u.id for u in ledger.open.values() if u.ai]
            ledger, events = _discard(ledger, spoken, DiscardReason.NOT_SPOKEN, fact.at)
            rest = list(ledger.open)
            return _then(ledger, events, lambda now: _discard(now, rest, DiscardReason.TRANSCRIPT_TIMEOUT, fact.at))


def _id(source: str, item: str) -> str:
    return f"{source}:{item}"


def _then(ledger: Ledger, events: tuple[SpeechEvent, ...], step: Callable[[Ledger], Heard]) -> Heard:
    ledger, more = step(ledger)
    return ledger, events + more


def _start(ledger: Ledger, uid: str, source: str, speaker: Speaker, at: datetime, *, ai: bool) -> Heard:
    if uid in ledger.open or uid in ledger.settled:
        return ledger, ()
    utterance = Utterance(id=uid, source=source, speaker=speaker, started_at=at, ai=ai)
    event = UtteranceStarted(utterance_id=uid, speaker=speaker, started_at=at)
    return replace(ledger, open={**ledger.open, uid: utterance}), (event,)


def _end(ledger: Ledger, uid: str, at: datetime) -> Heard:
    utterance = ledger.open.get(uid)
    if utterance is None or utterance.ended_at is not None:
        return ledger, ()
    ended = replace(utterance, ended_at=max(at, utterance.started_at))
    return replace(ledger, open={**ledger.open, uid: ended}), (UtteranceEnded(utterance_id=uid, ended_at=at),)


def _settle(ledger: Ledger, uid: str) -> Ledger:
    rest = {key: value for key, value in ledger.open.items() if key != uid}
    return replace(ledger, open=rest, settled=ledger.settled | {uid})


def _discard(ledger: Ledger, ids: list[str], reason: DiscardReason, at: datetime) -> Heard:
    events: tuple[SpeechEvent, ...] = ()
    for uid in ids:
        if uid in ledger.open:
            ledger, ended = _end(ledger, uid, at)
            ledger = _settle(ledger, uid)
            events += (*ended, UtteranceDiscarded(utterance_id=uid, reason=reason))
    return ledger, events


def _give_up(ledger: Ledger, fact: Patience) -> Heard:
    overdue = {
        u.id: u
        for u in ledger.open.values()
        if not u.ai and (u.ended_at + fact.limit if u.ended_at else u.started_at + fact.longest_turn) <= fact.at
    }
    ledger, events = _discard(ledger, list(overdue), DiscardReason.TRANSCRIPT_TIMEOUT, fact.at)
    late = {uid: replace(u, ended_at=u.ended_at or fact.at) for uid, u in overdue.items()}
    return replace(ledger, overdue={**ledger.overdue, **late}), events


def _closed(ledger: Ledger, fact: RecogniserClosed) -> Heard:
    unfinished = [u for u in ledger.waiting(fact.source) if not u.ai]
    unheard = [u.id for u in unfinished if u.ended_at is not None and u.ended_at < fact.others_since]
    elsewhere = [u.id for u in unfinished if u.id not in unheard]
    ledger, events = _discard(ledger, unheard, DiscardReason.TRANSCRIPT_TIMEOUT, fact.at)
    # Not "failed": the other recogniser tells these words, in an utterance of its own, so none is missing.
    return _then(ledger, events, lambda now: _discard(now, elsewhere, DiscardReason.NOT_SPOKEN, fact.at))


def _late_text(ledger: Ledger, fact: TextArrived, uid: str) -> Heard:
    if uid not in ledger.overdue or not fact.text.strip():
        return ledger, ()
    rest = {key: value for key, value in ledger.overdue.items() if key != uid}
    ledger = replace(ledger, overdue=rest, open={**ledger.open, uid: ledger.overdue[uid]})
    return _complete(ledger, (), uid, fact.text, language=fact.language, confidence=fact.confidence)


def _text(ledger: Ledger, fact: TextArrived) -> Heard:
    uid = _id(fact.source, fact.item)
    if uid in ledger.settled:
        return _late_text(ledger, fact, uid)
    ledger, events = _start(ledger, uid, fact.source, fact.speaker, fact.at, ai=False)
    ledger, ended = _end(ledger, uid, fact.at)
    events += ended
    if not fact.text.strip():
        return _then(ledger, events, lambda now: _discard(now, [uid], DiscardReason.NOISE, fact.at))
    return _complete(ledger, events, uid, fact.text, language=fact.language, confidence=fact.confidence)


def _complete(
    ledger: Ledger,
    events: tuple[SpeechEvent, ...],
    uid: str,
    text: str,
    *,
    language: str | None = None,
    confidence: float | None = None,
    interrupted: bool = False,
) -> Heard:
    utterance = ledger.open[uid]
    completed = UtteranceCompleted(
        utterance_id=uid,
        speaker=utterance.speaker,
        text=text.strip(),
        language=language,
        confidence=confidence,
        interrupted=interrupted,
        started_at=utterance.started_at,
        ended_at=utterance.ended_at or utterance.started_at,
    )
    return _settle(ledger, uid), (*events, completed)


def _quiet(ledger: Ledger, fact: AiQuiet) -> Heard:
    events: tuple[SpeechEvent, ...] = ()
    for utterance in ledger.waiting(fact.source):
        if utterance.ai:
            ledger, ended = _end(ledger, utterance.id, fact.at)
            events += ended
    return ledger, events


def _said(ledger: Ledger, fact: AiSaid) -> Heard:
    if not fact.text.strip():
        return ledger, ()
    spoken = next((u.id for u in ledger.waiting(fact.source) if u.ai), None)
    uid = spoken or _id(fact.source, fact.item)
    if uid in ledger.settled:
        return ledger, ()
    started = fact.started_at or fact.at
    ledger, events = _start(ledger, uid, fact.source, fact.speaker, started, ai=True)
    ledger, ended = _end(ledger, uid, fact.at)
    return _complete(ledger, events + ended, uid, fact.text, interrupted=fact.interrupted)
