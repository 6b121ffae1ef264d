"""How a call ends: what is written, in which order, and who is sent home.

An end that was foreseen is written while the call runs. After a fault it is written in passing, and nobody is cut off
in the middle of a sentence by it: the AI's call ends, but two people talk on, no longer written down, until one of
them leaves. Then the other is sent home: no line stays open for ever.
"""

import asyncio
from collections.abc import Coroutine
from datetime import datetime
from typing import Any

import structlog

from call_events.catalogue import CallEnded, EndedBy, Human, TransferConnected
from voice_worker.domain.call import Phase, SessionState, Step
from voice_worker.domain.signals import CustomerGone, HumanGone, RoomGone, Signal
from voice_worker.handlers.emitter import Emitter
from voice_worker.handlers.faults import report
from voice_worker.handlers.floor import Floor
from voice_worker.handlers.limits import Limits
from voice_worker.handlers.parties import Parties
from voice_worker.handlers.speech import Speech
from voice_worker.handlers.transfers import Transfers
from voice_worker.ports import Legs, WallClock

log = structlog.get_logger()

WORKER_FAULT = "WORKER_FAULT"


class Ending:
    """The end of one call."""

    def __init__(
        self,
        *,
        state: SessionState,
        emitter: Emitter,
        transfers: Transfers,
        parties: Parties,
        legs: Legs,
        clock: WallClock,
        limits: Limits,
        inbox: asyncio.Queue[Signal],
    ) -> None:
        self._state = state
        self._emitter = emitter
        self._transfers = transfers
        self._parties = parties
        self._legs = legs
        self._clock = clock
        self._limits = limits
        self._inbox = inbox
        self._opened: tuple[Floor, Speech] | None = None
        #: Set when the customer's leg is known to be gone, before the signal is acted upon.
        self.customer_gone = asyncio.Event()
        #: Two people talk, and this worker can do no more than let them.
        self._left_to: Human | None = None
        #: When the call began.
        self.started = clock.now()

    def opened(self, floor: Floor, speech: Speech) -> None:
        """From now on there is something to close."""
        self._opened = floor, speech

    async def end(self, by: EndedBy, cause: str, at: datetime) -> None:
        """End the call that was over ``at``, as it was seen, which may be a while ago."""
        assert self._opened is not None, "the call has been taken"
        floor, speech = self._opened
        self._state.step(Step.ENDED)
        # The customer's leg first: a phone that still rings for them must stop, and nobody is connected any more.
        self._parties.customer_left(cause, at)
        await floor.last_words(self.customer_gone)
        speech.close(self._clock.now())
        outcome = await self._transfers.settle(self._limits.outcome_s)
        if isinstance(outcome, TransferConnected):
            self._parties.human_joined(outcome)
        self._parties.human_left(cause, self._clock.now())
        self._ended(by, cause, at)

    async def close(self, *, faulted: bool) -> None:
        """Whatever happened: sessions are closed, nobody is left on the line, and what is known is written."""
        async with asyncio.TaskGroup() as beside:
            await _reported(self._write_down(beside, faulted=faulted))

    async def _write_down(self, beside: asyncio.TaskGroup, *, faulted: bool) -> None:
        try:
            await self._drain(beside, faulted=faulted)
        finally:
            self._emitter.close()

    async def _drain(self, beside: asyncio.TaskGroup, *, faulted: bool) -> None:
        async with asyncio.TaskGroup() as group:
            writing = [group.create_task(work) for work in self._emitter.jobs().values()]
            try:
                if faulted and not self._emitter.lost:
                    await self._give_up(beside)
                if self._opened is not None:
                    await self._opened[0].close()
            finally:
                # Before the log has taken everything: without the log the caller would wait in silence for it.
                if self._state.phase is Phase.ENDED and not self._emitter.lost and self._left_to is None:
                    await self._legs.end_room()
            await self._emitter.drained(self._limits.drain_s)
            for task in writing:
                task.cancel()

    async def _give_up(self, beside: asyncio.TaskGroup) -> None:
        """After a fault: end the log, and the call unless two people are talking. Their conversation must go on.

        They are attended to ``beside`` the writing: a log that does not answer must not keep one of them in silence.
        """
        if self._opened is None:
            if self._emitter.owner:
                self._state.phase = Phase.ENDED  # nothing was said or written: hang up
            return
        floor, speech = self._opened
        self._state.phase = Phase.ENDED
        at = self._clock.now()
        if isinstance(outcome := await self._transfers.settle(0), TransferConnected):
            self._parties.human_joined(outcome)
        if not self.customer_gone.is_set():
            self._left_to = self._parties.human
        if self._left_to is not None:
            log.error("call.left_to_people", mend="their words are no longer recorded; nothing else is to be done")
            beside.create_task(_reported(self._attend(self._left_to)), name="people")
        else:
            self._parties.customer_left(WORKER_FAULT, at)
        try:
            await floor.close()
            speech.close(self._clock.now())
        finally:
            if self._left_to is None:
                self._parties.human_left(WORKER_FAULT, at)
            self._ended(EndedBy.SYSTEM, WORKER_FAULT, at)

    async def _attend(self, human: Human) -> None:
        """Wait until one of the two people leaves, not for ever, and send the other home."""
        if await self._legs.joined(human.identity, self._limits.human_s):
            try:
                async with asyncio.timeout(self._limits.people_s):
                    while not _part(await self._inbox.get(), human):
                        continue
            except TimeoutError:
                log.warning("call.people_cut_off", after_s=self._limits.people_s)
        await self._legs.end_room()

    def _ended(self, by: EndedBy, cause: str, at: datetime) -> None:
        duration = max(0, int((at - self.started).total_seconds() * 1000))
        ended = CallEnded(ended_by=by, cause=cause, duration_ms=duration)
        self._emitter.emit(ended, at=self._clock.now(), once=("call.ended",))


async def _reported(work: Coroutine[Any, Any, None]) -> None:
    """Do it to its end. A fault stops nothing that goes on beside it: not the log the people, nor they the log."""
    try:
        await work
    except* Exception as faults:  # noqa: BLE001 - the call's edge: something is broken, and somebody may be there
        report(faults)


def _part(signal: Signal, human: Human) -> bool:
    """Whether this is the end of the conversation between the customer and that person."""
    match signal:
        case CustomerGone() | RoomGone():
            return True
        case HumanGone():
            return signal.identity == human.identity
        case _:
            return False
