"""Identifiers, checked before they become keys, file names or room names."""

import re
import uuid
from typing import NewType

from call_events.errors import BadCallId

CallId = NewType("CallId", str)
EventId = NewType("EventId", str)

#: No braces (they choose a Redis Cluster slot), no slashes or spaces (file names, URLs), bounded length (LiveKit: 256).
_CALL_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.:+@-]{0,127}")

#: Fixed for ever: ids derived from it are idempotency keys in running systems.
_NAMESPACE = uuid.UUID("6f1d4c1e-5d0b-5c55-9d57-2b7f5c3a9e10")


def call_id(text: str) -> CallId:
    """Check a LiveKit room name, a command-line argument or the like, and call it a call id.

    Raises:
        BadCallId: it could not safely be part of a key. The text itself is not repeated: it is foreign input.
    """
    if not _CALL_ID.fullmatch(text):
        raise BadCallId(f"{BadCallId.__doc__} This one has {len(text)} characters.")
    return CallId(text)


def new_event_id() -> EventId:
    """A random id for a fact that happens once, here."""
    return EventId(str(uuid.uuid4()))


def derived_event_id(call: CallId, *parts: str | int) -> EventId:
    """The id of a reaction: the same reaction to the same cause gets the same id, so that a repeat is recognised."""
    return EventId(str(uuid.uuid5(_NAMESPACE, "/".join((call, *map(str, parts))))))
