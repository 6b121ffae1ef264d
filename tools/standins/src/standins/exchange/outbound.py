"""Calls from LiveKit to a phone (CreateSIPParticipant) and the transfer of an answered one (TransferSIPParticipant)."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Mapping
from dataclasses import dataclass

from livekit.protocol import sip as proto

from standins.exchange.call import Call, Calls
from standins.exchange.crew import Crew
from standins.exchange.handset import Ending, Final, Handset, Invitation
from standins.exchange.inbound import DEFAULT_MEDIA_TIMEOUT_S, header_attributes, seconds_of
from standins.exchange.leg import Leg, LegError, leg_token
from standins.exchange.outcomes import (
    DialFailure,
    TwirpError,
    bus_deadline,
    connection_refused,
    no_response,
    phrase_of,
    refused,
    timed_out,
)
from standins.exchange.trunks import Directory, invalid

DEFAULT_RINGING_S = 180.0
#: livekit-server's own deadline for a dial that waits for the answer.
BUS_DEADLINE_S = 80.0
#: SIP's timer B (RFC 3261, 64 * T1): nothing at all was heard from the other side.
TIMER_B_S = 32.04
#: For the TCP connection to a trunk's address.
CONNECT_S = 5.0
#: First contact with the phone after the leg has joined.
INVITE_DELAY_S = 0.02


@dataclass(frozen=True)
class _Dial:
    """What one CreateSIPParticipant asks for, with the trunk's defaults filled in."""

    request: proto.CreateSIPParticipantRequest
    trunk_id: str
    address: str
    number: str
    headers: Mapping[str, str]
    headers_to_attributes: Mapping[str, str]
    include_headers: proto.SIPHeaderOptions
    media_timeout_s: float
    #: SIP over TCP: somebody must listen at the address.
    tcp: bool = False


class Outbound:
    """Dials the phones that are plugged in; a number nobody has is 404."""

    def __init__(
        self,
        directory: Directory,
        calls: Calls,
        phones: Mapping[str, Handset],
        *,
        url: str,
        key: str,
        secret: str,
        crew: Crew,
    ) -> None:
        self._directory = directory
        self._calls = calls
        self._phones = phones
        self._url = url
        self._key = key
        self._secret = secret
        self._crew = crew

    async def dial(self, request: proto.CreateSIPParticipantRequest) -> tuple[Call, proto.SIPParticipantInfo]:
        """Join the room, ring the phone; return after the join, or after the answer if the request waits for it.

        Raises:
            TwirpError: as livekit-server answers.
        """
        dial = self._prepare(request)
        handset = self._phones.get(request.sip_call_to, _Nobody(request.sip_call_to))
        identity = request.participant_identity or f"sip_{request.sip_call_to}"
        leg = Leg(identity=identity, room_name=request.room_name, crew=self._crew, handset=handset)
        call = Call(leg, handset, self._crew, inbound=False, media_timeout_s=dial.media_timeout_s)
        try:
            await leg.join(self._url, self._token_for(call, dial))
        except LegError as error:
            raise TwirpError("internal", "twirp error unknown: update room failed") from error
        info = proto.SIPParticipantInfo(
            participant_id=leg.sid,
            participant_identity=identity,
            room_name=request.room_name,
            sip_call_id=call.sip_call_id,
        )
        self._calls.begin(call)
        ringing = self._crew.start(self._ring(call, dial), name=f"dial {request.room_name}")
        if request.wait_until_answered:
            # The dial goes on if whoever asked for it goes away, as it does in LiveKit.
            failure = await asyncio.shield(ringing)
            if failure is not None:
                raise failure.error
        return call, info

    def _prepare(self, request: proto.CreateSIPParticipantRequest) -> _Dial:
        if not request.sip_call_to or "@" in request.sip_call_to:
            raise invalid("missing sip callee number")
        if not request.room_name:
            raise invalid("missing room name")
        if request.HasField("trunk") and not request.sip_trunk_id:
            inline = request.trunk
            return _Dial(
                request, "", inline.hostname, request.sip_number, dict(request.headers),
                inline.headers_to_attributes, request.include_headers,
                seconds_of(request.media.media_timeout, DEFAULT_MEDIA_TIMEOUT_S),
            )  # fmt: skip
        trunk = self._directory.outbound.need(request.sip_trunk_id)
        numbers = list(trunk.numbers)
        return _Dial(
            request,
            trunk.sip_trunk_id,
            trunk.address,
            request.sip_number or (numbers[0] if numbers else ""),
            {**trunk.headers, **request.headers},
            trunk.headers_to_attributes,
            request.include_headers or trunk.include_headers,
            seconds_of(request.media.media_timeout, seconds_of(trunk.media.media_timeout, DEFAULT_MEDIA_TIMEOUT_S)),
            tcp=trunk.transport == proto.SIP_TRANSPORT_TCP,
        )

    def _token_for(self, call: Call, dial: _Dial) -> str:
        request = dial.request
        attributes = {"sip.callID": call.sip_call_id, "sip.callStatus": "dialing", **request.participant_attributes}
        if dial.trunk_id:
            attributes["sip.trunkID"] = dial.trunk_id
        if not request.hide_phone_number:
            attributes["sip.trunkPhoneNumber"] = dial.number
            attributes["sip.phoneNumber"] = request.sip_call_to
            attributes["sip.hostname"] = dial.address
        return leg_token(
            self._key,
            self._secret,
            identity=call.leg.identity,
            name=request.participant_name,
            room_name=request.room_name,
            metadata=request.participant_metadata,
            attributes=attributes,
        )

    async def _ring(self, call: Call, dial: _Dial) -> DialFailure | None:
        """The dial from INVITE to its end; None means answered and active."""
        verdict = await self._invite(call, dial)
        if isinstance(verdict, DialFailure):
            status = verdict.error.metadata.get("sip_status_code")
            call.tell(Ending.REFUSED if status else Ending.CANCELLED, int(status) if status else None)
            await call.leg.leave(verdict.reason)
            return verdict
        dialogue = {"sip.callIDFull": secrets.token_hex(16), "sip.callTag": secrets.token_hex(4)}
        heard = header_attributes(verdict.headers, dial.headers_to_attributes, dial.include_headers)
        await call.leg.set_attributes({**dialogue, **heard})
        call.answer()
        await call.leg.set_status("active")
        return None

    async def _invite(self, call: Call, dial: _Dial) -> Final | DialFailure:
        ringing_s = seconds_of(dial.request.ringing_timeout, DEFAULT_RINGING_S)
        deadline_s = min(ringing_s, BUS_DEADLINE_S) if dial.request.wait_until_answered else ringing_s
        rang = asyncio.Event()

        async def ring() -> None:
            if not rang.is_set():
                rang.set()
                await call.leg.set_status("ringing")

        invitation = Invitation(
            call_id=dial.request.room_name,
            from_number=dial.number,
            to=dial.request.sip_call_to,
            headers=dial.headers,
            ring=ring,
        )
        await asyncio.sleep(INVITE_DELAY_S)
        if dial.tcp and not await _listens(dial.address):
            return connection_refused(dial.address)
        phone = self._crew.start(call.handset.invited(invitation), name="phone")
        gone = self._crew.start(call.leg.ended.wait(), name="ended")
        unheard = self._crew.start(_timer_b(rang), name="timer B")
        try:
            await asyncio.wait({phone, gone, unheard}, timeout=deadline_s, return_when=asyncio.FIRST_COMPLETED)
            if gone.done():
                # The leg was removed, or the room deleted: the API says the same as for a phone that nobody picked up.
                return timed_out()
            if phone.done():
                final = phone.result()
                return final if final.status == 200 else refused(final.status, final.phrase)
            if unheard.done():
                return no_response()
            return timed_out() if ringing_s <= BUS_DEADLINE_S else bus_deadline()
        finally:
            for task in (phone, gone, unheard):
                task.cancel()


async def _listens(address: str) -> bool:
    """Whether a TCP connection to the trunk's address is taken. SIP's port where none is named (RFC 3261)."""
    host, _, port = address.partition(":")
    try:
        async with asyncio.timeout(CONNECT_S):
            _, writer = await asyncio.open_connection(host, int(port or 5060))
    except (OSError, TimeoutError):
        return False
    writer.close()
    return True


async def _timer_b(rang: asyncio.Event) -> None:
    try:
        async with asyncio.timeout(TIMER_B_S):
            await rang.wait()
    except TimeoutError:
        return
    await asyncio.Event().wait()  # something was heard: this timer never fires


class _Nobody:
    """The other end of a number that no phone has."""

    def __init__(self, number: str) -> None:
        self.number = number

    async def invited(self, _invitation: Invitation) -> Final:
        """404, at once."""
        return Final(404, phrase_of(404))

    async def referred(self, _referral: object) -> Final:
        """There is no phone that could be referred."""
        return Final(481)

    def on_answered(self, line: object) -> None:
        """Never happens."""

    def on_ended(self, ending: Ending, status: int | None) -> None:
        """Nobody is told."""

    def next_frame(self) -> None:
        """Silence."""

    def hear(self, stream: str, samples: object, at: float) -> None:
        """Nobody listens."""

    def hear_digit(self, digit: str) -> None:
        """Nobody listens."""
