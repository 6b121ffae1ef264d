"""The part of LiveKit's SIP API that keeps trunks and dispatch rules."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from google.protobuf.message import Message
from livekit.protocol import sip as proto

from standins.exchange.trunks import Directory, invalid

Run = Callable[[Any], Message]


class TrunkApi:
    """Create, update, get, list and delete, on one directory."""

    def __init__(self, directory: Directory) -> None:
        self._directory = directory

    def methods(self) -> dict[str, tuple[type[Message], Run]]:
        """Request type and implementation of each method."""
        return {
            "CreateSIPInboundTrunk": (proto.CreateSIPInboundTrunkRequest, self._create_inbound),
            "UpdateSIPInboundTrunk": (proto.UpdateSIPInboundTrunkRequest, self._update_inbound),
            "ListSIPInboundTrunk": (proto.ListSIPInboundTrunkRequest, self._list_inbound),
            "GetSIPInboundTrunk": (proto.GetSIPInboundTrunkRequest, self._get_inbound),
            "CreateSIPOutboundTrunk": (proto.CreateSIPOutboundTrunkRequest, self._create_outbound),
            "UpdateSIPOutboundTrunk": (proto.UpdateSIPOutboundTrunkRequest, self._update_outbound),
            "ListSIPOutboundTrunk": (proto.ListSIPOutboundTrunkRequest, self._list_outbound),
            "GetSIPOutboundTrunk": (proto.GetSIPOutboundTrunkRequest, self._get_outbound),
            "DeleteSIPTrunk": (proto.DeleteSIPTrunkRequest, self._delete_trunk),
            "CreateSIPDispatchRule": (proto.CreateSIPDispatchRuleRequest, self._create_rule),
            "UpdateSIPDispatchRule": (proto.UpdateSIPDispatchRuleRequest, self._update_rule),
            "ListSIPDispatchRule": (proto.ListSIPDispatchRuleRequest, self._list_rules),
            "DeleteSIPDispatchRule": (proto.DeleteSIPDispatchRuleRequest, self._delete_rule),
        }

    def _create_inbound(self, request: proto.CreateSIPInboundTrunkRequest) -> Message:
        self._directory.check_inbound(request.trunk)
        return self._directory.inbound.add(request.trunk)

    def _update_inbound(self, request: proto.UpdateSIPInboundTrunkRequest) -> Message:
        if request.HasField("replace"):
            self._directory.check_inbound(request.replace, own_id=request.sip_trunk_id)
        return self._directory.inbound.change(request.sip_trunk_id, request)

    def _list_inbound(self, request: proto.ListSIPInboundTrunkRequest) -> Message:
        trunks = self._directory.inbound.values()
        fitting = [
            t for t in trunks if _wanted(t.sip_trunk_id, request.trunk_ids) and _serves(t.numbers, request.numbers)
        ]
        return proto.ListSIPInboundTrunkResponse(items=fitting)

    def _get_inbound(self, request: proto.GetSIPInboundTrunkRequest) -> Message:
        return proto.GetSIPInboundTrunkResponse(trunk=self._directory.inbound.need(request.sip_trunk_id))

    def _create_outbound(self, request: proto.CreateSIPOutboundTrunkRequest) -> Message:
        if not request.trunk.address or not request.trunk.numbers:
            raise invalid("an outbound trunk needs an address and at least one number")
        return self._directory.outbound.add(request.trunk)

    def _update_outbound(self, request: proto.UpdateSIPOutboundTrunkRequest) -> Message:
        return self._directory.outbound.change(request.sip_trunk_id, request)

    def _list_outbound(self, request: proto.ListSIPOutboundTrunkRequest) -> Message:
        trunks = self._directory.outbound.values()
        fitting = [
            t for t in trunks if _wanted(t.sip_trunk_id, request.trunk_ids) and _serves(t.numbers, request.numbers)
        ]
        return proto.ListSIPOutboundTrunkResponse(items=fitting)

    def _get_outbound(self, request: proto.GetSIPOutboundTrunkRequest) -> Message:
        return proto.GetSIPOutboundTrunkResponse(trunk=self._directory.outbound.need(request.sip_trunk_id))

    def _delete_trunk(self, request: proto.DeleteSIPTrunkRequest) -> Message:
        if self._directory.inbound.pop(request.sip_trunk_id, None) is None:
            self._directory.outbound.need(request.sip_trunk_id)
            del self._directory.outbound[request.sip_trunk_id]
        return proto.SIPTrunkInfo(sip_trunk_id=request.sip_trunk_id)

    def _create_rule(self, request: proto.CreateSIPDispatchRuleRequest) -> Message:
        rule = request.dispatch_rule if request.HasField("dispatch_rule") else _rule_of_old_request(request)
        self._directory.check_rule(rule)
        return self._directory.rules.add(rule)

    def _update_rule(self, request: proto.UpdateSIPDispatchRuleRequest) -> Message:
        if request.HasField("replace"):
            self._directory.check_rule(request.replace, own_id=request.sip_dispatch_rule_id)
        return self._directory.rules.change(request.sip_dispatch_rule_id, request)

    def _list_rules(self, request: proto.ListSIPDispatchRuleRequest) -> Message:
        fitting = [
            rule
            for rule in self._directory.rules.values()
            if _wanted(rule.sip_dispatch_rule_id, request.dispatch_rule_ids)
            and _serves(rule.trunk_ids, request.trunk_ids)
        ]
        return proto.ListSIPDispatchRuleResponse(items=fitting)

    def _delete_rule(self, request: proto.DeleteSIPDispatchRuleRequest) -> Message:
        self._directory.rules.need(request.sip_dispatch_rule_id)
        return self._directory.rules.pop(request.sip_dispatch_rule_id)


def _wanted(item_id: str, ids: Iterable[str]) -> bool:
    ids = set(ids)
    return not ids or item_id in ids


def _serves(own: Iterable[str], asked: Iterable[str]) -> bool:
    """Whether an item without entries (a wildcard) or with one of those asked for belongs in the list."""
    own, asked = set(own), set(asked)
    return not asked or not own or bool(own & asked)


def _rule_of_old_request(request: proto.CreateSIPDispatchRuleRequest) -> proto.SIPDispatchRuleInfo:
    """Older clients send the rule's fields beside `dispatch_rule`."""
    rule = proto.SIPDispatchRuleInfo(
        rule=request.rule,
        trunk_ids=request.trunk_ids,
        hide_phone_number=request.hide_phone_number,
        inbound_numbers=request.inbound_numbers,
        name=request.name,
        metadata=request.metadata,
        attributes=request.attributes,
        room_preset=request.room_preset,
    )
    if request.HasField("room_config"):
        rule.room_config.CopyFrom(request.room_config)
    return rule
