"""CCM's own vocabulary, kept here: the CIM message, and how one of ours becomes one.

Shape, key order and the omission of absent fields follow the documented object model. What it does not take:
``header.language`` (an empty class: any text in it is rejected), null, unknown keys, attribute types outside a list.
What a machine may want besides goes into a free object whose place is configured (``Carrier``).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from ccm_bridge.domain.conversation import instant
from ccm_bridge.domain.message import LegReason, Message, Party, Signal

#: Where our facts travel; which of these CCM keeps differs between releases.
#: ``header.additionalData`` exists in CIM models from 1.21.6 on; older ones lose it or refuse the message.
Carrier = Literal["entities", "sender.additionalDetail", "header.additionalData", "none"]
#: Both bind; all traffic seen so far is numeric.
TimestampFormat = Literal["milliseconds", "iso"]


class _Cim(BaseModel):
    # What does not fit is said in the exception's text, which ends in logs and dead letters: without the value.
    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


class CimAttribute(_Cim):
    """One additional attribute; ``type`` is one of CCM's own names."""

    key: str
    type: str
    value: str


class CimChannelData(_Cim):
    """Constant during a call: agents see it, and a change of it fires an event."""

    channelCustomerIdentifier: str  # noqa: N815
    serviceIdentifier: str  # noqa: N815
    additionalAttributes: tuple[CimAttribute, ...]  # noqa: N815


class CimSender(_Cim):
    """In whose name."""

    id: str
    type: str
    senderName: str | None = None  # noqa: N815
    additionalDetail: dict[str, Any] | None = None  # noqa: N815


class CimHeader(_Cim):
    """Everything about the message but its content."""

    sender: CimSender
    channelData: CimChannelData  # noqa: N815
    timestamp: int | str
    intent: str | None = None
    providerMessageId: str  # noqa: N815
    entities: dict[str, Any] | None = None
    additionalData: dict[str, Any] | None = None  # noqa: N815


class CimPlainBody(_Cim):
    """Speech and notes."""

    type: str = "PLAIN"
    markdownText: str  # noqa: N815


class CimVoiceBody(_Cim):
    """A leg. Extra keys lie flat beside the known ones."""

    type: str = "VOICE"
    markdownText: str = ""  # noqa: N815
    callId: str  # noqa: N815
    leg: str
    reasonCode: str  # noqa: N815
    seq: int
    eventId: str  # noqa: N815
    sentAt: str  # noqa: N815


class CimMessage(_Cim):
    """The whole message."""

    id: str
    header: CimHeader
    body: CimPlainBody | CimVoiceBody


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

_TYPES = {Party.CONNECTOR: "CONNECTOR", Party.AI: "BOT", Party.HUMAN: "AGENT"}

_INTENTS = {
    Signal.CONVERSATION_STARTED: "START_CONVERSATION",
    Signal.CUSTOMER_LEFT: "END_CHAT",
    Signal.HUMAN_LEG_STARTED: "CALL_LEG_STARTED",
    Signal.HUMAN_LEG_ENDED: "CALL_LEG_ENDED",
}

_REASON_CODES = {LegReason.TRANSFERRED: "DIRECT_TRANSFER", LegReason.LEFT: "DIALOG_ENDED"}


@dataclass(frozen=True, slots=True)
class CimDialect:
    """The choices of one CCM installation."""

    connector_id: str
    connector_name: str
    bot_id: str
    #: For people whose own id is not configured.
    human_id: str
    #: Name of a person, as the destinations tell it -> their Keycloak id.
    human_ids: Mapping[str, str] = field(default_factory=dict)
    carrier: Carrier = "entities"
    timestamps: TimestampFormat = "milliseconds"

    def render(self, message: Message) -> bytes:
        """The bytes of a message: the same at every attempt, in every process with the same settings."""
        cim = CimMessage(id=message.id, header=self._header(message), body=self._body(message))
        return cim.model_dump_json(exclude_none=True).encode()

    def _header(self, message: Message) -> CimHeader:
        # A VOICE body carries our facts itself.
        facts = None if message.leg else _facts(message)
        return CimHeader(
            sender=self._sender(message, facts if self.carrier == "sender.additionalDetail" else None),
            channelData=_channel_data(message),
            timestamp=self._timestamp(message.at),
            intent=_INTENTS[message.signal] if message.signal else None,
            providerMessageId=message.key,
            entities={"bridge": facts} if facts and self.carrier == "entities" else None,
            additionalData={"bridge": facts} if facts and self.carrier == "header.additionalData" else None,
        )

    def _sender(self, message: Message, facts: dict[str, Any] | None) -> CimSender:
        sender = message.sender
        detail: dict[str, Any] = {}
        if sender.agent:
            detail["agent"] = sender.agent
        if facts:
            detail["bridge"] = facts
        return CimSender(
            id=self._sender_id(message),
            type=_TYPES[sender.party],
            senderName=sender.name or self.connector_name,
            additionalDetail=detail or ({} if message.leg else None),
        )

    def _sender_id(self, message: Message) -> str:
        match message.sender.party:
            case Party.CONNECTOR:
                return self.connector_id
            case Party.AI:
                return self.bot_id
            case Party.HUMAN:
                return self.human_ids.get(message.sender.name or "", self.human_id)

    def _timestamp(self, time: datetime) -> int | str:
        if self.timestamps == "iso":
            return instant(time)
        return (time - _EPOCH) // timedelta(milliseconds=1)

    def _body(self, message: Message) -> CimPlainBody | CimVoiceBody:
        if message.leg is None:
            return CimPlainBody(markdownText=message.text)
        return CimVoiceBody(
            callId=message.call,
            leg=f"{message.leg.extension}:{self._sender_id(message)}:{message.call}",
            reasonCode=_REASON_CODES[message.leg.reason],
            seq=message.seq,
            eventId=message.event_id,
            sentAt=instant(message.sent_at),
        )


def _channel_data(message: Message) -> CimChannelData:
    attributes = [CimAttribute(key="callId", type="String100", value=message.call)]
    if message.channel.direction:
        attributes.append(CimAttribute(key="direction", type="String50", value=message.channel.direction.upper()))
    return CimChannelData(
        channelCustomerIdentifier=message.channel.customer,
        serviceIdentifier=message.channel.service,
        additionalAttributes=tuple(attributes),
    )


def _facts(message: Message) -> dict[str, Any]:
    return {
        "event": message.event,
        "eventId": message.event_id,
        "callId": message.call,
        "seq": message.seq,
        **dict(message.facts),
        "sentAt": instant(message.sent_at),
    }
