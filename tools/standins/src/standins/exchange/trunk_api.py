"""The part of LiveKit's SIP API that keeps trunks and dispatch rules."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from google.protobuf.message import Message
from livekit.protocol import sip as proto

from standins.exchange.trunks import Directory, Shelf

Run = Callable[[Any], Message]


class _Trunks:
    """What can be done with the trunks of one direction."""

    def __init__(
        self,
        shelf: Shelf[Any],
        check: Callable[..., None],
        listed: Callable[..., Message],
        got: Callable[..., Message],
    ) -> None:
        self._shelf = shelf
        self._check = check
        self._listed = listed
        self._got = got

    def create(self, request: Any) -> Message:
        self._check(request.trunk)
        added: Message = self._shelf.add(request.trunk)
        return added

    def update(self, request: Any) -> Message:
        if request.HasField("replace"):
            self._check(request.replace, own_id=request.sip_trunk_id)
        changed: Message = self._shelf.change(request.sip_trunk_id, request)
        return changed

    def list(self, request: Any) -> Message:
        return self._listed(
            items=[
                trunk
                for trunk in self._shelf.values()
                if _wanted(trunk.sip_trunk_id, request.trunk_ids) and _serves(trunk.numbers, request.numbers)
            ]
        )

    def get(self, request: Any) -> Message:
        return self._got(trunk=self._shelf.need(request.sip_trunk_id))


class TrunkApi:
    """Create, update, get, list and delete, on one directory."""

    def __init__(self, directory: Directory) -> None:
        self._directory = directory

    def methods(self) -> dict[str, tuple[type[Message], Run]]:
        """Request type and implementation of each method."""
        inbound = _Trunks(
            self._directory.inbound,
            self._directory.check_inbound,
            proto.ListSIPInboundTrunkResponse,
            proto.GetSIPInboundTrunkResponse,
        )
        outbound = _Trunks(
            self._directory.outbound,
            self._directory.check_outbound,
            proto.ListSIPOutboundTrunkResponse,
            proto.GetSIPOutboundTrunkResponse,
        )
        return {
            "CreateSIPInboundTrunk": (proto.CreateSIPInboundTrunkRequest, inbound.create),
            "UpdateSIPInboundTrunk": (proto.UpdateSIPInboundTrunkRequest, inbound.update),
            "ListSIPInboundTrunk": (proto.ListSIPInboundTrunkRequest, inbound.list),
            "GetSIPInboundTrunk": (proto.GetSIPInboundTrunkRequest, inbound.get),
            "CreateSIPOutboundTrunk": (proto.CreateSIPOutboundTrunkRequest, outbound.create),
            "UpdateSIPOutboundTrunk": (proto.UpdateSIPOutboundTrunkRequest, outbound.update),
            "ListSIPOutboundTrunk": (proto.ListSIPOutboundTrunkRequest, outbound.list),
            "GetSIPOutboundTrunk": (proto.GetSIPOutboundTrunkRequest, outbound.get),
            "DeleteSIPTrunk": (proto.DeleteSIPTrunkRequest, self._delete_trunk),
            "CreateSIPDispatchRule": (proto.CreateSIPDispatchRuleRequest, self._create_rule),
            "UpdateSIPDispatchRule": (proto.UpdateSIPDispatchRuleRequest, self._update_rule),
            "ListSIPDispatchRule": (proto.ListSIPDispatchRuleRequest, self._list_rules),
            "DeleteSIPDispatchRule": (proto.DeleteSIPDispatchRuleRequest, self._delete_rule),
        }

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
