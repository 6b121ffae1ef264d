"""A telephone and its owner: how it behaves when called, what it says, what it heard. It speaks through a network."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from standins.exchange.handset import FRAME, RATE, Ending, Final, Handset, Invitation, Line, Referral, Samples
from standins.exchange.inbound import CallRefused as RefusedByExchange
from standins.exchange.leg import LEAD_S
from standins.phones import listening
from standins.phones.errors import CallRefused, PhoneError
from standins.phones.port import REFUSAL_AFTER_S
from standins.phones.recording import Recording
from standins.phones.sounds import Sound
from standins.phones.ulaw import through_the_line
from standins.phrases import Said, load_book

_SILENCE: Samples = np.zeros(FRAME, dtype=np.int16)
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


@dataclass(frozen=True)
class _Manner:
    """How a phone behaves when it is called: whether it rings, and what it answers after how long (None: never)."""

    rings: bool
    status: int | None = None
    after_s: float = 0.0
    since: float = 0.0


@dataclass
class _Utterance:
    """Frames still to be said, and when the first and the last were."""

    frames: deque[Samples]
    began_at: float | None = None
    ended_at: float | None = None


class Telephone:
    """A `Phone` on any network; to its network it is a `Handset`."""

    def __init__(self, network: Network, number: str, *, username: str = "", password: str = "") -> None:
        self._number = number
        #: Names its recordings: a number is personal data and has no place in a file name.
        self.name = "phone"
        self._network = network
        self._username = username
        self._password = password
        #: Of every call, in order; the last one is the present or last call's.
        self.recordings: list[Recording] = [Recording()]
        self._manner = _Manner(rings=True)
        self._transfer_status = 202
        self._referred_to: str | None = None
        self._tell: list[Callable[[Ending], None]] = []
        self._rang_at: list[float] = []
        self._headers: Mapping[str, str] = {}
        self._ringing = False
        self._dialling = False
        self._line: Line | None = None
        self._answered_at: float | None = None
        self._ending: Ending | None = None
        self._status: int | None = None
        self._digits = ""
        self._on_hold = False
        self._speech: deque[_Utterance] = deque()
        self._changed = asyncio.Event()

    @property
    def number(self) -> str:
        """See `Phone.number`."""
        return self._number

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
        self._on_hold = False

    # Being called ----------------------------------------------------------------------------------------------------
    def answer(self, after_s: float = 0.0) -> None:
        """See `Phone.answer`."""
        self._behave(rings=True, status=200, after_s=after_s)

    def decline(self, after_s: float = REFUSAL_AFTER_S) -> None:
        """See `Phone.decline`."""
        self.refuse(603, after_s)

    def busy(self, after_s: float = REFUSAL_AFTER_S) -> None:
        """See `Phone.busy`."""
        self.refuse(486, after_s)

    def unavailable(self, after_s: float = REFUSAL_AFTER_S) -> None:
        """See `Phone.unavailable`."""
        self.refuse(480, after_s)

    def not_found(self, after_s: float = REFUSAL_AFTER_S) -> None:
        """See `Phone.not_found`."""
        self.refuse(404, after_s)

    def refuse(self, status: int, after_s: float = REFUSAL_AFTER_S) -> None:
        """See `Phone.refuse`."""
        self._behave(rings=True, status=status, after_s=after_s)

    def ring_out(self) -> None:
        """See `Phone.ring_out`."""
        self._behave(rings=True, status=None)

    def vanish(self) -> None:
        """See `Phone.vanish`."""
        self._behave(rings=False, status=None)

    def _behave(self, *, rings: bool, status: int | None, after_s: float = 0.0) -> None:
        self._manner = _Manner(rings, status, after_s, time.monotonic())
        self._notify()

    @property
    def ringing(self) -> bool:
        """See `Phone.ringing`."""
        return self._ringing

    @property
    def rang_at(self) -> tuple[float, ...]:
        """See `Phone.rang_at`."""
        return tuple(self._rang_at)

    @property
    def invited_headers(self) -> Mapping[str, str]:
        """See `Phone.invited_headers`."""
        return self._headers

    async def wait_ringing(self, timeout_s: float = 20.0) -> float:
        """See `Phone.wait_ringing`."""
        await self._until(lambda: self._ringing, timeout_s, "did not ring")
        return self._rang_at[-1]

    async def wait_ringing_stopped(self, timeout_s: float = 20.0) -> float:
        """See `Phone.wait_ringing_stopped`."""
        await self._until(lambda: not self._ringing, timeout_s, "did not stop ringing")
        return time.monotonic()

    async def invited(self, invitation: Invitation) -> Final:
        """See `Handset.invited`."""
        if self._line is not None or self._dialling or self._ringing:
            return Final(486, "Busy Here")
        self._headers = dict(invitation.headers)
        began = time.monotonic()
        try:
            while True:
                changed = self._changed
                manner = self._manner
                if manner.rings and not self._ringing:
                    self._ringing = True
                    self._rang_at.append(time.monotonic())
                    self._notify()
                    await invitation.ring()
                    continue  # ringing took a moment; the owner may have decided meanwhile
                if manner.status is None:
                    await changed.wait()
                    continue
                due = max(began, manner.since) + manner.after_s
                try:
                    async with asyncio.timeout(due - time.monotonic()):
                        await changed.wait()
                except TimeoutError:
                    if manner.status == 200:
                        self._begin()
                    return Final(manner.status)
        finally:
            self._ringing = False
            self._notify()

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
        pcm = await asyncio.to_thread(_samples_of, what)
        if not self.in_call:
            raise PhoneError(f"phone {self.number} has no call to speak into")
        padded = np.pad(pcm, (0, -len(pcm) % FRAME)).reshape(-1, FRAME)
        utterance = _Utterance(deque(padded))
        self._speech.append(utterance)
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
        self._on_hold = True

    def resume(self) -> None:
        """See `Phone.resume`."""
        self._present_line().resume()
        self._on_hold = False

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
        self._notify()

    def on_ended(self, ending: Ending, status: int | None) -> None:
        """See `Handset.on_ended`."""
        self._line = None
        self._dialling = False
        self._ending = ending
        self._status = status
        self._speech.clear()
        self._notify()
        for tell in self._tell:
            tell(ending)

    def next_frame(self) -> Samples | None:
        """See `Handset.next_frame`."""
        if self._on_hold:
            return None
        frame = _SILENCE
        now = time.monotonic()
        if self._speech:
            utterance = self._speech[0]
            if utterance.began_at is None:
                utterance.began_at = now + LEAD_S
            frame = utterance.frames.popleft()
            if not utterance.frames:
                utterance.ended_at = now + LEAD_S + FRAME / RATE
                self._speech.popleft()
                self._notify()
        frame = through_the_line(frame)
        self.recording.add_said(frame, now + LEAD_S + FRAME / RATE)
        return frame

    def hear(self, stream: str, samples: Samples, at: float) -> None:
        """See `Handset.hear`."""
        self.recording.add_heard(stream, samples, at)

    def hear_digit(self, digit: str) -> None:
        """See `Handset.hear_digit`."""
        self._digits += digit
        self._notify()

    def _notify(self) -> None:
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()

    async def _until(self, condition: Callable[[], bool], timeout_s: float, failing: str) -> None:
        try:
            async with asyncio.timeout(timeout_s):
                while not condition():
                    await self._changed.wait()
        except TimeoutError:
            raise TimeoutError(f"phone {self.number} {failing} within {timeout_s:g} s") from None


def _samples_of(what: Sound | str) -> Samples:
    sound: Sound = load_book()[what] if isinstance(what, str) else what
    return np.asarray(sound.pcm(RATE), dtype=np.int16)


def save_recordings(phones: Iterable[Telephone], directory: Path) -> list[Path]:
    """Write one WAV file for each call in which something was said or heard: `<name>.wav`, `<name>-2.wav`, …"""
    directory.mkdir(parents=True, exist_ok=True)
    saved = []
    for phone in phones:
        used = [recording for recording in phone.recordings if len(recording.said()) or len(recording.heard())]
        for count, recording in enumerate(used, start=1):
            path = directory / (f"{phone.name}.wav" if count == 1 else f"{phone.name}-{count}.wav")
            recording.save(path)
            saved.append(path)
    return saved
