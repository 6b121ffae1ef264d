"""What recognisers and the AI's mouth report about speech. They come late, reordered, twice or not at all.

- A customer's or human's utterance is known by its recogniser (``source``) and the recogniser's item id. Its text may
  come any time after its start, or never.
- The AI's speech begins when its first audio plays; which text was heard is known only when playing has stopped.

What becomes of them is decided in :mod:`voice_worker.domain.turns`.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from call_events.catalogue import Speaker


@dataclass(frozen=True, slots=True)
class SpeechStarted:
    """A recogniser hears somebody speak."""

    source: str
    item: str
    speaker: Speaker
    at: datetime


@dataclass(frozen=True, slots=True)
class SpeechEnded:
    """… and stop."""

    source: str
    item: str
    speaker: Speaker
    at: datetime


@dataclass(frozen=True, slots=True)
class TextArrived:
    """The recogniser's final text; empty means there was nothing to understand."""

    source: str
    item: str
    speaker: Speaker
    at: datetime
    text: str
    language: str | None = None
    confidence: float | None = None


@dataclass(frozen=True, slots=True)
class TextFailed:
    """The recogniser gives up on this one."""

    source: str
    item: str
    at: datetime


@dataclass(frozen=True, slots=True)
class RecogniserLost:
    """The connection to a recogniser broke: texts it still owed will never come."""

    source: str
    at: datetime


@dataclass(frozen=True, slots=True)
class RecogniserClosed:
    """A recogniser was closed on purpose, and another one listens to the same person."""

    source: str
    at: datetime
    #: Since when the other one listens.
    others_since: datetime


@dataclass(frozen=True, slots=True)
class AiAudible:
    """The first audio of an AI turn plays."""

    source: str
    item: str
    speaker: Speaker
    at: datetime


@dataclass(frozen=True, slots=True)
class AiQuiet:
    """The AI's audio has stopped, at its end or because the caller spoke."""

    source: str
    at: datetime


@dataclass(frozen=True, slots=True)
class AiSaid:
    """What the caller really heard of one AI turn."""

    source: str
    item: str
    speaker: Speaker
    at: datetime
    text: str
    interrupted: bool
    started_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class AiSettled:
    """No more text will come for what has been played until now."""

    source: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Patience:
    """Time passes: texts that are overdue by now are given up."""

    at: datetime
    #: How long after the end of speech a text may take.
    limit: timedelta
    #: How long somebody may speak without a pause before the report of its end is taken to be lost.
    longest_turn: timedelta = timedelta(minutes=10)


@dataclass(frozen=True, slots=True)
class Closing:
    """The call ends: nothing more will come."""

    at: datetime


Fact = (
    SpeechStarted
    | SpeechEnded
    | TextArrived
    | TextFailed
    | RecogniserLost
    | RecogniserClosed
    | AiAudible
    | AiQuiet
    | AiSaid
    | AiSettled
    | Patience
    | Closing
)
