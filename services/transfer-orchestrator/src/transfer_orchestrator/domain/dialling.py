"""The words between the core and whatever dials: an order, and the legs that can be seen in a room."""

from collections.abc import Mapping
from dataclasses import dataclass

from transfer_orchestrator.domain.headers import CUSTOMER_NUMBER
from transfer_orchestrator.domain.outcome import LegStatus


@dataclass(frozen=True, slots=True)
class DialOrder:
    """One phone to be rung into one room."""

    room: str
    identity: str
    dial_id: str
    transfer_id: str
    #: Number or SIP user, from the destinations file only.
    number: str
    #: Shown to the others in the room.
    display_name: str
    ring_seconds: int
    headers: Mapping[str, str]

    @property
    def numbers(self) -> tuple[str, ...]:
        """The numbers in this order, which LiveKit may repeat in its answers and nobody may find in a log."""
        return self.number, self.headers.get(CUSTOMER_NUMBER, "")


@dataclass(frozen=True, slots=True)
class Leg:
    """A participant of a room, as far as it matters here."""

    identity: str
    #: None: not a telephone leg, or it does not say.
    status: LegStatus | None = None
    sip_call_id: str | None = None


Legs = Mapping[str, Leg]
