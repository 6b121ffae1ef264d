"""The AI agents of a call: who is active, what they did, what it used."""

from typing import Any, ClassVar, Literal

from pydantic import Field

from call_events.envelope import EventData


class AgentActivated(EventData):
    """An AI agent has the floor."""

    TYPE: ClassVar[str] = "agent.activated.v1"

    #: Name in the profile, e.g. ``billing``.
    agent: str
    #: For people to read, e.g. ``Billing AI``.
    name: str


class AgentHandedOff(EventData):
    """One AI agent gave the conversation to another, in the same room and session."""

    TYPE: ClassVar[str] = "agent.handed_off.v1"

    from_agent: str
    from_name: str
    to_agent: str
    to_name: str
    reason: str
    #: What the new agent knows: number of conversation items that went along.
    context_items: int = Field(ge=0)


class ToolCalled(EventData):
    """An agent used a tool, and this is how it went."""

    TYPE: ClassVar[str] = "tool.called.v1"

    agent: str
    tool_call_id: str
    name: str
    #: Arguments with personal values already redacted.
    arguments: dict[str, Any]
    outcome: Literal["ok", "refused", "error"]
    #: For ``refused`` and ``error``: why, without personal data.
    detail: str | None = None
    duration_ms: int = Field(ge=0)


class UsageRecorded(EventData):
    """What one agent, or the speech-to-text of a leg without one, used of one model since the last such record."""

    TYPE: ClassVar[str] = "usage.recorded.v1"

    #: Absent: speech-to-text of a leg, while a human has the call.
    agent: str | None = None
    provider: str
    model: str
    input_tokens: int = Field(default=0, ge=0)
    output_tokens: int = Field(default=0, ge=0)
    #: Speech that it listened to, silence not counted; and its own that was played to the caller.
    input_audio_ms: int = Field(default=0, ge=0)
    output_audio_ms: int = Field(default=0, ge=0)
    #: Measured latencies in milliseconds by name, e.g. ``reply_first_audio``; the median of the period.
    latencies_ms: dict[str, float] = Field(default_factory=dict)
