"""TransferSIPParticipant: REFER on an answered call, as the phone takes it."""

from __future__ import annotations

import asyncio
import re

from livekit.protocol import sip as proto

from standins.exchange.call import Call
from standins.exchange.crew import Crew
from standins.exchange.handset import Referral
from standins.exchange.inbound import seconds_of
from standins.exchange.outcomes import TwirpError, refused
from standins.exchange.trunks import invalid

DEFAULT_TRANSFER_S = 30.0
#: LiveKit hangs up this long after the phone said that the transfer succeeded.
BYE_AFTER_S = 1.0

_TARGET = re.compile(r"<?(sips?:[^<>\s]+|tel:[^<>\s]+)>?")


async def transfer(call: Call, request: proto.TransferSIPParticipantRequest, crew: Crew) -> None:
    """Refer the phone elsewhere and wait for its final word; returns on success.

    Raises:
        TwirpError: refused (with the SIP status), not answered yet, or no word in time (the outcome is then unknown).
    """
    match = _TARGET.fullmatch(request.transfer_to)
    if match is None:
        raise invalid("transfer_to must be a sip:, sips: or tel: URI")
    if not call.answered.is_set():
        raise TwirpError("failed_precondition", "twirp error unknown: can't transfer non established call")
    target = match.group(1) if match.group(1).startswith("tel:") else f"<{match.group(1)}>"
    if call.transfer_target not in {None, target}:
        raise invalid("twirp error unknown: a transfer to another destination is pending")
    call.transfer_target = target
    phone = crew.start(call.handset.referred(Referral(target, dict(request.headers))), name="refer")
    gone = crew.start(call.leg.ended.wait(), name="ended")
    try:
        timeout_s = seconds_of(request.ringing_timeout, DEFAULT_TRANSFER_S)
        await asyncio.wait({phone, gone}, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
        if gone.done():
            return  # the phone hung up without another word: LiveKit counts that as success
        if not phone.done():
            raise TwirpError("deadline_exceeded", "request timed out")
        final = phone.result()
        if not 200 <= final.status < 300:
            raise refused(final.status, final.phrase, doing="call transfer failed").error
        crew.start(_bye_later(call), name="bye after transfer")
    finally:
        call.transfer_target = None
        phone.cancel()
        gone.cancel()


async def _bye_later(call: Call) -> None:
    await asyncio.sleep(BYE_AFTER_S)
    await call.bye()
