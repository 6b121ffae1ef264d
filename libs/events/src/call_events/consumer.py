"""The loop every consumer runs: read doorbells, claim calls, ask the handler, commit, and stop well.

**How it fits together.** The truth about a call is its stream and, per group, a cursor. Doorbells are only hints that
a call has something to do: they may be lost, doubled or late, and nothing breaks (``call_events.protocol`` says why).
Any worker may take any call:

    read        one blocking XREADGROUP over all doorbell streams gives tokens (token = one pending doorbell)
    claim       token → lease with a new epoch + the events after the cursor; refused if another worker holds the call
    ask         the handler is given the whole call and says how far it got (``Progress``)
    commit      one script: fence by epoch, compare-and-set of the cursor, receipts, wake; it returns newer events (ask
                again) or releases the call and acknowledges its tokens. "Is there more?" and "let go" are one atom, so
                no event that comes in between is ever forgotten

**What keeps it going.** A lease that is not renewed runs out; its token stays pending and XAUTOCLAIM gives it to
another worker. A handler that waits for a time leaves a *wake*: any worker rings when it is due. A sweeper rings for
calls whose doorbell got lost. So a killed worker delays only the calls it had in hand, for one lease.

**What a handler must bear.** The same events may be given twice (a worker was paused, or died between its effect and
its commit), never out of order. ``event.id`` is the key by which the outside world recognises a repeat.

**Clocks.** Leases and wakes are judged by the server's clock only. A wake is named by the handler's clock: hosts keep
time (NTP), or wakes are off by the difference. This process's monotonic clock is used to stop early, never to go on
longer.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

import structlog
from redis.asyncio import Redis

from call_events.claims import GroupClaims
from call_events.clock import SystemClock
from call_events.drain import Drain, ParkCall
from call_events.endpoint import EndpointWatch
from call_events.options import ConsumerOptions
from call_events.ports import Clock, Handler
from call_events.reader import DoorbellReader
from call_events.runner import ScriptRunner
from call_events.upkeep import Upkeep
from call_events.views import Views
from call_events.workbench import Workbench

__all__ = ["Consumer", "ConsumerOptions", "ConsumerStatus", "ParkCall"]

log = structlog.get_logger()

#: After the budget handlers are cancelled; this long they may take to let go.
_LAST_CALL_S = 2.0


@dataclass(frozen=True, slots=True)
class ConsumerStatus:
    """How a consumer does, for health and metrics."""

    group: str
    #: The doorbells could be read within the last seconds.
    reading: bool
    #: Calls in hand now.
    in_hand: int
    #: Calls that wait in this process for a free slot.
    waiting: int
    stopping: bool
    #: What the handler asks outside of the log serves, as far as is known (``breaker``).
    endpoint_serves: bool


class Consumer:
    """One worker of one group."""

    def __init__(
        self,
        redis: Redis,
        *,
        group: str,
        worker: str,
        handler: Handler,
        options: ConsumerOptions | None = None,
        clock: Clock | None = None,
        runner: ScriptRunner | None = None,
        endpoint: str = "what the handler asks",
    ) -> None:
        """Nothing happens before :meth:`run`.

        Args:
            redis: from ``connection.connect``; closing it stays the caller's duty.
            group: ``ccm``, ``transfer`` …; every group sees every event.
            worker: unique among all processes and restarts, e.g. ``ccm-bridge/<host>-<pid>-<uuid>``.
            handler: see ``ports.Handler``.
            options: sizes and times.
            clock: for back-off and metrics.
            runner: share one with a ``RedisEventLog`` of the same process.
            endpoint: what the handler asks outside of the log, and which setting names it, for the alarm if it is down.
        """
        options = options or ConsumerOptions()
        clock = clock or SystemClock()
        runner = runner or ScriptRunner(redis)
        claims = GroupClaims(
            runner, group=group, worker=worker, lease_ms=int(options.lease_s * 1000), max_events=options.max_events
        )
        self._group = group
        self._options = options
        self._stop = asyncio.Event()
        self._bench = Workbench(options.slots)
        views = Views(claims, clock=clock, max_bytes=options.cached_bytes)
        self._upkeep = Upkeep(
            redis, claims, self._bench, group=group, worker=worker, options=options, clock=clock, stopping=self._stop
        )
        self._endpoint = EndpointWatch(claims, group=group, endpoint=endpoint, options=options, clock=clock)
        self._drain = Drain(
            claims,
            views,
            self._bench,
            handler,
            self._upkeep,
            endpoint=self._endpoint,
            group=group,
            options=options,
            clock=clock,
            stopping=self._stop,
        )
        runner.on_change(self._drain.lose_all)
        self._reader = DoorbellReader(redis, self._bench, group=group, worker=worker, clock=clock, meet=runner.meet)

    async def run(self) -> None:
        """Consume until :meth:`stop`, then let go of everything within the budget.

        Raises:
            LogUnavailable: Redis cannot be reached at the start. Later outages are waited for.
        """
        await self._reader.prepare()
        log.info("consumer.started", group=self._group)
        async with asyncio.TaskGroup() as tasks:
            reading = tasks.create_task(self._reader.run(), name=f"{self._group}-reader")
            jobs = [*self._upkeep.jobs(), ("ring-again", self._endpoint.keep_ringing())]
            upkeep = [tasks.create_task(work, name=name) for name, work in jobs]
            tasks.create_task(self._bench.run(self._drain.run, tasks), name=f"{self._group}-bench")
            await self._stop.wait()
            await self._wind_down(reading, upkeep)
        log.info("consumer.stopped", group=self._group)

    def stop(self) -> None:
        """Stop reading, finish what is in hand within the budget, hand back the rest. Idempotent; returns at once."""
        self._stop.set()

    def status(self) -> ConsumerStatus:
        """How it does at this moment."""
        return ConsumerStatus(
            group=self._group,
            reading=self._reader.is_reading(),
            in_hand=len(self._bench.held),
            waiting=self._bench.waiting,
            stopping=self._stop.is_set(),
            endpoint_serves=self._endpoint.serves,
        )

    async def _wind_down(self, reading: asyncio.Task[None], upkeep: Sequence[asyncio.Task[None]]) -> None:
        reading.cancel()
        self._bench.close()
        try:
            async with asyncio.timeout(self._options.stop_budget_s):
                await self._bench.empty.wait()
        except TimeoutError:
            log.warning("consumer.handlers_cut_short", group=self._group, calls=len(self._bench.held))
            self._drain.cut_short()
            try:
                async with asyncio.timeout(_LAST_CALL_S):
                    await self._bench.empty.wait()
            except TimeoutError:  # a handler that will not be cancelled, or no Redis: the leases run out by themselves
                self._bench.abandon()
        for task in upkeep:
            task.cancel()
        await self._upkeep.hand_back()
