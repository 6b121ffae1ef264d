"""How a tool call went, in the log's words."""

from typing import Any, Literal

import orjson
from livekit.agents import FunctionCall, ToolCallEnded

#: What the SDK tells the model about an exception that is none of ours.
_INTERNAL = "An internal error occurred"

Outcome = Literal["ok", "refused", "error"]


def outcome_of(call: FunctionCall, ended: ToolCallEnded) -> tuple[dict[str, Any], Outcome, str | None]:
    """Arguments, outcome and, unless it went well, why."""
    try:
        arguments = orjson.loads(call.arguments or "{}")
    except orjson.JSONDecodeError:
        arguments = {}
    if not isinstance(arguments, dict):
        arguments = {}
    if ended.status == "done":
        return arguments, "ok", None
    if ended.status == "cancelled":
        return arguments, "error", "cancelled"
    message = ended.message or ""
    if not message or message.startswith(_INTERNAL):
        return arguments, "error", "internal error"
    return arguments, "refused", message[:300]
