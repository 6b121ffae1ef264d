"""Keeps on disk what the log has not taken in time, so that neither a crash nor a hang-up loses it.

The emitter appends from memory; this writes the same events to the call's spool file as soon as the first of them has
waited too long, and every later one behind them, until the log has them all: then the file goes. If the process ends
before that, the file stays, and the worker's main process brings it into the log (``call_events.spool_keeper``).

The file is also where events go that memory has no room for; they come back from it in their order.
"""

import asyncio
import contextlib
from collections import deque
from collections.abc import Callable, Iterable

import structlog

from call_events import metrics
from call_events.ids import CallId
from call_events.spool import SpoolFull
from voice_worker.ports import CallSpool

log = structlog.get_logger()

#: The log answers within a few milliseconds. An event that has waited this long is written down.
SPOOL_AFTER = 0.2
#: Between two attempts to write to a disk that takes nothing.
RETRY_PAUSE = 1.0


class Safety:
    """One call's events on disk. ``spool`` absent: there is no disk, and nothing is ever safe."""

    def __init__(self, call: CallId, spool: CallSpool | None) -> None:
        self._call = call
        self._spool = spool
        #: Not yet on disk, oldest first.
        self._unwritten: deque[bytes] = deque()
        #: What a thread writes now.
        self._writing: tuple[list[bytes], asyncio.Future[None]] | None = None
        self._active = False
        self._written = 0
        #: So many of the file's first lines are done with: what was appended before there was one, and since.
        self._done = 0
        self._failing = False
        #: Loop seconds since when the oldest event waits for the log; absent: none does.
        self._waits_since: float | None = None
        self._stir = asyncio.Event()

    @property
    def active(self) -> bool:
        """Whether there is a file: every event that is emitted goes to it as well."""
        return self._active

    @property
    def holds_all(self) -> bool:
        """Whether everything the log lacks is on disk."""
        return self._active and not self._unwritten

    @property
    def works(self) -> bool:
        """Whether the disk took what it was given last."""
        return self._active and not self._failing

    @property
    def left(self) -> int:
        """Events that were put down, and are not in the log as far as is known; none without a file."""
        return self._written + len(self._unwritten) - self._done if self._active else 0

    def waits(self, since: float | None) -> None:
        """Told whenever the oldest event that the log lacks is another one: since when (loop seconds), or none is."""
        self._waits_since = since
        self._stir.set()

    def begin(self, events: Iterable[bytes], *, done: int = 0) -> None:
        """Put down what waits now, behind so many that the log has taken before."""
        self._active, self._written, self._done = True, 0, done
        self.add(*events)

    def done(self) -> None:
        """The oldest event that waited is in the log, or never will be."""
        if self._active:
            self._done += 1

    def add(self, *events: bytes) -> None:
        """Put these down behind the others."""
        self._unwritten.extend(events)
        self._stir.set()

    def due_in(self) -> float | None:
        """Seconds until what waits should be put down; absent while nothing waits or there is no disk."""
        if self._spool is None or self._waits_since is None or self._active:
            return None
        return max(0.0, self._waits_since + SPOOL_AFTER - asyncio.get_running_loop().time())

    async def stirred(self, within: float | None) -> None:
        """Until something has changed, or the time is up."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(within):
                await self._stir.wait()
        self._stir.clear()

    async def write(self) -> None:
        """Write what is not yet on disk; a failure is an alarm, once, and tried again later."""
        assert self._spool is not None, "begun"
        if self._writing is None:
            block = list(self._unwritten)
            self._writing = block, asyncio.get_running_loop().run_in_executor(None, self._spool.write, block)
        block, writing = self._writing
        try:
            await asyncio.shield(writing)  # a thread cannot be called back: whoever comes next waits for the same
        except asyncio.CancelledError:
            raise
        except (SpoolFull, OSError) as error:
            self._writing = None
            metrics.SPOOL_FULL.inc()
            if not self._failing:
                log.critical(
                    "spool.cannot_write",
                    call=self._call,
                    events=len(block),
                    error=str(error) if isinstance(error, SpoolFull) else error.strerror,
                    mend="see that Redis is reachable; make room at VOICE_WORKER_SPOOL_DIR or raise its bound",
                )
            self._failing = True
            await asyncio.sleep(RETRY_PAUSE)
            return
        self._writing = None
        if self._failing:
            log.info("spool.writes_again", call=self._call)
        self._failing = False
        for _ in range(min(len(block), len(self._unwritten))):  # none, if the file was let go meanwhile
            self._unwritten.popleft()
        self._written += len(block)
        metrics.SPOOLED.inc(len(block))

    async def read(self, *, limit: int) -> list[bytes]:
        """The next events of the file that are not done with."""
        assert self._spool is not None, "begun"
        return await asyncio.to_thread(self._spool.read, after=self._done, limit=limit)

    def finish(self) -> None:
        """The log has everything: the file goes. At once, for what is emitted next needs another one."""
        if self._active and self._spool is not None:
            self._active = False
            self._unwritten.clear()
            self._when_written(self._spool.discard)

    def leave(self) -> None:
        """Let go of the file as it is: whoever keeps the spool takes it from here."""
        if self._spool is not None:
            self._active = False
            self._unwritten.clear()
            self._when_written(self._spool.close)

    def _when_written(self, let_go: Callable[[], None]) -> None:
        """At once, or when the thread that writes is through: it has the file's lock while the disk works, and what it
        writes belongs to this file."""
        if self._writing is None or self._writing[1].done():
            let_go()
        else:
            self._writing[1].add_done_callback(lambda _: let_go())

    @property
    def unwritten(self) -> int:
        """Events that are not yet on disk."""
        return len(self._unwritten)
