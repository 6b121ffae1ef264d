"""What the AI's voice and its tools may tell the call and ask of it."""

import asyncio
from collections.abc import Callable
from typing import Any, Literal
from uuid import uuid4

from call_events.catalogue import AgentActivated, AgentHandedOff, ToolCalled, TransferRequested
from voice_worker.domain.call import OpenTransfer, Phase, SessionState, Step
from voice_worker.domain.facts import Fact
from voice_worker.domain.profile import Profile
from voice_worker.domain.redaction import mask, redact
from voice_worker.domain.signals import Signal
from voice_worker.handlers.emitter import Emitter
from voice_worker.handlers.floor import Floor
from voice_worker.handlers.speech import Speech
from voice_worker.ports import WallClock


class CallDesk:
    """The call's side of :class:`~voice_worker.ports.Desk`. Nothing here waits but :meth:`customer_listens`."""

    def __init__(
        self,
        *,
        profile: Profile,
        state: SessionState,
        emitter: Emitter,
        speech: Speech,
        floor: Floor,
        clock: WallClock,
        listens: asyncio.Event,
        signal: Callable[[Signal], None],
    ) -> None:
        self._profile = profile
        self._state = state
        self._emitter = emitter
        self._speech = speech
        self._floor = floor
        self._clock = clock
        self._listens = listens
        self._signal = signal

    @property
    def state(self) -> SessionState:
        """The call's shared notes."""
        return self._state

    async def customer_listens(self) -> None:
        """Wait until the customer's phone is through to us; see :class:`~voice_worker.ports.Desk`."""
        await self._listens.wait()

    def hear(self, fact: Fact) -> None:
        """A fact about speech."""
        self._speech.hear(fact)

    def signal(self, signal: Signal) -> None:
        """Something the call must act on."""
        self._signal(signal)

    def agent_entered(self, agent: str, *, reason: str, context_items: int) -> None:
        """An agent has the floor."""
        state, spec, at = self._state, self._profile.agent(agent), self._clock.now()
        if state.current_agent and state.current_agent != agent:
            before = self._profile.agent(state.current_agent)
            self._floor.record_usage()
            handed_off = AgentHandedOff(
                from_agent=before.key,
                from_name=before.name,
                to_agent=spec.key,
                to_name=spec.name,
                reason=reason,
                context_items=context_items,
            )
            self._emitter.emit(handed_off, at=at)
        state.current_agent, state.handing_over_to = agent, None
        self._floor.last_agent = agent
        self._emitter.emit(AgentActivated(agent=spec.key, name=spec.name), at=at)

    def tool_called(
        self,
        *,
        tool_call_id: str,
        name: str,
        arguments: dict[str, Any],
        outcome: Literal["ok", "refused", "error"],
        detail: str | None,
        duration_ms: int,
    ) -> None:
        """A tool has been used."""
        called = ToolCalled(
            agent=self._state.current_agent,
            tool_call_id=tool_call_id,
            name=name,
            arguments=redact(arguments),
            outcome=outcome,
            detail=mask(detail) if detail else None,
            duration_ms=duration_ms,
        )
        self._emitter.emit(called, at=self._clock.now())

    def request_transfer(self, destination: str, reason: str, summary: str) -> str | None:
        """Ask for a person; see :class:`~voice_worker.ports.Desk`."""
        state = self._state
        known = [place.name for place in self._profile.destinations]
        if destination not in known:
            return f"There is no such destination. Choose one of: {', '.join(known)}."
        if state.transfer is not None:
            return state.transfer_under_way
        if state.phase not in (Phase.AI, Phase.STRANDED):
            return "A person is already on the line."
        state.step(Step.TRANSFER_REQUESTED)
        at, transfer_id = self._clock.now(), str(uuid4())
        state.transfer = OpenTransfer(transfer_id=transfer_id, destination=destination, requested_at=at)
        requested = TransferRequested(
            transfer_id=transfer_id,
            destination=destination,
            reason=reason,
            summary=summary,
            agent=state.current_agent or self._floor.last_agent,
        )
        self._emitter.emit(requested, at=at, correlation=transfer_id)
        return None
