"""One call from its first ring to its last word.

The conductor is told what happens (signals, one at a time) and decides by the call's table who speaks. It knows neither
LiveKit nor Redis, and not whether its process hosts one call or many.
"""

import asyncio
from typing import Any, Literal, assert_never
from uuid import uuid4

import structlog

from call_events.catalogue import (
    AgentActivated,
    AgentHandedOff,
    CallEnded,
    CallStarted,
    Customer,
    EndedBy,
    LegJoined,
    LegLeft,
    Role,
    Speaker,
    ToolCalled,
    TransferCancelled,
    TransferCompleted,
    TransferConnected,
    TransferDialing,
    TransferFailed,
    TransferRequested,
    UsageRecorded,
    UtteranceCompleted,
)
from call_events.errors import LogUnavailable, StaleOwner
from call_events.ids import CallId
from call_events.ports import AnyEvent, EventLog
from voice_worker.domain.call import OpenTransfer, Phase, SessionState, Step
from voice_worker.domain.profile import Profile
from voice_worker.domain.redaction import mask, redact
from voice_worker.domain.signals import (
    CustomerGone,
    GoodbyeAsked,
    HumanGone,
    OwnershipLost,
    RoomGone,
    Signal,
    Stranded,
    TransferOutcome,
    VoiceLost,
)
from voice_worker.domain.turns import Fact
from voice_worker.errors import IllegalMove, VoiceFailed
from voice_worker.handlers.emitter import Emitter
from voice_worker.handlers.limits import Limits
from voice_worker.handlers.speech import Speech
from voice_worker.ports import CustomerLeg, Ear, Legs, Studio, Voice, WallClock

log = structlog.get_logger()


class Conductor:
    """Runs one call. Made for one call and used once; the agents' :class:`~voice_worker.ports.Desk`."""

    def __init__(
        self,
        call: CallId,
        *,
        profile: Profile,
        events: EventLog,
        legs: Legs,
        studio: Studio,
        clock: WallClock,
        producer: str,
        inbox: asyncio.Queue[Signal],
        limits: Limits,
    ) -> None:
        self._call = call
        self._profile = profile
        self._events = events
        self._legs = legs
        self._studio = studio
        self._clock = clock
        self._producer = producer
        self._inbox = inbox
        self._limits = limits
        self._state = SessionState(call=call, customer_identity="")
        self._emitter = Emitter(
            events, call, producer, lease_ms=limits.lease_ms, on_lost=lambda: inbox.put_nowait(OwnershipLost())
        )
        self._speech = Speech(lambda data, at: self._emitter.emit(data, at=at))
        self._voice: Voice | None = None
        self._sessions = 0
        self._ears: dict[str, Ear] = {}
        self._human: TransferConnected | None = None
        self._customer_gone = asyncio.Event()
        self._started = clock.now()
        self._background: asyncio.TaskGroup | None = None

    @property
    def state(self) -> SessionState:
        """The call's shared notes."""
        return self._state

    # What the voice and its tools report ---------------------------------------------------------------------------------

    def hear(self, fact: Fact) -> None:
        """A fact about speech."""
        self._speech.hear(fact)

    def signal(self, signal: Signal) -> None:
        """Something to act on, in its turn; what the caller must not wait for is done at once."""
        match signal:
            case CustomerGone() | RoomGone():
                self._customer_gone.set()
            case TransferOutcome(data=TransferConnected()) if self._voice:
                self._voice.mute()
            case OwnershipLost() if self._voice:
                self._voice.mute()
            case _:
                pass
        self._inbox.put_nowait(signal)

    def agent_entered(self, agent: str, *, reason: str, context_items: int) -> None:
        """An agent has the floor."""
        state, spec, at = self._state, self._profile.agent(agent), self._clock.now()
        if state.current_agent and state.current_agent != agent:
            before = self._profile.agent(state.current_agent)
            self._record_usage()
            self._emitter.emit(
                AgentHandedOff(
                    from_agent=before.key,
                    from_name=before.name,
                    to_agent=spec.key,
                    to_name=spec.name,
                    reason=reason,
                    context_items=context_items,
                ),
                at=at,
            )
        state.current_agent, state.handing_over_to = agent, None
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
        self._emitter.emit(
            ToolCalled(
                agent=self._state.current_agent,
                tool_call_id=tool_call_id,
                name=name,
                arguments=redact(arguments),
                outcome=outcome,
                detail=mask(detail) if detail else None,
                duration_ms=duration_ms,
            ),
            at=self._clock.now(),
        )

    def request_transfer(self, destination: str, reason: str, summary: str) -> str | None:
        """Ask for a person; see :class:`~voice_worker.ports.Desk`."""
        state = self._state
        known = [place.name for place in self._profile.destinations]
        if destination not in known:
            return f"There is no destination {destination!r}. Choose one of: {', '.join(known)}."
        if state.transfer is not None:
            return "The call is already being put through; wait for the answer and keep the caller company."
        if state.phase is not Phase.AI and state.phase is not Phase.STRANDED:
            return "A person is already on the line."
        state.step(Step.TRANSFER_REQUESTED)
        at, transfer_id = self._clock.now(), str(uuid4())
        state.transfer = OpenTransfer(transfer_id=transfer_id, destination=destination, requested_at=at)
        self._emitter.emit(
            TransferRequested(
                transfer_id=transfer_id,
                destination=destination,
                reason=reason,
                summary=summary,
                agent=state.current_agent,
            ),
            at=at,
            correlation=transfer_id,
        )
        return None

    # The call ------------------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Live through the call; returns when it is over for this worker."""
        with structlog.contextvars.bound_contextvars(call=self._call):
            leg = await self._legs.customer(self._limits.customer_s)
            self._note(leg)
            if not await self._open(leg):
                return
            async with asyncio.TaskGroup() as group:
                self._background = group
                running = [
                    group.create_task(task(), name=name)
                    for name, task in (
                        ("append", self._emitter.run),
                        ("renew", self._emitter.keep_owning),
                        ("outcomes", self._follow),
                        ("patience", self._patience),
                    )
                ]
                try:
                    await self._live(leg)
                finally:
                    # Whatever happened, what is known is written, the sessions are closed and nobody is left on the line.
                    await self._leave()
                    for task in running:
                        task.cancel()
            await self._legs.end_room()

    def _note(self, leg: CustomerLeg) -> None:
        state = self._state
        state.customer_identity, state.customer_number = leg.identity, leg.number
        state.customer_id, state.dialled_number = leg.customer_id, leg.dialled_number
        state.sip_headers = dict(leg.sip_headers)

    async def _open(self, leg: CustomerLeg) -> bool:
        """Take the call and write its first event, or find that it is not ours."""
        try:
            asked = await self._emitter.own(self._limits.ask_log_s)
        except StaleOwner:
            log.warning("call.taken", why="another worker speaks for it")
            return False
        before = await self._history() if asked else ()
        if any(event.data.TYPE == CallEnded.TYPE for event in before):
            log.warning("call.over", why="its log is closed; the room will be removed")
            await self._legs.end_room()
            return False
        if before:
            said = [event.data for event in before if isinstance(event.data, UtteranceCompleted)]
            self._speech = Speech(lambda data, at: self._emitter.emit(data, at=at), said)
            self._sessions = int(before[-1].seq)  # sources of this worker never repeat those of an earlier one
            self._started = before[0].time
            log.info("call.taken_over", events=len(before))
            return True
        self._emitter.emit(
            CallStarted(
                room=self._call,
                direction=leg.direction,
                customer=Customer(identity=leg.identity, number=leg.number, customer_id=leg.customer_id),
                dialled_number=leg.dialled_number,
                sip_call_id=leg.sip_call_id,
                sip_headers=leg.sip_headers,
                profile=self._profile.name,
                profile_hash=self._profile.hash,
                language=self._profile.language,
                worker=self._producer,
            ),
            at=self._started,
            once=("call.started",),
        )
        return True

    async def _history(self) -> tuple[AnyEvent, ...]:
        try:
            async with asyncio.timeout(self._limits.ask_log_s):
                return tuple(await self._events.read(self._call))
        except (LogUnavailable, TimeoutError):
            return ()

    async def _live(self, leg: CustomerLeg) -> None:
        resumed = bool(self._speech.lines)
        try:
            await self._speak(self._profile.first_agent)
        except VoiceFailed as failed:
            self.signal(VoiceLost(detail=str(failed)))
        if not await self._legs.answered(leg, self._limits.answer_s):
            self.signal(CustomerGone(reason="NOT_ANSWERED", at=self._clock.now()))
        else:
            self._emitter.emit(
                LegJoined(identity=leg.identity, role=Role.CUSTOMER, sip_call_id=leg.sip_call_id),
                at=self._clock.now(),
                once=("leg.joined", leg.identity),
            )
            if self._voice:
                self._voice.tell("Go on where the conversation stopped." if resumed else self._profile.greeting)
        while self._state.phase is not Phase.ENDED:
            try:
                await self._take(await self._inbox.get())
            except IllegalMove as refused:
                log.error("call.illegal_move", why=str(refused))

    async def _take(self, signal: Signal) -> None:
        match signal:
            case CustomerGone():
                await self._end(EndedBy.CUSTOMER, signal.reason)
            case RoomGone():
                await self._end(EndedBy.SYSTEM, signal.reason)
            case HumanGone():
                await self._human_gone(signal)
            case TransferOutcome(data=TransferConnected() as connected):
                await self._hand_over(connected)
            case TransferOutcome(data=TransferFailed() as failed):
                await self._transfer_failed(failed)
            case TransferOutcome():
                await self._transfer_cancelled()
            case VoiceLost():
                await self._voice_lost(signal)
            case GoodbyeAsked():
                if self._voice:
                    await self._voice.spoken(self._limits.goodbye_s)
                if not self._customer_gone.is_set():
                    await self._end(EndedBy.AI, signal.reason)
            case Stranded():
                if self._state.phase is Phase.STRANDED:
                    await self._end(EndedBy.SYSTEM, "model provider unavailable")
            case OwnershipLost():
                self._state.step(Step.ENDED)
            case _:
                assert_never(signal)

    async def _speak(self, agent: str) -> None:
        """A new session of the AI, with the conversation so far."""
        self._sessions += 1
        self._state.current_agent = ""
        self._voice = self._studio.voice(self, f"ai{self._sessions}")
        await self._voice.start(agent, self._speech.lines)
        self._emitter.emit(
            LegJoined(identity=self._legs.identity, role=Role.AI),
            at=self._clock.now(),
            once=("leg.joined", self._legs.identity, self._sessions),
        )

    async def _hush(self, reason: str) -> None:
        """The AI leaves the conversation for good in this session."""
        if (voice := self._voice) is None:
            return
        self._voice = None
        voice.mute()
        await voice.close()
        self._record_usage(voice)
        self._emitter.emit(
            LegLeft(identity=self._legs.identity, role=Role.AI, reason=reason),
            at=self._clock.now(),
            once=("leg.left", self._legs.identity, self._sessions),
        )

    # Transfers -----------------------------------------------------------------------------------------------------------

    async def _hand_over(self, connected: TransferConnected) -> None:
        """The person is on the line: the AI is silent from now on, and speech-to-text takes over without a gap."""
        state = self._state
        state.step(Step.CONNECTED)
        state.transfer = None
        if self._voice:
            self._voice.mute()
        at = self._clock.now()
        human = connected.human
        self._human = connected
        self._emitter.emit(
            LegJoined(identity=human.identity, role=Role.HUMAN, sip_call_id=connected.sip_call_id),
            at=at,
            once=("leg.joined", human.identity),
        )
        self._listen(Speaker(role=Role.HUMAN, name=human.name, identity=human.identity))
        customer = self._listen(Speaker(role=Role.CUSTOMER, name="Customer", identity=state.customer_identity))
        if self._voice:
            realtime = self._voice.source
            self._speech.collect(customer)
            await self._speech.settled(
                realtime, running=self._limits.seam_speech_s, text=self._limits.text_s, leave=self._customer_gone
            )
            await self._hush("handed over to a human")
            self._speech.release(customer, instead_of=realtime)
        self._emitter.emit(
            TransferCompleted(transfer_id=connected.transfer_id),
            at=self._clock.now(),
            once=("transfer.completed", connected.transfer_id),
            correlation=connected.transfer_id,
        )
        if not self._legs.present(human.identity):
            self.signal(HumanGone(identity=human.identity, reason="left before the handover", at=self._clock.now()))

    def _listen(self, speaker: Speaker) -> str:
        self._sessions += 1
        source = f"stt{self._sessions}"
        ear = self._studio.ear(speaker, source, self.hear)
        self._ears[speaker.identity] = ear
        assert self._background is not None
        self._background.create_task(ear.run(), name=source)
        return source

    async def _transfer_failed(self, failed: TransferFailed) -> None:
        self._state.transfer = None
        if self._state.phase is Phase.STRANDED:
            await self._end(EndedBy.SYSTEM, "model provider unavailable")
            return
        self._state.step(Step.FAILED)
        if self._voice:
            self._voice.tell(
                f"The transfer failed: {failed.outcome}. {failed.reason} Tell the caller plainly and kindly that nobody "
                "could be reached, and offer what is left: another department, a call back, or going on with you."
            )

    async def _transfer_cancelled(self) -> None:
        self._state.transfer = None
        if self._state.phase is Phase.STRANDED:
            await self._end(EndedBy.SYSTEM, "model provider unavailable")
        else:
            self._state.step(Step.CANCELLED)

    async def _human_gone(self, gone: HumanGone) -> None:
        if self._human is None or gone.identity != self._human.human.identity:
            return  # a leg that was dialled and never connected: the orchestrator's business
        self._human = None
        self._emitter.emit(
            LegLeft(identity=gone.identity, role=Role.HUMAN, reason=gone.reason),
            at=gone.at,
            once=("leg.left", gone.identity),
        )
        await self._stop_listening(gone.identity)
        if self._customer_gone.is_set():
            return  # its signal is in the inbox
        self._state.step(Step.HUMAN_LEFT)
        await self._stop_listening(self._state.customer_identity)
        try:
            await self._speak(self._profile.first_agent)
        except VoiceFailed as failed:
            self.signal(VoiceLost(detail=str(failed)))
            return
        assert self._voice is not None
        self._voice.tell(self._profile.human_left)

    async def _voice_lost(self, lost: VoiceLost) -> None:
        """The provider is gone: the caller must not be left in silence."""
        log.error(
            "voice.lost", phase=self._state.phase, why=lost.detail, mend="see the model provider's status and quota"
        )
        if self._state.phase not in (Phase.AI, Phase.TRANSFERRING):
            return
        transferring = self._state.phase is Phase.TRANSFERRING
        self._state.step(Step.VOICE_FAILED)
        if self._voice:
            await self._hush("model provider unavailable")
        if not transferring:
            fallback = self._profile.fallback_destination
            summary = "The assistant failed in the middle of the call. Please ask the caller what it was about."
            if fallback is None or self.request_transfer(fallback, "the assistant failed", summary):
                await self._end(EndedBy.SYSTEM, "model provider unavailable")
                return
        asyncio.get_running_loop().call_later(self._limits.stranded_s, self._inbox.put_nowait, Stranded())

    # The end -------------------------------------------------------------------------------------------------------------

    async def _end(self, by: EndedBy, cause: str) -> None:
        state = self._state
        state.step(Step.ENDED)
        voice = self._voice
        if voice:
            voice.mute()
            await self._speech.settled(voice.source, running=0, text=self._limits.text_s, leave=self._customer_gone)
            await self._hush("the call ended")
        for identity in list(self._ears):
            await self._stop_listening(identity)
        at = self._clock.now()
        self._speech.close(at)
        if self._human is not None:
            leg = self._human.human.identity
            self._emitter.emit(LegLeft(identity=leg, role=Role.HUMAN, reason=cause), at=at, once=("leg.left", leg))
        self._emitter.emit(
            LegLeft(identity=state.customer_identity, role=Role.CUSTOMER, reason=cause),
            at=at,
            once=("leg.left", state.customer_identity),
        )
        duration = int((at - self._started).total_seconds() * 1000)
        self._emitter.emit(
            CallEnded(ended_by=by, cause=cause[:200], duration_ms=max(0, duration)), at=at, once=("call.ended",)
        )

    async def _leave(self) -> None:
        """Close what is open. After a clean end nothing is; after an accident this is what is left to do."""
        if self._voice:
            self._voice.mute()
            await self._voice.close()
            self._voice = None
        for ear in self._ears.values():
            await ear.stop(0)
        self._ears.clear()
        await self._emitter.drained(self._limits.drain_s)

    async def _stop_listening(self, identity: str) -> None:
        if ear := self._ears.pop(identity, None):
            await ear.stop(self._limits.text_s)

    def _record_usage(self, voice: Voice | None = None) -> None:
        if (voice := voice or self._voice) is None:
            return
        agent = self._state.current_agent or self._profile.first_agent
        for used in voice.usage():
            self._emitter.emit(
                UsageRecorded(
                    agent=agent,
                    provider=used.provider,
                    model=used.model,
                    input_tokens=used.input_tokens,
                    output_tokens=used.output_tokens,
                    input_audio_ms=used.input_audio_ms,
                    output_audio_ms=used.output_audio_ms,
                    latencies_ms=used.latencies_ms,
                ),
                at=self._clock.now(),
            )

    # Beside the call -----------------------------------------------------------------------------------------------------

    async def _follow(self) -> None:
        """Hear from the call's own stream what became of the transfer."""
        async for event in self._events.follow(self._call):
            data, transfer = event.data, self._state.transfer
            if transfer is None or getattr(data, "transfer_id", None) != transfer.transfer_id:
                continue
            if isinstance(data, TransferDialing):
                legs = (*transfer.legs, data.identity)
                self._state.transfer = OpenTransfer(
                    transfer_id=transfer.transfer_id,
                    destination=transfer.destination,
                    requested_at=transfer.requested_at,
                    legs=legs,
                )
            elif isinstance(data, TransferConnected | TransferFailed | TransferCancelled):
                self.signal(TransferOutcome(data))

    async def _patience(self) -> None:
        while True:
            await asyncio.sleep(1)
            self._speech.give_up_overdue(self._clock.now())
