"""Decides about the transfers of one call, whenever something new is in its log or its wake is due.

The consumer gives a call to one handler of the group at a time, so here, and only here, is decided what to do *next*:
refuse, dial, try the next phone, give up, call off. The cursor stays before the oldest open ``transfer.requested``
until it has its outcome: whatever is lost (this process, a wake, a doorbell), the call comes back to somebody.
"""

import asyncio
from collections import OrderedDict
from datetime import datetime, timedelta

import structlog

from call_events.catalogue import DialOutcome
from call_events.ports import CallView, Clock, Progress
from transfer_orchestrator.domain import decisions
from transfer_orchestrator.domain.call import CallState, fold
from transfer_orchestrator.domain.decisions import Dial, Nothing, Stop, TransferFact, Watch, Write
from transfer_orchestrator.domain.destination import Destinations, Target
from transfer_orchestrator.domain.dialling import DialOrder
from transfer_orchestrator.domain.headers import dial_headers
from transfer_orchestrator.domain.transfer import Attempt, Transfer
from transfer_orchestrator.errors import ExchangeUnreachable
from transfer_orchestrator.handlers.dials import Dials
from transfer_orchestrator.handlers.recorder import Recorder
from transfer_orchestrator.handlers.watch import DialTask
from transfer_orchestrator.ports import Dialler, Gauges

log = structlog.get_logger()

#: A call with an open transfer is looked at so often, whatever happens: the bound on noticing a dead dialler.
RENEWAL = timedelta(seconds=2)
#: Another instance's dial is watched only when it is older than this: its dialler is surely at it.
FRESH = timedelta(seconds=1.5)
#: While the room, or the caller in it, cannot be seen: asked again after the first, given up after the second.
ROOM_RETRY = timedelta(seconds=1)
ROOM_PATIENCE = timedelta(seconds=15)
#: A leg may join its room so long after ``transfer.dialing``: a phone stopped before that is stopped once more after
#: it, for the order to remove the leg may have come before the leg, and its dialler may have died.
JOINING = timedelta(seconds=3)
#: The longest a phone whose target has left the configuration is watched.
_UNKNOWN_RING_SECONDS = 60
_REMEMBERED = 1024
#: Under this name the call as far as it was folded is kept in the view's memory.
_STATE = "state"


class Transfers:
    """The handler of the consumer group ``transfer``."""

    def __init__(
        self,
        *,
        destinations: Destinations,
        dialler: Dialler,
        recorder: Recorder,
        dials: Dials,
        clock: Clock,
        gauges: Gauges,
        tasks: asyncio.TaskGroup,
    ) -> None:
        self._destinations = destinations
        self._dialler = dialler
        self._recorder = recorder
        self._dials = dials
        self._clock = clock
        self._gauges = gauges
        self._tasks = tasks
        #: Dials this process has sent, and phones it has stopped; the oldest are forgotten.
        self._sent: OrderedDict[str, None] = OrderedDict()
        self._stopped: OrderedDict[str, None] = OrderedDict()

    async def __call__(self, view: CallView) -> Progress:
        """Take the next step of every transfer of the call.

        Raises:
            LogUnavailable, ExchangeUnreachable: asked again after a back-off.
        """
        tail = len(view.events)
        state = self._read(view)
        if not state.transfers:
            return Progress(through=tail)
        for seq in state.strange:
            if seq > view.cursor:
                log.warning("transfer.strange_event", seq=seq)
        wakes: list[datetime] = []
        held: list[int] = []
        for transfer_id in tuple(state.transfers):
            state, wake = await self._advance(view, state, transfer_id)
            if wake is not None:
                wakes.append(wake)
                if (closed := state.transfers[transfer_id].closed_seq) is not None:
                    held.append(closed - 1)
        held += [t.requested_seq - 1 for t in state.transfers.values() if t.open]
        through = max(view.cursor, min([tail, *held]))
        if wakes:
            return Progress(through=through, wake_at=min(wakes))
        return Progress(through=through, wake_at=self._clock.now() + RENEWAL if held else None)

    @staticmethod
    def _read(view: CallView) -> CallState:
        """The call as its log tells it; what was folded at an earlier turn is not folded again."""
        before: CallState = view.memory.get(_STATE, CallState())
        state = view.memory[_STATE] = fold(view.events[before.seq :], before)
        return state

    async def _advance(self, view: CallView, state: CallState, transfer_id: str) -> tuple[CallState, datetime | None]:
        """One step of one transfer: the log as it then is, and when to look again."""
        transfer = state.transfers[transfer_id]
        step = decisions.next_step(state, transfer, self._destinations)
        match step:
            case Nothing():
                return state, None
            case Stop():
                if transfer.closed_seq is not None and transfer.closed_seq > view.cursor:
                    return state, await self._stop(state, step.attempt)
                return state, None
            case Write():
                return await self._write_end(view, state, transfer_id)
            case Dial():
                return await self._dial(view, state, transfer, step)
            case Watch():
                return state, self._watch(view, state, transfer, step)

    async def _write_end(self, view: CallView, state: CallState, transfer_id: str) -> tuple[CallState, datetime | None]:
        def still_so(now: CallState) -> TransferFact | None:
            again = decisions.next_step(now, now.transfers[transfer_id], self._destinations)
            return again.data if isinstance(again, Write) else None

        state = (await self._recorder.record(view.call, state, still_so)).state
        dangling = state.transfers[transfer_id].dangling
        if dangling is not None:
            return state, await self._stop(state, dangling)
        return state, self._soon() if state.transfers[transfer_id].open else None

    async def _stop(self, state: CallState, attempt: Attempt) -> datetime | None:
        """Stop a phone that rings for nobody, and tell when to do so again. The log says already that it is over."""
        if attempt.dial_id in self._stopped or state.room is None:
            return None
        joins_until = attempt.began_at + JOINING
        again = joins_until if self._clock.now() < joins_until else None
        await self._dialler.remove(state.room, attempt.identity)
        log.info("transfer.phone_stopped", dial_id=attempt.dial_id)
        if again is None:
            _remember(self._stopped, attempt.dial_id)
        return again

    async def _dial(
        self, view: CallView, state: CallState, transfer: Transfer, step: Dial
    ) -> tuple[CallState, datetime | None]:
        waited_since = transfer.since
        blocked = await self._why_not_now(state)
        if blocked is not None:
            return await self._wait_for_room(view, state, transfer, blocked)
        state = (
            await self._recorder.record(
                view.call, state, lambda now: decisions.dialing(now, transfer.transfer_id, step, view.call)
            )
        ).state
        current = state.transfers[transfer.transfer_id].current
        if current is None:
            return state, self._soon()
        wake = self._watch(view, state, state.transfers[transfer.transfer_id], Watch(current, step.target))
        if current.producer == self._recorder.instance:
            self._gauges.dial_sent(max(0.0, (self._clock.now() - waited_since).total_seconds()))
        return state, wake

    async def _why_not_now(self, state: CallState) -> DialOutcome | None:
        """A dial into a room that is gone would make the room anew and ring a person into silence."""
        try:
            legs = await self._dialler.legs(state.room or "")
        except ExchangeUnreachable:
            return DialOutcome.OVERLOADED
        return None if state.customer in legs else DialOutcome.UNAVAILABLE

    async def _wait_for_room(
        self, view: CallView, state: CallState, transfer: Transfer, blocked: DialOutcome
    ) -> tuple[CallState, datetime | None]:
        now = self._clock.now()
        if now - transfer.since < ROOM_PATIENCE:
            return state, now + ROOM_RETRY
        if blocked is DialOutcome.OVERLOADED:
            gone: TransferFact = decisions.failed(transfer, blocked, "The telephone system did not answer.")
        else:
            gone = decisions.caller_left(transfer)
        log.warning("transfer.room_not_seen", transfer=transfer.transfer_id, waited_s=ROOM_PATIENCE.total_seconds())

        def still_so(later: CallState) -> TransferFact | None:
            return gone if later.transfers[transfer.transfer_id].phase is transfer.phase else None

        return (await self._recorder.record(view.call, state, still_so)).state, self._soon()

    def _watch(self, view: CallView, state: CallState, transfer: Transfer, step: Watch) -> datetime:
        """See to it that somebody is at this dial: the one who wrote it dials, anybody else watches."""
        attempt = step.attempt
        now = self._clock.now()
        if self._dials.looks_after(attempt.dial_id):
            return now + RENEWAL
        ours = attempt.producer == self._recorder.instance
        if not ours and now - attempt.began_at < FRESH:
            return attempt.began_at + FRESH
        order = None
        if ours and attempt.dial_id not in self._sent and step.target is not None and not attempt.rang:
            order = _order(state, transfer, attempt, step.target)
            _remember(self._sent, attempt.dial_id)
        elif not ours:
            log.warning("transfer.dial_taken_over", transfer=transfer.transfer_id, dial_id=attempt.dial_id)
        target = step.target
        task = DialTask(
            call=view.call,
            room=state.room or "",
            customer=state.customer or "",
            transfer_id=transfer.transfer_id,
            attempt=attempt,
            human_name=target.human_name if target is not None else attempt.target,
            ring_seconds=target.ring_seconds if target is not None else _UNKNOWN_RING_SECONDS,
            order=order,
        )
        self._dials.start(task, state, self._tasks)
        return now + RENEWAL

    def _soon(self) -> datetime:
        """The log has moved on under a decision: its doorbell asks again at once, this is the net below it."""
        return self._clock.now() + timedelta(milliseconds=50)


def _order(state: CallState, transfer: Transfer, attempt: Attempt, target: Target) -> DialOrder:
    return DialOrder(
        room=state.room or "",
        identity=attempt.identity,
        dial_id=attempt.dial_id,
        transfer_id=transfer.transfer_id,
        number=target.number,
        display_name=target.human_name,
        ring_seconds=target.ring_seconds,
        headers=dial_headers(dial_id=attempt.dial_id, summary=transfer.summary, customer_number=state.customer_number),
    )


def _remember(memory: OrderedDict[str, None], dial_id: str) -> None:
    memory[dial_id] = None
    while len(memory) > _REMEMBERED:
        memory.popitem(last=False)
