"""The telephone port. Every driver passes the same suite, so a scenario need not know what kind of phone it holds."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol

from standins.exchange.handset import Ending
from standins.phones.recording import Recording
from standins.phones.sounds import Sound
from standins.phrases import Said

__all__ = ["Ending", "Phone", "Phones"]

#: How long a phone in these tests rings before its owner refuses, unless told otherwise.
REFUSAL_AFTER_S = 0.7


class Phone(Protocol):
    """One telephone. All times are monotonic seconds; every wait has a deadline and raises TimeoutError after it."""

    @property
    def number(self) -> str:
        """Its own number."""
        ...

    @property
    def recording(self) -> Recording:
        """What was said and heard in the present or last call."""
        ...

    @property
    def in_call(self) -> bool:
        """Whether a call is up."""
        ...

    # Calling ---------------------------------------------------------------------------------------------------------
    async def call(self, to: str, *, headers: Mapping[str, str] | None = None) -> None:
        """Dial; the other side rings when this returns.

        Raises:
            CallRefused: refused at once.
        """
        ...

    async def wait_answered(self, timeout_s: float = 20.0) -> float:
        """Wait for the answer; returns when it came.

        Raises:
            CallRefused: a final refusal came instead.
        """
        ...

    # Being called ----------------------------------------------------------------------------------------------------
    def answer(self, after_s: float = 0.0) -> None:
        """Pick up when it rings, or has rung, for that long; at once if it rings now."""
        ...

    def decline(self, after_s: float = REFUSAL_AFTER_S) -> None:
        """603."""
        ...

    def busy(self, after_s: float = REFUSAL_AFTER_S) -> None:
        """486."""
        ...

    def unavailable(self, after_s: float = REFUSAL_AFTER_S) -> None:
        """480."""
        ...

    def not_found(self, after_s: float = REFUSAL_AFTER_S) -> None:
        """404."""
        ...

    def refuse(self, status: int, after_s: float = REFUSAL_AFTER_S) -> None:
        """Any other final SIP response."""
        ...

    def ring_out(self) -> None:
        """Ring and never be picked up. This is how a phone starts."""
        ...

    def vanish(self) -> None:
        """Do not even ring: packets to it disappear."""
        ...

    @property
    def ringing(self) -> bool:
        """Whether it rings now."""
        ...

    @property
    def rang_at(self) -> tuple[float, ...]:
        """When it began to ring, once per call."""
        ...

    @property
    def invited_headers(self) -> Mapping[str, str]:
        """The headers that the last call to it carried."""
        ...

    async def wait_ringing(self, timeout_s: float = 20.0) -> float:
        """Wait until it rings; returns when it began."""
        ...

    async def wait_ringing_stopped(self, timeout_s: float = 20.0) -> float:
        """Wait until it does not ring any more (answered, refused or cancelled); returns when that was noticed."""
        ...

    # In a call -------------------------------------------------------------------------------------------------------
    async def say(self, what: Sound | str) -> tuple[float, float]:
        """Speak a phrase (by its id in the book) or any sound in real time; returns when it began and ended.

        Raises:
            PhoneError: there is no call, or it ended meanwhile.
        """
        ...

    async def press(self, digits: str) -> None:
        """Send DTMF digits."""
        ...

    @property
    def digits(self) -> str:
        """DTMF digits that arrived."""
        ...

    def hold(self) -> None:
        """Put the call on hold: send no sound at all."""
        ...

    def resume(self) -> None:
        """Take the call from hold."""
        ...

    def refuse_transfer(self, status: int = 603) -> None:
        """Answer a REFER with this instead of following it."""
        ...

    @property
    def referred_to(self) -> str | None:
        """The target of the last REFER that arrived, as it was written."""
        ...

    async def hang_up(self) -> None:
        """End the call, or cancel it while it rings at the other side; nothing if there is none."""
        ...

    async def wait_hung_up(self, timeout_s: float = 20.0) -> Ending:
        """Wait until the call is over; returns how."""
        ...

    def on_hung_up(self, tell: Callable[[Ending], None]) -> None:
        """Call `tell` when a call ends."""
        ...

    # Listening -------------------------------------------------------------------------------------------------------
    async def wait_sound(self, *, after: float | None = None, timeout_s: float = 20.0) -> float:
        """Wait for sound (after a time); returns when it began."""
        ...

    async def wait_quiet(self, quiet_s: float = 0.6, *, after: float | None = None, timeout_s: float = 30.0) -> float:
        """Wait until something was heard (after a time) and then nothing for `quiet_s`; returns when it ended."""
        ...

    async def wait_phrase(self, phrase_id: str, *, after: float | None = None, timeout_s: float = 30.0) -> Said:
        """Wait until this phrase was heard whole (after a time)."""
        ...

    async def heard_phrases(self) -> list[Said]:
        """Everything heard in this call, recognised; seconds count from `recording.began_at`."""
        ...


class Phones(Protocol):
    """A driver: where phones come from. An async context manager that closes them and saves their recordings."""

    async def phone(self, number: str, name: str | None = None) -> Phone:
        """A phone with this number, plugged in and reachable.

        Args:
            name: names its recordings; `phone-1`, `phone-2` … unless given. Never the number: that is personal data.
        """
        ...

    async def hang_up(self) -> None:
        """Every phone on the hook."""
        ...
