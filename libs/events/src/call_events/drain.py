"""One call in hand: claim it, ask the handler, commit, until there is nothing more or the call has gone."""

import asyncio
import random
from datetime import datetime, timedelta

import structlog
from redis.exceptions import ResponseError
from structlog.contextvars import bound_contextvars

from call_events import metrics
from call_events.claims import Claim, FencedError, GroupClaims
from call_events.endpoint import EndpointWatch, told_by
from call_events.entries import Entry
from call_events.errors import CallEventsError, LogUnavailable, ServerChanged
from call_events.held import Held
from call_events.options import ConsumerOptions
from call_events.ports import CallView, Clock, Endpoint, Handler, Progress, Receipt
from call_events.retrying import check, may_pass, pause_s
from call_events.tally import Tally
from call_events.telling import package_of, told, way
from call_events.upkeep import Upkeep
from call_events.views import Known, Views
from call_events.workbench import Workbench

log = structlog.get_logger()


#: Between two tries while Redis does not answer.
_BREATH_S = 0.1


class ParkCall(CallEventsError):
    """Raised by a handler: put this call aside for this group, with a reason for the person who will look at it.

    ``through`` and ``receipts`` are what was finished before; nothing else is lost.
    """

    def __init__(self, reason: str, *, through: int | None = None, receipts: tuple[Receipt, ...] = ()) -> None:
        super().__init__(reason)
        self.reason = reason
        self.through = through
        self.receipts = receipts


class _Gone(Exception):
    """The lease was lost, or this worker stops."""


class Drain:
    """What happens in a slot."""

    def __init__(
        self,
        claims: GroupClaims,
        views: Views,
        bench: Workbench,
        handler: Handler,
        upkeep: Upkeep,
        *,
        endpoint: EndpointWatch,
        group: str,
        options: ConsumerOptions,
        clock: Clock,
        stopping: asyncio.Event,
    ) -> None:
        self._claims = claims
        self._views = views
        self._bench = bench
        self._handler = handler
        self._upkeep = upkeep
        self._endpoint = endpoint
        self._group = group
        self._options = options
        self._clock = clock
        self._stopping = stopping
        self._package = package_of(handler)
        self._tally = Tally(group, clock)

    def cut_short(self) -> None:
        """Cancel the handlers in hand; their calls are handed back."""
        for held in self._bench.held.values():
            held.let_go()

    def lose_all(self) -> None:
        """Another server answers now, which may know neither our claims nor what is known of the calls here.

        On a Cluster only the calls of those shards are lost that it has now.
        """
        self._views.forget_all()
        for held in self._bench.held.values():
            if held.server is not None and held.server != self._claims.server_of(held.call):
                held.lose()

    async def run(self, held: Held) -> None:
        """Drain one call, and let nothing out that would end the process: the next one would be given the same call.

        Errors of Redis end the call's turn, and it is asked for again as soon as Redis answers. Whatever else goes
        wrong around the handler (a receipt that cannot be read or written) parks the call.
        """
        with bound_contextvars(call=held.call, group=self._group):
            try:
                try:
                    await self._claim_and_drain(held)
                except (FencedError, LogUnavailable, ResponseError):
                    raise
                except Exception as error:  # noqa: BLE001 - the consumer's edge: one call's failure stays that call's
                    await self._park_for(held, error)
            except FencedError:
                metrics.FENCED.labels(self._group).inc()
                log.warning("call.fenced", epoch=held.epoch)
            except LogUnavailable as error:
                log.warning("call.dropped_without_redis", error=str(error))
                await self._ask_for_again(held)
            except ResponseError as error:  # this call's keys are not what they must be; the others are fine
                self._views.forget(held.call)
                log.error("call.scripts_refuse", error=str(error))  # noqa: TRY400 - Redis' text says it all

    async def _claim_and_drain(self, held: Held) -> None:
        asked = asyncio.get_running_loop().time()
        claim = await self._claims.claim(held.call, held.token, held.later)
        if not isinstance(claim, Claim):
            return
        held.epoch, held.cursor, held.attempts, held.server = claim.epoch, claim.cursor, claim.attempts, claim.server
        held.keep_until(asked + self._options.working_lease_s)
        self._tally.claimed(held, claim)
        known = await self._views.load(held.call, claim)
        try:
            await self._drain(held, known)
        except _Gone:
            if held.lost:
                metrics.LOST_LEASES.labels(self._group).inc()
                log.warning("call.lease_lost", epoch=held.epoch)
                if await self._ask_for_again(held):
                    self._tally.let_go(held, known)
            elif await self._claims.release(held):
                self._tally.let_go(held, known)
        finally:
            if not self._views.keep(known):
                self._tally.let_go(held, known)

    async def _ask_for_again(self, held: Held) -> bool:
        """Let go of a call as soon as Redis answers, and take it up again where its log then is.

        Else it would wait for its lease to run out, which nobody renews. If another worker has it, the claim says so;
        then, and if this worker stops before there is an answer, false.
        """
        while not self._stopping.is_set():
            await asyncio.sleep(_BREATH_S * random.uniform(0.5, 1.0))  # noqa: S311 - jitter is no secret
            try:
                was_ours = await self._claims.release(held)
            except LogUnavailable:
                continue
            held.later[held.token] = None
            return was_ours
        return False

    async def _park_for(self, held: Held, error: Exception) -> None:
        """Asking again would end the same way: the reason is with the call until somebody unparks it."""
        self._views.forget(held.call)
        why = told(error, ours=(self._package,))
        log.error("call.cannot_be_drained", error=why, way=way(error), after=held.cursor)
        if held.epoch:
            await self._park(held, held.cursor, f"cannot be drained after event {held.cursor}: {why}", ())

    async def _drain(self, held: Held, known: Known) -> None:
        while (more := await self._step(held, known)) is not None:
            known.go_on(more)
            if self._stopping.is_set():
                raise _Gone

    async def _step(self, held: Held, known: Known) -> list[Entry] | None:
        """Ask once and commit the answer; the newer events, or ``None`` when the call is released."""
        then = self._endpoint.admit(held.call)
        if then is not None:
            return await self._put_off(held, known, then)
        view = known.view(held)
        seen = len(view.events)
        try:
            progress = await self._ask(held, known, view)
        except ParkCall as told:
            through = held.cursor if told.through is None else max(held.cursor, min(told.through, seen))
            await self._park(held, through, told.reason, told.receipts)
            return None
        except _Gone:
            raise
        except Exception as error:  # noqa: BLE001 - the consumer's edge: one call's failure stays that call's
            return await self._failed(held, known, seen, error)
        waits = progress.wake_at is not None
        through = progress.through
        more = await self._commit(held, progress, seen)
        known.committed(held, progress.receipts)
        self._tally.finished(known, view.cursor, through, waits=waits)
        log.info("call.handled", cursor=view.cursor, through=through, seen=seen, waits=waits)
        if more is None and progress.wake_at is not None:
            self._upkeep.wake_at(progress.wake_at)
        return more

    async def _commit(self, held: Held, progress: Progress, seen: int) -> list[Entry] | None:
        """The answer into the log, which is tried again while the lease lasts: to ask the handler again costs more.

        If an earlier try was carried out and only its answer lost, the next one is fenced: each has its number.
        """
        tried = False
        while True:
            asked = asyncio.get_running_loop().time()
            try:
                more = await self._claims.commit(
                    held, to=progress.through, seen=seen, wake_at=progress.wake_at, receipts=progress.receipts
                )
            except FencedError:
                if not tried:
                    raise
                raise LogUnavailable("the answer to a commit was lost") from None
            except LogUnavailable as error:
                if isinstance(error, ServerChanged) or held.is_gone() or self._stopping.is_set():
                    raise
                tried = True
                await asyncio.sleep(_BREATH_S)
                continue
            if more is not None:
                held.keep_until(asked + self._options.working_lease_s)
            return more

    async def _put_off(self, held: Held, known: Known, then: datetime) -> list[Entry] | None:
        """The endpoint does not serve: the call waits in the log, and that was no attempt."""
        more = await self._claims.commit(
            held, to=held.cursor, seen=len(known.events), wake_at=then, attempts=held.attempts
        )
        self._tally.put_off()
        if more is None:
            self._upkeep.wake_at(then)
        return more

    async def _ask(self, held: Held, known: Known, view: CallView) -> Progress:
        """The handler's answer, had while the lease surely lasts: nobody else is asked about the call meanwhile."""
        held.patience_until = asyncio.get_running_loop().time() + self._options.handler_timeout_s
        what = Endpoint.NOT_ASKED
        if held.is_gone():  # told while it was not yet asked
            self._endpoint.tell(held.call, what)
            raise _Gone
        self._tally.given(held, known, view)
        try:
            async with asyncio.timeout_at(held.ends_at()) as held.scope:
                progress = await self._handler(view)
            what = progress.endpoint
        except asyncio.CancelledError:
            raise
        except BaseException as error:
            if held.is_gone():
                raise _Gone from None
            what = told_by(error)
            raise
        finally:
            held.scope = None
            self._endpoint.tell(held.call, what)
        check(progress, view)
        return progress

    async def _failed(self, held: Held, known: Known, seen: int, error: Exception) -> list[Entry] | None:
        known.memory.clear()  # whatever it had come to when it failed
        failures = held.attempts + 1
        what = told(error, ours=(self._package,))
        if not may_pass(error) and failures >= self._options.max_attempts:
            log.error("call.failed_for_good", attempts=failures, error=what, way=way(error))
            await self._park(held, held.cursor, f"failed {failures} times, last with {what}", ())
            return None
        pause = pause_s(failures, first=self._options.first_pause_s, longest=self._options.longest_pause_s)
        self._tally.failed()
        log.warning("call.failed", error=what, after=held.cursor, attempts=failures, pause_s=round(pause, 3))
        wake_at = self._clock.now() + timedelta(seconds=pause)
        more = await self._claims.commit(held, to=held.cursor, seen=seen, wake_at=wake_at, attempts=failures)
        given = known.given
        known.committed(held, ())
        known.given = given  # what was shown is shown again
        if more is None:
            self._upkeep.wake_at(wake_at)
        return more

    async def _park(self, held: Held, to: int, reason: str, receipts: tuple[Receipt, ...]) -> None:
        await self._claims.park(held, to=to, reason=reason, receipts=receipts)
        self._tally.parked()
        log.error(
            "call.parked",
            after=to,
            reason=reason,
            mend=f"mend what the reason names, then: callweave unpark {held.call} --group {self._group}",
        )
