"""Looks after one dial each, in the background of the service: rings, watches, and says how it ended.

The consumer's handler must not wait for a person to pick up, so a dial has a task of its own. The task only ever
*reports* (ringing, connected, attempt_failed); what follows from a report is decided by the handler that hears it.

Whoever wrote ``transfer.dialing`` makes the API call. Anybody else who comes upon an unfinished dial (a process died,
or its wake went elsewhere) watches the leg: an answer, the ringing, its absence. Watching next to a living dialler does
no harm, for both write under the same ids; it is patient enough that the dialler, who knows why a dial ended, speaks
first.

Stopping the process leaves the phones alone: closing the API call does not end the dial (LiveKit goes on ringing), and
the call's wake brings another instance, or this one after its restart, to the leg.
"""

import asyncio
import contextlib
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum

import structlog

from call_events.errors import LogUnavailable
from call_events.ids import CallId
from call_events.ports import Clock
from transfer_orchestrator.domain import decisions
from transfer_orchestrator.domain.call import CallState
from transfer_orchestrator.domain.dialling import DialOrder, Legs
from transfer_orchestrator.domain.outcome import LegStatus, Verdict, classify, says_how_it_ended, vanished
from transfer_orchestrator.domain.transfer import Attempt
from transfer_orchestrator.errors import DialRefused, ExchangeUnreachable
from transfer_orchestrator.handlers.recorder import Decision, Recorder
from transfer_orchestrator.ports import Dialler, Gauges

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Tempo:
    """How often we look and how long we are patient, all in seconds."""

    #: Between two looks at the room while a phone rings.
    poll: float = 0.2
    #: A leg that cannot be seen for so long, and of which the API tells nothing, is gone.
    absent: float = 3.0
    #: The same after LiveKit could not be asked: its legs come back by themselves within 6 to 9 s (measured).
    absent_after_outage: float = 15.0
    #: A person on the line whose caller cannot be seen in the room is let go after this.
    caller_absent: float = 3.0
    #: So long after the ringing time a leg that still rings is put down.
    overtime: float = 15.0
    #: So long a phone that must be silent is looked after.
    stopping: float = 5.0
    #: Between two tries at a log that cannot serve.
    log_retry: float = 0.5


@dataclass(frozen=True, slots=True)
class DialTask:
    """What a dial's task must know."""

    call: CallId
    room: str
    customer: str
    transfer_id: str
    attempt: Attempt
    human_name: str
    ring_seconds: int
    #: None: watch only; somebody else has made the API call, or nobody knows.
    order: DialOrder | None


class _Lost(Enum):
    """The API call came back without telling how the dial ended."""

    LOST = "lost"


@dataclass(frozen=True, slots=True)
class _Answered:
    sip_call_id: str | None


@dataclass(frozen=True, slots=True)
class _Seen:
    #: None: LiveKit could not be asked.
    legs: Legs | None


_News = _Answered | DialRefused | _Lost | _Seen


@dataclass(slots=True)
class _Watch:
    """What the task has seen so far; times are the clock's monotonic seconds."""

    began: float
    #: The API call has not come back yet.
    pending: bool
    last: LegStatus | None = None
    rang: bool = False
    answered: _Answered | None = None
    #: The exchange has said that the dial is over: nothing rings any more.
    silent: bool = False
    #: Since when the leg, or the caller, cannot be seen.
    leg_absent: float | None = None
    caller_absent: float | None = None
    #: LiveKit could not be asked at some time.
    outage: bool = False
    #: The outcome is written and is not ours: since when the phone should be silent.
    stopping: float | None = None
    ended: bool = False
    news: asyncio.Queue[_News] = field(default_factory=asyncio.Queue)


class Dials:
    """The dials this process looks after."""

    def __init__(self, dialler: Dialler, recorder: Recorder, clock: Clock, gauges: Gauges, tempo: Tempo) -> None:
        self._dialler = dialler
        self._recorder = recorder
        self._clock = clock
        self._gauges = gauges
        self._tempo = tempo
        self._running: dict[str, asyncio.Task[None]] = {}
        self._idle = asyncio.Event()
        self._idle.set()

    def looks_after(self, dial_id: str) -> bool:
        """Whether a task of this process is at this dial."""
        return dial_id in self._running

    def start(self, dial: DialTask, state: CallState, tasks: asyncio.TaskGroup) -> None:
        """Dial, or watch, in the background. Once per dial."""
        dial_id = dial.attempt.dial_id
        task = tasks.create_task(self._run(dial, state), name=f"dial-{dial_id}")
        self._running[dial_id] = task
        self._idle.clear()
        self._gauges.dials_running(len(self._running))
        task.add_done_callback(lambda _: self._forget(dial_id))

    async def drain(self, grace_s: float) -> int:
        """Wait until the running dials have ended; leave those that have not to whoever takes them over.

        Returns:
            how many were left. Their phones go on ringing.
        """
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(grace_s):
                await self._idle.wait()
        left = list(self._running.values())
        for task in left:
            task.cancel()
        return len(left)

    def _forget(self, dial_id: str) -> None:
        self._running.pop(dial_id, None)
        self._gauges.dials_running(len(self._running))
        if not self._running:
            self._idle.set()

    async def _run(self, dial: DialTask, state: CallState) -> None:
        with structlog.contextvars.bound_contextvars(call=dial.call):
            watch = _Watch(began=self._clock.monotonic(), pending=dial.order is not None, rang=dial.attempt.rang)
            async with asyncio.TaskGroup() as side:
                errands = [side.create_task(self._look(dial, watch))]
                if dial.order is not None:
                    errands.append(side.create_task(self._call(dial.order, watch)))
                try:
                    while not watch.ended:
                        news = await watch.news.get()
                        state = await self._heed(dial, watch, state, news)
                finally:
                    for errand in errands:
                        errand.cancel()

    # -- the two sources of news --------------------------------------------------------------------------------------

    async def _call(self, order: DialOrder, watch: _Watch) -> None:
        try:
            watch.news.put_nowait(_Answered(await self._dialler.dial(order)))
        except DialRefused as refused:
            watch.news.put_nowait(refused)
        except ExchangeUnreachable:
            watch.outage = True
            watch.news.put_nowait(_Lost.LOST)

    async def _look(self, dial: DialTask, watch: _Watch) -> None:
        pause = self._tempo.poll / 4  # the phone rings within some 40 ms
        while True:
            await asyncio.sleep(pause)
            try:
                seen = _Seen(await self._dialler.legs(dial.room))
            except ExchangeUnreachable:
                seen = _Seen(None)
            if watch.news.empty():  # old looks tell nothing new
                watch.news.put_nowait(seen)
            pause = self._tempo.poll

    # -- what the news mean -------------------------------------------------------------------------------------------

    async def _heed(self, dial: DialTask, watch: _Watch, state: CallState, news: _News) -> CallState:
        try:
            state = await self._recorder.catch_up(dial.call, state)
            if decisions.under_way(state, dial.transfer_id, dial.attempt) is not None:
                return await self._under_way(dial, watch, state, news)
            if decisions.won(state, dial.transfer_id, dial.attempt):
                watch.ended = True
            else:
                await self._make_silent(dial, watch, news)
        except LogUnavailable:
            # What the API said cannot be asked for again; what is seen in the room can.
            log.warning("transfer.log_unavailable", transfer=dial.transfer_id, dial_id=dial.attempt.dial_id)
            await asyncio.sleep(self._tempo.log_retry)
            if not isinstance(news, _Seen):
                watch.news.put_nowait(news)
        return state

    async def _under_way(self, dial: DialTask, watch: _Watch, state: CallState, news: _News) -> CallState:
        verdict: Verdict | None = None
        match news:
            case _Answered():
                watch.pending = False
                watch.answered = news
            case DialRefused():
                watch.pending, watch.silent = False, True
                elapsed = self._clock.monotonic() - watch.began
                if says_how_it_ended(news, rang_for_s=elapsed, ring_seconds=dial.ring_seconds):
                    verdict = classify(news, last=LegStatus.RINGING if watch.rang else watch.last)
            case _Lost():
                watch.pending = False
            case _Seen():
                verdict = self._look_at(dial, watch, news)
        if not state.customer_present:
            return await self._write(
                dial, watch, state, lambda now: decisions.cancelled(now, dial.transfer_id, "caller_left")
            )
        if watch.rang:
            state = await self._write(
                dial, watch, state, lambda now: decisions.ringing(now, dial.transfer_id, dial.attempt)
            )
            if watch.ended or watch.stopping is not None:
                return state
        if watch.answered is not None:
            return await self._answered(dial, watch, state, watch.answered)
        if verdict is not None:
            return await self._write(dial, watch, state, _unanswered(dial, verdict))
        return state

    def _look_at(self, dial: DialTask, watch: _Watch, seen: _Seen) -> Verdict | None:
        """Take in what is seen in the room; a verdict when that is enough to say how the dial ended."""
        now = self._clock.monotonic()
        if seen.legs is None:
            watch.outage, watch.leg_absent, watch.caller_absent = True, None, None
            return None
        watch.caller_absent = None if dial.customer in seen.legs else watch.caller_absent or now
        leg = seen.legs.get(dial.attempt.identity)
        age = (self._clock.now() - dial.attempt.began_at).total_seconds()
        if leg is not None and leg.status is not LegStatus.HANGUP:
            watch.leg_absent = None
            watch.last = leg.status or watch.last
            watch.rang = watch.rang or leg.status is LegStatus.RINGING
            if leg.status is LegStatus.ACTIVE:
                watch.answered = watch.answered or _Answered(leg.sip_call_id)
            elif age > dial.ring_seconds + self._tempo.overtime:
                why = "the leg was still there long after its ringing time"
                return vanished(last=watch.last, rang=watch.rang, rang_out=True, why=why)
            return None
        watch.leg_absent = watch.leg_absent or now
        patience = self._tempo.absent_after_outage if watch.outage else self._tempo.absent
        if watch.pending or now - watch.leg_absent < patience:
            return None
        why = "the leg was gone, and nobody could say why"
        return vanished(last=watch.last, rang=watch.rang, rang_out=age >= dial.ring_seconds, why=why)

    async def _answered(self, dial: DialTask, watch: _Watch, state: CallState, answer: _Answered) -> CallState:
        if watch.caller_absent is not None:
            if self._clock.monotonic() - watch.caller_absent < self._tempo.caller_absent:
                return state  # the next look tells more
            return await self._write(
                dial, watch, state, lambda now: decisions.cancelled(now, dial.transfer_id, "caller_left")
            )
        return await self._write(
            dial,
            watch,
            state,
            lambda now: decisions.answered(
                now, dial.transfer_id, dial.attempt, human_name=dial.human_name, sip_call_id=answer.sip_call_id
            ),
        )

    async def _write(self, dial: DialTask, watch: _Watch, state: CallState, decide: Decision) -> CallState:
        state = (await self._recorder.record(dial.call, state, decide)).state
        if decisions.won(state, dial.transfer_id, dial.attempt):
            watch.ended = True
        elif decisions.under_way(state, dial.transfer_id, dial.attempt) is None:
            await self._make_silent(dial, watch, None)
        return state

    async def _make_silent(self, dial: DialTask, watch: _Watch, news: _News | None) -> None:
        """The outcome is written and this phone has no part in it: put the leg out until it is seen to be gone."""
        now = self._clock.monotonic()
        watch.stopping = watch.stopping or now
        watch.pending = watch.pending and (news is None or isinstance(news, _Seen))
        watch.silent = watch.silent or isinstance(news, DialRefused)
        legs = news.legs if isinstance(news, _Seen) else None
        gone = legs is not None and dial.attempt.identity not in legs
        if watch.silent or (gone and not watch.pending) or now - watch.stopping > self._tempo.stopping:
            watch.ended = True
            return
        if not gone:
            try:
                await self._dialler.remove(dial.room, dial.attempt.identity)
            except ExchangeUnreachable:
                log.warning("transfer.phone_not_stopped", transfer=dial.transfer_id, dial_id=dial.attempt.dial_id)


def _unanswered(dial: DialTask, verdict: Verdict) -> Callable[[CallState], decisions.TransferFact | None]:
    return lambda now: decisions.unanswered(now, dial.transfer_id, dial.attempt, verdict)
