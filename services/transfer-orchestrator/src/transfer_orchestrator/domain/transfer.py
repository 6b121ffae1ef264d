"""A transfer as a table: which event may follow in which phase, and what a transfer is after it.

    requested ─▶ dialing ─▶ ringing ─▶ connected ─▶ completed
        │           └──────────┴─▶ between ─▶ dialing … | failed       (between = an attempt failed, another may follow)
        └─ at any point before connected ─▶ cancelled

The state is only ever the fold of the call's log, so two processes that have read the same log agree. Nothing here
knows time, phones or the log itself.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Literal

from call_events.catalogue import (
    AttemptSummary,
    DialOutcome,
    TransferAttemptFailed,
    TransferCancelled,
    TransferCompleted,
    TransferConnected,
    TransferDialing,
    TransferFailed,
    TransferRequested,
    TransferRinging,
)
from call_events.envelope import EventData
from call_events.ids import EventId
from call_events.ports import AnyEvent
from transfer_orchestrator.errors import IllegalMove


class Phase(StrEnum):
    """Where a transfer stands."""

    REQUESTED = "requested"
    DIALING = "dialing"
    RINGING = "ringing"
    BETWEEN = "between"
    CONNECTED = "connected"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"


#: Phases in which the outcome is still to come.
OPEN = frozenset({Phase.REQUESTED, Phase.DIALING, Phase.RINGING, Phase.BETWEEN})
#: Phases in which a phone may be ringing because of us.
ON_THE_WIRE = frozenset({Phase.DIALING, Phase.RINGING})

#: The machine. What is not in the table is refused.
TABLE: Mapping[tuple[Phase, type[EventData]], Phase] = {
    (Phase.REQUESTED, TransferDialing): Phase.DIALING,
    (Phase.REQUESTED, TransferFailed): Phase.FAILED,
    (Phase.REQUESTED, TransferCancelled): Phase.CANCELLED,
    (Phase.DIALING, TransferRinging): Phase.RINGING,
    (Phase.DIALING, TransferConnected): Phase.CONNECTED,
    (Phase.DIALING, TransferAttemptFailed): Phase.BETWEEN,
    (Phase.DIALING, TransferCancelled): Phase.CANCELLED,
    (Phase.RINGING, TransferConnected): Phase.CONNECTED,
    (Phase.RINGING, TransferAttemptFailed): Phase.BETWEEN,
    (Phase.RINGING, TransferCancelled): Phase.CANCELLED,
    (Phase.BETWEEN, TransferDialing): Phase.DIALING,
    (Phase.BETWEEN, TransferFailed): Phase.FAILED,
    (Phase.BETWEEN, TransferCancelled): Phase.CANCELLED,
    (Phase.CONNECTED, TransferCompleted): Phase.COMPLETED,
}


@dataclass(frozen=True, slots=True)
class Attempt:
    """One dial."""

    number: int
    dial_id: str
    target: str
    #: Identity of the dialled leg in the room.
    identity: str
    #: When ``transfer.dialing`` was written; the dial goes out right after it.
    began_at: datetime
    #: The service instance that dials.
    producer: str
    rang: bool = False
    outcome: DialOutcome | None = None
    sip_status: int | None = None


@dataclass(frozen=True, slots=True)
class Transfer:
    """One transfer, folded from its events."""

    transfer_id: str
    destination: str
    summary: str
    requested_at: datetime
    requested_seq: int
    requested_id: EventId
    phase: Phase = Phase.REQUESTED
    attempts: tuple[Attempt, ...] = ()
    #: When and where the last event of this transfer was written.
    moved_at: datetime | None = None
    closed_seq: int | None = None

    @property
    def open(self) -> bool:
        """Whether the outcome is still to come."""
        return self.phase in OPEN

    @property
    def current(self) -> Attempt | None:
        """The dial that may be ringing now."""
        return self.attempts[-1] if self.phase in ON_THE_WIRE else None

    @property
    def dangling(self) -> Attempt | None:
        """The dial that was under way when the transfer was called off: its phone must be stopped."""
        last = self.attempts[-1] if self.attempts else None
        return last if self.phase is Phase.CANCELLED and last is not None and last.outcome is None else None

    @property
    def since(self) -> datetime:
        """Time of the last event of this transfer."""
        return self.moved_at or self.requested_at

    def summaries(self) -> tuple[AttemptSummary, ...]:
        """The attempts that ended, as the story of a failed transfer tells them."""
        return tuple(
            AttemptSummary(attempt=a.number, target=a.target, outcome=a.outcome, sip_status=a.sip_status)
            for a in self.attempts
            if a.outcome is not None
        )


def requested(event: AnyEvent) -> Transfer:
    """A transfer begins.

    Raises:
        IllegalMove: with anything but ``transfer.requested``.
    """
    data = event.data
    if not isinstance(data, TransferRequested):
        raise IllegalMove(f"{data.TYPE} speaks of a transfer that nobody has requested")
    return Transfer(
        transfer_id=data.transfer_id,
        destination=data.destination,
        summary=data.summary,
        requested_at=event.time,
        requested_seq=event.seq,
        requested_id=event.id,
    )


def may_follow(transfer: Transfer, kind: type[EventData]) -> bool:
    """Whether an event of this kind may be written now."""
    return (transfer.phase, kind) in TABLE


def evolve(transfer: Transfer, event: AnyEvent) -> Transfer:
    """The transfer after this event.

    Raises:
        IllegalMove: the table does not know this step, or it speaks of an attempt that is not under way.
    """
    data = event.data
    phase = TABLE.get((transfer.phase, type(data)))
    if phase is None:
        raise IllegalMove(f"{data.TYPE} cannot follow in phase {transfer.phase}")
    attempts = transfer.attempts
    if isinstance(data, TransferDialing):
        if data.attempt != len(attempts) + 1:
            raise IllegalMove(f"attempt {data.attempt} cannot follow attempt {len(attempts)}")
        began = Attempt(data.attempt, data.dial_id, data.target, data.identity, event.time, event.producer)
        attempts = (*attempts, began)
    elif isinstance(data, TransferRinging | TransferConnected | TransferAttemptFailed):
        last = attempts[-1]
        if data.attempt != last.number:
            raise IllegalMove(f"{data.TYPE} speaks of attempt {data.attempt}, attempt {last.number} is under way")
        if isinstance(data, TransferRinging):
            last = replace(last, rang=True)
        elif isinstance(data, TransferAttemptFailed):
            last = replace(last, outcome=data.outcome, sip_status=data.sip_status)
        attempts = (*attempts[:-1], last)
    closed = event.seq if transfer.open and phase not in OPEN else transfer.closed_seq
    return replace(transfer, phase=phase, attempts=attempts, moved_at=event.time, closed_seq=closed)


def ended_with_call(transfer: Transfer, event: AnyEvent) -> Transfer:
    """``call.ended`` closes the log: an open transfer is cancelled by it, for no event can follow that says so."""
    if not transfer.open:
        return transfer
    return replace(transfer, phase=Phase.CANCELLED, moved_at=event.time, closed_seq=event.seq)


CancelCause = Literal["caller_left", "call_ended", "withdrawn"]
