"""An event on its way into the log: its bytes and what the log has to be told beside them.

What is sent again, by a retry or from the journal, is byte for byte what was said first: the log takes an id for one
fact and compares.
"""

from typing import NamedTuple

from call_events.codec import encode, wire_type
from call_events.ids import CallId, EventId
from call_events.ports import AnyEvent
from call_events.registry import CLOSING_TYPE, OPENING_TYPE

_MODES = {OPENING_TYPE: "open", CLOSING_TYPE: "close"}


class Record(NamedTuple):
    """One event to append. A tuple: one is made for every append, and a frozen dataclass costs twice that."""

    call: CallId
    id: EventId
    #: The wire name.
    type: str
    producer: str
    #: As :func:`call_events.codec.encode` wrote it.
    raw: bytes
    #: Whoever comes first under this id has said it, see ``ports.EventLog.append``.
    first_wins: bool = False

    @property
    def mode(self) -> str:
        """What append.lua shall do: ``open``, ``append`` or ``close``."""
        return _MODES.get(self.type, "append")


def record_of(event: AnyEvent, *, first_wins: bool = False) -> Record:
    """The record of an event.

    Raises:
        BadEvent: it cannot be one, see ``codec.encode``.
    """
    return Record(event.call, event.id, wire_type(event), event.producer, encode(event), first_wins)
