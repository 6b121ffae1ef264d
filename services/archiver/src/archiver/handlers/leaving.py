"""Lets sealed calls go from Redis: soon after their commit; what was missed then (a crash in between), by a sweep."""

import asyncio
from collections.abc import Awaitable, Sequence
from typing import NamedTuple, TypeVar

import structlog

from archiver.ports import Gauges, Going, Leaving
from call_events.errors import LogUnavailable
from call_events.ids import CallId
from call_events.ports import Clock
from call_events.telling import way

log = structlog.get_logger()

T = TypeVar("T")

#: The commit comes right after the handler's answer; so often and so far apart it is awaited, then the sweep sees to
#: it.
_TRIES, _PAUSE_S = 5, 1.0
#: A call that has been sealed and cannot go after this is told of, in seconds.
_PATIENCE_S = 600.0


class _Waiting(NamedTuple):
    """An ended call that is still there."""

    age_s: float = 0.0
    call: CallId | None = None


def _age(waiting: _Waiting) -> float:
    return waiting.age_s


class Departures:
    """Calls on their way out of Redis."""

    def __init__(self, leaving: Leaving, gauges: Gauges, clock: Clock, *, sweep_s: float = 60.0) -> None:
        """``sweep_s``: seconds between two looks at everything that is in Redis."""
        self._leaving = leaving
        self._gauges = gauges
        self._clock = clock
        self._sweep_s = sweep_s
        self._soon: dict[CallId, int] = {}
        #: Calls that could not be looked at.
        self._told: set[CallId] = set()

    def soon(self, call: CallId) -> None:
        """This call is about to be committed as sealed."""
        self._soon[call] = 0

    async def run(self) -> None:
        """Until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._follow(), name="departures")
            tasks.create_task(self._keep_sweeping(), name="departures-sweep")

    async def _follow(self) -> None:
        while True:
            await asyncio.sleep(_PAUSE_S)
            try:
                await self.follow_up()
            except LogUnavailable as error:
                log.warning("archive.cannot_let_go", error=str(error), mend="tried again by itself when Redis is back")

    async def follow_up(self) -> None:
        """Try those that were told of.

        Raises:
            LogUnavailable: Redis could not be asked; they are kept.
        """
        for call, tries in list(self._soon.items()):
            going = await self._let_go(call)
            if going is Going.GONE:
                self._gauges.let_go()
                log.info("archive.let_go", call=call)
            if going is Going.GONE or tries + 1 >= _TRIES:
                self._soon.pop(call, None)
            else:
                self._soon[call] = tries + 1

    async def _keep_sweeping(self) -> None:
        while True:
            try:
                await self.sweep()
            except LogUnavailable as error:
                log.warning("archive.cannot_sweep", error=str(error), mend="tried again by itself when Redis is back")
            await asyncio.sleep(self._sweep_s)

    async def sweep(self) -> None:
        """Look at every call in Redis, let go of what may, and count the rest.

        Raises:
            LogUnavailable: Redis could not be asked.
        """
        open_calls, ended, oldest = 0, 0, _Waiting()
        for call in await self._leaving.remaining():
            match await self._let_go(call):
                case Going.GONE:
                    self._gauges.let_go()
                    log.info("archive.let_go", call=call)
                case Going.OPEN:
                    open_calls += 1
                case Going.WAITS:
                    ended += 1
                    oldest = max(oldest, await self._waiting(call), key=_age)
        self._gauges.remaining(open_calls=open_calls, ended=ended, oldest_ended_s=oldest.age_s)
        if oldest.call is not None and oldest.age_s > _PATIENCE_S:
            log.warning(
                "archive.calls_stay_in_redis",
                calls=ended,
                oldest=oldest.call,
                age_s=round(oldest.age_s),
                groups=await self._waits_for(oldest.call),
                mend="see whether these groups run, and why they have not finished with it: callweave log status, "
                "callweave parked. A group that is not used here must not stand in ARCHIVER_GROUPS",
            )

    async def _let_go(self, call: CallId) -> Going:
        going = await self._asked(call, self._leaving.let_go(call))
        if going is None:
            return Going.WAITS
        self._told.discard(call)
        return going

    async def _waiting(self, call: CallId) -> _Waiting:
        if call in self._told:
            return _Waiting()
        last_at = await self._asked(call, self._leaving.last_at(call))
        return _Waiting() if last_at is None else _Waiting((self._clock.now() - last_at).total_seconds(), call)

    async def _waits_for(self, call: CallId) -> Sequence[str]:
        groups = await self._asked(call, self._leaving.waits_for(call))
        if groups is None:
            return "not known: its keys are not what they must be"
        return groups or "none: it was passed over, and is not sealed"

    async def _asked(self, call: CallId, asking: Awaitable[T]) -> T | None:
        """The answer about one call; nothing if its keys are not what they must be. It stays, and the others go on."""
        try:
            return await asking
        except LogUnavailable:
            raise
        except Exception as error:  # noqa: BLE001 - the sweep's edge: one call's trouble stays that call's
            self._tell(call, error)
            return None

    def _tell(self, call: CallId, error: Exception) -> None:
        if call in self._told:
            return
        self._told.add(call)
        log.error(
            "archive.cannot_look_at_call",
            call=call,
            error=type(error).__name__,
            way=way(error),
            mend="its keys are not what they must be: callweave verify; it is looked at again with every sweep",
        )
