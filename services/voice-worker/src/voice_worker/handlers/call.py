"""One call from its first ring to its last word.

The conductor is told what happens (signals, one at a time) and decides by the call's table who speaks. It knows neither
LiveKit nor Redis, and not whether its process hosts one call or many. It is longer than other modules are, so that what
each signal does to the call stands in one place; whatever is not a decision lies in the modules beside it.
"""

import asyncio
from collections.abc import Coroutine, Sequence
from datetime import datetime
from typing import Any

import structlog

from call_events.catalogue import (
    CallEnded,
    EndedBy,
    Human,
    LegJoined,
    LegLeft,
    Role,
    Speaker,
    TransferCompleted,
    TransferConnected,
    TransferFailed,
    UtteranceCompleted,
)
from call_events.ids import CallId
from call_events.ports import AnyEvent, EventLog
from voice_worker.domain.call import Phase, SessionState, Step
from voice_worker.domain.profile import Profile
from voice_worker.domain.signals import (
    CustomerGone,
    GoodbyeAsked,
    HumanGone,
    Outcome,
    OwnershipLost,
    RoomGone,
    Signal,
    Stranded,
    TransferOutcome,
    VoiceLost,
)
from voice_worker.errors import IllegalMove, VoiceFailed
from voice_worker.handlers.desk import CallDesk
from voice_worker.handlers.emitter import Emitter
from voice_worker.handlers.faults import report
from voice_worker.handlers.floor import Floor
from voice_worker.handlers.limits import Limits
from voice_worker.handlers.opening import Standing, call_started, note_customer, note_standing, standing, take_call
from voice_worker.handlers.speech import Speech
from voice_worker.handlers.transfers import Transfers, bad_news
from voice_worker.ports import CustomerLeg, Ear, Legs, Studio, WallClock

log = structlog.get_logger()

MODEL_UNAVAILABLE = "MODEL_UNAVAILABLE"
WORKER_FAULT = "WORKER_FAULT"


class Conductor:
    """Runs one call. Made for one call and used once."""

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
        limits: Limits,
    ) -> None:
        self._call = call
        self._profile = profile
        self._events = events
        self._legs = legs
        self._studio = studio
        self._clock = clock
        self._producer = producer
        self._limits = limits
        self._inbox: asyncio.Queue[Signal] = asyncio.Queue()
        self._state = SessionState(call=call, customer_identity="")
        self._emitter = Emitter(
            events, call, producer, lease_ms=limits.lease_ms, on_lost=lambda: self.signal(OwnershipLost())
        )
        self._opened_floor: Floor | None = None
        self._speech: Speech
        self._desk: CallDesk
        self._transfers = Transfers(
            events, call, state=self._state, emitter=self._emitter, clock=clock, signal=self.signal
        )
        self._human: TransferConnected | None = None
        #: Two people talk, and this worker can do no more than let them.
        self._leave_room = False
        self._customer_gone = asyncio.Event()
        self._customer_listens = asyncio.Event()
        self._started = clock.now()

    @property
    def state(self) -> SessionState:
        """The call's shared notes."""
        return self._state

    @property
    def desk(self) -> CallDesk:
        """What the AI's side of the call talks to; there once the call has been taken."""
        return self._desk

    @property
    def _floor(self) -> Floor:
        assert self._opened_floor is not None, "the call has been taken"
        return self._opened_floor

    def signal(self, signal: Signal) -> None:
        """Something to act on, in its turn; what a caller must not wait for is done at once."""
        match signal:
            case CustomerGone() | RoomGone():
                self._customer_gone.set()
            case TransferOutcome(data=TransferConnected()) | OwnershipLost() if self._opened_floor is not None:
                self._opened_floor.mute()
            case _:
                pass
        self._inbox.put_nowait(signal)

    async def run(self) -> None:
        """Live through the call; returns when it is over for this worker, at once if it is not ours.

        A fault that nobody foresaw ends the call: better an end than a caller in silence and a log that stays open.
        """
        with structlog.contextvars.bound_contextvars(call=self._call):
            faulted = False
            try:
                await self._run()
            except* Exception as faults:  # noqa: BLE001 - the call's edge: whatever it was, nobody is left on the line
                faulted = True
                report(faults)
            finally:
                await self._close(faulted=faulted)

    async def _run(self) -> None:
        async with asyncio.TaskGroup() as opening:
            # The log is asked while the room is still being entered: the caller hears the difference.
            finding = opening.create_task(self._legs.customer(self._limits.customer_s), name="customer")
            before = await take_call(self._events, self._emitter, self._call, self._limits.ask_log_s)
            if before is None:
                finding.cancel()
                return
            log.debug("call.taken")
        if (leg := finding.result()) is None:
            log.warning("job.without_caller", waited_s=self._limits.customer_s)
            return
        log.debug("call.customer_found")
        note_customer(self._state, leg)
        found = standing(before)
        note_standing(self._state, found)
        self._prepare(before)
        if not before:
            opened = call_started(self._call, leg, self._profile, self._producer)
            self._emitter.emit(opened, at=self._started, once=("call.started",))
        async with asyncio.TaskGroup() as group:
            running = [
                group.create_task(work, name=name)
                for name, work in (
                    ("append", self._emitter.run()),
                    ("renew", self._emitter.keep_owning()),
                    ("outcomes", self._transfers.follow(len(before))),
                    ("patience", self._patience()),
                    ("answer", self._await_answer(leg)),
                )
            ]
            await self._live(group, found, resumed=bool(before))
            await self._floor.close()
            for task in running:
                task.cancel()

    async def _close(self, *, faulted: bool) -> None:
        """Whatever happened: sessions are closed, nobody is left on the line, and what is known is written."""
        async with asyncio.TaskGroup() as group:
            writing = [group.create_task(self._emitter.run()), group.create_task(self._emitter.keep_owning())]
            try:
                if faulted and not self._emitter.lost:
                    await self._give_up()
                if self._opened_floor is not None:
                    await self._opened_floor.close()
            finally:
                # Before the log has taken everything: without the log the caller would wait in silence for it.
                if self._state.phase is Phase.ENDED and not self._emitter.lost and not self._leave_room:
                    await self._legs.end_room()
            await self._emitter.drained(self._limits.drain_s)
            for task in writing:
                task.cancel()

    async def _give_up(self) -> None:
        """After a fault: end the log, and the call unless two people are talking. Their conversation must go on."""
        if self._opened_floor is None:
            if self._emitter.owner:
                self._state.phase = Phase.ENDED  # nothing was said or written: hang up
            return
        self._state.phase = Phase.ENDED
        at = self._clock.now()
        if isinstance(outcome := await self._transfers.settle(0), TransferConnected):
            self._human_joined(outcome)
        self._leave_room = self._human is not None and not self._customer_gone.is_set()
        if self._leave_room:
            log.error("call.left_to_people", mend="their words are no longer recorded; nothing else is to be done")
        else:
            self._customer_left(WORKER_FAULT, at)
        try:
            await self._floor.close()
            self._speech.close(self._clock.now())
        finally:
            if not self._leave_room:
                self._human_left(WORKER_FAULT, at)
            self._ended(EndedBy.SYSTEM, WORKER_FAULT, at)

    def _prepare(self, before: Sequence[AnyEvent]) -> None:
        said = [event.data for event in before if isinstance(event.data, UtteranceCompleted)]
        if before:
            self._started = before[0].time
        self._speech = Speech(lambda data, at: self._emitter.emit(data, at=at), said, language=self._profile.language)
        self._opened_floor = Floor(
            profile=self._profile,
            state=self._state,
            emitter=self._emitter,
            speech=self._speech,
            legs=self._legs,
            studio=self._studio,
            clock=self._clock,
            limits=self._limits,
            first_number=len(before),
        )
        self._desk = CallDesk(
            profile=self._profile,
            state=self._state,
            emitter=self._emitter,
            speech=self._speech,
            floor=self._floor,
            clock=self._clock,
            listens=self._customer_listens,
            signal=self.signal,
        )

    async def _live(self, group: asyncio.TaskGroup, found: Standing, *, resumed: bool) -> None:
        known = [spec.key for spec in self._profile.agents]
        self._floor.last_agent = found.agent if found.agent in known else self._profile.first_agent
        if found.human is not None:
            await self._listen_to(found.human, group)
        elif await self._speak(self._floor.last_agent):
            # Asked for while the phone still rings; it is heard once the customer listens, see Desk.customer_listens.
            self._floor.tell("Go on where the conversation stopped." if resumed else self._profile.greeting)
        log.debug("call.voice_started")
        while self._state.phase is not Phase.ENDED:
            signal = await self._inbox.get()
            try:
                await self._act(signal, group)
            except IllegalMove as refused:
                log.warning("call.illegal_move", signal=type(signal).__name__, why=str(refused))

    def _act(  # noqa: PLR0911 - one return for each kind of signal
        self, signal: Signal, group: asyncio.TaskGroup
    ) -> Coroutine[Any, Any, None]:
        match signal:
            case CustomerGone():
                return self._end(EndedBy.CUSTOMER, signal.reason, signal.at)
            case RoomGone():
                return self._end(EndedBy.SYSTEM, signal.reason, signal.at)
            case HumanGone():
                return self._human_gone(signal)
            case TransferOutcome(data=TransferConnected() as connected):
                return self._hand_over(connected, group)
            case TransferOutcome():
                return self._transfer_over(signal.data)
            case VoiceLost():
                return self._voice_lost(signal)
            case GoodbyeAsked():
                return self._end_if(Phase.AI, EndedBy.AI, "AGENT_ENDED")
            case Stranded():
                return self._end_if(Phase.STRANDED, EndedBy.SYSTEM, MODEL_UNAVAILABLE)
            case OwnershipLost():
                return self._leave()

    async def _speak(self, agent: str) -> bool:
        try:
            await self._floor.speak(self._desk, agent)
        except VoiceFailed as failed:
            self.signal(VoiceLost(detail=str(failed)))
            return False
        return True

    # Transfers -------------------------------------------------------------------------------------------------------

    async def _hand_over(self, connected: TransferConnected, group: asyncio.TaskGroup) -> None:
        """The person is on the line."""
        self._state.step(Step.CONNECTED)
        self._state.transfer = None
        await self._listen_to(connected, group)

    async def _listen_to(self, connected: TransferConnected, group: asyncio.TaskGroup) -> None:
        """The AI is silent and gone; what the two people say is written down."""
        human = self._human_joined(connected)

        def start(ear: Ear) -> None:
            group.create_task(ear.run(), name=ear.source)

        await self._floor.hand_over(
            Speaker(role=Role.HUMAN, name=human.name, identity=human.identity),
            Speaker(role=Role.CUSTOMER, name="Customer", identity=self._state.customer_identity),
            start,
            self._customer_gone,
        )
        self._emitter.emit(
            TransferCompleted(transfer_id=connected.transfer_id),
            at=self._clock.now(),
            once=("transfer.completed", connected.transfer_id),
            correlation=connected.transfer_id,
        )
        if not await self._legs.joined(human.identity, self._limits.human_s):
            self.signal(HumanGone(identity=human.identity, reason="LEFT_AT_ONCE", at=self._clock.now()))

    def _human_joined(self, connected: TransferConnected) -> Human:
        self._human, human = connected, connected.human
        joined = LegJoined(identity=human.identity, role=Role.HUMAN, sip_call_id=connected.sip_call_id)
        self._emitter.emit(joined, at=self._clock.now(), once=("leg.joined", human.identity))
        return human

    async def _transfer_over(self, outcome: Outcome) -> None:
        """Nobody came."""
        self._state.transfer = None
        if self._state.phase is Phase.STRANDED:
            await self._end(EndedBy.SYSTEM, MODEL_UNAVAILABLE, self._clock.now())
        elif isinstance(outcome, TransferFailed):
            self._state.step(Step.FAILED)
            self._floor.tell(bad_news(outcome))
        else:
            self._state.step(Step.CANCELLED)

    async def _human_gone(self, gone: HumanGone) -> None:
        if self._human is None or gone.identity != self._human.human.identity:
            return  # a leg that was dialled and never connected: the orchestrator's business
        self._human = None
        left = LegLeft(identity=gone.identity, role=Role.HUMAN, reason=gone.reason)
        self._emitter.emit(left, at=gone.at, once=("leg.left", gone.identity))
        await self._floor.stop_listening(gone.identity)
        if self._customer_gone.is_set():
            return  # that signal is in the inbox
        self._state.step(Step.HUMAN_LEFT)
        # The customer's speech-to-text goes on until the AI listens.
        if await self._speak(self._floor.last_agent):
            self._floor.tell(self._profile.human_left)
            await self._floor.take_back(self._customer_gone)

    async def _voice_lost(self, lost: VoiceLost) -> None:
        """The provider is gone: the caller must not be left in silence."""
        phase, fallback = self._state.phase, self._profile.fallback_destination
        log.error("voice.lost", phase=phase, why=lost.detail, mend="see the model provider's status, key and quota")
        if phase not in (Phase.AI, Phase.TRANSFERRING):
            return
        self._state.step(Step.VOICE_FAILED)
        await self._floor.hush(MODEL_UNAVAILABLE)
        if phase is Phase.AI:
            summary = "The assistant failed in the middle of the call. Please ask the caller what it is about."
            if fallback is None or self._desk.request_transfer(fallback, "The assistant failed", summary) is not None:
                await self._end(EndedBy.SYSTEM, MODEL_UNAVAILABLE, self._clock.now())
                return
        asyncio.get_running_loop().call_later(self._limits.stranded_s, self.signal, Stranded())

    # The end ---------------------------------------------------------------------------------------------------------

    async def _end_if(self, phase: Phase, by: EndedBy, cause: str) -> None:
        if self._state.phase is phase:
            await self._end(by, cause, self._clock.now())

    async def _leave(self) -> None:
        """Another worker speaks for this call: not a word more, and nothing is ended."""
        self._state.step(Step.ENDED)

    async def _end(self, by: EndedBy, cause: str, at: datetime) -> None:
        """End the call that was over ``at``, as it was seen, which may be a while ago."""
        self._state.step(Step.ENDED)
        # The customer's leg first: a phone that still rings for them must stop, and nobody is connected any more.
        self._customer_left(cause, at)
        await self._floor.last_words(self._customer_gone)
        self._speech.close(self._clock.now())
        outcome = await self._transfers.settle(self._limits.outcome_s)
        if isinstance(outcome, TransferConnected):
            self._human_joined(outcome)
        self._human_left(cause, self._clock.now())
        self._ended(by, cause, at)

    def _customer_left(self, cause: str, at: datetime) -> None:
        customer = self._state.customer_identity
        left = LegLeft(identity=customer, role=Role.CUSTOMER, reason=cause)
        self._emitter.emit(left, at=at, once=("leg.left", customer))

    def _human_left(self, cause: str, at: datetime) -> None:
        if self._human is not None:
            leg = self._human.human.identity
            self._emitter.emit(LegLeft(identity=leg, role=Role.HUMAN, reason=cause), at=at, once=("leg.left", leg))

    def _ended(self, by: EndedBy, cause: str, at: datetime) -> None:
        duration = max(0, int((at - self._started).total_seconds() * 1000))
        ended = CallEnded(ended_by=by, cause=cause, duration_ms=duration)
        self._emitter.emit(ended, at=self._clock.now(), once=("call.ended",))

    # Beside the call -------------------------------------------------------------------------------------------------

    async def _await_answer(self, leg: CustomerLeg) -> None:
        if not await self._legs.answered(leg, self._limits.answer_s):
            self.signal(CustomerGone(reason="NOT_ANSWERED", at=self._clock.now()))
            return
        log.debug("call.answered")
        joined = LegJoined(identity=leg.identity, role=Role.CUSTOMER, sip_call_id=leg.sip_call_id)
        self._emitter.emit(joined, at=self._clock.now(), once=("leg.joined", leg.identity))
        self._customer_listens.set()

    async def _patience(self) -> None:
        while True:
            await asyncio.sleep(1)
            self._speech.give_up_overdue(self._clock.now())
