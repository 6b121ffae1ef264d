"""What to do next about a transfer, and what may be written about one: pure functions of the folded log.

Every event has an id derived from what it says: a repeat of the same reaction, by this process or another, is known
to the log. The three ends of a transfer share *one* id, so that the log itself can hold only one of them.
"""

from dataclasses import dataclass

from call_events.catalogue import (
    DialOutcome,
    Human,
    TransferAttemptFailed,
    TransferCancelled,
    TransferConnected,
    TransferDialing,
    TransferFailed,
    TransferRinging,
)
from call_events.envelope import EventData
from call_events.ids import CallId, EventId, derived_event_id, transfer_outcome_id
from transfer_orchestrator.domain.call import CallState
from transfer_orchestrator.domain.destination import Destination, Destinations, Target
from transfer_orchestrator.domain.outcome import Verdict
from transfer_orchestrator.domain.transfer import Attempt, CancelCause, Phase, Transfer, may_follow

Outcome = TransferConnected | TransferFailed | TransferCancelled
TransferFact = TransferDialing | TransferRinging | TransferAttemptFailed | Outcome


# -- what to do -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Write:
    """Write this end of the transfer; a phone that rings for it must then be stopped."""

    data: TransferFailed | TransferCancelled


@dataclass(frozen=True, slots=True)
class Dial:
    """Ring this phone next, once the room has been seen to be alive."""

    destination: Destination
    target: Target
    attempt: int


@dataclass(frozen=True, slots=True)
class Watch:
    """A phone is being rung; somebody must be looking."""

    attempt: Attempt
    #: From the configuration of this moment; None = the target is no longer in it.
    target: Target | None


@dataclass(frozen=True, slots=True)
class Stop:
    """The transfer was called off while this phone was being rung."""

    attempt: Attempt


@dataclass(frozen=True, slots=True)
class Nothing:
    """The transfer has had its outcome."""


Step = Write | Dial | Watch | Stop | Nothing


def next_step(state: CallState, transfer: Transfer, destinations: Destinations) -> Step:
    """The one thing to do now about this transfer."""
    if not transfer.open:
        return Stop(transfer.dangling) if transfer.dangling is not None else Nothing()
    first = state.open_transfer
    if first is not None and first.transfer_id != transfer.transfer_id:
        return Write(failed(transfer, DialOutcome.REJECTED, "Another transfer of this call is still under way."))
    if not state.customer_present:
        return Write(caller_left(transfer))
    return _towards_a_person(transfer, destinations.get(transfer.destination))


def _towards_a_person(transfer: Transfer, destination: Destination | None) -> Step:
    ladder = destination.targets if destination is not None else ()
    if transfer.current is not None:
        return Watch(transfer.current, next((t for t in ladder if t.name == transfer.current.target), None))
    if destination is None:
        return Write(failed(transfer, DialOutcome.NOT_ALLOWED, "There is no such department to transfer to."))
    tried = len(transfer.attempts)
    if tried < len(ladder):
        return Dial(destination, ladder[tried], tried + 1)
    return Write(exhausted(transfer, destination))


# -- what may be written ----------------------------------------------------------------------------------------------

_SENTENCES = {
    DialOutcome.BUSY: "the line is busy",
    DialOutcome.DECLINED: "the call was declined",
    DialOutcome.NO_ANSWER: "nobody answered",
    DialOutcome.UNREACHABLE: "the phone could not be reached",
    DialOutcome.UNAVAILABLE: "nobody is available at the phone",
    DialOutcome.NOT_FOUND: "the phone does not exist",
    DialOutcome.REJECTED: "the telephone system refused the call",
    DialOutcome.OVERLOADED: "the telephone system is overloaded",
    DialOutcome.MISCONFIGURED: "the telephone system is not set up for this call",
    DialOutcome.NOT_ALLOWED: "it may not be dialled",
}


def failed(transfer: Transfer, outcome: DialOutcome, reason: str) -> TransferFailed:
    """The end of a transfer that reached nobody."""
    return TransferFailed(
        transfer_id=transfer.transfer_id,
        destination=transfer.destination,
        outcome=outcome,
        reason=reason,
        attempts=transfer.summaries(),
    )


def caller_left(transfer: Transfer) -> TransferCancelled:
    """The end of a transfer whose caller has gone."""
    return TransferCancelled(transfer_id=transfer.transfer_id, cause="caller_left")


def exhausted(transfer: Transfer, destination: Destination) -> TransferFailed:
    """The ladder has no further rung: the last attempt names the outcome."""
    ended = [a.outcome for a in transfer.attempts if a.outcome is not None]
    last = ended[-1] if ended else DialOutcome.UNAVAILABLE
    words = _SENTENCES[last]
    story = words if len(ended) < 2 else f"{len(ended)} phones were tried; at the last one {words}"
    return failed(transfer, last, f"{destination.name}: {story}.")


def dialing(state: CallState, transfer_id: str, step: Dial, call: CallId) -> TransferDialing | None:
    """Written before the dial; None when the dial must not be made any more."""
    transfer = state.transfers[transfer_id]
    due = may_follow(transfer, TransferDialing) and len(transfer.attempts) + 1 == step.attempt
    if not due or not state.customer_present:
        return None
    dial_id = dial_id_of(call, transfer_id, step.attempt)
    return TransferDialing(
        transfer_id=transfer_id,
        attempt=step.attempt,
        dial_id=dial_id,
        target=step.target.name,
        identity=f"human-{dial_id}",
    )


def ringing(state: CallState, transfer_id: str, attempt: Attempt) -> TransferRinging | None:
    """The phone rings; None when that has been said, or is no longer of interest."""
    transfer = under_way(state, transfer_id, attempt)
    if transfer is None or not may_follow(transfer, TransferRinging):
        return None
    return TransferRinging(transfer_id=transfer_id, attempt=attempt.number, dial_id=attempt.dial_id)


def answered(
    state: CallState, transfer_id: str, attempt: Attempt, *, human_name: str, sip_call_id: str | None
) -> TransferConnected | TransferCancelled | None:
    """A person has picked up: connected, unless the caller has gone meanwhile; None when the outcome is written."""
    transfer = under_way(state, transfer_id, attempt)
    if transfer is None:
        return None
    if not state.customer_present:
        return TransferCancelled(transfer_id=transfer_id, cause="caller_left")
    return TransferConnected(
        transfer_id=transfer_id,
        attempt=attempt.number,
        dial_id=attempt.dial_id,
        destination=transfer.destination,
        human=Human(identity=attempt.identity, name=human_name),
        sip_call_id=sip_call_id,
    )


def unanswered(
    state: CallState, transfer_id: str, attempt: Attempt, verdict: Verdict
) -> TransferAttemptFailed | TransferCancelled | None:
    """The dial reached nobody; when the caller has gone meanwhile, the transfer is cancelled instead."""
    transfer = under_way(state, transfer_id, attempt)
    if transfer is None:
        return None
    if not state.customer_present:
        return TransferCancelled(transfer_id=transfer_id, cause="caller_left")
    return TransferAttemptFailed(
        transfer_id=transfer_id,
        attempt=attempt.number,
        dial_id=attempt.dial_id,
        target=attempt.target,
        outcome=verdict.outcome,
        sip_status=verdict.sip_status,
        evidence=verdict.evidence,
    )


def cancelled(state: CallState, transfer_id: str, cause: CancelCause) -> TransferCancelled | None:
    """The transfer is called off; None when it has had its outcome."""
    transfer = state.transfers.get(transfer_id)
    return TransferCancelled(transfer_id=transfer_id, cause=cause) if transfer is not None and transfer.open else None


def under_way(state: CallState, transfer_id: str, attempt: Attempt) -> Transfer | None:
    """The transfer, if this very attempt may still be ringing for it."""
    transfer = state.transfers.get(transfer_id)
    if transfer is None or transfer.current is None or transfer.current.number != attempt.number:
        return None
    return transfer


def won(state: CallState, transfer_id: str, attempt: Attempt) -> bool:
    """Whether this very attempt brought the person into the call."""
    transfer = state.transfers.get(transfer_id)
    return (
        transfer is not None
        and transfer.phase in (Phase.CONNECTED, Phase.COMPLETED)
        and transfer.attempts[-1].number == attempt.number
    )


# -- ids --------------------------------------------------------------------------------------------------------------


def dial_id_of(call: CallId, transfer_id: str, attempt: int) -> str:
    """Derived, so that two processes which decide on the same dial mean the same leg; new for each attempt, because a
    second leg of the same identity would throw the first one out."""
    return derived_event_id(call, transfer_id, attempt, "dial").replace("-", "")[:16]


def event_id(call: CallId, data: EventData) -> EventId:
    """The id of what the orchestrator says."""
    match data:
        case TransferConnected() | TransferFailed() | TransferCancelled():
            return transfer_outcome_id(call, data.transfer_id)
        case TransferDialing() | TransferRinging() | TransferAttemptFailed():
            return derived_event_id(call, data.transfer_id, data.attempt, data.TYPE)
        case _:
            raise TypeError(f"the orchestrator does not write {data.TYPE}")
