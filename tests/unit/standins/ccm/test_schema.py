"""The strict CCM takes the documented examples and nothing that would hurt later."""

import copy
import json
from collections.abc import Callable
from typing import Any

import pytest

from standins.ccm import Malformed, validate

CHANNEL = {
    "channelCustomerIdentifier": "+4915550100234",
    "serviceIdentifier": "2200",
    "additionalAttributes": [
        {"key": "callId", "type": "String100", "value": "RM_9fKq2LwZ"},
        {"key": "direction", "type": "String50", "value": "INBOUND"},
    ],
}
CONNECTOR = {"id": "7c1f0e52-2b9d-4d0e-9c55-0d3a8f6b2e10", "type": "CONNECTOR", "senderName": "LIVEKIT_BRIDGE"}
BOT = {"id": "66c0ffee12ab34cd56ef7890", "type": "BOT", "senderName": "Billing AI", "additionalDetail": {"agent": "b"}}
AGENT = {"id": "3f6a2d1c", "type": "AGENT", "senderName": "m.weber", "additionalDetail": {}}


def message(sender: dict[str, Any], body: dict[str, Any], **header: Any) -> dict[str, Any]:
    return {
        "id": "0b9d6c3e-5f0e-5a53-9a51-6f3b1d6c0001",
        "header": {"sender": sender, "channelData": CHANNEL, "timestamp": 1770109200120, **header},
        "body": body,
    }


PLAIN = {"type": "PLAIN", "markdownText": "Call started"}
VOICE = {
    "type": "VOICE",
    "markdownText": "",
    "callId": "RM_9fKq2LwZ",
    "leg": "1042:3f6a2d1c:RM_9fKq2LwZ",
    "reasonCode": "DIRECT_TRANSFER",
    "seq": 31,
    "eventId": "01JK602F6ZC",
}
EXAMPLES = {
    "call started": message(CONNECTOR, PLAIN, intent="START_CONVERSATION", providerMessageId="RM_9fKq2LwZ:1"),
    "customer": message(CONNECTOR, PLAIN, entities={"bridge": {"seq": 4, "confidence": 0.93}}),
    "ai": message(BOT, PLAIN, entities={"bridge": {"interrupted": False, "nothing": None}}),
    "human leg": message(AGENT, VOICE, intent="CALL_LEG_STARTED"),
    "call ended": message(CONNECTOR, PLAIN, intent="END_CHAT"),
    "recording": message(
        {"id": "b6", "type": "APP", "senderName": "ccm-bridge"},
        {
            "type": "VOICE_RECORDING",
            "markdownText": "",
            "mediaUrl": "https://media.example.test/a.ogg",
            "durationMs": 1,
        },
        conversationId="6981b1d25e0c4a0001f7a3c9",
    ),
}


@pytest.mark.parametrize("name", EXAMPLES)
def test_the_documented_examples_are_taken(name: str) -> None:
    validate(json.loads(json.dumps(EXAMPLES[name])))


def put(*path: str | int, value: Any) -> Callable[[dict[str, Any]], None]:
    def change(target: Any) -> None:
        for step in path[:-1]:
            target = target[step]
        target[path[-1]] = value

    return change


def drop(*path: str) -> Callable[[dict[str, Any]], None]:
    def change(target: Any) -> None:
        for step in path[:-1]:
            target = target[step]
        del target[path[-1]]

    return change


ATTRIBUTE = ("header", "channelData", "additionalAttributes", 0)


@pytest.mark.parametrize(
    ("change", "names"),
    [
        (drop("id"), "message.id"),
        (put("id", value=""), "message.id"),
        (put("id", value=7), "message.id"),
        (drop("header", "sender"), "header.sender"),
        (put("header", "sender", "id", value=" "), "header.sender.id"),
        (put("header", "sender", "type", value="CUSTOMER"), "header.sender.type"),
        (put("header", "sender", "additionalDetails", value={}), "unknown key"),
        (drop("header", "channelData", "serviceIdentifier"), "serviceIdentifier"),
        (put("header", "channelData", "channelCustomerIdentifier", value=""), "channelCustomerIdentifier"),
        (put("header", "channelData", "channelTypeCode", value="V"), "unknown key"),
        (put("header", "channelData", "requestPriority", value=11), "requestPriority"),
        (put(*ATTRIBUTE, "type", value="STRING"), "type: must be one of"),
        (put(*ATTRIBUTE, "extra", value=1), "unknown key"),
        (drop("header", "timestamp"), "timestamp"),
        (put("header", "timestamp", value=1770109212), "January 1970"),
        (put("header", "timestamp", value="1770109212"), "January 1970"),
        (put("header", "timestamp", value=1770109212.9), "timestamp"),
        (put("header", "timestamp", value=True), "timestamp"),
        (put("header", "timestamp", value="2026-02-03 09:00:12"), "timestamp"),
        (put("header", "language", value="de"), "language"),
        (put("header", "language", value={"code": "de"}), "language"),
        (put("header", "intent", value="TRANSFER"), "intent"),
        (put("header", "intent", value=""), "intent"),
        (put("header", "roomId", value=None), "null"),
        (put("header", "additionalData", value={}), "unknown key"),
        (put("header", "customer", value={"phoneNumber": "1"}), "phoneNumber"),
        (put("body", "type", value="plain"), "body.type"),
        (put("body", "type", value="ACTIVITY"), "body.type"),
        (drop("body", "markdownText"), "markdownText"),
        (put("body", "markdownText", value="  "), "without text"),
        (put("body", "seq", value=4), "unknown key"),
        (put("extra", value=1), "unknown key"),
    ],
)
def test_what_is_wrong_is_refused_and_named(change: Callable[[dict[str, Any]], None], names: str) -> None:
    wrong = copy.deepcopy(EXAMPLES["customer"])
    change(wrong)
    with pytest.raises(Malformed, match=names):
        validate(wrong)


@pytest.mark.parametrize(
    "value", [1770109212915, "1770109212915", "2026-02-03T09:00:12.915Z", "2026-02-03T10:00:12+01:00"]
)
def test_all_forms_of_time_that_bind_are_taken(value: int | str) -> None:
    validate(message(BOT, PLAIN) | {"header": {**EXAMPLES["ai"]["header"], "timestamp": value}})


def test_a_leg_needs_a_voice_body_from_an_agent() -> None:
    with pytest.raises(Malformed, match="VOICE"):
        validate(message(AGENT, PLAIN, intent="CALL_LEG_ENDED"))
    with pytest.raises(Malformed, match="AGENT"):
        validate(message(BOT, VOICE, intent="CALL_LEG_ENDED"))


def test_a_lenient_ccm_drops_unknown_keys_but_still_wants_the_needed_ones() -> None:
    extra = copy.deepcopy(EXAMPLES["customer"])
    extra["body"]["seq"] = 4
    validate(extra, strict=False)
    del extra["header"]["sender"]["id"]
    with pytest.raises(Malformed):
        validate(extra, strict=False)


@pytest.mark.parametrize("value", [None, [], "text", 7])
def test_what_is_no_object_is_refused(value: Any) -> None:
    with pytest.raises(Malformed, match="object"):
        validate(value)
