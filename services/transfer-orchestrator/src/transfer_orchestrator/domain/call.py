"""What the orchestrator must know of a call, folded from its log: the room, the customer, the transfers."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType

from call_events.catalogue import (
    CallEnded,
    CallStarted,
    LegJoined,
    LegLeft,
    TransferAttemptFailed,
    TransferCancelled,
    TransferCompleted,
    TransferConnected,
    TransferDialing,
    TransferFailed,
    TransferRequested,
    TransferRinging,
)
from call_events.ports import AnyEvent
from transfer_orchestrator.domain import transfer as machine
from transfer_orchestrator.domain.transfer import Transfer
from transfer_orchestrator.errors import IllegalMove


@dataclass(frozen=True, slots=True)
class CallState:
    """A call as its log tells it, up to ``seq``."""

    seq: int = 0
    room: str | None = None
    customer: str | None = None
    customer_number: str | None = None
    #: False once the customer's leg has left for good.
    customer_present: bool = False
    ended: bool = False
    transfers: Mapping[str, Transfer] = field(default_factory=lambda: MappingProxyType({}))
    #: Numbers of events that no transfer could take: another writer's mistake, reported and passed over.
    strange: tuple[int, ...] = ()

    @property
    def open_transfer(self) -> Transfer | None:
        """The transfer that is under way: the oldest open one."""
        return next((t for t in self.transfers.values() if t.open), None)


_OfATransfer = (
    TransferDialing
    | TransferRinging
    | TransferAttemptFailed
    | TransferConnected
    | TransferFailed
    | TransferCancelled
    | TransferCompleted
)


def evolve(state: CallState, event: AnyEvent) -> CallState:
    """The call after this event. Never raises: the log is the truth, also where it is strange."""
    data = event.data
    match data:
        case CallStarted():
            state = replace(
                state,
                room=data.room,
                customer=data.customer.identity,
                customer_number=data.customer.number,
                customer_present=True,
            )
        case LegJoined() if data.identity == state.customer:
            state = replace(state, customer_present=True)
        case LegLeft() if data.identity == state.customer:
            state = replace(state, customer_present=False)
        case CallEnded():
            closed = {key: machine.ended_with_call(t, event) for key, t in state.transfers.items()}
            state = replace(state, ended=True, customer_present=False, transfers=MappingProxyType(closed))
        case _ if isinstance(data, TransferRequested | _OfATransfer):
            state = _transfer_moves(state, event, data)
        case _:
            pass
    return replace(state, seq=event.seq)


def _transfer_moves(state: CallState, event: AnyEvent, data: TransferRequested | _OfATransfer) -> CallState:
    known = state.transfers.get(data.transfer_id)
    try:
        after = machine.evolve(known, event) if known is not None else machine.requested(event)
    except IllegalMove:
        return replace(state, strange=(*state.strange, event.seq))
    return replace(state, transfers=MappingProxyType({**state.transfers, after.transfer_id: after}))


def fold(events: Iterable[AnyEvent], state: CallState | None = None) -> CallState:
    """Read a log, or go on reading it."""
    state = state or CallState()
    for event in events:
        state = evolve(state, event)
    return state
