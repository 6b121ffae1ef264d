"""How the stand-in is told to misbehave: by constructor, command line or `POST /control`."""

from enum import StrEnum
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

Seconds = Annotated[float, Field(ge=0)]


class Transcripts(StrEnum):
    """What becomes of the transcripts of what the caller said."""

    COMPLETED = "completed"
    DROPPED = "dropped"
    FAILED = "failed"


class Misbehaviour(BaseModel):
    """One frozen set of faults, read anew at every step. The default is a provider on a good day."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    #: From the end of speech to its transcript, seconds. A real provider takes a few tenths.
    transcript_delay_s: Seconds = 0.1
    transcripts: Transcripts = Transcripts.COMPLETED
    #: Keep every other transcript back until the next one is out: they come in the wrong order.
    reorder_transcripts: bool = False
    #: What a transcript says when nothing could be understood. Empty: a transcript without text.
    unintelligible_text: str = "[unintelligible]"
    #: From the end of speech (or the request) to the first sound of the reply, seconds.
    reply_delay_s: Seconds = 0.0
    #: How much faster than it is heard speech is sent.
    speed: Annotated[float, Field(gt=0)] = 6.0
    #: Silence that ends the caller's turn, milliseconds; None: as the session asks for.
    silence_ms: Annotated[int, Field(ge=40)] | None = None
    #: From an item's creation or deletion to its acknowledgement, seconds.
    ack_delay_s: Seconds = 0.0
    #: Answer new connections with this HTTP status, e.g. 503.
    refuse_with_status: Annotated[int, Field(ge=400, le=599)] | None = None
    #: Answer every request for a reply with this error code, e.g. insufficient_quota.
    reply_error: str | None = None
