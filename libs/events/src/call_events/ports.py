"""What services ask of the log, named by role. ``redis_log`` and ``testing`` answer; both pass one suite."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, Protocol

from call_events.envelope import Event, EventData
from call_events.ids import CallId

AnyEvent = Event[EventData]


class Clock(Protocol):
    """Time, so that tests can own it."""

    def now(self) -> datetime:
        """Aware wall-clock time, UTC."""
        ...

    def monotonic(self) -> float:
        """Seconds that never run backwards."""
        ...


@dataclass(frozen=True, slots=True)
class Appended:
    """The log has the event, at this place; ``duplicate`` if it had it already."""

    seq: int
    duplicate: bool


@dataclass(frozen=True, slots=True)
class Ownership:
    """The right to speak for a call: appends that carry an older epoch are refused."""

    epoch: int


class EventLog(Protocol):
    """All call streams."""

    async def append(
        self,
        event: AnyEvent,
        *,
        expected_tail: int | None = None,
        epoch: int | None = None,
        first_wins: bool = False,
    ) -> Appended:
        """Append one event: atomic, numbered without gaps, safe to retry for ever (``event.id`` is the key).

        ``call.started`` opens a log and ``call.ended`` closes it; nothing else does either.
        Appends of one task keep their order.

        Args:
            event: what happened; its number is the log's business.
            expected_tail: append only if the log ends with this number.
            epoch: append only while ``event.producer`` owns the call under this epoch, see :meth:`own`.
            first_wins: the id was derived so that whoever comes first has said it; another event under it is a
                duplicate too. Without this the same id must come with the same bytes.

        Raises:
            CallUnknown, CallClosed, TailMoved, IdTaken, StaleOwner: refused; nothing changed.
            BadEvent: it is too large, or its id cannot be one.
            BadCallId: its call could not safely be part of a key.
            LogUnavailable: not known to be stored; append the same event again.
        """
        ...

    async def read(self, call: CallId, *, after: int = 0, limit: int | None = None) -> Sequence[AnyEvent]:
        """Events ``after + 1 …`` in order; empty for an unknown call."""
        ...

    def follow(self, call: CallId, *, after: int = 0) -> AsyncIterator[AnyEvent]:
        """All events after ``after``, then every new one as it comes; ends with ``call.ended``. Survives reconnects."""
        ...

    async def own(self, call: CallId, worker: str, *, lease_ms: int, epoch: int | None = None) -> Ownership:
        """Take (``epoch`` absent) or renew (``epoch`` held) the right to speak for a call.

        Raises:
            StaleOwner: somebody else holds it.
        """
        ...

    async def owner(self, call: CallId) -> str | None:
        """The worker that had the right to speak for a call last, also if its lease has run out; absent: nobody."""
        ...

    def recent(self, call: CallId) -> Sequence[bytes]:
        """What this process has appended to the call lately, in order, as JSON: a server that takes over or comes back
        may have forgotten it. Whoever ends while the log is away leaves it to somebody who appends it again."""
        ...


@dataclass(frozen=True, slots=True)
class Receipt:
    """Durable proof of what a consumer did about one event; written in the same script as the cursor."""

    #: The place it is about.
    seq: int
    #: e.g. ``delivered``, ``refused``, ``passed_over``.
    outcome: str
    #: Small JSON object: message id, HTTP status, times. No personal data.
    detail: dict[str, Any]


@dataclass(frozen=True, slots=True)
class CallView:
    """What a handler is given: the call's history so far and what is new. To be looked at until the handler answers."""

    call: CallId
    #: Every event of the call that can be seen now, 1, 2, 3 …; decoded as it is looked at, so a handler that needs the
    #: whole call at every turn folds it once and keeps the fold in ``memory``.
    events: Sequence[AnyEvent]
    #: Everything up to this number is finished by this group.
    cursor: int
    #: This group's receipts for this call, oldest first.
    receipts: Sequence[Receipt]
    #: How often the event after the cursor has failed before (drives back-off).
    attempts: int = 0
    #: For what the handler would work out anew from the same events and receipts at every turn.
    #:
    #: What the next turn finds here is what the last one left, also if other workers have had the call in between: its
    #: ``events`` and ``receipts`` then begin with those of the last turn and the receipts of its answer. If the answer
    #: was not committed, or there was none, it finds nothing: a handler may note its own receipts before they are
    #: committed. It may find nothing at any turn, and must come to the same answers with and without it. So keep only
    #: what follows from events and receipts, never a clock reading or an outcome; and numbers of events rather than
    #: events, which take ten times the room.
    memory: dict[str, Any] = field(default_factory=dict, compare=False)

    @property
    def new(self) -> Sequence[AnyEvent]:
        """The events after the cursor."""
        return self.events[self.cursor :]


class Endpoint(StrEnum):
    """What a handler's turn has shown of the one thing outside of the log that it asks (``breaker``)."""

    SERVED = "served"
    #: It did not answer, or could not: asking about other calls would very likely end the same way.
    FAILED = "failed"
    #: Nothing was asked of it.
    NOT_ASKED = "not asked"


@dataclass(frozen=True, slots=True)
class Progress:
    """A handler's answer.

    ``through`` moves the cursor (never backwards). If it is short of what was seen, either ``wake_at`` says when to ask
    again (a new event asks earlier), or the cursor moved and the handler is asked again at once with the rest.
    Neither moving nor naming a time while events are unfinished is refused: it would strand the call.
    """

    through: int
    wake_at: datetime | None = None
    receipts: tuple[Receipt, ...] = ()
    #: A handler that answers without asking its endpoint says so; one that raises an error that may pass has failed.
    endpoint: Endpoint = Endpoint.SERVED


class Handler(Protocol):
    """A consumer's decision about one call. Called for one call at a time, never twice at once for the same call."""

    async def __call__(self, view: CallView) -> Progress:
        """Do what is due and say how far it got.

        Raises:
            ParkCall (``call_events.consumer``): put this call aside with a reason; others do not notice.
            Any error with ``retry`` true, time-outs and connection errors: asked again after a back-off, and reckoned
                as the endpoint's failure unless they are the log's own.
        """
        ...
