"""The bridge's JSON, byte for byte, for one scripted call: shape and key order as CCM's documentation shows them."""

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from call_events.catalogue import UtteranceCompleted
from call_events.ports import AnyEvent
from call_events.testing import START, speaking, started
from ccm_bridge.adapters.ccm_schema import Carrier, CimDialect, CimPlainBody
from ccm_bridge.domain.conversation import Conversation
from ccm_bridge.domain.identity import Sources
from standins.ccm import validate
from unit.ccm_bridge.world import (
    BILLING,
    CALL,
    CUSTOMER,
    DIALECT,
    MARIA,
    World,
    activated,
    at,
    call_ended,
    connected,
    dialing,
    handed_off,
    human_left,
    requested,
)

GOLDEN = Path(__file__).parent / "golden_call.json"


def spoken(name: str, at_s: float, text: str, **fields: Any) -> tuple[AnyEvent, AnyEvent]:
    """An utterance, begun and completed."""
    speaker = fields.pop("speaker")
    begun = START + timedelta(seconds=at_s)
    done = UtteranceCompleted(
        utterance_id=name,
        speaker=speaker,
        text=text,
        started_at=begun,
        ended_at=begun + timedelta(seconds=2.325),
        **fields,
    )
    begin = speaking(CALL, name, speaker=speaker, at_s=at_s).model_copy(update={"id": f"{name}-started"})
    return begin, at(done, at_s + 2.695)


def whole_call(*, human_legs: bool) -> World:
    """Greeting, a question, a handoff, a person, the end."""
    conversation = Conversation(
        customer=Sources.parse("number,call"), service=Sources.parse("dialled"), human_legs=human_legs
    )
    world = World(conversation=conversation)
    world.append(
        started(CALL, customer={"identity": "sip_1", "number": "+4915550100234"}, dialled_number="2200"),
        activated(0.5),
        *spoken("u1", 1.915, "Ich habe eine Frage.", speaker=CUSTOMER, language="de-DE", confidence=0.93),
        *spoken("u2", 6.402, "Gern, ich schaue nach.", speaker=BILLING, language="de-DE", interrupted=True),
        handed_off(10),
        requested(12),
        dialing(12.25),
        connected(20),
        *spoken("u3", 21.5, "Weber, guten Tag.", speaker=MARIA, language="de-DE"),
        human_left(30),
        call_ended(30.61),
    )
    return world


def test_the_bytes_of_a_whole_call_are_the_golden_ones() -> None:
    shown = [json.loads(taken.body) for taken in whole_call(human_legs=True).ccm.taken]
    text = json.dumps(shown, indent=1, ensure_ascii=False) + "\n"
    assert text == GOLDEN.read_text(encoding="utf-8"), "changed on purpose? write the new text there and look at it"


@pytest.mark.parametrize("human_legs", [True, False])
def test_every_message_is_what_the_strict_ccm_takes(*, human_legs: bool) -> None:
    for taken in whole_call(human_legs=human_legs).ccm.taken:
        validate(json.loads(taken.body))


def keys_of(value: Any) -> Any:
    """The structure without the values: keys in order, at every depth."""
    if isinstance(value, dict):
        return [(key, keys_of(inner)) for key, inner in value.items()]
    return None


ATTRIBUTES = '"additionalAttributes":[{"key":"callId","type":"String100","value":""}]'
CHANNEL = f'"channelData":{{"channelCustomerIdentifier":"","serviceIdentifier":"",{ATTRIBUTES}}}'
#: The structures of the documented examples, with ``spokenUntil`` where the log knows it.
SHAPES = {
    "call.started": '{"id":"","header":{"sender":{"id":"","type":"","senderName":""},%s,"timestamp":0,"intent":"",'
    '"providerMessageId":"","entities":{"bridge":{"event":"","eventId":"","callId":"","seq":1,"sentAt":""}}},'
    '"body":{"type":"","markdownText":""}}',
    "customer": '{"id":"","header":{"sender":{"id":"","type":"","senderName":""},%s,"timestamp":0,'
    '"providerMessageId":"","entities":{"bridge":{"event":"","eventId":"","callId":"","seq":4,"speaker":"",'
    '"language":"","confidence":0.9,"spokenAt":"","spokenUntil":"","sentAt":""}}},"body":{"type":"","markdownText":""}}',
    "ai": '{"id":"","header":{"sender":{"id":"","type":"","senderName":"","additionalDetail":{"agent":""}},%s,'
    '"timestamp":0,"providerMessageId":"","entities":{"bridge":{"event":"","eventId":"","callId":"","seq":5,'
    '"speaker":"","agentName":"","language":"","interrupted":false,"spokenAt":"","spokenUntil":"","sentAt":""}}},'
    '"body":{"type":"","markdownText":""}}',
    "leg": '{"id":"","header":{"sender":{"id":"","type":"","senderName":"","additionalDetail":{}},%s,"timestamp":0,'
    '"intent":"","providerMessageId":""},"body":{"type":"","markdownText":"","callId":"","leg":"","reasonCode":"",'
    '"seq":31,"eventId":"","sentAt":""}}',
    "call.ended": '{"id":"","header":{"sender":{"id":"","type":"","senderName":""},%s,"timestamp":0,"intent":"",'
    '"providerMessageId":"","entities":{"bridge":{"event":"","eventId":"","callId":"","seq":48,"cause":"",'
    '"endedBy":"","durationMs":1,"sentAt":""}}},"body":{"type":"","markdownText":""}}',
}


@pytest.mark.parametrize(
    ("which", "place"), [("call.started", 0), ("customer", 1), ("ai", 2), ("leg", 7), ("call.ended", -1)]
)
def test_messages_have_the_structure_of_the_documented_examples(which: str, place: int) -> None:
    ours = json.loads(whole_call(human_legs=True).ccm.taken[place].body)
    assert keys_of(ours) == keys_of(json.loads(SHAPES[which] % CHANNEL))


def test_who_speaks_in_whose_name() -> None:
    senders = [
        (m["header"]["sender"]["type"], m["header"]["sender"]["senderName"], m["header"].get("intent"))
        for m in (json.loads(taken.body) for taken in whole_call(human_legs=True).ccm.taken)
    ]
    assert senders == [
        ("CONNECTOR", "CALLWEAVE_BRIDGE", "START_CONVERSATION"),
        ("CONNECTOR", "CALLWEAVE_BRIDGE", None),
        ("BOT", "Billing AI", None),
        ("BOT", "Billing AI", None),
        ("BOT", "Billing AI", None),
        ("BOT", "System", None),
        ("BOT", "System", None),
        ("AGENT", "Maria Weber", "CALL_LEG_STARTED"),
        ("AGENT", "Maria Weber", None),
        ("AGENT", "Maria Weber", "CALL_LEG_ENDED"),
        ("CONNECTOR", "CALLWEAVE_BRIDGE", "END_CHAT"),
    ]


def test_a_leg_is_the_same_at_its_start_and_its_end() -> None:
    bodies = [json.loads(taken.body)["body"] for taken in whole_call(human_legs=True).ccm.taken]
    start, end = [body for body in bodies if body["type"] == "VOICE"]
    assert start["leg"] == end["leg"] == f"billing-desk:{DIALECT.human_id}:{CALL}"
    assert (start["reasonCode"], end["reasonCode"]) == ("DIRECT_TRANSFER", "DIALOG_ENDED")


@pytest.mark.parametrize("carrier", ["entities", "sender.additionalDetail", "header.additionalData", "none"])
def test_the_facts_travel_where_they_are_told_to(carrier: Carrier) -> None:
    dialect = CimDialect(connector_id="c", connector_name="n", bot_id="b", human_id="h", carrier=carrier)
    for message in whole_call(human_legs=False).ccm.shown:
        header = json.loads(dialect.render(message))["header"]
        # The strict reader has the model 1.21.1; what is newer it would drop if it were lenient.
        validate(json.loads(dialect.render(message)), strict=carrier != "header.additionalData")
        assert ("entities" in header) == (carrier == "entities")
        assert ("additionalData" in header) == (carrier == "header.additionalData")
        assert ("bridge" in header["sender"].get("additionalDetail", {})) == (carrier == "sender.additionalDetail")


def test_times_are_milliseconds_or_iso_and_never_rounded() -> None:
    iso = CimDialect(connector_id="c", connector_name="n", bot_id="b", human_id="h", timestamps="iso")
    message = whole_call(human_legs=False).ccm.shown[1]
    assert json.loads(iso.render(message))["header"]["timestamp"] == "2026-01-05T09:00:01.915Z"
    assert json.loads(DIALECT.render(message))["header"]["timestamp"] == 1767603601915


def test_what_does_not_fit_into_a_message_is_told_without_its_value() -> None:
    """The text of such an error ends in the log and in the dead letters."""
    with pytest.raises(ValidationError) as raised:
        CimPlainBody.model_validate({"markdownText": ["my card is 4111"]})
    assert "markdownText" in str(raised.value)
    assert "4111" not in str(raised.value)
