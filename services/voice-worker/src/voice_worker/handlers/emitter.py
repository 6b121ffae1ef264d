"""One call's way into the log: what happened is written in the order in which it happened, whatever the log's mood.

Callbacks of the room and of the model only put events into a queue; one task appends them one after the other. While
the log cannot be reached the same event is tried again and the call goes on: the queue is bounded, and running full
is an alarm. The queue is memory: there is no spool on disk yet, so what the log has not taken when the job ends is
lost, with an alarm.
"""

import asyncio
import contextlib
from collections.abc import Callable
from datetime import datetime

import structlog

from call_events.envelope import EventData
from call_events.errors import AppendRefused, CallUnknown, LogUnavailable, StaleOwner
from call_events.ids import CallId, EventId, derived_event_id, new_event_id
from call_events.ports import AnyEvent, EventLog

log = structlog.get_logger()

#: One append, or one renewal of the lease, may take this long before it is tried again.
APPEND_SECONDS = 5.0
FIRST_PAUSE, LONGEST_PAUSE = 0.05, 1.0
#: About two hours of a lively call. Beyond that memory is the scarcer good.
QUEUE_LIMIT = 20_000


class Emitter:
    """Appends one call's events in order, as the owner of the call."""

    def __init__(
        self,
        events: EventLog,
        call: CallId,
        producer: str,
        *,
        lease_ms: int,
        on_lost: Callable[[], None],
        queue_limit: int = QUEUE_LIMIT,
    ) -> None:
        self._log = events
        self._call = call
        self._producer = producer
        self._lease_ms = lease_ms
        self._on_lost = on_lost
        self._queue: asyncio.Queue[AnyEvent] = asyncio.Queue(queue_limit)
        #: Taken from the queue and not yet in the log.
        self._next: AnyEvent | None = None
        self._epoch: int | None = None
        self._lost = False
        self._behind = False

    @property
    def owner(self) -> bool:
        """Whether this worker holds the right to speak, as far as it knows."""
        return self._epoch is not None and not self._lost

    @property
    def lost(self) -> bool:
        """Whether another worker speaks for this call now."""
        return self._lost

    def emit(
        self,
        data: EventData,
        *,
        at: datetime,
        once: tuple[str | int, ...] | None = None,
        event_id: EventId | None = None,
        correlation: str | None = None,
        causation: EventId | None = None,
    ) -> None:
        """Queue an event; returns at once.

        Args:
            data: what happened.
            at: when it happened.
            once: parts of an id that is the same however often this fact is reported, e.g. after a restart.
            event_id: the whole id, where the catalogue lays it down.
            correlation: what it belongs to, e.g. a transfer id.
            causation: the event that made it happen.
        """
        if self._lost:
            return
        event = AnyEvent(
            data=data,
            call=self._call,
            producer=self._producer,
            id=event_id or (derived_event_id(self._call, *once) if once else new_event_id()),
            time=at,
            correlation_id=correlation,
            causation_id=causation,
        )
        try:
            self._queue.put_nowait(event)
        except asyncio.QueueFull:
            log.critical("events.dropped", call=self._call, type=data.TYPE, queued=self._queue.qsize())

    async def own(self, within: float) -> bool:
        """Take the right to speak for the call, before the first word.

        Returns:
            ``False`` if the log could not be asked in time; it is asked again before the first append.

        Raises:
            StaleOwner: another worker speaks for this call.
        """
        try:
            async with asyncio.timeout(within):
                ownership = await self._log.own(self._call, self._producer, lease_ms=self._lease_ms)
        except (LogUnavailable, TimeoutError):
            log.warning("events.log_unavailable", call=self._call, what="own")
            return False
        self._epoch = ownership.epoch
        return True

    async def keep_owning(self) -> None:
        """Renew the lease until cancelled. Runs beside :meth:`run`."""
        while not self._lost:
            await asyncio.sleep(self._lease_ms / 3000)
            if self._epoch is None:
                continue
            try:
                async with asyncio.timeout(APPEND_SECONDS):
                    await self._log.own(self._call, self._producer, lease_ms=self._lease_ms, epoch=self._epoch)
            except (LogUnavailable, TimeoutError):
                log.warning("events.log_unavailable", call=self._call, what="renew")
            except StaleOwner:
                self._lose()

    async def run(self) -> None:
        """Append what is queued until cancelled. Run again it goes on with the event it was cancelled at."""
        while True:
            if self._next is None:
                self._next = await self._queue.get()
            try:
                if not self._lost:
                    await self._append(self._next)
            except asyncio.CancelledError:
                raise
            except BaseException:
                self._done()  # an event that cannot be written must not stop those behind it when this is run again
                raise
            self._done()

    async def drained(self, within: float) -> bool:
        """Wait until everything queued is in the log, at most ``within`` seconds."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(within):
                await self._queue.join()
        if left := self._queue.qsize() + (self._next is not None):
            log.critical("events.lost_at_end", call=self._call, events=left, mend="see that Redis is reachable")
        return not left

    def _done(self) -> None:
        self._next = None
        self._queue.task_done()

    async def _append(self, event: AnyEvent) -> None:
        pause = FIRST_PAUSE
        while not self._lost:
            try:
                async with asyncio.timeout(APPEND_SECONDS):
                    if self._epoch is None:
                        ownership = await self._log.own(self._call, self._producer, lease_ms=self._lease_ms)
                        self._epoch = ownership.epoch
                    # Ids of facts that are told once are derived: what stood there before a restart has said it.
                    await self._log.append(event, epoch=self._epoch, first_wins=True)
            except (LogUnavailable, TimeoutError):
                if not self._behind:
                    self._behind = True
                    log.warning("events.log_unavailable", call=self._call, what="append", queued=self._queue.qsize())
                await asyncio.sleep(pause)
                pause = min(pause * 2, LONGEST_PAUSE)
                continue
            except StaleOwner:
                self._lose()
                return
            except CallUnknown:
                # Redis was emptied under a running call: nothing after this can be stored either.
                log.critical("events.refused", call=self._call, type=event.data.TYPE, why="the call has no log")
                return
            except AppendRefused as refused:
                log.warning("events.refused", call=self._call, type=event.data.TYPE, why=type(refused).__name__)
                return
            if self._behind:
                self._behind = False
                log.info("events.log_back", call=self._call, queued=self._queue.qsize())
            return

    def _lose(self) -> None:
        if not self._lost:
            self._lost = True
            log.warning("call.ownership_lost", call=self._call)
            self._on_lost()
