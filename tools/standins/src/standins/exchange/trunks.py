"""Trunks and dispatch rules, kept as LiveKit keeps them, and the rules by which an INVITE finds its way to a room."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from typing import Any, TypeVar

from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp
from livekit.protocol import sip as proto
from livekit.protocol.models import ListUpdate

from standins.exchange.call import new_id
from standins.exchange.outcomes import TwirpError

Item = TypeVar("Item", proto.SIPInboundTrunkInfo, proto.SIPOutboundTrunkInfo, proto.SIPDispatchRuleInfo)


class Shelf(dict[str, Item]):
    """Items of one kind by id."""

    def __init__(self, id_field: str, prefix: str, missing: str) -> None:
        super().__init__()
        self._id_field = id_field
        self._prefix = prefix
        self._missing = missing

    def add(self, item: Item) -> Item:
        """Keep a new item under a new id."""
        if getattr(item, self._id_field):
            raise invalid("id must not be set")
        setattr(item, self._id_field, new_id(self._prefix))
        now = Timestamp()
        now.GetCurrentTime()
        item.created_at.CopyFrom(now)
        item.updated_at.CopyFrom(now)
        self[getattr(item, self._id_field)] = item
        return item

    def change(self, item_id: str, request: Any) -> Item:
        """Replace or change an item by the `action` of an update request."""
        old = self.need(item_id)
        new: Item = type(old)()
        if request.WhichOneof("action") == "replace":
            new.CopyFrom(request.replace)
            setattr(new, self._id_field, item_id)
            new.created_at.CopyFrom(old.created_at)
        elif request.WhichOneof("action") == "update":
            new.CopyFrom(old)
            _merge(new, request.update)
        else:
            raise invalid("missing or unsupported update action")
        new.updated_at.GetCurrentTime()
        self[item_id] = new
        return new

    def need(self, item_id: str) -> Item:
        """The item.

        Raises:
            TwirpError: not_found.
        """
        if item_id not in self:
            raise TwirpError("not_found", self._missing)
        return self[item_id]


def _merge(item: Message, update: Message) -> None:
    for field, value in update.ListFields():
        if isinstance(value, ListUpdate):
            kept = [entry for entry in getattr(item, field.name) if entry not in value.remove]
            changed = list(value.set) or ([] if value.clear else [*kept, *value.add])
            item.ClearField(field.name)
            getattr(item, field.name).extend(changed)
        elif field.message_type is not None and field.message_type.GetOptions().map_entry:
            getattr(item, field.name).update(value)
        elif isinstance(value, Message):
            getattr(item, field.name).CopyFrom(value)
        else:
            setattr(item, field.name, value)


def invalid(message: str) -> TwirpError:
    """A request that LiveKit refuses as malformed."""
    return TwirpError("invalid_argument", message)


class Directory:
    """All trunks and rules of one exchange."""

    def __init__(self) -> None:
        no_trunk = "requested sip trunk does not exist"
        self.inbound: Shelf[proto.SIPInboundTrunkInfo] = Shelf("sip_trunk_id", "ST_", no_trunk)
        self.outbound: Shelf[proto.SIPOutboundTrunkInfo] = Shelf("sip_trunk_id", "ST_", no_trunk)
        self.rules: Shelf[proto.SIPDispatchRuleInfo] = Shelf(
            "sip_dispatch_rule_id", "SDR_", "requested sip dispatch rule does not exist"
        )

    def check_inbound(self, trunk: proto.SIPInboundTrunkInfo, *, own_id: str = "") -> None:
        """Refuse a trunk that lets everybody in or that overlaps another one."""
        if not (trunk.auth_username or trunk.auth_password or trunk.allowed_addresses or trunk.numbers):
            raise invalid(
                "for security, one of the fields must be set: AuthUsername+AuthPassword, AllowedAddresses or Numbers"
            )
        for other in self.inbound.values():
            if other.sip_trunk_id == own_id:
                continue
            if _meet(trunk.numbers, other.numbers) and _meet(trunk.allowed_numbers, other.allowed_numbers):
                raise invalid(f"Conflicting inbound SIP Trunks: {other.sip_trunk_id}")

    def check_outbound(self, trunk: proto.SIPOutboundTrunkInfo, *, own_id: str = "") -> None:  # noqa: ARG002 - may overlap
        """Refuse a trunk that cannot dial. Outbound trunks may overlap: each call names the one that it wants."""
        if not trunk.address or not trunk.numbers:
            raise invalid("an outbound trunk needs an address and at least one number")

    def check_rule(self, rule: proto.SIPDispatchRuleInfo, *, own_id: str = "") -> None:
        """Refuse a rule without a target, or one that takes the same calls as another."""
        if rule.rule.WhichOneof("rule") is None:
            raise invalid("missing rule")
        for other in self.rules.values():
            if other.sip_dispatch_rule_id == own_id:
                continue
            same_trunk = (not rule.trunk_ids and not other.trunk_ids) or bool(
                set(rule.trunk_ids) & set(other.trunk_ids)
            )
            same_calls = set(rule.inbound_numbers) == set(other.inbound_numbers) and set(rule.numbers) == set(
                other.numbers
            )
            if same_trunk and same_calls:
                raise invalid(f"Conflicting SIP Dispatch Rules: same calls as {other.sip_dispatch_rule_id}")

    def match_trunk(self, *, calling: str, called: str, source: str) -> proto.SIPInboundTrunkInfo | None:
        """The trunk that lets this INVITE in: by calling number and address, then exact number, then wildcard."""
        fitting = [
            trunk
            for trunk in self.inbound.values()
            if (not trunk.allowed_numbers or calling in trunk.allowed_numbers)
            and _allowed(source, trunk.allowed_addresses)
        ]
        exact = [trunk for trunk in fitting if called in trunk.numbers]
        wildcard = [trunk for trunk in fitting if not trunk.numbers]
        return next(iter([*exact, *wildcard]), None)

    def match_rule(self, trunk_id: str, *, calling: str, called: str) -> proto.SIPDispatchRuleInfo | None:
        """The rule for a call that came in by `trunk_id` (empty: by none)."""
        fitting = [
            rule
            for rule in self.rules.values()
            if (not rule.trunk_ids or trunk_id in rule.trunk_ids)
            and (not rule.inbound_numbers or calling in rule.inbound_numbers)
            and (not rule.numbers or called in rule.numbers)
        ]
        order = ["dispatch_rule_direct", "dispatch_rule_individual", "dispatch_rule_callee"]
        fitting.sort(
            key=lambda rule: (
                not rule.inbound_numbers,
                not rule.numbers,
                not rule.trunk_ids,
                order.index(rule.rule.WhichOneof("rule") or order[-1]),
            )
        )
        return next(iter(fitting), None)


def room_name_for(rule: proto.SIPDispatchRule, *, calling: str, called: str) -> str:
    """The room's name: of the rule, or made of the From or the To user."""
    if rule.WhichOneof("rule") == "dispatch_rule_direct":
        return rule.dispatch_rule_direct.room_name
    if rule.WhichOneof("rule") == "dispatch_rule_individual":
        individual = rule.dispatch_rule_individual
        parts = [individual.room_prefix, calling, "" if individual.no_randomness else new_id("")]
    else:
        callee = rule.dispatch_rule_callee
        parts = [callee.room_prefix, called, new_id("") if callee.randomize else ""]
    return "_".join(part for part in parts if part)


def _meet(ours: Iterable[str], theirs: Iterable[str]) -> bool:
    ours, theirs = set(ours), set(theirs)
    return bool(ours & theirs) or (not ours and not theirs)


def _allowed(source: str, entries: Iterable[str]) -> bool:
    entries = list(entries)
    if not entries:
        return True
    address = ipaddress.ip_address(source)
    for entry in entries:
        try:
            if address in ipaddress.ip_network(entry, strict=False):
                return True
        except ValueError:
            continue
    return False
