"""What is true of a call: frozen, JSON-able. Built by ``call_events.fold``."""

from datetime import datetime
from enum import StrEnum

from pydantic import BaseModel, ConfigDict

from call_events import catalogue as c


class Owner(StrEnum):
    """Who is responsible for talking to the customer."""

    AI = "ai"
    HUMAN = "human"
    NOBODY = "nobody"


class _State(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Leg(_State):
    """One party's connection to the room."""

    identity: str
    role: c.Role
    joined_at: datetime
    left_at: datetime | None = None
    reason: str | None = None


class Utterance(_State):
    """One turn of speech, in the place where it started."""

    utterance_id: str
    speaker: c.Speaker
    started_seq: int
    started_at: datetime
    ended_at: datetime | None = None
    text: str | None = None
    interrupted: bool = False
    discarded: c.DiscardReason | None = None


class TransferStage(StrEnum):
    """Where a transfer stands."""

    REQUESTED = "requested"
    DIALING = "dialing"
    RINGING = "ringing"
    CONNECTED = "connected"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"


class Transfer(_State):
    """One transfer with its attempts."""

    transfer_id: str
    destination: str
    stage: TransferStage
    requested_at: datetime
    attempts: int = 0
    human: c.Human | None = None
    #: Why it failed or was cancelled.
    outcome: str | None = None

    @property
    def is_open(self) -> bool:
        """No outcome yet: the bridge holds the call's messages."""
        return self.stage in {TransferStage.REQUESTED, TransferStage.DIALING, TransferStage.RINGING}


class Tool(_State):
    """One use of a tool."""

    seq: int
    agent: str
    name: str
    outcome: str
    duration_ms: int


class Usage(_State):
    """Sums over one model."""

    input_tokens: int = 0
    output_tokens: int = 0
    input_audio_ms: int = 0
    output_audio_ms: int = 0


class CallState(_State):
    """What is true of a call after its events so far."""

    call: str | None = None
    #: Number of the last event folded.
    seq: int = 0
    started_at: datetime | None = None
    ended_at: datetime | None = None
    ended_by: c.EndedBy | None = None
    cause: str | None = None
    duration_ms: int | None = None
    profile: str | None = None
    language: str | None = None
    customer: c.Customer | None = None
    owner: Owner = Owner.NOBODY
    #: The AI agent that has the floor or last had it.
    agent: str | None = None
    legs: tuple[Leg, ...] = ()
    #: In the order they started.
    utterances: tuple[Utterance, ...] = ()
    transfers: tuple[Transfer, ...] = ()
    tools: tuple[Tool, ...] = ()
    #: By ``provider/model``.
    usage: dict[str, Usage] = {}
    #: Events by wire type.
    counts: dict[str, int] = {}

    @property
    def is_open(self) -> bool:
        """Begun and not ended."""
        return self.started_at is not None and self.ended_at is None

    @property
    def open_transfer(self) -> Transfer | None:
        """The transfer that has no outcome yet."""
        return next((one for one in self.transfers if one.is_open), None)
