"""How the stand-in misbehaves when told to."""

from enum import StrEnum

from pydantic import BaseModel, ConfigDict, Field


class Mode(StrEnum):
    """What happens to a request."""

    #: Taken, and answered after ``delay_s``; a sender that gives up before cannot know.
    SLOW = "slow"
    #: Answered with ``status`` and not taken.
    FAIL = "fail"
    #: Read, then nothing until the sender gives up, ``delay_s`` is over or the behaviour is replaced.
    HANG = "hang"
    #: Taken, and the connection is cut without an answer.
    DROP = "drop"
    #: The connection is cut at once, nothing is taken.
    DOWN = "down"


class Behaviour(BaseModel):
    """One instruction; the first that applies to a request is followed."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    mode: Mode
    #: Only requests of this call.
    call: str | None = None
    #: Only messages whose text contains this.
    text: str | None = None
    #: So many requests, then no more; absent = until replaced.
    times: int | None = Field(default=None, ge=1)
    status: int = Field(default=503, ge=300, le=599)
    retry_after: str | None = None
    reason: str = "told to fail"
    delay_s: float | None = Field(default=None, ge=0)

    def applies(self, call: str, text: str) -> bool:
        """Whether a request is meant."""
        return self.call in {None, call} and (self.text is None or self.text in text)


class Script:
    """The instructions in force, first come first followed."""

    def __init__(self) -> None:
        self._entries: list[tuple[Behaviour, list[int]]] = []

    def add(self, behaviour: Behaviour) -> None:
        """From now on."""
        self._entries.append((behaviour, [behaviour.times if behaviour.times is not None else -1]))

    def clear(self) -> None:
        """Behave."""
        self._entries.clear()

    def next(self, call: str, text: str) -> Behaviour | None:
        """What to do with this request; counts it."""
        for behaviour, left in self._entries:
            if left[0] != 0 and behaviour.applies(call, text):
                left[0] -= 1
                return behaviour
        return None
