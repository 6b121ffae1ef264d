"""Which customer and which line: configured sources, and fallbacks that never stop a call."""

from typing import Any

import pytest

from call_events.ports import AnyEvent
from call_events.registry import UnknownData
from call_events.testing import said, speaking, started
from ccm_bridge.domain.identity import Sources, channel
from unit.ccm_bridge.world import CALL, World, at


@pytest.mark.parametrize(
    ("sources", "overrides", "expected"),
    [
        ("number,call", {}, "+15550100"),
        ("number,call", {"customer": {"identity": "sip_x"}}, str(CALL)),
        ("number,customer_id", {"customer": {"identity": "x", "number": "  ", "customer_id": "K7"}}, "K7"),
        ("identity", {}, "sip_100"),
        ("header:X-Ani,number", {"sip_headers": {"x-ani": "+4930"}}, "+4930"),
        ("header:X-Ani,number", {}, "+15550100"),
        ("dialled,profile", {"dialled_number": None}, "contact-centre"),
        ("=2200", {}, "2200"),
        ("customer_id", {}, str(CALL)),
    ],
)
def test_the_first_source_with_a_value_counts(sources: str, overrides: dict[str, Any], expected: str) -> None:
    found = channel([started(CALL, **overrides)], customer=Sources.parse(sources), service=Sources.parse("=1"))
    assert found.customer == expected


@pytest.mark.parametrize("text", ["", " , ", "numbr", "number;call", "header:"])
def test_a_source_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="comma-separated"):
        Sources.parse(text)


def opening_of_a_newer_release() -> AnyEvent:
    return at(UnknownData(wire_type="call.started.v9", raw={}), 0)


def test_a_call_opened_by_a_newer_release_is_still_delivered() -> None:
    world = World()
    world.append(opening_of_a_newer_release(), speaking(CALL, "c", at_s=1), said(CALL, "c", "Hello", at_s=1))
    assert world.ccm.texts == ["Hello"]
    assert world.ccm.shown[0].channel.customer == CALL
