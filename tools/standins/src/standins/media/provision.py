"""Trunks and the dispatch rule, through LiveKit's SIP API: the same against livekit-sip and against the exchange.

LiveKit keeps them only in its Redis, so provisioning is idempotent and done at every start: what has our name is
replaced, what is missing is created.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import aiohttp
from google.protobuf.duration_pb2 import Duration
from livekit import api
from livekit.protocol import sip as proto
from livekit.protocol.agent_dispatch import RoomAgentDispatch
from livekit.protocol.room import RoomConfiguration

INBOUND_TRUNK = "callweave-inbound"
OUTBOUND_TRUNK = "callweave-outbound"
DISPATCH_RULE = "callweave-calls"
AGENT_NAME = "callweave"

HEADERS_TO_ATTRIBUTES = {"X-Ani": "call.ani", "X-Dnis": "call.dnis", "X-Customer-Id": "call.customer"}
#: A caller whom no worker answers hears 486 after this and the switch's fallback takes over.
RINGING_TIMEOUT_S = 15
#: A held phone sends no RTP; LiveKit allows at most ten minutes.
MEDIA_TIMEOUT_S = 600


@dataclass(frozen=True)
class Provisioned:
    """LiveKit's ids of what was provisioned."""

    inbound_trunk_id: str
    outbound_trunk_id: str
    dispatch_rule_id: str


async def provision(
    livekit_url: str,
    api_key: str,
    api_secret: str,
    *,
    username: str,
    password: str,
    outbound_address: str = "127.0.0.1:5060",
    outbound_numbers: Iterable[str] = ("+15559990000",),
    allowed_addresses: Iterable[str] = ("127.0.0.1/32",),
    agent_name: str = AGENT_NAME,
    ringing_timeout_s: int = RINGING_TIMEOUT_S,
    media_timeout_s: int = MEDIA_TIMEOUT_S,
) -> Provisioned:
    """Create or bring up to date the inbound trunk, the outbound trunk and the rule "room = dialled user = call id".

    Args:
        username: Digest user that the switch authenticates with on inbound calls.
        outbound_address: host:port that outbound INVITEs go to.
        allowed_addresses: CIDR blocks, never bare addresses: LiveKit compares a bare one with the From header too.

    Raises:
        livekit.api.ServerError: the server refused; aiohttp.ClientError: it cannot be reached.
    """
    media = proto.SIPMediaConfig(
        only_listed_codecs=True,
        codecs=[proto.SIPCodec(name="PCMU", rate=8000)],
        media_timeout=Duration(seconds=media_timeout_s),
    )
    inbound = proto.SIPInboundTrunkInfo(
        name=INBOUND_TRUNK,
        allowed_addresses=list(allowed_addresses),
        auth_username=username,
        auth_password=password,
        headers_to_attributes=HEADERS_TO_ATTRIBUTES,
        include_headers=proto.SIPHeaderOptions.SIP_X_HEADERS,
        ringing_timeout=Duration(seconds=ringing_timeout_s),
        media=media,
    )
    outbound = proto.SIPOutboundTrunkInfo(
        name=OUTBOUND_TRUNK, address=outbound_address, numbers=list(outbound_numbers), media=media
    )
    async with api.LiveKitAPI(livekit_url, api_key, api_secret, timeout=aiohttp.ClientTimeout(total=10)) as livekit:
        inbound_id = await _inbound(livekit.sip, inbound)
        outbound_id = await _outbound(livekit.sip, outbound)
        rule = proto.SIPDispatchRuleInfo(
            name=DISPATCH_RULE,
            rule=proto.SIPDispatchRule(
                dispatch_rule_callee=proto.SIPDispatchRuleCallee(room_prefix="", randomize=False)
            ),
            # Without trunk_ids the rule would also take calls that no trunk let in.
            trunk_ids=[inbound_id],
            room_config=RoomConfiguration(agents=[RoomAgentDispatch(agent_name=agent_name)]),
        )
        return Provisioned(inbound_id, outbound_id, await _rule(livekit.sip, rule))


async def _inbound(sip: api.sip_service.SipService, wanted: proto.SIPInboundTrunkInfo) -> str:
    for trunk in (await sip.list_inbound_trunk(proto.ListSIPInboundTrunkRequest())).items:
        if trunk.name == wanted.name:
            return (await sip.update_inbound_trunk(trunk.sip_trunk_id, wanted)).sip_trunk_id
    return (await sip.create_inbound_trunk(proto.CreateSIPInboundTrunkRequest(trunk=wanted))).sip_trunk_id


async def _outbound(sip: api.sip_service.SipService, wanted: proto.SIPOutboundTrunkInfo) -> str:
    for trunk in (await sip.list_outbound_trunk(proto.ListSIPOutboundTrunkRequest())).items:
        if trunk.name == wanted.name:
            return (await sip.update_outbound_trunk(trunk.sip_trunk_id, wanted)).sip_trunk_id
    return (await sip.create_outbound_trunk(proto.CreateSIPOutboundTrunkRequest(trunk=wanted))).sip_trunk_id


async def _rule(sip: api.sip_service.SipService, wanted: proto.SIPDispatchRuleInfo) -> str:
    for rule in (await sip.list_dispatch_rule(proto.ListSIPDispatchRuleRequest())).items:
        if rule.name == wanted.name:
            return (await sip.update_dispatch_rule(rule.sip_dispatch_rule_id, wanted)).sip_dispatch_rule_id
    request = proto.CreateSIPDispatchRuleRequest(dispatch_rule=wanted)
    return (await sip.create_dispatch_rule(request)).sip_dispatch_rule_id
