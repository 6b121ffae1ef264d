"""What a session of the AI reports, told to the call's desk as facts, in the order in which it happened.

The socket's raw events carry the item ids that the SDK's own events have lost, so what the caller says is read from
those; what the AI says is known by the session only: which of it was really heard, and when.
"""

import time
from datetime import UTC, datetime
from typing import Any

import structlog
from livekit.agents import (
    AgentSession,
    AgentStateChangedEvent,
    ConversationItemAddedEvent,
    ErrorEvent,
    FunctionCall,
    FunctionToolsExecutedEvent,
    SpeechCreatedEvent,
    ToolCallEnded,
    ToolCallStarted,
    ToolExecutionUpdatedEvent,
)
from livekit.agents.llm import ChatItem
from livekit.agents.voice import SpeechHandle

from call_events.catalogue import Role, Speaker
from voice_worker.adapters.provider_events import read_fact
from voice_worker.adapters.tool_outcomes import outcome_of
from voice_worker.adapters.usage import Meter
from voice_worker.domain.call import SessionState
from voice_worker.domain.facts import (
    AiAudible,
    AiQuiet,
    AiSaid,
    AiSettled,
    Fact,
    RecogniserLost,
    SpeechEnded,
    SpeechStarted,
)
from voice_worker.domain.profile import Profile
from voice_worker.domain.signals import VoiceLost
from voice_worker.ports import Desk

log = structlog.get_logger()

#: The AI has one voice: its stretches of speech need no names of their own.
_VOICE = "voice"


class SessionReports:
    """The reports of one session."""

    def __init__(self, desk: Desk, *, source: str, profile: Profile, identity: str) -> None:
        """``identity`` is the AI's own in the room."""
        self._desk = desk
        self._source = source
        self._profile = profile
        self._identity = identity
        self._customer = Speaker(role=Role.CUSTOMER, name="Customer", identity=desk.state.customer_identity)
        #: What was used.
        self.meter = Meter()
        #: The session is lost for good, and the call knows.
        self.failed = False
        self._muted = False
        #: The turn that was cut off by muting: it alone may tell afterwards what was heard of it.
        self._cut_off: SpeechHandle | None = None
        self._turn = 0
        self._tools: dict[str, tuple[FunctionCall, float]] = {}
        #: When the caller's last sentence ended, until it is answered.
        self._asked_at: datetime | None = None

    def attach(self, session: AgentSession[SessionState]) -> None:
        """Hear what this session tells."""
        session.on("agent_state_changed", self._on_agent_state)
        session.on("conversation_item_added", self._on_item)
        session.on("speech_created", self._on_speech)
        session.on("tool_execution_updated", self._on_tool)
        session.on("function_tools_executed", self._on_tools_done)
        session.on("error", self._on_error)

    def silenced(self, *, cut_off: SpeechHandle | None) -> None:
        """The AI is not heard from now on; the turn that was cut off, if it was in one, tells how much of it was."""
        self._muted, self._cut_off = True, cut_off
        self.meter.spoken.end(_VOICE, _now())

    def lost(self, why: str) -> None:
        """The session ended by itself."""
        self.failed = True
        self._hear(RecogniserLost(source=self._source, at=_now()))
        self._desk.signal(VoiceLost(detail=why))

    def closed(self) -> None:
        """The session is closed: nothing sounds, and nothing more will be told of what did."""
        self._hear(AiQuiet(source=self._source, at=_now()))
        self._hear(AiSettled(source=self._source, at=_now()))

    def on_provider_event(self, event: dict[str, Any]) -> None:
        """A raw event of the model's socket."""
        fact = read_fact(event, source=self._source, speaker=self._customer, at=_now())
        if isinstance(fact, SpeechStarted):
            self.meter.heard.begin(fact.item, fact.at)
        if isinstance(fact, SpeechEnded):
            self.meter.heard.end(fact.item, fact.at)
            self._asked_at = fact.at
        self._hear(fact)

    def on_reconnected(self) -> None:
        """The model's socket broke and stands again."""
        log.warning("voice.reconnected", source=self._source)
        self._hear(RecogniserLost(source=self._source, at=_now()))

    # ------------------------------------------------------------------------------------------------------------------

    def _hear(self, fact: Fact | None) -> None:
        if fact is not None:
            self._desk.hear(fact)

    def _speaker(self) -> Speaker:
        key = self._desk.state.current_agent or self._profile.first_agent
        return Speaker(role=Role.AI, name=self._profile.agent(key).name, identity=self._identity, agent=key)

    def _on_agent_state(self, event: AgentStateChangedEvent) -> None:
        at = datetime.fromtimestamp(event.created_at, UTC)
        if event.new_state == "speaking" and not self._muted:
            self._turn += 1
            self.meter.spoken.begin(_VOICE, at)
            if self._asked_at is not None:
                self.meter.note_latency((at - self._asked_at).total_seconds() * 1000)
                self._asked_at = None
            self._hear(AiAudible(source=self._source, item=f"turn{self._turn}", speaker=self._speaker(), at=at))
        elif event.old_state == "speaking":
            self.meter.spoken.end(_VOICE, at)
            self._hear(AiQuiet(source=self._source, at=at))

    def _on_item(self, event: ConversationItemAddedEvent) -> None:
        item = event.item
        if item.type != "message" or item.role != "assistant":
            return
        metrics = item.metrics
        started, stopped = metrics.get("started_speaking_at"), metrics.get("stopped_speaking_at")
        heard = item.text_content or ""
        if self._muted and not self._was_cut_off(item):
            return  # the model went on answering after it was silenced: nobody heard it
        self._hear(
            AiSaid(
                source=self._source,
                item=item.id,
                speaker=self._speaker(),
                at=datetime.fromtimestamp(stopped, UTC) if stopped else _now(),
                text=heard,
                interrupted=item.interrupted,
                started_at=datetime.fromtimestamp(started, UTC) if started else None,
            )
        )

    def _was_cut_off(self, item: ChatItem) -> bool:
        # The SDK gives an item to its turn just before it tells of it, and it is the same object (1.8.9).
        return self._cut_off is not None and any(one is item for one in self._cut_off.chat_items)

    def _on_speech(self, event: SpeechCreatedEvent) -> None:
        event.speech_handle.add_done_callback(lambda _: self._hear(AiSettled(source=self._source, at=_now())))

    def _on_tool(self, event: ToolExecutionUpdatedEvent) -> None:
        update = event.update
        if isinstance(update, ToolCallStarted):
            self._tools[update.function_call.call_id] = (update.function_call, time.monotonic())
        elif isinstance(update, ToolCallEnded) and update.call_id in self._tools:
            call, began = self._tools.pop(update.call_id)
            arguments, outcome, detail = outcome_of(call, update)
            self._desk.tool_called(
                tool_call_id=call.call_id,
                name=call.name,
                arguments=arguments,
                outcome=outcome,
                detail=detail,
                duration_ms=int((time.monotonic() - began) * 1000),
            )

    def _on_tools_done(self, event: FunctionToolsExecutedEvent) -> None:
        if not event.has_agent_handoff:
            self._desk.state.handing_over_to = None

    def _on_error(self, event: ErrorEvent) -> None:
        error = event.error
        if getattr(error, "recoverable", True) is not False or self.failed:
            return
        cause = getattr(error, "error", error)
        self.lost(type(cause).__name__)


def _now() -> datetime:
    return datetime.now(UTC)
