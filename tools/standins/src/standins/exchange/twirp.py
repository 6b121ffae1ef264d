"""LiveKit's SIP API as the exchange answers it: Twirp in protobuf or JSON, grants checked as livekit-server does."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import jwt
from aiohttp import web
from google.protobuf import json_format
from google.protobuf.empty_pb2 import Empty
from google.protobuf.message import DecodeError, Message
from livekit import api
from livekit.protocol import sip as proto

from standins.exchange.call import Call
from standins.exchange.crew import Crew
from standins.exchange.outbound import Outbound
from standins.exchange.outcomes import TwirpError
from standins.exchange.transfer import transfer
from standins.exchange.trunk_api import TrunkApi
from standins.exchange.trunks import Directory, invalid

PREFIX = "/twirp/livekit.SIP/"


class Grant(StrEnum):
    """What a token must allow."""

    ADMIN = "sip.admin"
    CALL = "sip.call"


@dataclass(frozen=True)
class _Method:
    request: type[Message]
    grant: Grant
    run: Callable[[Any, api.access_token.Claims], Awaitable[Message]]


class SipApi:
    """Answers POST /twirp/livekit.SIP/<method>."""

    def __init__(
        self,
        directory: Directory,
        outbound: Outbound,
        find_call: Callable[[str, str], Call | None],
        *,
        keys: Mapping[str, str],
        crew: Crew,
    ) -> None:
        self._directory = directory
        self._outbound = outbound
        self._find_call = find_call
        self._keys = keys
        self._crew = crew
        self._methods = self._table()

    async def answer(self, request: web.Request) -> web.Response:
        """One API call; errors are JSON whatever the request was."""
        try:
            method = self._method(request)
            claims = self._claims(request, method.grant)
            as_json = request.content_type == "application/json"
            message = _decode(method.request(), await request.read(), as_json=as_json)
            result = await method.run(message, claims)
        except TwirpError as error:
            return web.json_response(error.document(), status=error.http_status)
        if as_json:
            text = json_format.MessageToJson(result, preserving_proto_field_name=True)
            return web.Response(text=text, content_type="application/json")
        return web.Response(body=result.SerializeToString(), content_type="application/protobuf")

    def _method(self, request: web.Request) -> _Method:
        method = self._methods.get(request.match_info["method"])
        if method is None:
            raise TwirpError("bad_route", f"no handler for path {request.path}")
        return method

    def _claims(self, request: web.Request, grant: Grant) -> api.access_token.Claims:
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not token:
            raise TwirpError("unauthenticated", "permissions denied")
        try:
            issuer = str(jwt.decode(token, options={"verify_signature": False}).get("iss", ""))
            if issuer not in self._keys:
                raise web.HTTPUnauthorized(text="invalid API key")
            claims = api.TokenVerifier(issuer, self._keys[issuer]).verify(token)
        except jwt.InvalidTokenError as error:
            # Not a Twirp error: livekit-server refuses such a token before it looks at the call.
            raise web.HTTPUnauthorized(text="invalid authorization token") from error
        sip = claims.sip
        allowed = sip is not None and (sip.admin if grant is Grant.ADMIN else sip.call)
        if not allowed:
            raise TwirpError("unauthenticated", "permissions denied")
        return claims

    def _table(self) -> dict[str, _Method]:
        trunks = {
            name: _Method(request, Grant.ADMIN, _ignoring_claims(run))
            for name, (request, run) in TrunkApi(self._directory).methods().items()
        }
        return {
            **trunks,
            "CreateSIPParticipant": _Method(proto.CreateSIPParticipantRequest, Grant.CALL, self._dial),
            "TransferSIPParticipant": _Method(proto.TransferSIPParticipantRequest, Grant.CALL, self._transfer),
        }

    async def _dial(self, request: proto.CreateSIPParticipantRequest, _claims: object) -> Message:
        _call, info = await self._outbound.dial(request)
        return info

    async def _transfer(self, request: proto.TransferSIPParticipantRequest, claims: api.access_token.Claims) -> Message:
        if not request.room_name:
            raise invalid("twirp error unknown: Missing room name")
        video = claims.video
        if video is None or not video.room_admin or video.room != request.room_name:
            raise TwirpError("unauthenticated", "permissions denied")
        call = self._find_call(request.room_name, request.participant_identity)
        if call is None:
            raise TwirpError("not_found", "twirp error unknown: participant does not exist")
        await transfer(call, request, self._crew)
        # livekit-server v1.13.5 answers nothing; newer clients read that as "transfer ongoing".
        return Empty()


def _decode(message: Message, body: bytes, *, as_json: bool) -> Message:
    try:
        if as_json:
            json_format.Parse(body or b"{}", message, ignore_unknown_fields=True)
        else:
            message.ParseFromString(body)
    except (json_format.ParseError, DecodeError) as error:
        raise TwirpError("malformed", "the body could not be decoded") from error
    return message


def _ignoring_claims(run: Callable[[Any], Message]) -> Callable[[Any, object], Awaitable[Message]]:
    async def answer(request: Any, _claims: object) -> Message:
        return run(request)

    return answer
