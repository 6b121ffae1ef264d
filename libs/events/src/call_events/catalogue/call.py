"""A call's frame: its beginning, its legs, its end."""

from enum import StrEnum
from typing import ClassVar, Literal

from pydantic import Field

from call_events.envelope import EventData


class Role(StrEnum):
    """Who a leg or a speaker is in this call."""

    CUSTOMER = "customer"
    AI = "ai"
    HUMAN = "human"
    SUPERVISOR = "supervisor"


class EndedBy(StrEnum):
    """Whose leaving, or whose decision, ended the call."""

    CUSTOMER = "customer"
    AI = "ai"
    HUMAN = "human"
    SYSTEM = "system"


class Customer(EventData):
    """The customer as the call presented them. Everything but the identity may be unknown."""

    TYPE: ClassVar[str] = "part.customer"

    #: Identity of the customer's leg in the room.
    identity: str
    #: Caller's number as the switch gave it; absent when withheld.
    number: str | None = None
    #: The customer's id in the company's own books, when a header or a tool has told it.
    customer_id: str | None = None


class CallStarted(EventData):
    """The first event of every call; only it may open a log."""

    TYPE: ClassVar[str] = "call.started.v1"

    room: str
    direction: Literal["inbound", "outbound"]
    customer: Customer
    dialled_number: str | None = None
    sip_call_id: str | None = None
    #: The X-headers that came with the INVITE, lower-case names, kept as they were.
    sip_headers: dict[str, str] = Field(default_factory=dict)
    profile: str
    #: SHA-256 over the profile's files, so that an auditor knows which prompts were spoken.
    profile_hash: str
    #: BCP-47.
    language: str
    #: The worker that runs the AI of this call.
    worker: str


class CallEnded(EventData):
    """The last event of every call; it closes the log."""

    TYPE: ClassVar[str] = "call.ended.v1"

    ended_by: EndedBy
    #: Short reason in words of the system that noticed, e.g. ``CLIENT_INITIATED``.
    cause: str
    duration_ms: int = Field(ge=0)


class LegJoined(EventData):
    """A party's media connection to the room stands and was answered."""

    TYPE: ClassVar[str] = "leg.joined.v1"

    identity: str
    role: Role
    sip_call_id: str | None = None


class LegLeft(EventData):
    """A party's media connection is gone for good."""

    TYPE: ClassVar[str] = "leg.left.v1"

    identity: str
    role: Role
    reason: str
