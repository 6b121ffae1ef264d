"""What CCM's object model takes as a CIM message, and what a careful reader of its documentation would send.

Strict where the model is (required fields, types, the attribute enum, ``language`` being an empty class, unknown keys
with a plain mapper) and stricter where a mistake would be taken in silence and hurt later: null and empty optional
fields, a time in seconds (silently January 1970), an unknown body type or intent (a typo is not rejected by the model),
a missing id.
"""

import re
from collections.abc import Callable, Mapping
from typing import Any

Json = Any
#: Raises :class:`Malformed` or returns nothing.
Check = Callable[[str, Json], None]

INTENTS = frozenset(
    {
        "REPLY_TO", "UPDATE", "START_CHAT", "END_CHAT", "START_CONVERSATION", "CALL_LEG_STARTED", "CALL_LEG_ENDED",
        "CALL_HOLD", "CALL_RESUME", "START_VOICE", "END_VOICE", "AGENT_OUTBOUND", "NETWORK_DISCONNECT",
        "ASSIGN_RESOURCE_REQUESTED", "IVR_AGGREGATED_ACTIVITY", "CANCEL_RESOURCE_REQUESTED", "CALL_ALERTING",
        "VOICE_CALL_RECORDING", "MEDIA_RECORDING", "WRAPUP", "QM_ACTIVITY",
    }
)  # fmt: skip
SENDER_TYPES = frozenset({"AGENT", "BOT", "CONNECTOR", "APP", "SYSTEM", "IVR"})
ATTRIBUTE_TYPES = frozenset(
    {
        "Alphanum100", "AlphanumSpecial200", "String50", "String100", "String2000", "StringList", "PositiveNumber",
        "Number", "Boolean", "PhoneNumber", "Email", "URL", "IP", "Password", "WebChannelData",
    }
)  # fmt: skip
NOTIFICATION_TYPES = frozenset(
    {
        "INFO", "WARNING", "SYSTEM_ERROR", "CHANNEL_SESSION_STARTED", "CHANNEL_SESSION_EXPIRED",
        "CHANNEL_SESSION_ENDED",
        "CHANNEL_SESSION_DATA_UPDATED", "AGENT_SUBSCRIBED", "AGENT_UNSUBSCRIBED", "AGENT_RESERVED",
        "NO_AGENT_AVAILABLE",
        "TASK_ENQUEUED", "TASK_STATE_CHANGED", "TYPING_STARTED", "TYPING_STOPPED", "PARTICIPANT_ROLE_CHANGED",
        "ADVISOR_SUBSCRIBED", "ROOM_MEMBER_STATUS_CHANGED",
    }
)  # fmt: skip
#: Intents that tell of a leg or a hold: their body is VOICE and an agent sends them.
LEG_INTENTS = frozenset({"CALL_LEG_STARTED", "CALL_LEG_ENDED", "CALL_HOLD", "CALL_RESUME"})

#: 2001-09-09 in milliseconds; anything smaller is a time in seconds.
_FIRST_MS = 1_000_000_000_000
_LAST_MS = 100_000_000_000_000
_ISO = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)?")


class Malformed(ValueError):
    """CCM would not take this, or not mean what the sender meant; the text names the field."""


def validate(message: Json, *, strict: bool = True) -> None:
    """Check one CIM message.

    Args:
        strict: refuse unknown keys, as a plain mapper does; without it they are dropped, as Spring Boot's does.

    Raises:
        Malformed: with the path of the first field that is wrong.
    """
    _object("message", message, {"id": _text, "header": _any_object, "body": _any_object}, {}, strict=strict)
    _header(message["header"], strict=strict)
    _body(message["body"], strict=strict)
    intent, body, sender = message["header"].get("intent"), message["body"], message["header"]["sender"]
    if intent in LEG_INTENTS and (body["type"] != "VOICE" or sender["type"] != "AGENT"):
        raise Malformed(f"header.intent: {intent} needs a VOICE body and an AGENT sender")
    if body["type"] == "PLAIN" and intent is None and not body["markdownText"].strip():
        raise Malformed("body.markdownText: speech without text")


def _header(header: Json, *, strict: bool) -> None:
    optional: dict[str, Check] = {
        "intent": _one_of(INTENTS),
        "entities": _any_object,
        "language": _empty_object,
        "securityInfo": _empty_object,
        "stamps": _list(_text),
        "conversationId": _text,
        "channelSessionId": _text,
        "customer": _customer,
        "roomId": _text,
        "originalMessageId": _text,
        "providerMessageId": _text,
        "schedulingMetaData": _any_object,
    }
    required: dict[str, Check] = {
        "sender": lambda path, value: _sender(path, value, strict=strict),
        "channelData": lambda path, value: _channel_data(path, value, strict=strict),
        "timestamp": _timestamp,
    }
    _object("header", header, required, optional, strict=strict)


def _sender(path: str, value: Json, *, strict: bool) -> None:
    required: dict[str, Check] = {"id": _text, "type": _one_of(SENDER_TYPES)}
    _object(path, value, required, {"senderName": _text, "additionalDetail": _any_object}, strict=strict)


def _channel_data(path: str, value: Json, *, strict: bool) -> None:
    def attribute(where: str, item: Json) -> None:
        required: dict[str, Check] = {"key": _text, "type": _one_of(ATTRIBUTE_TYPES), "value": _present}
        _object(where, item, required, {}, strict=strict)

    required: dict[str, Check] = {"channelCustomerIdentifier": _text, "serviceIdentifier": _text}
    optional: dict[str, Check] = {
        "requestPriority": _priority,
        "customerFirstName": _text,
        "customerLastName": _text,
        "additionalAttributes": _list(attribute),
    }
    _object(path, value, required, optional, strict=strict)


def _body(body: Json, *, strict: bool) -> None:
    kind = body.get("type")
    shape = BODIES.get(kind) if isinstance(kind, str) else None
    if shape is None:
        raise Malformed(f"body.type: must be one of {', '.join(sorted(BODIES))}")
    required, optional, free = shape
    _object("body", body, {"type": _text, **required}, optional, strict=strict and not free)


def _object(
    path: str, value: Json, required: Mapping[str, Check], optional: Mapping[str, Check], *, strict: bool
) -> None:
    if not isinstance(value, dict):
        raise Malformed(f"{path}: must be an object")
    for key in required:
        if key not in value:
            raise Malformed(f"{path}.{key}: is missing")
    for key, item in value.items():
        check = required.get(key) or optional.get(key)
        if check is None and strict:
            raise Malformed(f"{path}.{key}: unknown key")
        if check is not None:
            if item is None:
                raise Malformed(f"{path}.{key}: null; leave optional fields out")
            check(f"{path}.{key}", item)


def _text(path: str, value: Json) -> None:
    if not isinstance(value, str) or not value.strip():
        raise Malformed(f"{path}: must be text that is not blank")


def _maybe_empty_text(path: str, value: Json) -> None:
    if not isinstance(value, str):
        raise Malformed(f"{path}: must be text")


def _present(_path: str, _value: Json) -> None:
    pass


def _any_object(path: str, value: Json) -> None:
    if not isinstance(value, dict):
        raise Malformed(f"{path}: must be an object")


def _empty_object(path: str, value: Json) -> None:
    if value != {}:
        raise Malformed(f"{path}: this class has no fields; text or keys in it are rejected or lost")


def _customer(path: str, value: Json) -> None:
    _any_object(path, value)
    if "phoneNumber" in value and not isinstance(value["phoneNumber"], list):
        raise Malformed(f"{path}.phoneNumber: must be an array")


def _priority(path: str, value: Json) -> None:
    if type(value) is not int or not 0 <= value <= 10:
        raise Malformed(f"{path}: must be a whole number from 0 to 10")


def _timestamp(path: str, value: Json) -> None:
    if isinstance(value, str) and value.isdigit():
        value = int(value)
    if isinstance(value, str):
        if not _ISO.fullmatch(value):
            raise Malformed(f"{path}: must be milliseconds or 2026-02-03T09:00:12.915Z")
    elif type(value) is not int:
        raise Malformed(f"{path}: must be a whole number of milliseconds or an ISO time")
    elif not _FIRST_MS <= value < _LAST_MS:
        raise Malformed(f"{path}: is no time in milliseconds (seconds are read as January 1970)")


def _one_of(known: frozenset[str]) -> Check:
    def check(path: str, value: Json) -> None:
        if value not in known:
            raise Malformed(f"{path}: must be one of {', '.join(sorted(known))}")

    return check


def _list(of: Check) -> Check:
    def check(path: str, value: Json) -> None:
        if not isinstance(value, list):
            raise Malformed(f"{path}: must be an array")
        for number, item in enumerate(value):
            of(f"{path}[{number}]", item)

    return check


_MARKDOWN: dict[str, Check] = {"markdownText": _maybe_empty_text}

#: body type -> (required, optional, keeps unknown keys)
BODIES: Mapping[str, tuple[dict[str, Check], dict[str, Check], bool]] = {
    "PLAIN": ({"markdownText": _maybe_empty_text}, {}, False),
    "VOICE": ({"callId": _text, "leg": _text, "reasonCode": _text}, _MARKDOWN, True),
    "NOTIFICATION": (
        {"notificationType": _one_of(NOTIFICATION_TYPES)},
        {"notificationData": _any_object, **_MARKDOWN},
        False,
    ),
    "DELIVERYNOTIFICATION": (
        {"messageId": _text, "status": _one_of(frozenset({"DELIVERED", "READ", "CONNECTED", "FAILED"}))},
        {"reasonCode": _text, **_MARKDOWN},
        False,
    ),
    "WRAPUP": ({}, {"note": _maybe_empty_text, "wrapups": _list(_any_object), **_MARKDOWN}, False),
    "CUSTOM": ({"jsonNode": _present}, _MARKDOWN, False),
    "URL": ({"mediaUrl": _text}, {"additionalDetails": _present, **_MARKDOWN}, False),
    "AUDIO": (
        {"attachment": _any_object},
        {"caption": _maybe_empty_text, "additionalDetails": _present, **_MARKDOWN},
        False,
    ),
    "ACTION": ({"name": _text}, {"data": _any_object, **_MARKDOWN}, False),
    "VOICE_RECORDING": ({"mediaUrl": _text}, _MARKDOWN, True),
    "IVR_AGGREGATED_ACTIVITY": ({}, _MARKDOWN, True),
}
