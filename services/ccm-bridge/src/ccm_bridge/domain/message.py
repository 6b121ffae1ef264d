"""What the bridge tells CCM, in our own words. The adapter turns it into CCM's.

A message is a pure function of the log: the same place gives the same message in every process and at every retry,
because everything in it comes from events that are already in the log and never change. That is why ``sent_at`` is
not a clock reading: it is the time of the event that completed the message (the note's own event; for speech the
event with its text).
"""

import uuid
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from functools import lru_cache

from call_events.ids import CallId

#: Fixed for ever: ids derived from it are what CCM recognises a repeated message by.
_MESSAGES = uuid.UUID("b3c6f1de-58a4-5c0e-9b35-3f1d7a0c9e42")

Fact = str | int | float | bool


@lru_cache(maxsize=1024)
def _message_id(key: str) -> str:
    return str(uuid.uuid5(_MESSAGES, key))


class Party(StrEnum):
    """In whose name a message is posted."""

    #: The bridge itself, for the customer: speech of the customer, the conversation's beginning and end.
    CONNECTOR = "connector"
    AI = "ai"
    HUMAN = "human"


class Signal(StrEnum):
    """An instruction that goes along with a message; speech and notes have none."""

    CONVERSATION_STARTED = "conversation_started"
    CUSTOMER_LEFT = "customer_left"
    HUMAN_LEG_STARTED = "human_leg_started"
    HUMAN_LEG_ENDED = "human_leg_ended"


class LegReason(StrEnum):
    """Why a human's leg began or ended."""

    TRANSFERRED = "transferred"
    LEFT = "left"


@dataclass(frozen=True, slots=True)
class Sender:
    """Who speaks. ``name`` absent = the configured name of the connector."""

    party: Party
    name: str | None = None
    #: Which AI agent, by its key in the profile.
    agent: str | None = None


@dataclass(frozen=True, slots=True)
class Channel:
    """The constant part of every message of a call: who called which line."""

    customer: str
    service: str
    #: ``inbound`` or ``outbound``; absent when the call's opening event is of a newer release.
    direction: str | None


@dataclass(frozen=True, slots=True)
class Leg:
    """A human's part in the call; ``extension`` and the name make it the same leg at its start and its end."""

    extension: str
    reason: LegReason


@dataclass(frozen=True, slots=True)
class Message:
    """One message about one place of one call."""

    call: CallId
    #: The place: number of the event that reserved it.
    seq: int
    #: Tells apart several messages of one place; empty for the main one.
    part: str
    #: ``call.started``, ``utterance``, ``handoff`` …
    event: str
    event_id: str
    #: When it happened: for speech, when it began.
    at: datetime
    #: Time of the event that completed the message (see above).
    sent_at: datetime
    sender: Sender
    channel: Channel
    text: str
    signal: Signal | None = None
    leg: Leg | None = None
    #: What a machine may want to know besides, in this order.
    facts: tuple[tuple[str, Fact], ...] = ()

    @property
    def key(self) -> str:
        """``<call>:<seq>``, with the part where a place has several messages: unique and constant."""
        return f"{self.call}:{self.seq}" + (f":{self.part}" if self.part else "")

    @property
    def id(self) -> str:
        """The UUID under which CCM gets this message, at every attempt of every process."""
        return _message_id(self.key)

    @property
    def late(self) -> bool:
        """It comes after messages that belong behind it."""
        return ("late", True) in self.facts
