"""One pass over a call's events: who resolved what, which transfer is over, what the receipts say."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from call_events.catalogue import (
    AgentActivated,
    AgentHandedOff,
    CallEnded,
    LegLeft,
    TransferCancelled,
    TransferConnected,
    TransferFailed,
    TransferRequested,
    UtteranceCompleted,
    UtteranceDiscarded,
    UtteranceEnded,
    UtteranceStarted,
)
from call_events.ports import AnyEvent, Receipt

DELIVERED = "delivered"
REFUSED = "refused"
PASSED_OVER = "passed_over"
#: Why a place was passed over although its text may still come (in ``Receipt.detail["reason"]``).
UNFINISHED = "unfinished"


@dataclass(frozen=True, slots=True)
class Requested:
    """A transfer that was asked for: where, when, which."""

    seq: int
    time: datetime
    transfer_id: str


@dataclass(slots=True)
class History:
    """What is known of a call: a fold over its log and receipts, which may be carried on as they grow.

    It lives as long as the call, so it holds numbers and times; the events themselves are looked up in the log.
    """

    events: Sequence[AnyEvent] = ()
    #: utterance id -> number of its ``utterance.started`` (the first, should there be two).
    started: dict[str, int] = field(default_factory=dict)
    #: utterance id -> time of its ``utterance.ended``.
    ended: dict[str, datetime] = field(default_factory=dict)
    #: utterance id -> the first ``completed`` or ``discarded``. The first, so that a retry never changes the text.
    resolved: dict[str, int] = field(default_factory=dict)
    #: utterance id -> the first ``completed``, which differs from the above if a discarded one got its text after all.
    completed: dict[str, int] = field(default_factory=dict)
    requested: list[Requested] = field(default_factory=list)
    #: transfer id -> number of the ``connected``, ``failed`` or ``cancelled``.
    outcomes: dict[str, int] = field(default_factory=dict)
    #: identity of a human's leg -> number of the event that connected it.
    humans: dict[str, int] = field(default_factory=dict)
    #: Identities of legs that have left.
    left: set[str] = field(default_factory=set)
    #: agent key -> (number of the event that first named it, name for people).
    agents: dict[str, tuple[int, str]] = field(default_factory=dict)
    closed: bool = False
    #: Places whose main message CCM has taken or refused, and (place, part) of every other such message.
    settled: set[int] = field(default_factory=set)
    settled_parts: set[tuple[int, str]] = field(default_factory=set)
    #: Places passed over while their text could still come.
    passed_unfinished: set[int] = field(default_factory=set)

    #: So many of the events and of the receipts have been folded in.
    events_read: int = 0
    receipts_read: int = 0

    def follow(self, events: Sequence[AnyEvent], receipts: Sequence[Receipt]) -> None:
        """Fold in what has come since: both must begin with what was given before."""
        for event in events[self.events_read :]:
            note = _NOTES.get(type(event.data))
            if note is not None:
                note(self, event)
        self.events = events
        self.events_read = len(events)
        for receipt in receipts[self.receipts_read :]:
            self.add(receipt)
        self.receipts_read = len(receipts)

    def event(self, seq: int) -> AnyEvent:
        """The event of that number."""
        return self.events[seq - 1]

    def is_settled(self, seq: int, part: str) -> bool:
        """CCM has taken or refused this message."""
        return (seq, part) in self.settled_parts if part else seq in self.settled

    def add(self, receipt: Receipt) -> None:
        """Take note of what was done about a place."""
        if receipt.outcome in (DELIVERED, REFUSED):
            part = str(receipt.detail.get("part", ""))
            if part:
                self.settled_parts.add((receipt.seq, part))
            else:
                self.settled.add(receipt.seq)
        elif receipt.outcome == PASSED_OVER and receipt.detail.get("reason") == UNFINISHED:
            self.passed_unfinished.add(receipt.seq)

    def was_held(self, seq: int) -> bool:
        """A transfer was open when this event was appended."""
        return any(
            requested.seq <= seq and (outcome is None or outcome > seq)
            for requested in self.requested
            for outcome in [self.outcomes.get(requested.transfer_id)]
        )

    def agent_name(self, agent: str, *, before: int) -> str:
        """The name of an AI agent as the log told it before a place, else its key: what comes later must not change
        it."""
        seq, name = self.agents.get(agent, (0, agent))
        return name if seq < before else agent

    def is_late(self, utterance_id: str) -> bool:
        """The utterance's place was passed over, and nothing has been sent for it since."""
        place = self.started.get(utterance_id)
        return place is not None and place in self.passed_unfinished and place not in self.settled


def read_history(events: Sequence[AnyEvent], receipts: Sequence[Receipt]) -> History:
    """Index the events and receipts of one call."""
    history = History()
    history.follow(events, receipts)
    return history


def _started(history: History, event: AnyEvent) -> None:
    assert isinstance(event.data, UtteranceStarted)
    history.started.setdefault(event.data.utterance_id, event.seq)


def _ended(history: History, event: AnyEvent) -> None:
    assert isinstance(event.data, UtteranceEnded)
    history.ended.setdefault(event.data.utterance_id, event.time)


def _completed(history: History, event: AnyEvent) -> None:
    assert isinstance(event.data, UtteranceCompleted)
    history.resolved.setdefault(event.data.utterance_id, event.seq)
    history.completed.setdefault(event.data.utterance_id, event.seq)


def _discarded(history: History, event: AnyEvent) -> None:
    assert isinstance(event.data, UtteranceDiscarded)
    history.resolved.setdefault(event.data.utterance_id, event.seq)


def _requested(history: History, event: AnyEvent) -> None:
    assert isinstance(event.data, TransferRequested)
    history.requested.append(Requested(event.seq, event.time, event.data.transfer_id))


def _outcome(history: History, event: AnyEvent) -> None:
    assert isinstance(event.data, TransferConnected | TransferFailed | TransferCancelled)
    history.outcomes.setdefault(event.data.transfer_id, event.seq)
    if isinstance(event.data, TransferConnected):
        history.humans.setdefault(event.data.human.identity, event.seq)


def _agent(history: History, event: AnyEvent) -> None:
    data = event.data
    if isinstance(data, AgentActivated):
        history.agents.setdefault(data.agent, (event.seq, data.name))
    elif isinstance(data, AgentHandedOff):
        history.agents.setdefault(data.from_agent, (event.seq, data.from_name))
        history.agents.setdefault(data.to_agent, (event.seq, data.to_name))


def _left(history: History, event: AnyEvent) -> None:
    assert isinstance(event.data, LegLeft)
    history.left.add(event.data.identity)


def _closed(history: History, _event: AnyEvent) -> None:
    history.closed = True


_NOTES: Mapping[type, Callable[[History, AnyEvent], None]] = {
    UtteranceStarted: _started,
    UtteranceEnded: _ended,
    UtteranceCompleted: _completed,
    UtteranceDiscarded: _discarded,
    TransferRequested: _requested,
    TransferConnected: _outcome,
    TransferFailed: _outcome,
    TransferCancelled: _outcome,
    AgentActivated: _agent,
    AgentHandedOff: _agent,
    LegLeft: _left,
    CallEnded: _closed,
}
