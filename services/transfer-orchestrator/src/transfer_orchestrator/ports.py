"""What the core needs from outside, named by role."""

from typing import Protocol

from call_events.catalogue import DialOutcome
from transfer_orchestrator.domain.dialling import DialOrder, Legs


class Dialler(Protocol):
    """Rings phones into rooms and looks at who is there."""

    async def dial(self, order: DialOrder) -> str | None:
        """Ring until somebody answers; gives the SIP call id, if known. Takes up to the ringing time and some seconds.

        Raises:
            DialRefused: it ended without an answer, and this is what was said. Nothing rings any more.
            ExchangeUnreachable: not known what became of it. The phone may ring, or a person may be on the line.
        """
        ...

    async def legs(self, room: str) -> Legs:
        """Everybody in the room by identity; empty when there is no such room.

        Raises:
            ExchangeUnreachable: could not be asked.
        """
        ...

    async def remove(self, room: str, identity: str) -> None:
        """Put a leg out of the room: a ringing phone stops, an answered one is hung up. None there is fine.

        Raises:
            ExchangeUnreachable: could not be asked.
        """
        ...


class Gauges(Protocol):
    """Numbers for those who run the service. Labels are names from closed lists, never personal data."""

    def dial_sent(self, seconds_since_asked: float) -> None:
        """A dial goes out, so long after ``transfer.requested`` or the end of the previous attempt."""
        ...

    def attempt_ended(self, outcome: DialOutcome) -> None:
        """An attempt reached nobody."""
        ...

    def transfer_ended(self, ending: str) -> None:
        """``connected``, ``cancelled`` or the outcome of a failed transfer."""
        ...

    def dials_running(self, number: int) -> None:
        """How many dials this process looks after now."""
        ...
