"""One call from its first ring to its last word.

The conductor takes the call, is told what happens to it (signals, acted upon one at a time) and sees to its end. It
knows neither LiveKit nor Redis, and not whether its process hosts one call or many. What each signal does to the call
stands in :mod:`voice_worker.handlers.course`.
"""

import asyncio
from collections.abc import Sequence

import structlog

from call_events.catalogue import (
    TransferConnected,
    UtteranceCompleted,
)
from call_events.ids import CallId
from call_events.ports import AnyEvent, EventLog
from voice_worker.domain.call import Phase, SessionState
from voice_worker.domain.profile import Profile
from voice_worker.domain.signals import (
    CustomerGone,
    OwnershipLost,
    RoomGone,
    Signal,
    TransferOutcome,
)
from voice_worker.errors import IllegalMove
from voice_worker.handlers.course import Course
from voice_worker.handlers.desk import CallDesk
from voice_worker.handlers.emitter import Emitter
from voice_worker.handlers.ending import Ending
from voice_worker.handlers.faults import report
from voice_worker.handlers.floor import Floor
from voice_worker.handlers.limits import Limits
from voice_worker.handlers.opening import Standing, call_started, note_customer, note_standing, standing, take_call
from voice_worker.handlers.parties import Parties
from voice_worker.handlers.speech import Speech
from voice_worker.handlers.transfers import Transfers
from voice_worker.ports import CallSpool, CustomerLeg, Ear, Legs, Studio, WallClock

log = structlog.get_logger()


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
        spool: CallSpool | None = None,
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
            events, call, producer, lease_ms=limits.lease_ms, on_lost=lambda: self.signal(OwnershipLost()), spool=spool
        )
        self._opened_floor: Floor | None = None
        self._speech: Speech
        self._desk: CallDesk
        self._course: Course
        self._transfers = Transfers(
            events, call, state=self._state, emitter=self._emitter, clock=clock, signal=self.signal
        )
        self._parties = Parties(self._state, self._emitter, clock)
        self._ending = Ending(
            state=self._state,
            emitter=self._emitter,
            transfers=self._transfers,
            parties=self._parties,
            legs=legs,
            clock=clock,
            limits=limits,
            inbox=self._inbox,
        )
        self._customer_listens = asyncio.Event()

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
                self._ending.customer_gone.set()
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
                await self._ending.close(faulted=faulted)

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
            self._emitter.emit(opened, at=self._ending.started, once=("call.started",))
        async with asyncio.TaskGroup() as group:
            running = [
                group.create_task(work, name=name)
                for name, work in (
                    *self._emitter.jobs().items(),
                    ("outcomes", self._transfers.follow(len(before))),
                    ("patience", self._patience()),
                    ("answer", self._await_answer(leg, known=found.answered)),
                )
            ]
            await self._live(group, found, resumed=bool(before))
            await self._floor.close()
            for task in running:
                task.cancel()

    def _prepare(self, before: Sequence[AnyEvent]) -> None:
        said = [event.data for event in before if isinstance(event.data, UtteranceCompleted)]
        if before:
            self._ending.started = before[0].time
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
        self._ending.opened(self._floor, self._speech)
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
        self._course = Course(
            profile=self._profile,
            state=self._state,
            emitter=self._emitter,
            floor=self._floor,
            desk=self._desk,
            parties=self._parties,
            ending=self._ending,
            legs=self._legs,
            clock=self._clock,
            limits=self._limits,
            signal=self.signal,
        )

    async def _live(self, group: asyncio.TaskGroup, found: Standing, *, resumed: bool) -> None:
        def start(ear: Ear) -> None:
            group.create_task(ear.run(), name=ear.source)

        await self._course.begin(found, start, resumed=resumed)
        log.debug("call.voice_started")
        while self._state.phase is not Phase.ENDED:
            signal = await self._inbox.get()
            try:
                await self._course.act(signal, start)
            except IllegalMove as refused:
                log.warning("call.illegal_move", signal=type(signal).__name__, why=str(refused))

    async def _await_answer(self, leg: CustomerLeg, *, known: bool) -> None:
        if not known and not await self._legs.answered(leg, self._limits.answer_s):
            self.signal(CustomerGone(reason="NOT_ANSWERED", at=self._clock.now()))
            return
        log.debug("call.answered")
        self._parties.customer_joined(leg)
        self._customer_listens.set()

    async def _patience(self) -> None:
        while True:
            await asyncio.sleep(1)
            self._speech.give_up_overdue(self._clock.now())
