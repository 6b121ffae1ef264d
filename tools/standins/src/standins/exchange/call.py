"""A phone's call through the exchange: the leg in the room, the phone at its other end, and who may end it how."""

from __future__ import annotations

import asyncio
import secrets
import string

from livekit import rtc

from standins.exchange.crew import Crew
from standins.exchange.handset import Ending, Handset
from standins.exchange.leg import Leg

#: LiveKit's event codes of DTMF digits (RFC 4733).
_DTMF = {digit: code for code, digit in enumerate("0123456789*#ABCD")}
DTMF_GAP_S = 0.1


def new_id(prefix: str) -> str:
    """An id as LiveKit makes them: a prefix and twelve letters or digits."""
    return prefix + "".join(secrets.choice(string.ascii_letters + string.digits) for _ in range(12))


class Call:
    """One call of one phone. `leg.ended` is the single truth about whether it still is."""

    def __init__(self, leg: Leg, handset: Handset, crew: Crew, *, inbound: bool, media_timeout_s: float) -> None:
        self.leg = leg
        self.handset = handset
        self.sip_call_id = new_id("SCL_")
        self.inbound = inbound
        self.answered = asyncio.Event()
        self.transfer_target: str | None = None
        self._crew = crew
        self._media_timeout_s = media_timeout_s
        self._hold: asyncio.Task[None] | None = None
        self._told = False

    def answer(self) -> None:
        """The call is up."""
        self.answered.set()
        self.leg.open_media()
        self.handset.on_answered(self)

    async def hang_up(self) -> None:
        """The phone hangs up: BYE after the answer, CANCEL before it."""
        self.tell(Ending.WE_HUNG_UP)
        await self.leg.leave(rtc.DisconnectReason.CLIENT_INITIATED, status="hangup")

    async def bye(self) -> None:
        """LiveKit hangs up (after a transfer)."""
        self.tell(Ending.THEY_HUNG_UP)
        await self.leg.leave(rtc.DisconnectReason.CLIENT_INITIATED, status="hangup")

    def tell(self, ending: Ending, status: int | None = None) -> None:
        """Tell the phone, once, how its call ended."""
        if not self._told:
            self._told = True
            self.handset.on_ended(ending, status)

    def hold(self) -> None:
        """The phone sends no sound any more; LiveKit ends such a call after the trunk's media timeout."""
        if self._hold is None:
            self._hold = self._crew.start(self._starve(), name=f"hold {self.leg.identity}")

    def resume(self) -> None:
        """The phone sends sound again."""
        if self._hold is not None:
            self._hold.cancel()
            self._hold = None

    async def _starve(self) -> None:
        await asyncio.sleep(self._media_timeout_s)
        self._hold = None  # from here on this task ends the call and must not be cancelled by its end
        self.tell(Ending.NO_SOUND)
        # An inbound leg says hangup, an outbound one was seen to leave without.
        status = "hangup" if self.inbound else None
        await self.leg.leave(rtc.DisconnectReason.CLIENT_INITIATED, status=status)

    async def press(self, digits: str) -> None:
        """Send DTMF digits.

        Raises:
            ValueError: something that no telephone has a key for.
        """
        for digit in digits:
            if digit not in _DTMF:
                raise ValueError(f"'{digit}' is not a DTMF digit")
        for digit in digits:
            await self.leg.press(_DTMF[digit], digit)
            await asyncio.sleep(DTMF_GAP_S)

    async def watch(self) -> None:
        """Wait until the leg is gone, whoever ended it, tell the phone and clean up."""
        try:
            await self.leg.ended.wait()
        finally:
            if self._hold is not None:
                self._hold.cancel()
            self.tell(Ending.THEY_HUNG_UP if self.answered.is_set() else Ending.CANCELLED)
            await self.leg.close()


class Calls:
    """All calls of one exchange that are not over."""

    def __init__(self, crew: Crew) -> None:
        self._crew = crew
        self._calls: set[Call] = set()

    def begin(self, call: Call) -> None:
        """Keep the call until its leg is gone."""
        self._calls.add(call)
        self._crew.start(self._watch(call), name=f"call {call.leg.room_name}")

    async def _watch(self, call: Call) -> None:
        try:
            await call.watch()
        finally:
            self._calls.discard(call)

    def find(self, room_name: str, identity: str) -> Call | None:
        """The call whose leg has this identity in this room."""
        for call in self._calls:
            if (call.leg.room_name, call.leg.identity) == (room_name, identity):
                return call
        return None

    async def close(self) -> None:
        """End every call, as a switch that is turned off in an orderly way."""
        for call in tuple(self._calls):
            await call.bye()
