"""One call's way into the log: what happened is written in the order in which it happened, whatever the log's mood.

Callbacks of the room and of the model only queue events; one task appends them one after the other. While the log
cannot be reached the same event is tried again and the call goes on, and what waits is kept on disk as well
(``handlers.safety``): a job that ends, or dies, leaves it there for the worker's main process. What has room neither in
memory nor on disk is lost, with an alarm.
"""

import asyncio
import contextlib
from collections import deque
from collections.abc import Callable, Coroutine
from datetime import datetime
from typing import Any

import structlog

from call_events import metrics
from call_events.codec import decode, encode
from call_events.envelope import EventData
from call_events.errors import AppendRefused, BadEvent, CallUnknown, LogUnavailable, StaleOwner
from call_events.ids import CallId, EventId, derived_event_id, new_event_id
from call_events.ports import AnyEvent, EventLog
from voice_worker.handlers.safety import Safety
from voice_worker.ports import CallSpool

log = structlog.get_logger()

#: One append, or one renewal of the lease, may take this long before it is tried again.
APPEND_SECONDS = 5.0
FIRST_PAUSE, LONGEST_PAUSE = 0.05, 1.0
#: About two hours of a lively call. Beyond that memory is the scarcer good, and events wait on disk only.
QUEUE_LIMIT = 20_000
#: Events from disk: some 5 ms to decode, in which no audio goes out.
_TAKEN_AT_ONCE = 200


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
        spool: CallSpool | None = None,
    ) -> None:
        self._log = events
        self._call = call
        self._producer = producer
        self._lease_ms = lease_ms
        self._on_lost = on_lost
        self._limit = queue_limit
        #: Not in the log as far as we know, oldest first. Those on disk only come behind them.
        self._pending: deque[AnyEvent] = deque()
        self._safety = Safety(call, spool)
        #: Set whenever something was queued, appended or written down.
        self._changed = asyncio.Event()
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
            raw = encode(event)
        except BadEvent as error:  # too large for a log: it must not stop those behind it
            self._drop(data, str(error))
            return
        if self._on_disk_only or len(self._pending) >= self._limit:
            if not self._safety.works or self._safety.unwritten >= self._limit:
                self._drop(data, "neither memory nor the disk has room")
                return
            self._safety.add(raw)
        else:
            if self._safety.active:
                self._safety.add(raw)
            self._pending.append(event)
            if len(self._pending) == 1:
                self._safety.waits(asyncio.get_running_loop().time())
        self._changed.set()

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

    def jobs(self) -> dict[str, Coroutine[Any, Any, None]]:
        """Name and endless work of all that runs beside the call, from its beginning until :meth:`close`."""
        return {"append": self.run(), "renew": self.keep_owning(), "spool": self.keep_safe()}

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
            if not self._pending:
                if self._on_disk_only:
                    await self._take_from_disk()
                else:
                    await self._change()
                continue
            try:
                if not self._lost:
                    await self._append(self._pending[0])
            except asyncio.CancelledError:
                raise
            except BaseException as error:
                self._drop(self._pending[0].data, type(error).__name__)
                self._done()  # an event that cannot be written must not stop those behind it when this is run again
                raise
            self._done()

    async def keep_safe(self) -> None:
        """Write down what the log does not take in time, until cancelled. Runs beside :meth:`run`."""
        while True:
            if self._safety.unwritten:
                await self._safety.write()
                self._changed.set()
            elif self._safety.active and not self._waiting:
                self._safety.finish()
            elif (due := self._safety.due_in()) == 0:
                # The server that is away may come back without its last second, when we are no more: that goes first.
                recent = self._log.recent(self._call)
                self._safety.begin([*recent, *map(encode, self._pending)], done=len(recent))
                log.warning("events.spooled", call=self._call, events=len(self._pending))
            else:
                await self._safety.stirred(due)

    async def drained(self, within: float) -> bool:
        """Wait until all is in the log, or the log is away and all is on disk; false if something is in neither after
        ``within`` seconds."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(within):
                while self._waiting and not (self._behind and self._safety.holds_all):
                    await self._change()
        left = self._waiting
        if left and self._safety.holds_all:
            log.warning(
                "events.left_in_spool",
                call=self._call,
                events=left,
                mend="nothing; the worker on this machine appends them once Redis answers",
            )
            return True
        if left:
            metrics.DROPPED.inc(left)
            log.critical("events.lost_at_end", call=self._call, events=left, mend="see that Redis is reachable")
        return not left

    def close(self) -> None:
        """After :meth:`run` and :meth:`keep_safe` have ended: let go of the file, or remove it if it is not needed."""
        if self._waiting or self._lost:
            self._safety.leave()
        else:
            self._safety.finish()

    @property
    def _on_disk_only(self) -> int:
        """Events that memory had no room for."""
        return max(0, self._safety.left - len(self._pending))

    @property
    def _waiting(self) -> int:
        """Events that the log lacks, as far as we know."""
        return len(self._pending) + self._on_disk_only

    async def _take_from_disk(self) -> None:
        """Take back what memory had no room for, as much as there is room for now."""
        if self._safety.unwritten:
            await self._change()
            return
        lines = await self._safety.read(limit=min(self._limit, _TAKEN_AT_ONCE))
        self._pending.extend(map(decode, lines))
        self._safety.waits(asyncio.get_running_loop().time())

    def _drop(self, data: EventData, why: str) -> None:
        metrics.DROPPED.inc()
        log.critical("events.dropped", call=self._call, type=data.TYPE, why=why, waiting=self._waiting)

    async def _change(self) -> None:
        self._changed.clear()
        await self._changed.wait()

    def _done(self) -> None:
        self._pending.popleft()
        self._safety.done()
        self._safety.waits(asyncio.get_running_loop().time() if self._pending else None)
        self._changed.set()

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
                    log.warning("events.log_unavailable", call=self._call, what="append", waiting=self._waiting)
                    self._changed.set()
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
                log.info("events.log_back", call=self._call, waiting=self._waiting)
            return

    def _lose(self) -> None:
        if not self._lost:
            self._lost = True
            log.warning("call.ownership_lost", call=self._call, not_written=self._waiting, spooled=self._safety.active)
            # What was put down while the log was away was said before anybody else had the call: it is kept.
            self._safety.leave()
            self._on_lost()
