"""What happens to a call from outside, as the conductor is told; one inbox, taken one at a time."""

from dataclasses import dataclass
from datetime import datetime

from call_events.catalogue import TransferCancelled, TransferConnected, TransferFailed


@dataclass(frozen=True, slots=True)
class CustomerGone:
    """The customer's leg is gone for good."""

    reason: str
    at: datetime


@dataclass(frozen=True, slots=True)
class HumanGone:
    """A human's leg is gone for good."""

    identity: str
    reason: str
    at: datetime


@dataclass(frozen=True, slots=True)
class RoomGone:
    """The room was closed, or this worker was put out of it."""

    reason: str
    at: datetime


#: The three ends of a transfer.
Outcome = TransferConnected | TransferFailed | TransferCancelled


@dataclass(frozen=True, slots=True)
class TransferOutcome:
    """The end of the open transfer, read from the call's own stream."""

    data: Outcome


@dataclass(frozen=True, slots=True)
class VoiceLost:
    """The model provider is gone for good in this session; the caller hears nothing."""

    detail: str


@dataclass(frozen=True, slots=True)
class GoodbyeAsked:
    """The agent has decided that the call is over and has said its last words."""

    #: When it decided.
    at: datetime


@dataclass(frozen=True, slots=True)
class OwnershipLost:
    """The call belongs to another worker now."""


@dataclass(frozen=True, slots=True)
class Stranded:
    """Nobody has spoken to the caller for too long, and nobody will."""


Signal = CustomerGone | HumanGone | RoomGone | TransferOutcome | VoiceLost | GoodbyeAsked | OwnershipLost | Stranded
