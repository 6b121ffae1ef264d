"""The conversation so far, in the order in which it was spoken: what a new session of the AI is told."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from call_events.catalogue import Role, UtteranceCompleted
from call_events.envelope import EventData


@dataclass(frozen=True, slots=True)
class Line:
    """One finished utterance."""

    id: str
    role: Role
    name: str
    text: str
    started_at: datetime


def line_of(said: UtteranceCompleted) -> Line:
    """The line of a finished utterance."""
    return Line(
        id=said.utterance_id,
        role=said.speaker.role,
        name=said.speaker.name,
        text=said.text,
        started_at=said.started_at,
    )


def conversation(events: Iterable[EventData]) -> tuple[Line, ...]:
    """Every finished utterance in order of its start; a late text takes the place it was spoken at."""
    lines = [line_of(event) for event in events if isinstance(event, UtteranceCompleted)]
    return tuple(sorted(lines, key=lambda line: line.started_at))
