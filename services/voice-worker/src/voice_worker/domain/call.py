"""The life of a call as this worker sees it: one table, and the notes every part of the call shares.

A call begins with the AI alone with the customer. A transfer is open while somebody tries to reach a person; the AI
keeps the caller company. Once the person is connected the AI is silent for good in this session; when the person
leaves, a new session begins. ``STRANDED`` is a call whose model provider died: nobody speaks, but a transfer may
still save it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from call_events.ids import CallId
from voice_worker.errors import IllegalMove


class Phase(StrEnum):
    """Who is with the customer now."""

    AI = "ai"
    TRANSFERRING = "transferring"
    HUMAN = "human"
    STRANDED = "stranded"
    ENDED = "ended"


class Step(StrEnum):
    """What can change that."""

    TRANSFER_REQUESTED = "transfer_requested"
    CONNECTED = "connected"
    FAILED = "failed"
    CANCELLED = "cancelled"
    HUMAN_LEFT = "human_left"
    VOICE_FAILED = "voice_failed"
    ENDED = "ended"


#: The whole machine. What is not here is illegal; ``ENDED`` is legal from every phase but itself.
TABLE: Mapping[tuple[Phase, Step], Phase] = {
    (Phase.AI, Step.TRANSFER_REQUESTED): Phase.TRANSFERRING,
    (Phase.AI, Step.VOICE_FAILED): Phase.STRANDED,
    (Phase.TRANSFERRING, Step.CONNECTED): Phase.HUMAN,
    (Phase.TRANSFERRING, Step.FAILED): Phase.AI,
    (Phase.TRANSFERRING, Step.CANCELLED): Phase.AI,
    (Phase.TRANSFERRING, Step.VOICE_FAILED): Phase.STRANDED,
    (Phase.STRANDED, Step.TRANSFER_REQUESTED): Phase.STRANDED,
    (Phase.STRANDED, Step.CONNECTED): Phase.HUMAN,
    (Phase.HUMAN, Step.HUMAN_LEFT): Phase.AI,
    **{(phase, Step.ENDED): Phase.ENDED for phase in Phase if phase is not Phase.ENDED},
}


def advance(phase: Phase, step: Step) -> Phase:
    """The phase after ``step``.

    Raises:
        IllegalMove: the table has no such step; the phase stays.
    """
    try:
        return TABLE[phase, step]
    except KeyError:
        raise IllegalMove(f"a call in phase {phase} cannot take the step {step}") from None


@dataclass(frozen=True, slots=True)
class OpenTransfer:
    """The transfer that is under way. While there is one, the bridge holds this call's messages."""

    transfer_id: str
    destination: str
    requested_at: datetime
    #: Legs that were dialled for it: ``human-<dial_id>``.
    legs: tuple[str, ...] = ()


@dataclass(slots=True)
class SessionState:
    """What every part of one call may know; the ``userdata`` of the agents' session.

    Personal data: it lives as long as the call and is never logged.
    """

    call: CallId
    customer_identity: str
    customer_number: str | None = None
    #: As the switch told, or as the caller has proved since. Another worker that takes the call over knows the former.
    customer_id: str | None = None
    #: How often the caller has tried to prove who they are, whichever agent has asked.
    identification_tries: int = 0
    dialled_number: str | None = None
    sip_headers: dict[str, str] = field(default_factory=dict)
    phase: Phase = Phase.AI
    current_agent: str = ""
    #: An agent that is about to take over; a second handoff in the same breath is refused.
    handing_over_to: str | None = None
    transfer: OpenTransfer | None = None
    #: Set once the caller said goodbye and the agent ends the call.
    ending: bool = False
    #: Audio track of each leg: identity → track sid.
    audio_tracks: dict[str, str] = field(default_factory=dict)

    @property
    def messages_held(self) -> bool:
        """Whether the bridge is holding this call's messages now."""
        return self.transfer is not None

    def step(self, step: Step) -> None:
        """Take a step of the table.

        Raises:
            IllegalMove: see :func:`advance`.
        """
        self.phase = advance(self.phase, step)
