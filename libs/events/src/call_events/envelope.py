"""The frame of every event: identity, call, position, time and cause.

On the wire an event is a CloudEvents 1.0 JSON object (https://cloudevents.io, structured mode) in the one field ``e``
of a Redis stream entry. The position is not in those bytes: it is the entry's id (``0-7`` is number 7), assigned by
Redis in the append script, so that writer and reader can never disagree. Readers fill :attr:`Event.seq` from the id.
"""

from datetime import UTC, datetime
from typing import ClassVar, Generic, TypeVar

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from call_events.ids import CallId, EventId, new_event_id


class EventData(BaseModel):
    """Base of the catalogue: what happened, without the frame. Frozen, closed, JSON-able."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    #: The wire name, a literal with a version. Renaming a class never rewrites history.
    TYPE: ClassVar[str]


D_co = TypeVar("D_co", bound=EventData, covariant=True)


def now() -> datetime:
    """The wall clock, in UTC. Pass a time explicitly wherever a test must control it."""
    return datetime.now(UTC)


class Event(BaseModel, Generic[D_co]):
    """One fact about one call.

    ``id`` is the idempotency key everywhere, all the way to CCM. ``seq`` is 0 until the log has numbered the event.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    data: D_co
    #: The call this happened in; the CloudEvents subject.
    call: CallId
    #: The service instance that says so, e.g. ``voice-worker/7c1f``.
    producer: str = Field(min_length=1, max_length=200)
    id: EventId = Field(default_factory=new_event_id, min_length=1, max_length=200)
    #: When it happened, not when it was written.
    time: AwareDatetime = Field(default_factory=now)
    #: Place in the call, 1, 2, 3 …; 0 = not yet appended.
    seq: int = Field(default=0, ge=0)
    #: The event that made this one happen.
    causation_id: EventId | None = None
    #: What this belongs to across several events, e.g. a transfer id.
    correlation_id: str | None = None
    #: W3C trace context.
    traceparent: str | None = None

    @property
    def type(self) -> str:
        """The wire name of the data."""
        return self.data.TYPE
