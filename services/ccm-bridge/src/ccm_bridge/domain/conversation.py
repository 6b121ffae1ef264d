"""Which events CCM sees, and as what: the mapping table.

| event | in CCM |
|---|---|
| ``call.started`` | signal conversation started, from the connector (``announce_start``) |
| utterance | its text, in the name of who spoke, at the place where it began |
| utterance discarded: transcript failed, timed out | note: somebody spoke, there is no text (``note_missing``) |
| utterance discarded: noise, not spoken | nothing: nobody said anything. The receipt says so |
| ``agent.handed_off`` | note, from the old agent |
| ``transfer.requested`` | note, from the agent that asked |
| ``transfer.dialing``, ``.connected``, ``.failed``, ``.cancelled`` | note; connected: a leg begins (``human_legs``) |
| ``leg.left`` of a human | their leg ends (``human_legs``) |
| ``call.ended`` | notes for texts that never came, ends of open legs, then: customer left, or else a plain note |

Everything else is for others: the bridge passes it over without a receipt.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from call_events.catalogue import (
    AgentHandedOff,
    CallEnded,
    CallStarted,
    DiscardReason,
    EndedBy,
    LegLeft,
    Role,
    TransferCancelled,
    TransferConnected,
    TransferDialing,
    TransferFailed,
    TransferRequested,
    UtteranceCompleted,
    UtteranceDiscarded,
    UtteranceStarted,
)
from call_events.ports import AnyEvent
from call_events.registry import unversioned
from ccm_bridge.domain.history import History
from ccm_bridge.domain.identity import Sources, channel
from ccm_bridge.domain.message import Channel, Fact, Leg, LegReason, Message, Party, Sender, Signal

_CONNECTOR = Sender(Party.CONNECTOR)
#: Somebody spoke; the other reasons mean that nobody did.
_SPOKEN = (DiscardReason.TRANSCRIPT_FAILED, DiscardReason.TRANSCRIPT_TIMEOUT)


@dataclass(frozen=True, slots=True)
class Conversation:
    """The mapping, with the choices a deployment makes."""

    customer: Sources
    service: Sources
    announce_start: bool = True
    signal_end: bool = True
    note_missing: bool = True
    human_legs: bool = False
    #: In whose name notes are posted that no agent of the call says.
    system_name: str = "System"

    def speech(self, history: History, place: AnyEvent, resolution: AnyEvent, *, late: bool) -> tuple[Message, ...]:
        """What an utterance is in CCM: one message, or none if nobody said anything.

        Args:
            place: the event whose number the message bears, normally ``utterance.started``.
            resolution: the ``completed`` or ``discarded`` that tells the text.
            late: later places have been sent before it.
        """
        if isinstance(resolution.data, UtteranceCompleted):
            return (self._spoken(history, place, resolution, resolution.data, late=late),)
        assert isinstance(resolution.data, UtteranceDiscarded)
        if resolution.data.reason not in _SPOKEN:
            return ()
        return self._missing(history, place, resolution, resolution.data.reason.value, late=late)

    def note(self, history: History, event: AnyEvent) -> tuple[Message, ...]:
        """What any other event is in CCM, in the order in which it is to be sent; empty for most."""
        messages: tuple[Message, ...] = ()
        match event.data:
            case CallStarted() if self.announce_start:
                messages = (self._started(history, event),)
            case AgentHandedOff() as data:
                messages = (self._handoff(history, event, data),)
            case TransferRequested() | TransferDialing() | TransferFailed() | TransferCancelled() as data:
                messages = (self._transfer(history, event, data),)
            case TransferConnected() as data:
                messages = self._connected(history, event, data)
            case LegLeft(role=Role.HUMAN) as data:
                messages = self._leg_left(history, event, data)
            case CallEnded() as data:
                messages = tuple(self._ended(history, event, data))
        return messages

    def _started(self, history: History, event: AnyEvent) -> Message:
        started = self._message(history, event, "call.started", _CONNECTOR, "Call started")
        return replace(started, signal=Signal.CONVERSATION_STARTED)

    def _channel(self, history: History) -> Channel:
        return channel(history.events, customer=self.customer, service=self.service)

    def _message(
        self, history: History, event: AnyEvent, name: str, sender: Sender, text: str, *facts: tuple[str, Fact]
    ) -> Message:
        return Message(
            call=event.call,
            seq=event.seq,
            part="",
            event=name,
            event_id=event.id,
            at=event.time,
            sent_at=event.time,
            sender=sender,
            channel=self._channel(history),
            text=text,
            facts=facts,
        )

    @property
    def _system(self) -> Sender:
        return Sender(Party.AI, self.system_name)

    def _spoken(
        self, history: History, place: AnyEvent, resolution: AnyEvent, said: UtteranceCompleted, *, late: bool
    ) -> Message:
        started = place.data if isinstance(place.data, UtteranceStarted) else said
        speaker = started.speaker
        facts: list[tuple[str, Fact]] = [("speaker", speaker.role.value)]
        match speaker.role:
            case Role.CUSTOMER:
                sender = _CONNECTOR
            case Role.AI:
                sender = Sender(Party.AI, speaker.name, speaker.agent)
                if speaker.agent:
                    facts.append(("agentName", speaker.agent))
            case Role.HUMAN | Role.SUPERVISOR:
                sender = Sender(Party.HUMAN, speaker.name)
        if said.language:
            facts.append(("language", said.language))
        if said.confidence is not None:
            facts.append(("confidence", said.confidence))
        if said.interrupted or speaker.role is Role.AI:
            facts.append(("interrupted", said.interrupted))
        facts += [("spokenAt", instant(started.started_at)), ("spokenUntil", instant(said.ended_at))]
        if late:
            facts.append(("late", True))
        message = self._message(history, place, "utterance", sender, said.text, *facts)
        return replace(message, at=started.started_at, sent_at=resolution.time)

    def _missing(
        self, history: History, place: AnyEvent, cause: AnyEvent, reason: str, *, late: bool
    ) -> tuple[Message, ...]:
        """Not in the speaker's name: nobody shall read it as something that was said."""
        if not self.note_missing:
            return ()
        assert isinstance(place.data, UtteranceStarted)
        speaker, started_at = place.data.speaker, place.data.started_at
        facts: list[tuple[str, Fact]] = [("speaker", speaker.role.value), ("missing", reason)]
        facts += [("spokenAt", instant(started_at)), *([("late", True)] if late else [])]
        text = f"[{speaker.name} spoke at {started_at.astimezone(UTC):%H:%M:%S} UTC; there is no transcript]"
        message = self._message(history, place, "utterance.missing", self._system, text, *facts)
        return (replace(message, at=started_at, sent_at=cause.time),)

    def _handoff(self, history: History, event: AnyEvent, data: AgentHandedOff) -> Message:
        sender = Sender(Party.AI, data.from_name, data.from_agent)
        text = f"{data.from_name} hands over to {data.to_name}"
        facts = (("from", data.from_agent), ("to", data.to_agent), ("reason", data.reason))
        return self._message(history, event, "handoff", sender, text, *facts)

    def _transfer(
        self,
        history: History,
        event: AnyEvent,
        data: TransferRequested | TransferDialing | TransferFailed | TransferCancelled,
    ) -> Message:
        sender = self._system
        facts: list[tuple[str, Fact]] = [("transferId", data.transfer_id)]
        match data:
            case TransferRequested():
                name = history.agent_name(data.agent, before=event.seq)
                sender = Sender(Party.AI, name, data.agent)
                text = f"{name} asks for a human agent ({data.destination}). Reason: {_sentence(data.reason)}"
                text += f" Summary: {_sentence(data.summary)}" if data.summary.strip() else ""
                facts += [("destination", data.destination), ("reason", data.reason), ("mode", data.mode)]
            case TransferDialing():
                text = f"Calling {data.target} (attempt {data.attempt})"
                facts += [("attempt", data.attempt), ("target", data.target)]
            case TransferFailed():
                text = f"No human agent could be reached ({data.destination}): {_sentence(data.reason)}"
                facts += [("destination", data.destination), ("outcome", data.outcome.value)]
                facts += [("attempts", len(data.attempts))]
            case TransferCancelled():
                text = f"The transfer to a human agent was called off ({data.cause.replace('_', ' ')})"
                facts += [("cause", data.cause)]
        name = unversioned(data.TYPE)
        return self._message(history, event, name, sender, text, *facts)

    def _connected(self, history: History, event: AnyEvent, data: TransferConnected) -> tuple[Message, ...]:
        facts = (
            ("transferId", data.transfer_id),
            ("destination", data.destination),
            ("attempt", data.attempt),
            ("human", data.human.name),
        )
        text = f"{data.human.name} is now on the line"
        note = self._message(history, event, "transfer.connected", self._system, text, *facts)
        if not self.human_legs:
            return (note,)
        leg = Leg(data.destination, LegReason.TRANSFERRED)
        return (note, self._leg(history, event, event, leg, Signal.HUMAN_LEG_STARTED))

    def _leg_left(self, history: History, event: AnyEvent, data: LegLeft) -> tuple[Message, ...]:
        connected = history.humans.get(data.identity)
        if not self.human_legs or connected is None or connected > event.seq:
            return ()
        return (self._leg_end(history, event, history.event(connected)),)

    def _leg_end(self, history: History, event: AnyEvent, connected: AnyEvent) -> Message:
        assert isinstance(connected.data, TransferConnected)
        leg = Leg(connected.data.destination, LegReason.LEFT)
        return self._leg(history, event, connected, leg, Signal.HUMAN_LEG_ENDED)

    def _leg(self, history: History, event: AnyEvent, connected: AnyEvent, leg: Leg, signal: Signal) -> Message:
        assert isinstance(connected.data, TransferConnected)
        sender = Sender(Party.HUMAN, connected.data.human.name)
        message = self._message(history, event, signal.value, sender, "")
        return replace(message, part=f"leg{connected.seq}", signal=signal, leg=leg)

    def _ended(self, history: History, event: AnyEvent, data: CallEnded) -> Iterator[Message]:
        for utterance_id, place in history.started.items():
            if history.is_late(utterance_id) and utterance_id not in history.resolved:
                yield from self._missing(history, history.event(place), event, "call_ended", late=True)
        if self.human_legs:
            for identity, connected in history.humans.items():
                if identity not in history.left:
                    yield self._leg_end(history, event, history.event(connected))
        facts = (("cause", data.cause), ("endedBy", data.ended_by.value), ("durationMs", data.duration_ms))
        left = self.signal_end and data.ended_by is EndedBy.CUSTOMER
        ended = self._message(history, event, "call.ended", _CONNECTOR if left else self._system, "Call ended", *facts)
        yield replace(ended, signal=Signal.CUSTOMER_LEFT) if left else ended

    def unresolved(self, history: History, place: AnyEvent, closing: AnyEvent) -> tuple[Message, ...]:
        """The note for an utterance whose text can no longer come, because ``closing`` has ended the log."""
        return self._missing(history, place, closing, "call_ended", late=False)


def instant(time: datetime) -> str:
    """ISO 8601 in UTC with milliseconds: ``2026-02-03T09:00:12.915Z``."""
    return time.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _sentence(text: str) -> str:
    """One line that ends like a sentence, whatever a model wrote."""
    line = " ".join(text.split())
    return line if line.endswith((".", "!", "?")) else f"{line}."
