"""How an INVITE finds a trunk and a rule: the security of a switch depends on it."""

import pytest
from livekit.protocol import sip as proto
from livekit.protocol.models import ListUpdate

from standins.exchange.inbound import header_attributes
from standins.exchange.outcomes import TwirpError
from standins.exchange.trunks import Directory, room_name_for


def _trunk(**fields: object) -> proto.SIPInboundTrunkInfo:
    return proto.SIPInboundTrunkInfo(**{"name": "t", "allowed_addresses": ["127.0.0.1/32"], **fields})  # type: ignore[arg-type]


def _callee(**fields: object) -> proto.SIPDispatchRuleInfo:
    rule = proto.SIPDispatchRule(dispatch_rule_callee=proto.SIPDispatchRuleCallee())
    return proto.SIPDispatchRuleInfo(rule=rule, **fields)  # type: ignore[arg-type]


def test_a_caller_from_a_foreign_address_matches_no_trunk() -> None:
    directory = Directory()
    directory.inbound.add(_trunk())
    assert directory.match_trunk(calling="1", called="2", source="127.0.0.1") is not None
    assert directory.match_trunk(calling="1", called="2", source="10.9.9.9") is None


def test_a_trunk_that_lets_everybody_in_is_refused() -> None:
    with pytest.raises(TwirpError, match="for security"):
        Directory().check_inbound(proto.SIPInboundTrunkInfo(name="open"))


def test_two_wildcard_trunks_overlap() -> None:
    directory = Directory()
    directory.inbound.add(_trunk())
    with pytest.raises(TwirpError, match="Conflicting"):
        directory.check_inbound(_trunk())
    directory.check_inbound(_trunk(numbers=["8001"]))


def test_an_exact_number_beats_the_wildcard() -> None:
    directory = Directory()
    directory.inbound.add(_trunk(name="wildcard"))
    directory.inbound.add(_trunk(name="exact", numbers=["8001"]))
    found = directory.match_trunk(calling="1", called="8001", source="127.0.0.1")
    assert found is not None
    assert found.name == "exact"


def test_a_rule_bound_to_trunks_takes_no_call_that_no_trunk_let_in() -> None:
    directory = Directory()
    directory.rules.add(_callee(trunk_ids=["ST_1"]))
    assert directory.match_rule("ST_1", calling="1", called="2") is not None
    assert directory.match_rule("", calling="1", called="2") is None


def test_a_rule_without_trunks_takes_even_those() -> None:
    """The trap that trunk_ids on every rule avoids."""
    directory = Directory()
    directory.rules.add(_callee())
    assert directory.match_rule("", calling="1", called="2") is not None


def test_the_room_is_named_exactly_as_the_dialled_user() -> None:
    assert room_name_for(_callee().rule, calling="1", called="call-2d98") == "call-2d98"


def test_an_update_adds_and_removes_list_entries_and_keeps_the_rest() -> None:
    directory = Directory()
    trunk = directory.inbound.add(_trunk(numbers=["1", "2"], auth_username="u"))
    request = proto.UpdateSIPInboundTrunkRequest(
        sip_trunk_id=trunk.sip_trunk_id,
        update=proto.SIPInboundTrunkUpdate(numbers=ListUpdate(add=["3"], remove=["1"]), auth_username="v"),
    )
    changed = directory.inbound.change(trunk.sip_trunk_id, request)
    assert (list(changed.numbers), changed.auth_username, changed.name) == (["2", "3"], "v", "t")


def test_an_unknown_id_is_not_found() -> None:
    with pytest.raises(TwirpError, match="not_found: requested sip trunk does not exist"):
        Directory().outbound.need("ST_nothing")


def test_headers_become_attributes_whatever_their_case() -> None:
    options = proto.SIPHeaderOptions
    headers = {"x-ani": "+1555", "X-Other": "o", "Subject": "s"}
    mapping = {"X-Ani": "call.ani"}
    assert header_attributes(headers, mapping, options.SIP_NO_HEADERS) == {"call.ani": "+1555"}
    assert header_attributes(headers, mapping, options.SIP_X_HEADERS) == {
        "call.ani": "+1555",
        "sip.h.x-ani": "+1555",
        "sip.h.x-other": "o",
    }
    assert header_attributes(headers, {}, options.SIP_ALL_HEADERS)["sip.h.subject"] == "s"
