"""LiveKit as far as the orchestrator sees it. ``FakeDialler`` passes the suite of the real one (test_dialler.py)."""

import asyncio

from transfer_orchestrator.domain.dialling import DialOrder, Leg, Legs
from transfer_orchestrator.domain.outcome import LegStatus
from transfer_orchestrator.errors import DialRefused, ExchangeUnreachable

CUSTOMER = "sip_100"

#: SIP status → (Twirp code), as livekit-sip was seen to answer.
_CODES = {486: "resource_exhausted", 603: "permission_denied", 404: "not_found", 480: "resource_exhausted"}


class FakePhone:
    """A phone at the far end. Rings until told; ``answer`` and ``refuse`` also hold for calls to come."""

    def __init__(self) -> None:
        self.rings = True
        self.times_rung = 0
        self._final: int | None = None
        self._decided = asyncio.Event()

    def answer(self) -> None:
        self._decide(200)

    def refuse(self, status: int) -> None:
        self._decide(status)

    def vanish(self) -> None:
        self.rings = False

    async def final(self) -> int:
        await self._decided.wait()
        assert self._final is not None
        return self._final

    def _decide(self, status: int) -> None:
        self._final = status
        self._decided.set()


class FakeDialler:
    """LiveKit as far as the orchestrator sees it: rooms, legs, phones. Dials outlive whoever asked for them."""

    def __init__(self) -> None:
        self.rooms: dict[str, dict[str, Leg]] = {}
        self.phones: dict[str, FakePhone] = {}
        self.dialled: list[DialOrder] = []
        self.removed: list[str] = []
        #: While False nothing can be asked; dials that are under way go on.
        self.reachable = True
        #: Lose the answers of dials: the caller learns nothing of their ends.
        self.loses_answers = False
        #: How long a leg takes to join its room.
        self.join_s = 0.0
        #: Legs that LiveKit does not list for a while, though they are there.
        self.hidden = False
        #: How often a room was looked at, and the dials whose answer was given (or lost).
        self.looks = 0
        self.ended: list[str] = []
        #: By room, raised by the next look at it: faults that nobody foresaw.
        self.faults: dict[str, Exception] = {}
        self._gone: dict[str, asyncio.Event] = {}
        self._dials: set[asyncio.Task[int]] = set()

    def customer_joins(self, room: str, identity: str = CUSTOMER) -> None:
        self.rooms.setdefault(room, {})[identity] = Leg(identity, LegStatus.ACTIVE, "SCL_customer")

    def customer_leaves(self, room: str, identity: str = CUSTOMER) -> None:
        self.rooms[room].pop(identity, None)

    def delete_room(self, room: str) -> None:
        for identity in self.rooms.pop(room, {}):
            self._gone.setdefault(identity, asyncio.Event()).set()

    def phone(self, number: str) -> FakePhone:
        return self.phones.setdefault(number, FakePhone())

    async def dial(self, order: DialOrder) -> str | None:
        if not self.reachable:
            raise DialRefused("unavailable", message="no connection to LiveKit")
        self.dialled.append(order)
        dial = asyncio.create_task(self._ring(order))  # noqa: TID251 - as in LiveKit, the dial outlives the request
        self._dials.add(dial)
        dial.add_done_callback(self._dials.discard)
        status = await asyncio.shield(dial)
        self.ended.append(order.dial_id)
        if self.loses_answers:
            raise ExchangeUnreachable("the answer was lost")
        if status == 200:
            return f"SCL_{order.dial_id}"
        if status == 0:
            raise DialRefused("canceled", message="twirp error unknown: sip request timed out")
        raise DialRefused(_CODES[status], sip_status=status, sip_text="", message="INVITE failed")

    async def _ring(self, order: DialOrder) -> int:
        legs = self.rooms.setdefault(order.room, {})
        gone = self._gone.setdefault(order.identity, asyncio.Event())
        phone = self.phones.get(order.number)
        await asyncio.sleep(self.join_s)
        legs[order.identity] = Leg(order.identity, LegStatus.DIALING, None)
        await asyncio.sleep(0)
        if phone is None:
            legs.pop(order.identity, None)
            return 404
        if phone.rings:
            phone.times_rung += 1
            legs[order.identity] = Leg(order.identity, LegStatus.RINGING, None)
        decision = asyncio.create_task(phone.final())  # noqa: TID251 - cancelled below
        removal = asyncio.create_task(gone.wait())  # noqa: TID251 - cancelled below
        try:
            done, _ = await asyncio.wait(
                {decision, removal}, timeout=order.ring_seconds, return_when=asyncio.FIRST_COMPLETED
            )
            status = decision.result() if decision in done and removal not in done else 0
        finally:
            decision.cancel()
            removal.cancel()
        if status == 200:
            legs[order.identity] = Leg(order.identity, LegStatus.ACTIVE, f"SCL_{order.dial_id}")
        else:
            legs.pop(order.identity, None)
        return status

    async def legs(self, room: str) -> Legs:
        self.looks += 1
        if room in self.faults:
            raise self.faults.pop(room)
        if not self.reachable:
            raise ExchangeUnreachable("LiveKit did not answer")
        return {name: leg for name, leg in self.rooms.get(room, {}).items() if name == CUSTOMER or not self.hidden}

    async def remove(self, room: str, identity: str) -> None:
        if not self.reachable:
            raise ExchangeUnreachable("LiveKit did not answer")
        self.removed.append(identity)
        if self.rooms.get(room, {}).pop(identity, None) is not None:
            self._gone.setdefault(identity, asyncio.Event()).set()
