"""A telephone and its owner: how it behaves when called, what it says, what it heard. It speaks through a network."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from typing import Protocol

from standins.exchange.handset import RATE, Ending, Final, Handset, Line, Referral, Samples
from standins.exchange.inbound import CallRefused as RefusedByExchange
from standins.phones import listening
from standins.phones.called import Called
from standins.phones.errors import CallRefused, PhoneError
from standins.phones.mouth import Mouth, samples_of
from standins.phones.recording import Recording
from standins.phones.sounds import Sound
from standins.phrases import Said

#: A phone that follows a REFER says so after about this long.
TRANSFER_S = 0.5


class Network(Protocol):
    """What connects telephones: the exchange stand-in, or real SIP."""

    async def place(
        self,
        handset: Handset,
        to: str,
        *,
        headers: Mapping[str, str] | None = None,
        username: str = "",
        password: str = "",
    ) -> Line | None:
        """Call `to`; it rings when this returns. None: nobody will ever answer or refuse.

        Raises:
            standins.exchange.CallRefused: a final refusal came at once.
        """
        ...


class Telephone(Called):
    """A `Phone` on any network; to its network it is a `Handset`."""

    def __init__(self, network: Network, number: str, *, username: str = "", password: str = "") -> None:
        super().__init__(number)
        #: Names its recordings: a number is personal data and has no place in a file name.
        self.name = "phone"
        self._network = network
        self._username = username
        self._password = password
        #: Of every call, in order; the last one is the present or last call's.
        self.recordings: list[Recording] = [Recording()]
        self._transfer_status = 202
        self._referred_to: str | None = None
        self._tell: list[Callable[[Ending], None]] = []
        self._dialling = False
        self._line: Line | None = None
        self._answered_at: float | None = None
        self._ending: Ending | None = None
        self._status: int | None = None
        self._digits = ""
        self._mouth = Mouth()

    @property
    def recording(self) -> Recording:
        """See `Phone.recording`."""
        return self.recordings[-1]

    @property
    def in_call(self) -> bool:
        """See `Phone.in_call`."""
        return self._answered_at is not None and self._ending is None

    # Calling ---------------------------------------------------------------------------------------------------------
    async def call(self, to: str, *, headers: Mapping[str, str] | None = None) -> None:
        """See `Phone.call`."""
        if self._line is not None or self._dialling:
            raise PhoneError(f"phone {self.number} is already in a call")
        self._begin()
        self._dialling = True
        try:
            line = await self._network.place(
                self, to, headers=headers, username=self._username, password=self._password
            )
        except RefusedByExchange as error:
            self.on_ended(Ending.REFUSED, error.status)
            raise CallRefused(error.status) from error
        if self._ending is None:
            self._line = line

    async def wait_answered(self, timeout_s: float = 20.0) -> float:
        """See `Phone.wait_answered`."""
        await self._until(
            lambda: self._answered_at is not None or self._ending is not None, timeout_s, "was not answered"
        )
        if self._answered_at is None:
            if self._status is not None:
                raise CallRefused(self._status)
            raise PhoneError(f"phone {self.number}: the call ended before it was answered ({self._ending})")
        return self._answered_at

    def _begin(self) -> None:
        self.recordings.append(Recording())
        self._answered_at = None
        self._ending = None
        self._status = None
        self._digits = ""
        self._mouth.on_hold = False

    # Being called: see `Called` ---------------------------------------------------------------------------------------
    def _is_engaged(self) -> bool:
        return self._line is not None or self._dialling

    async def referred(self, referral: Referral) -> Final:
        """See `Handset.referred`."""
        self._referred_to = referral.target
        if self._transfer_status >= 300:
            return Final(self._transfer_status)
        await asyncio.sleep(TRANSFER_S)
        return Final(200)

    # In a call -------------------------------------------------------------------------------------------------------
    async def say(self, what: Sound | str) -> tuple[float, float]:
        """See `Phone.say`."""
        pcm = await asyncio.to_thread(samples_of, what)
        if not self.in_call:
            raise PhoneError(f"phone {self.number} has no call to speak into")
        utterance = self._mouth.say(pcm)
        await self._until(
            lambda: utterance.ended_at is not None or not self.in_call,
            len(pcm) / RATE * 2 + 30,
            "could not finish speaking",
        )
        if utterance.began_at is None or utterance.ended_at is None:
            raise PhoneError(f"phone {self.number}: the call ended while it spoke")
        return utterance.began_at, utterance.ended_at

    async def press(self, digits: str) -> None:
        """See `Phone.press`."""
        await self._present_line().press(digits)

    @property
    def digits(self) -> str:
        """See `Phone.digits`."""
        return self._digits

    def hold(self) -> None:
        """See `Phone.hold`."""
        self._present_line().hold()
        self._mouth.on_hold = True

    def resume(self) -> None:
        """See `Phone.resume`."""
        self._present_line().resume()
        self._mouth.on_hold = False

    def refuse_transfer(self, status: int = 603) -> None:
        """See `Phone.refuse_transfer`."""
        self._transfer_status = status

    @property
    def referred_to(self) -> str | None:
        """See `Phone.referred_to`."""
        return self._referred_to

    async def hang_up(self) -> None:
        """See `Phone.hang_up`."""
        if self._line is not None:
            await self._line.hang_up()
        elif self._dialling:  # nobody ever let this call in, so nobody else will say that it is over
            self.on_ended(Ending.WE_HUNG_UP, None)

    async def wait_hung_up(self, timeout_s: float = 20.0) -> Ending:
        """See `Phone.wait_hung_up`."""
        await self._until(lambda: self._ending is not None, timeout_s, "is still in its call")
        assert self._ending is not None
        return self._ending

    def on_hung_up(self, tell: Callable[[Ending], None]) -> None:
        """See `Phone.on_hung_up`."""
        self._tell.append(tell)

    def _present_line(self) -> Line:
        if self._line is None or not self.in_call:
            raise PhoneError(f"phone {self.number} has no call")
        return self._line

    # Listening -------------------------------------------------------------------------------------------------------
    async def wait_sound(self, *, after: float | None = None, timeout_s: float = 20.0) -> float:
        """See `Phone.wait_sound`."""
        return await listening.wait_sound(self.recording, after, timeout_s)

    async def wait_quiet(self, quiet_s: float = 0.6, *, after: float | None = None, timeout_s: float = 30.0) -> float:
        """See `Phone.wait_quiet`."""
        return await listening.wait_quiet(self.recording, quiet_s, after, timeout_s)

    async def wait_phrase(self, phrase_id: str, *, after: float | None = None, timeout_s: float = 30.0) -> Said:
        """See `Phone.wait_phrase`."""
        return await listening.wait_phrase(self.recording, phrase_id, after, timeout_s)

    async def heard_phrases(self) -> list[Said]:
        """See `Phone.heard_phrases`."""
        return await listening.heard_phrases(self.recording)

    # What the exchange tells and asks --------------------------------------------------------------------------------
    def on_answered(self, line: Line) -> None:
        """See `Handset.on_answered`."""
        self._line = line
        self._dialling = False
        self._answered_at = time.monotonic()
        self._changes.tell()

    def on_ended(self, ending: Ending, status: int | None) -> None:
        """See `Handset.on_ended`."""
        self._line = None
        self._dialling = False
        self._ending = ending
        self._status = status
        self._mouth.fall_silent()
        self._changes.tell()
        for tell in self._tell:
            tell(ending)

    def next_frame(self) -> Samples | None:
        """See `Handset.next_frame`."""
        spoken = self._mouth.next_frame()
        if spoken is None:
            return None
        frame, ends_at, ended = spoken
        self.recording.add_said(frame, ends_at)
        if ended is not None:
            self._changes.tell()
        return frame

    def hear(self, stream: str, samples: Samples, at: float) -> None:
        """See `Handset.hear`."""
        self.recording.add_heard(stream, samples, at)

    def hear_digit(self, digit: str) -> None:
        """See `Handset.hear_digit`."""
        self._digits += digit
        self._changes.tell()
