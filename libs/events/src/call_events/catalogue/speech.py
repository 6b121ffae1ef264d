"""What was said. The *place* of an utterance in the conversation is where it started; its text may come later."""

from enum import StrEnum
from typing import ClassVar

from pydantic import AwareDatetime, Field

from call_events.catalogue.call import Role
from call_events.envelope import EventData


class DiscardReason(StrEnum):
    """Why a started utterance has no text."""

    NOISE = "noise"
    TRANSCRIPT_FAILED = "transcript_failed"
    TRANSCRIPT_TIMEOUT = "transcript_timeout"
    NOT_SPOKEN = "not_spoken"


class Speaker(EventData):
    """One party, as the conversation shows it."""

    TYPE: ClassVar[str] = "part.speaker"

    role: Role
    #: For people to read: ``Billing AI``, ``Maria Weber``, ``Customer``.
    name: str
    #: Identity of the leg in the room.
    identity: str
    #: Which AI agent, when the role is ``ai``.
    agent: str | None = None


class UtteranceStarted(EventData):
    """A party has begun to speak; this reserves the utterance's place."""

    TYPE: ClassVar[str] = "utterance.started.v1"

    utterance_id: str
    speaker: Speaker
    started_at: AwareDatetime


class UtteranceEnded(EventData):
    """The party has stopped speaking; the text may still be on its way. Bounds the wait for it (ADR 0003)."""

    TYPE: ClassVar[str] = "utterance.ended.v1"

    utterance_id: str
    ended_at: AwareDatetime


class UtteranceCompleted(EventData):
    """The final text of an utterance: for an AI what was really heard, cut where it was interrupted."""

    TYPE: ClassVar[str] = "utterance.completed.v1"

    utterance_id: str
    speaker: Speaker
    text: str = Field(min_length=1)
    #: BCP-47, when known.
    language: str | None = None
    #: 0 to 1, when the recogniser tells.
    confidence: float | None = Field(default=None, ge=0, le=1)
    interrupted: bool = False
    started_at: AwareDatetime
    ended_at: AwareDatetime


class UtteranceDiscarded(EventData):
    """No text will come for this utterance, and this is why; never silently missing."""

    TYPE: ClassVar[str] = "utterance.discarded.v1"

    utterance_id: str
    reason: DiscardReason
