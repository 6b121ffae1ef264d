"""Identifiers, checked before they become keys, file names or room names."""

import os
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

#: RFC 9562: of 128 random bits four become the version and two the variant.
_VERSION_4 = 0x4000_8000_0000_0000_0000
_RANDOM_BITS = (1 << 128) - 1 & ~0xF000_C000_0000_0000_0000


def call_id(text: str) -> CallId:
    """Check a LiveKit room name, a command-line argument or the like, and call it a call id.

    Raises:
        BadCallId: it could not safely be part of a key. The text itself is not repeated: it is foreign input.
    """
    if not _CALL_ID.fullmatch(text):
        raise BadCallId(f"{BadCallId.__doc__} This one has {len(text)} characters.")
    return CallId(text)


def new_event_id() -> EventId:
    """A random id (UUID version 4) for a fact that happens once, here.

    Written out by hand: :func:`uuid.uuid4` and its text cost three times as much, and every event has one.
    """
    digits = f"{int.from_bytes(os.urandom(16)) & _RANDOM_BITS | _VERSION_4:032x}"
    return EventId(f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}")


def derived_event_id(call: CallId, *parts: str | int) -> EventId:
    """The id of a reaction: the same reaction to the same cause gets the same id, so that a repeat is recognised."""
    return EventId(str(uuid.uuid5(_NAMESPACE, "/".join((call, *map(str, parts))))))


def transfer_outcome_id(call: CallId, transfer_id: str) -> EventId:
    """The id that connected, failed and cancelled of one transfer share, whoever writes them: so the log itself can
    hold only one of the three."""
    return derived_event_id(call, transfer_id, "outcome")
