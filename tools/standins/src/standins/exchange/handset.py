"""What the exchange asks of a phone, and what it tells it. The exchange knows phones only by this port."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol

import numpy as np
import numpy.typing as npt

Samples = npt.NDArray[np.int16]

#: Telephone sound: G.711 carries 8,000 samples a second, in packets of 20 ms.
RATE = 8000
FRAME = 160


class Ending(StrEnum):
    """How a phone's call ended, as the phone sees it."""

    WE_HUNG_UP = "we_hung_up"
    THEY_HUNG_UP = "they_hung_up"
    CANCELLED = "cancelled"
    REFUSED = "refused"
    NO_SOUND = "no_sound"


@dataclass(frozen=True)
class Invitation:
    """An INVITE that reached a phone."""

    call_id: str
    from_number: str
    to: str
    headers: Mapping[str, str]
    #: Sends 180 Ringing.
    ring: Callable[[], Awaitable[None]]


@dataclass(frozen=True)
class Final:
    """A final response to an INVITE: 200 takes the call, anything else refuses it."""

    status: int
    phrase: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Referral:
    """A REFER that reached a phone."""

    target: str
    headers: Mapping[str, str]


class Line(Protocol):
    """What a phone can do with a call that it is in."""

    async def hang_up(self) -> None:
        """BYE after the answer, CANCEL before it."""
        ...

    def hold(self) -> None:
        """Send no sound any more."""
        ...

    def resume(self) -> None:
        """Send sound again."""
        ...

    async def press(self, digits: str) -> None:
        """Send DTMF digits."""
        ...


class Handset(Protocol):
    """A phone plugged into the exchange."""

    @property
    def number(self) -> str:
        """The number under which it is reached, and which it shows."""
        ...

    async def invited(self, invitation: Invitation, /) -> Final:
        """Decide about a call; cancelled when the caller gives up (CANCEL)."""
        ...

    async def referred(self, referral: Referral, /) -> Final:
        """The final word on a REFER: its refusal, or what NOTIFY said at last. Cancelled when nobody waits any more."""
        ...

    def on_answered(self, line: Line) -> None:
        """The call is up: sound flows from now on."""
        ...

    def on_ended(self, ending: Ending, status: int | None) -> None:
        """The call is over; `status` is the SIP status where one was given."""
        ...

    def next_frame(self) -> Samples | None:
        """The next 20 ms to send; None sends nothing at all (on hold)."""
        ...

    def hear(self, stream: str, samples: Samples, at: float) -> None:
        """Sound of one remote track that has arrived by `at` (monotonic seconds)."""
        ...

    def hear_digit(self, digit: str) -> None:
        """A DTMF digit arrived."""
        ...
