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
    #: Legs that were dialled for it so far, the one that rings last: ``human-<dial_id>``.
    legs: tuple[str, ...] = ()

    @property
    def progress(self) -> str:
        """How far it is, in words for the model, which has no other way to know."""
        match len(self.legs):
            case 0:
                return "the call to them is about to be placed"
            case 1:
                return "their phone is being called"
            case dialled:
                return f"{dialled - 1} of their phones did not answer, and the next one is being called"


@dataclass(slots=True)
class SessionState:
    """What every part of one call may know; the ``userdata`` of the agents' session.

    A deployer's own agents and tools read it, too, as ``self.session.userdata``; the notes below say what for, where
    nothing of ours does. Personal data: it lives as long as the call and is never logged.
    """

    call: CallId
    customer_identity: str
    customer_number: str | None = None
    #: As the switch told, or as the caller has proved since. Another worker that takes the call over knows the former.
    customer_id: str | None = None
    #: How often the caller has tried to prove who they are, whichever agent has asked.
    identification_tries: int = 0
    #: For deployers: which line was dialled, and what else the switch told (names in lower case, e.g. ``x-other``).
    dialled_number: str | None = None
    sip_headers: dict[str, str] = field(default_factory=dict)
    phase: Phase = Phase.AI
    current_agent: str = ""
    #: An agent that is about to take over; a second handoff in the same breath is refused.
    handing_over_to: str | None = None
    transfer: OpenTransfer | None = None
    #: Set once the caller said goodbye and the agent ends the call.
    ending: bool = False
    #: The audio track of each leg that has been in the call, the newest where it came back: identity → track sid. For
    #: deployers whose tools record or analyse one party, as LiveKit's egress asks for the sid. Our own speech-to-text
    #: takes a leg by its identity, for it must outlive the track.
    audio_tracks: dict[str, str] = field(default_factory=dict)

    @property
    def messages_held(self) -> bool:
        """Whether the bridge is holding this call's messages now: nobody at the desk can read yet what is being said.

        For deployers: a tool that writes into CCM's conversation by itself looks here, or it would overtake them.
        """
        return self.transfer is not None

    @property
    def situation(self) -> str:
        """What an agent must know of the call besides its prompt. What changes later its tools tell it."""
        known = "The caller is an identified customer." if self.customer_id else "It is not known who is calling."
        return " ".join(filter(None, (known, self.transfer_under_way)))

    @property
    def transfer_under_way(self) -> str:
        """The open transfer in words for the model; empty where there is none."""
        if self.transfer is None:
            return ""
        return (
            f"A person ({self.transfer.destination}) is being called for the caller: {self.transfer.progress}. "
            "Keep the caller company until somebody answers."
        )

    def step(self, step: Step) -> None:
        """Take a step of the table.

        Raises:
            IllegalMove: see :func:`advance`.
        """
        self.phase = advance(self.phase, step)
