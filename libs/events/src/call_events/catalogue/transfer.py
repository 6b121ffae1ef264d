"""A transfer: one id, one or more attempts (dials), exactly one outcome."""

from enum import StrEnum
from typing import ClassVar, Literal

from pydantic import Field

from call_events.envelope import EventData


class DialOutcome(StrEnum):
    """How a dial, or a whole transfer, went wrong; from the executed dial table of livekit-sip."""

    BUSY = "busy"
    DECLINED = "declined"
    NO_ANSWER = "no_answer"
    UNREACHABLE = "unreachable"
    UNAVAILABLE = "unavailable"
    NOT_FOUND = "not_found"
    REJECTED = "rejected"
    OVERLOADED = "overloaded"
    MISCONFIGURED = "misconfigured"
    #: The destination is not on the list of those that may be dialled.
    NOT_ALLOWED = "not_allowed"


class Human(EventData):
    """The person on the line."""

    TYPE: ClassVar[str] = "part.human"

    #: Identity of the human's leg in the room: ``human-<dial_id>``.
    identity: str
    #: For people to read, from the destination's configuration.
    name: str


class AttemptSummary(EventData):
    """One dial, as told in the story of a failed transfer."""

    TYPE: ClassVar[str] = "part.attempt"

    attempt: int = Field(ge=1)
    target: str
    outcome: DialOutcome
    sip_status: int | None = None


class TransferRequested(EventData):
    """The AI asks for a person. From here the bridge holds this call's messages until the outcome."""

    TYPE: ClassVar[str] = "transfer.requested.v1"

    transfer_id: str
    destination: str
    reason: str
    #: What the human should know before saying hello.
    summary: str
    mode: Literal["warm", "cold"] = "warm"
    #: The agent that asked.
    agent: str


class TransferDialing(EventData):
    """Written before the dial, so that whoever takes over knows of it."""

    TYPE: ClassVar[str] = "transfer.dialing.v1"

    transfer_id: str
    attempt: int = Field(ge=1)
    dial_id: str
    #: The target's name in the configuration, never its number.
    target: str
    #: ``human-<dial_id>``
    identity: str


class TransferRinging(EventData):
    """The phone rings."""

    TYPE: ClassVar[str] = "transfer.ringing.v1"

    transfer_id: str
    attempt: int = Field(ge=1)
    dial_id: str


class TransferAttemptFailed(EventData):
    """One dial did not reach a person."""

    TYPE: ClassVar[str] = "transfer.attempt_failed.v1"

    transfer_id: str
    attempt: int = Field(ge=1)
    dial_id: str
    target: str
    outcome: DialOutcome
    sip_status: int | None = None
    #: What was seen, for the person on call: status text, last call status, API code.
    evidence: str


class TransferConnected(EventData):
    """A person is on the line with the customer. One of the three ends of the hold."""

    TYPE: ClassVar[str] = "transfer.connected.v1"

    transfer_id: str
    attempt: int = Field(ge=1)
    dial_id: str
    destination: str
    human: Human
    sip_call_id: str | None = None


class TransferFailed(EventData):
    """Nobody could be reached. One of the three ends of the hold."""

    TYPE: ClassVar[str] = "transfer.failed.v1"

    transfer_id: str
    destination: str
    outcome: DialOutcome
    #: A sentence the AI can turn into its own words.
    reason: str
    attempts: tuple[AttemptSummary, ...] = ()


class TransferCancelled(EventData):
    """The transfer was called off; a ringing phone has been stopped. One of the three ends of the hold."""

    TYPE: ClassVar[str] = "transfer.cancelled.v1"

    transfer_id: str
    cause: Literal["caller_left", "call_ended", "withdrawn"]


class TransferCompleted(EventData):
    """The AI has left the conversation to the customer and the human."""

    TYPE: ClassVar[str] = "transfer.completed.v1"

    transfer_id: str
