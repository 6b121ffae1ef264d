"""For tests of code that uses the log: the same log in memory, a clock one can turn, and small builders.

``InMemoryEventLog`` passes the contract suite of ``RedisEventLog``, so that what holds on it holds on Redis.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from call_events.catalogue import (
    CallEnded,
    CallStarted,
    Customer,
    EndedBy,
    Role,
    Speaker,
    UtteranceCompleted,
    UtteranceStarted,
)
from call_events.codec import decode, encode, wire_type
from call_events.envelope import Event, EventData
from call_events.errors import CallClosed, CallUnknown, IdTaken, StaleOwner, TailMoved
from call_events.ids import CallId, EventId, call_id
from call_events.ports import AnyEvent, Appended, CallView, Ownership, Receipt
from call_events.registry import CLOSING_TYPE, OPENING_TYPE

#: Where every builder's call begins.
START = datetime(2026, 1, 5, 9, 0, tzinfo=UTC)


class ManualClock:
    """``ports.Clock`` that stands still until it is moved."""

    def __init__(self, at: datetime = START) -> None:
        self._at = at
        self._monotonic = 1000.0

    def now(self) -> datetime:
        """The time it was turned to."""
        return self._at

    def monotonic(self) -> float:
        """Seconds; moves with :meth:`advance` only."""
        return self._monotonic

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        self._at += timedelta(seconds=seconds)
        self._monotonic += seconds


@dataclass
class _Call:
    raw: list[bytes] = field(default_factory=list)
    places: dict[str, int] = field(default_factory=dict)
    closed: bool = False
    epoch: int = 0
    owner: str | None = None
    lease_until: float = 0.0
    grown: asyncio.Event = field(default_factory=asyncio.Event)


class InMemoryEventLog:
    """``ports.EventLog`` for one process and one event loop."""

    def __init__(self, clock: ManualClock | None = None) -> None:
        """``clock`` judges ownership leases; without one they run out only when they are handed on."""
        self._clock = clock
        self._calls: dict[CallId, _Call] = {}

    async def append(
        self,
        event: AnyEvent,
        *,
        expected_tail: int | None = None,
        epoch: int | None = None,
        first_wins: bool = False,
    ) -> Appended:
        """See ``ports.EventLog.append``."""
        raw = encode(event)
        call = self._calls.get(call_id(event.call), _Call())
        tail, kind = len(call.raw), wire_type(event)
        if event.id in call.places:
            place = call.places[event.id]
            if call.raw[place - 1] != raw and not first_wins:
                raise IdTaken(f"call {event.call}: number {place} of its log is another event with the same id")
            return Appended(seq=place, duplicate=True)
        if call.closed:
            raise CallClosed(f"call {event.call}: its log ended with number {tail}")
        if tail == 0 and kind != OPENING_TYPE:
            raise CallUnknown(f"call {event.call} has no log; only {OPENING_TYPE} opens one")
        if epoch is not None and (epoch, event.producer) != (call.epoch, call.owner):
            raise StaleOwner(f"call {event.call}: a newer worker owns it")
        if expected_tail is not None and expected_tail != tail:
            raise TailMoved(f"call {event.call}: its log already ends with number {tail}")
        call = self._call(event.call)
        call.raw.append(raw)
        call.places[event.id] = len(call.raw)
        call.closed = kind == CLOSING_TYPE
        call.grown.set()
        call.grown = asyncio.Event()
        return Appended(seq=len(call.raw), duplicate=False)

    async def read(self, call: CallId, *, after: int = 0, limit: int | None = None) -> Sequence[AnyEvent]:
        """See ``ports.EventLog.read``."""
        raw = self._calls[call].raw if call in self._calls else []
        end = None if limit is None else after + limit
        return [decode(one, seq=seq) for seq, one in enumerate(raw[after:end], after + 1)]

    async def follow(self, call: CallId, *, after: int = 0) -> AsyncIterator[AnyEvent]:
        """See ``ports.EventLog.follow``."""
        while True:
            grown = self._call(call).grown
            for event in await self.read(call, after=after):
                yield event
                after = event.seq
                if wire_type(event) == CLOSING_TYPE:
                    return
            await grown.wait()

    async def own(self, call: CallId, worker: str, *, lease_ms: int, epoch: int | None = None) -> Ownership:
        """See ``ports.EventLog.own``."""
        state = self._call(call)
        now = self._clock.monotonic() if self._clock else 0.0
        if epoch is not None:
            if (state.epoch, state.owner) != (epoch, worker):
                raise StaleOwner(f"call {call} belongs to worker {state.owner}")
        elif state.owner is not None and state.lease_until > now:
            raise StaleOwner(f"call {call} belongs to worker {state.owner}")
        else:
            state.epoch += 1
        state.owner, state.lease_until = worker, now + lease_ms / 1000
        return Ownership(epoch=state.epoch)

    async def owner(self, call: CallId) -> str | None:
        """See ``ports.EventLog.owner``."""
        return self._call(call).owner

    def recent(self, call: CallId) -> Sequence[bytes]:  # noqa: ARG002 - the port's
        """See ``ports.EventLog.recent``: there is nothing that could forget."""
        return ()

    async def calls(self, limit: int = 100) -> Sequence[CallId]:
        """Newest first."""
        return [call for call, state in reversed(self._calls.items()) if state.raw][:limit]

    def _call(self, call: CallId) -> _Call:
        return self._calls.setdefault(call, _Call())


def event(call: CallId | str, data: EventData, *, at_s: float = 0.0, **frame: Any) -> AnyEvent:
    """An event of a call, ``at_s`` seconds after :data:`START`; ``frame`` overrides fields of the frame."""
    frame = {"producer": "test", "time": START + timedelta(seconds=at_s), **frame}
    return Event[EventData](data=data, call=CallId(call), **frame)


def started(call: CallId | str, **overrides: Any) -> AnyEvent:
    """The first event of a call."""
    fields: dict[str, Any] = {
        "room": str(call),
        "direction": "inbound",
        "customer": Customer(identity="sip_100", number="+15550100"),
        "dialled_number": "+15550199",
        "profile": "contact-centre",
        "profile_hash": "0" * 64,
        "language": "en-US",
        "worker": "voice-worker/test",
    }
    return event(call, CallStarted(**(fields | overrides)), id=EventId(f"{call}-started"))


def ended(call: CallId | str, *, at_s: float = 60.0) -> AnyEvent:
    """The last event of a call."""
    data = CallEnded(ended_by=EndedBy.CUSTOMER, cause="CLIENT_INITIATED", duration_ms=int(at_s * 1000))
    return event(call, data, at_s=at_s, id=EventId(f"{call}-ended"))


CUSTOMER = Speaker(role=Role.CUSTOMER, name="Customer", identity="sip_100")
AI = Speaker(role=Role.AI, name="Generic AI", identity="agent-1", agent="generic")


def speaking(call: CallId | str, utterance: str, *, speaker: Speaker = CUSTOMER, at_s: float = 1.0) -> AnyEvent:
    """A party begins to speak."""
    data = UtteranceStarted(utterance_id=utterance, speaker=speaker, started_at=START + timedelta(seconds=at_s))
    return event(call, data, at_s=at_s)


def said(
    call: CallId | str,
    utterance: str,
    text: str,
    *,
    speaker: Speaker = CUSTOMER,
    at_s: float = 1.0,
    lasts_s: float = 1.0,
) -> AnyEvent:
    """A party has said something."""
    begun = START + timedelta(seconds=at_s)
    data = UtteranceCompleted(
        utterance_id=utterance,
        speaker=speaker,
        text=text,
        started_at=begun,
        ended_at=begun + timedelta(seconds=lasts_s),
    )
    return event(call, data, at_s=at_s + lasts_s)


def numbered(events: Sequence[AnyEvent]) -> tuple[AnyEvent, ...]:
    """The events as the log gives them back: 1, 2, 3 …"""
    return tuple(one.model_copy(update={"seq": seq}) for seq, one in enumerate(events, 1))


def view(
    call: CallId | str,
    events: Sequence[AnyEvent],
    cursor: int = 0,
    receipts: Sequence[Receipt] = (),
    *,
    attempts: int = 0,
) -> CallView:
    """What a handler would be given after these appends."""
    return CallView(
        call=CallId(call), events=numbered(events), cursor=cursor, receipts=tuple(receipts), attempts=attempts
    )
