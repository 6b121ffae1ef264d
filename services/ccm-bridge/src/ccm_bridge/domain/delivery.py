"""What to do next about one call: the order of speech and the hold, as a pure function of the log and the time.

The log is in order of facts; the conversation is in order of places. So the cursor walks over the events one by one,
and at each event exactly one of these holds:

* it is **held**: a transfer was requested at or before it and has no outcome yet. Nothing from the request on is
  sent, its own note included, until the outcome is in the log, the log has ended, or the hold has lasted too long (an
  alarm, then it goes on);
* it is a **place** whose messages are due: send them, then go on;
* it is an utterance whose text is **not there yet**: wait for it, bounded from the end of the speech;
* the bound is over: the place is **passed over**, with a receipt, and the text is sent, marked late, at the event
  that brings it;
* it is **nothing** to CCM: go on.

Because the cursor never passes an event before this has been settled, not advancing it *is* the queue.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from call_events.catalogue import UtteranceCompleted, UtteranceDiscarded, UtteranceEnded, UtteranceStarted
from call_events.ports import AnyEvent, Receipt
from ccm_bridge.domain.conversation import Conversation
from ccm_bridge.domain.history import PASSED_OVER, UNFINISHED, History
from ccm_bridge.domain.message import Message


@dataclass(frozen=True, slots=True)
class Bounds:
    """How long to wait for what may never come."""

    #: For a text, from the end of the speech.
    text: timedelta = timedelta(seconds=5)
    #: For the end of a speech, from its beginning.
    speech: timedelta = timedelta(seconds=120)
    #: For the outcome of a transfer, from its request. Longer than the phones of one destination may ring, which the
    #: orchestrator bounds to 100 s: else the conversation is sent on before it is known who goes on with it.
    hold: timedelta = timedelta(seconds=120)


class Waiting(StrEnum):
    """What a call waits for."""

    TEXT = "text"
    TRANSFER = "transfer"


@dataclass(frozen=True, slots=True)
class Wait:
    """Nothing to do before ``until``, unless a new event comes."""

    until: datetime
    reason: Waiting


@dataclass(frozen=True, slots=True)
class Deliver:
    """Send the first of these; the place is finished when all of them have a receipt. Never empty."""

    messages: tuple[Message, ...]
    #: This place, or the hold before it, was released by the clock and not by an outcome.
    hold_timed_out: bool = False


@dataclass(frozen=True, slots=True)
class Pass:
    """Finished without a message; ``receipt`` where somebody might look for one."""

    receipt: Receipt | None = None


@dataclass(frozen=True, slots=True)
class Idle:
    """Everything that is in the log is finished."""


Step = Wait | Deliver | Pass | Idle


def next_step(history: History, cursor: int, now: datetime, *, conversation: Conversation, bounds: Bounds) -> Step:
    """What to do about the event after ``cursor``."""
    if cursor >= len(history.events):
        return Idle()
    event = history.events[cursor]
    held, overdue = _held(history, event, now, bounds)
    if held is not None:
        return Wait(held, Waiting.TRANSFER)
    match event.data:
        case UtteranceStarted():
            step = _at_start(history, event, event.data.utterance_id, now, conversation=conversation, bounds=bounds)
        case UtteranceCompleted() | UtteranceDiscarded():
            step = _at_resolution(history, event, event.data, conversation)
        case UtteranceEnded():
            step = Pass()
        case _:
            step = _send(history, conversation.note(history, event), Pass())
    if isinstance(step, Deliver) and overdue:
        return Deliver(step.messages, hold_timed_out=True)
    return step


def _held(history: History, event: AnyEvent, now: datetime, bounds: Bounds) -> tuple[datetime | None, bool]:
    """Until when the event is held, and whether a hold was ended at this very event by the clock."""
    for requested in history.requested:
        if requested.seq > event.seq or history.closed:
            break
        if requested.transfer_id in history.outcomes:
            continue
        until = requested.time + bounds.hold
        if now < until:
            return until, False
        if requested.seq == event.seq:
            return None, True
    return None, False


def _at_start(
    history: History, event: AnyEvent, utterance_id: str, now: datetime, *, conversation: Conversation, bounds: Bounds
) -> Step:
    if history.started[utterance_id] != event.seq:
        return Pass(_passed(event.seq, "repeated"))
    resolved = history.resolved.get(utterance_id)
    if resolved is not None:
        resolution = history.event(resolved)
        messages = conversation.speech(history, event, resolution, late=False)
        assert isinstance(resolution.data, UtteranceCompleted | UtteranceDiscarded)
        reason = resolution.data.reason if isinstance(resolution.data, UtteranceDiscarded) else "empty"
        return _send(history, messages, Pass(_passed(event.seq, reason)))
    if history.closed:
        messages = conversation.unresolved(history, event, history.events[-1])
        return _send(history, messages, Pass(_passed(event.seq, "call_ended")))
    ended = history.ended.get(utterance_id)
    until = event.time + bounds.speech if ended is None else ended + bounds.text
    if now < until:
        return Wait(until, Waiting.TEXT)
    return Pass(_passed(event.seq, UNFINISHED))


def _at_resolution(
    history: History, event: AnyEvent, data: UtteranceCompleted | UtteranceDiscarded, conversation: Conversation
) -> Step:
    started = history.started.get(data.utterance_id)
    first = history.resolved[data.utterance_id] == event.seq
    if started is None:
        # A text without a beginning was still said; a discarded nothing was not.
        is_text = isinstance(data, UtteranceCompleted) and history.completed[data.utterance_id] == event.seq
        return _send(history, conversation.speech(history, event, event, late=False) if is_text else (), Pass())
    if first:
        if not history.is_late(data.utterance_id):
            return Pass()
        reason = data.reason if isinstance(data, UtteranceDiscarded) else "empty"
        messages = conversation.speech(history, history.event(started), event, late=True)
        return _send(history, messages, Pass(_passed(started, reason)))
    if isinstance(data, UtteranceCompleted) and history.completed[data.utterance_id] == event.seq:
        # Given up and found after all. The place may already bear a note, so this text stands at its own.
        return _send(history, conversation.speech(history, event, event, late=True), Pass())
    return Pass()


def _send(history: History, messages: tuple[Message, ...], nothing: Pass) -> Step:
    """Send what is not settled yet; a crash between two messages of one place leaves the first with a receipt."""
    due = tuple(message for message in messages if not history.is_settled(message.seq, message.part))
    return Deliver(due) if due else Pass() if messages else nothing


def _passed(seq: int, reason: str) -> Receipt:
    return Receipt(seq=seq, outcome=PASSED_OVER, detail={"reason": reason})
