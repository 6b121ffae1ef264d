"""The first steps of a call: it is ours or not, it is new or taken over."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

import structlog

from call_events.catalogue import CallEnded, CallStarted, Customer, Role, TransferConnected, TransferDialing
from call_events.errors import LogUnavailable, StaleOwner
from call_events.fold import Owner, fold
from call_events.ids import CallId
from call_events.ports import AnyEvent, EventLog
from voice_worker.domain.call import OpenTransfer, Phase, SessionState
from voice_worker.domain.profile import Profile
from voice_worker.handlers.emitter import Emitter
from voice_worker.ports import CustomerLeg

log = structlog.get_logger()


async def take_call(events: EventLog, emitter: Emitter, call: CallId, within: float) -> Sequence[AnyEvent] | None:
    """Take the right to speak and read what has happened so far.

    Args:
        events: the log.
        emitter: the call's way into it.
        call: which call.
        within: seconds to ask the log; after that the call is answered as a new one, for a caller is waiting.

    Returns:
        The call's events, empty for a new one; ``None`` if it is not ours or over.
    """
    try:
        asked = await emitter.own(within)
    except StaleOwner:
        log.warning("call.taken", why="another worker speaks for it")
        return None
    before: Sequence[AnyEvent] = ()
    if asked:
        try:
            async with asyncio.timeout(within):
                before = await events.read(call)
        except (LogUnavailable, TimeoutError):
            log.warning("events.log_unavailable", what="read")
    if any(isinstance(event.data, CallEnded) for event in before):
        log.warning("call.over", why="its log is closed")
        return None
    if before:
        log.info("call.taken_over", events=len(before))
    return before


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a call stands that another worker has brought this far; all empty for a new one."""

    #: The person who talks with the customer: the AI stays silent.
    human: TransferConnected | None = None
    #: Somebody is being called.
    transfer: OpenTransfer | None = None
    #: The agent that had the floor last.
    agent: str | None = None
    #: The customer's phone was through to us once, so it is: after a restart of livekit-server a leg comes back as
    #: ``ringing`` and stays so until it hangs up (measured).
    answered: bool = False


def standing(before: Sequence[AnyEvent]) -> Standing:
    """Fold what has happened so far."""
    state = fold(before)
    human = None
    if state.owner is Owner.HUMAN:
        human = next(event.data for event in reversed(before) if isinstance(event.data, TransferConnected))
    transfer = None
    if (asked := state.open_transfer) is not None:
        dialled = [event.data for event in before if isinstance(event.data, TransferDialing)]
        transfer = OpenTransfer(
            transfer_id=asked.transfer_id,
            destination=asked.destination,
            requested_at=asked.requested_at,
            legs=tuple(one.identity for one in dialled if one.transfer_id == asked.transfer_id),
        )
    answered = any(leg.role is Role.CUSTOMER for leg in state.legs)
    return Standing(human=human, transfer=transfer, agent=state.agent, answered=answered)


def note_standing(state: SessionState, standing: Standing) -> None:
    """Put it into the call's shared notes."""
    state.transfer = standing.transfer
    if standing.human is not None:
        state.phase = Phase.HUMAN
    elif standing.transfer is not None:
        state.phase = Phase.TRANSFERRING


def call_started(call: CallId, leg: CustomerLeg, profile: Profile, worker: str) -> CallStarted:
    """The first event of a call."""
    return CallStarted(
        room=call,
        direction=leg.direction,
        customer=Customer(identity=leg.identity, number=leg.number, customer_id=leg.customer_id),
        dialled_number=leg.dialled_number,
        sip_call_id=leg.sip_call_id,
        sip_headers=leg.sip_headers,
        profile=profile.name,
        profile_hash=profile.hash,
        language=profile.language,
        worker=worker,
    )


def note_customer(state: SessionState, leg: CustomerLeg) -> None:
    """Put the customer into the call's shared notes."""
    state.customer_identity, state.customer_number = leg.identity, leg.number
    state.customer_id, state.dialled_number = leg.customer_id, leg.dialled_number
    state.sip_headers = dict(leg.sip_headers)
