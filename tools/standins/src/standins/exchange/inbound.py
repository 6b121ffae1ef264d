"""Calls from a phone into LiveKit: trunk, rule, room; ringing until somebody in the room is heard."""

from __future__ import annotations

import asyncio
import hmac
import secrets
from collections.abc import Mapping

from google.protobuf.duration_pb2 import Duration
from livekit import api, rtc
from livekit.protocol import sip as proto

from standins.exchange.call import Call, Calls
from standins.exchange.crew import Crew
from standins.exchange.handset import Ending, Handset
from standins.exchange.leg import Leg, leg_token
from standins.exchange.trunks import Directory, room_name_for

DEFAULT_RINGING_S = 180.0
DEFAULT_MEDIA_TIMEOUT_S = 60.0
#: From the answer to `active`: livekit-sip waits for the first sound of the phone.
ACTIVE_AFTER_S = 0.015


class CallRefused(Exception):
    """The call was refused with a final SIP response."""

    def __init__(self, status: int, phrase: str) -> None:
        super().__init__(f"the call was refused: {status} {phrase}")
        self.status = status


def seconds_of(duration: Duration, default: float) -> float:
    """A protobuf duration in seconds; unset or zero means the default."""
    return (duration.seconds + duration.nanos / 1e9) or default


def header_attributes(
    headers: Mapping[str, str], mapping: Mapping[str, str], include: proto.SIPHeaderOptions
) -> dict[str, str]:
    """Attributes made of SIP headers: those that the trunk maps, and `sip.h.*` for those it includes."""
    values = {name.lower(): value for name, value in headers.items()}
    attributes = {attribute: values[name.lower()] for name, attribute in mapping.items() if name.lower() in values}
    for name, value in values.items():
        wanted = include == proto.SIPHeaderOptions.SIP_ALL_HEADERS or name.startswith("x-")
        if include != proto.SIPHeaderOptions.SIP_NO_HEADERS and wanted:
            attributes[f"sip.h.{name}"] = value
    return attributes


class Inbound:
    """Takes INVITEs from phones."""

    def __init__(self, directory: Directory, calls: Calls, *, url: str, key: str, secret: str, crew: Crew) -> None:
        self._directory = directory
        self._calls = calls
        self._url = url
        self._key = key
        self._secret = secret
        self._crew = crew

    async def place(
        self,
        handset: Handset,
        to: str,
        *,
        headers: Mapping[str, str],
        username: str,
        password: str,
        source: str,
    ) -> Call | None:
        """Take a phone's INVITE. The call rings when this returns; None if it will never be let in (180, then nothing).

        Raises:
            CallRefused: 401, wrong digest credentials.
            LegError: the room could not be joined.
        """
        trunk = self._directory.match_trunk(calling=handset.number, called=to, source=source)
        if trunk is not None and (trunk.auth_username or trunk.auth_password):
            known = hmac.compare_digest(trunk.auth_password.encode(), password.encode())
            if username != trunk.auth_username or not known:
                raise CallRefused(401, "Unauthorized")
        trunk_id = trunk.sip_trunk_id if trunk is not None else ""
        rule = self._directory.match_rule(trunk_id, calling=handset.number, called=to)
        if rule is None:
            return None
        trunk = trunk or proto.SIPInboundTrunkInfo()
        call = self._make_call(handset, trunk, rule, to)
        token = self._token_for(call, trunk, rule, to=to, headers=headers, source=source)
        await call.leg.join(self._url, token)
        self._calls.begin(call)
        self._crew.start(self._answer(call, seconds_of(trunk.ringing_timeout, DEFAULT_RINGING_S)), name="ring in")
        return call

    def _make_call(
        self,
        handset: Handset,
        trunk: proto.SIPInboundTrunkInfo,
        rule: proto.SIPDispatchRuleInfo,
        to: str,
    ) -> Call:
        leg = Leg(
            identity=f"sip_{handset.number}",
            room_name=room_name_for(rule.rule, calling=handset.number, called=to),
            crew=self._crew,
            handset=handset,
        )
        timeout_s = seconds_of(trunk.media.media_timeout, DEFAULT_MEDIA_TIMEOUT_S)
        return Call(leg, handset, self._crew, inbound=True, media_timeout_s=timeout_s)

    def _token_for(
        self,
        call: Call,
        trunk: proto.SIPInboundTrunkInfo,
        rule: proto.SIPDispatchRuleInfo,
        *,
        to: str,
        headers: Mapping[str, str],
        source: str,
    ) -> str:
        calling = call.handset.number
        tag = secrets.token_hex(4)
        attributes = {
            "sip.phoneNumber": calling,
            "sip.trunkPhoneNumber": to,
            "sip.hostname": source,
            "sip.ruleID": rule.sip_dispatch_rule_id,
            "sip.callID": call.sip_call_id,
            "sip.callIDFull": f"{secrets.randbelow(9) + 1}-{tag}@{source}",
            "sip.callTag": tag,
            "sip.callStatus": "ringing",
            **rule.attributes,
            **header_attributes(headers, trunk.headers_to_attributes, trunk.include_headers),
        }
        if trunk.sip_trunk_id:
            attributes["sip.trunkID"] = trunk.sip_trunk_id
        name = f"Phone {calling}"
        if rule.hide_phone_number:
            for hidden in ("sip.phoneNumber", "sip.trunkPhoneNumber", "sip.hostname"):
                del attributes[hidden]

        def adjust(token: api.AccessToken) -> None:
            token.with_room_config(rule.room_config)
            if rule.room_preset:
                token.with_room_preset(rule.room_preset)

        return leg_token(
            self._key,
            self._secret,
            identity=call.leg.identity,
            name=name,
            room_name=call.leg.room_name,
            metadata=rule.metadata,
            attributes=attributes,
            adjust=adjust,
        )

    async def _answer(self, call: Call, ringing_s: float) -> None:
        """200 OK as soon as somebody else publishes sound; 486 if nobody does in time."""
        leg = call.leg
        waiting = {
            self._crew.start(leg.company.wait(), name="company"),
            self._crew.start(leg.ended.wait(), name="ended"),
        }
        try:
            await asyncio.wait(waiting, timeout=ringing_s, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in waiting:
                task.cancel()
        if leg.ended.is_set():
            return
        if not leg.company.is_set():
            call.tell(Ending.REFUSED, 486)
            await leg.leave(rtc.DisconnectReason.CLIENT_INITIATED)
            return
        call.answer()
        await asyncio.sleep(ACTIVE_AFTER_S)
        await leg.set_status("active")
