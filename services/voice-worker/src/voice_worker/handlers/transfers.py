"""What becomes of the transfer that is under way, read from the call's own stream; and its end if the call ends first.

Each transfer has exactly one outcome. The orchestrator writes it; a call that ends waits for it, and writes
``cancelled`` itself if nobody else does. All outcomes of a transfer share one event id, so the log takes only the
first of them.
"""

import asyncio
import contextlib
from collections.abc import Callable
from dataclasses import replace

import structlog

from call_events.catalogue import TransferCancelled, TransferDialing, TransferFailed
from call_events.ids import CallId, transfer_outcome_id
from call_events.ports import EventLog
from voice_worker.domain.call import SessionState
from voice_worker.domain.signals import Outcome, TransferOutcome
from voice_worker.handlers.emitter import Emitter
from voice_worker.ports import WallClock

log = structlog.get_logger()


class Transfers:
    """Follows the stream of one call."""

    def __init__(
        self,
        events: EventLog,
        call: CallId,
        *,
        state: SessionState,
        emitter: Emitter,
        clock: WallClock,
        signal: Callable[[TransferOutcome], None],
    ) -> None:
        self._events = events
        self._call = call
        self._state = state
        self._emitter = emitter
        self._clock = clock
        self._signal = signal
        self._outcomes: dict[str, Outcome] = {}
        self._news = asyncio.Event()

    async def follow(self, after: int) -> None:
        """Hear what is written about the open transfer, until cancelled or the call's log ends."""
        async for event in self._events.follow(self._call, after=after):
            data, transfer = event.data, self._state.transfer
            if transfer is None or getattr(data, "transfer_id", None) != transfer.transfer_id:
                continue
            if isinstance(data, TransferDialing):
                self._state.transfer = replace(transfer, legs=(*transfer.legs, data.identity))
            elif isinstance(data, Outcome):
                self._outcomes[data.transfer_id] = data
                self._news.set()
                self._signal(TransferOutcome(data))

    async def settle(self, within: float) -> Outcome | None:
        """The call ends: give the open transfer its outcome.

        Args:
            within: seconds for whoever places the call to write it. The customer's leg must have left in the log, so
                that nobody is connected any more.

        Returns:
            The outcome, ``None`` if no transfer is open. A person who was connected in the last moment is on the line.
        """
        if (transfer := self._state.transfer) is None:
            return None
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(within):
                while transfer.transfer_id not in self._outcomes:
                    self._news.clear()
                    await self._news.wait()
        self._state.transfer = None
        if outcome := self._outcomes.get(transfer.transfer_id):
            return outcome
        log.warning("transfer.cancelled_by_worker", transfer=transfer.transfer_id, waited_s=within)
        cancelled = TransferCancelled(transfer_id=transfer.transfer_id, cause="call_ended")
        self._emitter.emit(
            cancelled,
            at=self._clock.now(),
            event_id=transfer_outcome_id(self._call, transfer.transfer_id),
            correlation=transfer.transfer_id,
        )
        return cancelled


def bad_news(outcome: TransferFailed) -> str:
    """What the AI is told when nobody came."""
    return (
        f"The transfer failed: {outcome.outcome}. {outcome.reason} Tell the caller plainly and kindly that "
        "nobody could be reached, and offer what is left: another department, a call back, going on with you."
    )
