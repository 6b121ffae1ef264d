"""Writes what a decision says, and only if the decision still holds.

Between reading a call's log and writing to it the world moves: the caller hangs up while the person picks up. So every
append names the tail it was decided on. If the log has moved, it is read on and the decision is taken again; therefore
no outcome can ever stand behind the fact that forbids it.
"""

from collections.abc import Callable
from dataclasses import dataclass

import structlog

from call_events.catalogue import TransferAttemptFailed, TransferCancelled, TransferConnected, TransferFailed
from call_events.envelope import Event
from call_events.errors import CallClosed, CallUnknown, TailMoved
from call_events.ids import CallId
from call_events.ports import AnyEvent, Clock, EventLog
from call_events.registry import unversioned
from transfer_orchestrator.domain.call import CallState, evolve, fold
from transfer_orchestrator.domain.decisions import TransferFact, event_id
from transfer_orchestrator.errors import LogLost
from transfer_orchestrator.ports import Gauges

log = structlog.get_logger()

Decision = Callable[[CallState], TransferFact | None]


@dataclass(frozen=True, slots=True)
class Recorded:
    """What came of a decision: the log as it is now, and what we have written (None: nothing was due any more)."""

    state: CallState
    written: TransferFact | None


class Recorder:
    """The orchestrator's pen. One per process."""

    def __init__(self, event_log: EventLog, clock: Clock, gauges: Gauges, *, instance: str) -> None:
        self._log = event_log
        self._clock = clock
        self._gauges = gauges
        #: Who we are in the log; unique to this process, for only the writer of ``transfer.dialing`` may dial.
        self.instance = instance

    async def catch_up(self, call: CallId, state: CallState) -> CallState:
        """Read on from where this state ends.

        Raises:
            LogUnavailable: Redis cannot be asked now.
        """
        return fold(await self._log.read(call, after=state.seq), state)

    async def record(self, call: CallId, state: CallState, decide: Decision) -> Recorded:
        """Write what is decided, deciding again for as long as the log moves on meanwhile.

        Raises:
            LogUnavailable: not known to be written. Decide again later: the id is the same, nothing is written twice.
            LogLost: what we have read of this call is no longer there.
        """
        while True:
            data = decide(state)
            if data is None:
                return Recorded(state, None)
            transfer = state.transfers[data.transfer_id]
            event: AnyEvent = Event(
                data=data,
                call=call,
                producer=self.instance,
                id=event_id(call, data),
                time=self._clock.now(),
                causation_id=transfer.requested_id,
                correlation_id=data.transfer_id,
            )
            try:
                # Every id is derived from the decision, so that of several deciders the first has said it.
                appended = await self._log.append(event, expected_tail=state.seq, first_wins=True)
            except CallUnknown as error:
                raise LogLost("the call has no log any more") from error
            except (TailMoved, CallClosed) as error:
                before, state = state.seq, await self.catch_up(call, state)
                if state.seq == before:
                    raise LogLost(f"the call's log ends before {before}, up to which it was read") from error
                continue
            if appended.duplicate:
                return Recorded(await self.catch_up(call, state), None)
            self._tell(data)
            return Recorded(evolve(state, event.model_copy(update={"seq": appended.seq})), data)

    def _tell(self, data: TransferFact) -> None:
        log.info(unversioned(data.TYPE), transfer=data.transfer_id, **_notes(data))
        match data:
            case TransferAttemptFailed():
                self._gauges.attempt_ended(data.outcome)
            case TransferConnected():
                self._gauges.transfer_ended("connected")
            case TransferCancelled():
                self._gauges.transfer_ended("cancelled")
            case TransferFailed():
                self._gauges.transfer_ended(data.outcome)
            case _:
                pass


def _notes(data: TransferFact) -> dict[str, object]:
    wanted = ("attempt", "dial_id", "target", "outcome", "sip_status", "evidence", "cause")
    return {name: value for name in wanted if (value := getattr(data, name, None)) is not None}
