"""What a consumer's handler asks outside of the log, and what is done while it does not serve.

A call that comes while the breaker (``breaker``) is open is not shown to the handler: it gets a wake and waits in the
log, which counts as no attempt. When the endpoint serves again, the calls that were put off here are rung for, in no
particular order and over a little while, so that what has just come back is not run over.
"""

import asyncio
import random
from datetime import datetime, timedelta

import structlog

from call_events import metrics
from call_events.breaker import Breaker, State
from call_events.claims import GroupClaims
from call_events.errors import LogUnavailable
from call_events.ids import CallId
from call_events.options import ConsumerOptions
from call_events.ports import Clock, Endpoint
from call_events.retrying import may_pass

log = structlog.get_logger()

#: Calls put off that are remembered, 100 bytes each; the others come by themselves within the longest pause.
_REMEMBERED = 20_000
#: Rung for at once when the endpoint is back, and the pause before the next ones. All have been within two seconds.
_AT_ONCE = 20
_BREATH_S = 0.02
_LONGEST_S = 2.0


def told_by(error: BaseException) -> Endpoint:
    """What a handler's error says about its endpoint: nothing, if time does not mend it or if it is about the log."""
    return Endpoint.FAILED if may_pass(error) and not isinstance(error, LogUnavailable) else Endpoint.NOT_ASKED


class EndpointWatch:
    """One breaker, with its clock, its alarm and the calls that wait for it."""

    def __init__(
        self, claims: GroupClaims, *, group: str, endpoint: str, options: ConsumerOptions, clock: Clock
    ) -> None:
        self._claims = claims
        self._group = group
        self._endpoint = endpoint
        self._clock = clock
        self._breaker = Breaker(
            after=options.breaker_after,
            probes=options.breaker_probes,
            first_pause_s=options.first_pause_s,
            longest_pause_s=options.longest_pause_s,
        )
        self._waiting: dict[CallId, None] = {}
        self._served = asyncio.Event()
        self._gauge = metrics.BREAKER_OPEN.labels(group)
        self._gauge.set(0)

    @property
    def serves(self) -> bool:
        """It has not failed several calls in a row since it last served one."""
        return self._breaker.state is State.CLOSED

    def admit(self, call: CallId) -> datetime | None:
        """``None`` if the handler may be asked about this call now; else when to come again."""
        if self._breaker.state is State.CLOSED:
            return None
        now = self._clock.monotonic()
        self._breaker, then = self._breaker.admit(call, now, dice=random.random())  # noqa: S311 - jitter is no secret
        if then is None:
            self._waiting.pop(call, None)
            return None
        if len(self._waiting) < _REMEMBERED:
            self._waiting[call] = None
        return self._clock.now() + timedelta(seconds=then - now)

    def tell(self, call: CallId, what: Endpoint) -> None:
        """What came of asking the handler about a call."""
        was = self._breaker.state
        self._breaker = self._breaker.tell(call, what, self._clock.monotonic())
        if (was is State.CLOSED) == self.serves:
            return
        self._gauge.set(0 if self.serves else 1)
        if self.serves:
            log.info("consumer.endpoint_up", group=self._group, endpoint=self._endpoint, put_off=len(self._waiting))
            self._served.set()
        else:
            log.error(
                "consumer.endpoint_down",
                group=self._group,
                endpoint=self._endpoint,
                failed_calls=self._breaker.after,
                mend=f"nothing is lost: calls wait in the log, and {self._breaker.probes} at a time ask again. "
                f"Check {self._endpoint}",
            )

    async def keep_ringing(self) -> None:
        """For ever: when the endpoint is back, ring for the calls that were put off."""
        while True:
            await self._served.wait()
            self._served.clear()
            await self._ring_for_all()

    async def _ring_for_all(self) -> None:
        calls = list(self._waiting)
        random.shuffle(calls)
        at_once = max(_AT_ONCE, int(len(calls) * _BREATH_S / _LONGEST_S))
        for start in range(0, len(calls), at_once):
            page = calls[start : start + at_once]
            if not self.serves:
                return  # the others stay, for the next time
            try:
                await self._claims.remind(page)
            except LogUnavailable as error:  # their wakes are in the log
                log.warning("consumer.cannot_ring", group=self._group, error=str(error))
                return
            for call in page:
                self._waiting.pop(call, None)
            await asyncio.sleep(_BREATH_S)
