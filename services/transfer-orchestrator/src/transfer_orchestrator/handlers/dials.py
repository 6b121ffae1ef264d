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
import traceback
from collections.abc import Callable
from pathlib import Path

import structlog

from call_events.errors import LogUnavailable
from call_events.ports import Clock
from transfer_orchestrator.domain import decisions
from transfer_orchestrator.domain.call import CallState
from transfer_orchestrator.domain.dialling import DialOrder
from transfer_orchestrator.domain.outcome import LegStatus, Verdict, classify, says_how_it_ended
from transfer_orchestrator.errors import DialRefused, ExchangeUnreachable, LogLost
from transfer_orchestrator.handlers.recorder import Decision, Recorder
from transfer_orchestrator.handlers.watch import Answered, DialTask, Lost, News, Seen, Tempo, Watch
from transfer_orchestrator.ports import Dialler, Gauges

log = structlog.get_logger()


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
        task = tasks.create_task(self._look_after(dial, state), name=f"dial-{dial_id}")
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

    async def _look_after(self, dial: DialTask, state: CallState) -> None:
        """The edge of a dial: whatever goes wrong within it ends neither this process nor another call's dial.

        The transfer stays open, so its call's next wake finds it without anybody at the phone and has it watched.
        """
        with structlog.contextvars.bound_contextvars(call=dial.call, dial_id=dial.attempt.dial_id):
            try:
                await self._run(dial, state)
            except* LogLost:
                log.error(  # noqa: TRY400 - what happened is known
                    "dial.log_lost",
                    transfer=dial.transfer_id,
                    mend="the call's log is gone: was Redis emptied? The phone stops by itself when its time is over",
                )
            except* Exception as faults:  # noqa: BLE001 - the edge of a dial
                log.error(  # noqa: TRY400 - the texts of foreign errors may hold numbers: kinds and places only
                    "dial.failed",
                    transfer=dial.transfer_id,
                    faults=_kinds(faults),
                    mend="the phone is left as it is; the call's next wake looks at it again. Report this as a bug",
                )

    async def _run(self, dial: DialTask, state: CallState) -> None:
        watch = Watch(began=self._clock.monotonic(), pending=dial.order is not None, rang=dial.attempt.rang)
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

    async def _call(self, order: DialOrder, watch: Watch) -> None:
        try:
            watch.news.put_nowait(Answered(await self._dialler.dial(order)))
        except DialRefused as refused:
            watch.news.put_nowait(refused)
        except ExchangeUnreachable:
            watch.outage = True
            watch.news.put_nowait(Lost.LOST)

    async def _look(self, dial: DialTask, watch: Watch) -> None:
        pause = self._tempo.poll / 4  # the phone rings within some 40 ms
        while True:
            await asyncio.sleep(pause)
            try:
                seen = Seen(await self._dialler.legs(dial.room))
            except ExchangeUnreachable:
                seen = Seen(None)
            if watch.news.empty():  # old looks tell nothing new
                watch.news.put_nowait(seen)
            pause = self._tempo.poll

    # -- what the news mean -------------------------------------------------------------------------------------------

    async def _heed(self, dial: DialTask, watch: Watch, state: CallState, news: News) -> CallState:
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
            log.warning("transfer.log_unavailable", transfer=dial.transfer_id)
            await asyncio.sleep(self._tempo.log_retry)
            if not isinstance(news, Seen):
                watch.news.put_nowait(news)
        return state

    async def _under_way(self, dial: DialTask, watch: Watch, state: CallState, news: News) -> CallState:
        verdict: Verdict | None = None
        match news:
            case Answered():
                watch.pending = False
                watch.answered = news
            case DialRefused():
                watch.pending, watch.silent = False, True
                elapsed = self._clock.monotonic() - watch.began
                if says_how_it_ended(news, rang_for_s=elapsed, ring_seconds=dial.ring_seconds):
                    last = LegStatus.RINGING if watch.rang else watch.last
                    verdict = classify(news, last=last, hide=dial.order.numbers if dial.order is not None else ())
            case Lost():
                watch.pending = False
            case Seen():
                age_s = (self._clock.now() - dial.attempt.began_at).total_seconds()
                verdict = watch.look_at(dial, news, self._tempo, now=self._clock.monotonic(), age_s=age_s)
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

    async def _answered(self, dial: DialTask, watch: Watch, state: CallState, answer: Answered) -> CallState:
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

    async def _write(self, dial: DialTask, watch: Watch, state: CallState, decide: Decision) -> CallState:
        state = (await self._recorder.record(dial.call, state, decide)).state
        if decisions.won(state, dial.transfer_id, dial.attempt):
            watch.ended = True
        elif decisions.under_way(state, dial.transfer_id, dial.attempt) is None:
            await self._make_silent(dial, watch, None)
        return state

    async def _make_silent(self, dial: DialTask, watch: Watch, news: News | None) -> None:
        """The outcome is written and this phone has no part in it: put the leg out until it is seen to be gone."""
        now = self._clock.monotonic()
        if watch.stopping is None:
            watch.stopping = now
        watch.pending = watch.pending and (news is None or isinstance(news, Seen))
        watch.silent = watch.silent or isinstance(news, DialRefused)
        legs = news.legs if isinstance(news, Seen) else None
        gone = legs is not None and dial.attempt.identity not in legs
        if watch.silent or (gone and not watch.pending) or now - watch.stopping > self._tempo.stopping:
            watch.ended = True
            return
        if not gone:
            try:
                await self._dialler.remove(dial.room, dial.attempt.identity)
            except ExchangeUnreachable:
                log.warning("transfer.phone_not_stopped", transfer=dial.transfer_id)


def _unanswered(dial: DialTask, verdict: Verdict) -> Callable[[CallState], decisions.TransferFact | None]:
    return lambda now: decisions.unanswered(now, dial.transfer_id, dial.attempt, verdict)


def _kinds(faults: BaseExceptionGroup[BaseException]) -> list[str]:
    """Kind and place of each fault, without its text."""
    kinds: list[str] = []
    for fault in faults.exceptions:
        if isinstance(fault, BaseExceptionGroup):
            kinds += _kinds(fault)
            continue
        places = traceback.extract_tb(fault.__traceback__)
        place = f" in {Path(places[-1].filename).name}:{places[-1].lineno}" if places else ""
        kinds.append(type(fault).__name__ + place)
    return kinds
