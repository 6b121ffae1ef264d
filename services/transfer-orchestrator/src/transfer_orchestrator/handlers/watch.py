"""What a dial's task has seen so far, and what it takes for proof: no phone is asked here and nothing is written.

Two sources tell of a dial. The API call that made it knows *why* it ended, but only its process has it. The room shows
whether the leg is there, to everybody. An absence is believed only after some patience, for legs are listed late, and
come back by themselves after an outage of LiveKit.
"""

import asyncio
from dataclasses import dataclass, field
from enum import Enum

from call_events.ids import CallId
from transfer_orchestrator.domain.dialling import DialOrder, Legs
from transfer_orchestrator.domain.outcome import LegStatus, Verdict, vanished
from transfer_orchestrator.domain.transfer import Attempt
from transfer_orchestrator.errors import DialRefused


@dataclass(frozen=True, slots=True)
class Tempo:
    """How often we look and how long we are patient, all in seconds."""

    #: Between two looks at the room while a phone rings.
    poll: float = 0.2
    #: A leg that cannot be seen for so long, and of which the API tells nothing, is gone.
    absent: float = 3.0
    #: The same after LiveKit could not be asked: its legs come back by themselves within 6 to 9 s (measured).
    absent_after_outage: float = 15.0
    #: A person on the line whose caller cannot be seen in the room is let go after this.
    caller_absent: float = 3.0
    #: So long after the ringing time a leg that still rings is put down.
    overtime: float = 15.0
    #: So long a phone that must be silent is looked after.
    stopping: float = 5.0
    #: Between two tries at a log that cannot serve.
    log_retry: float = 0.5


@dataclass(frozen=True, slots=True)
class DialTask:
    """What a dial's task must know."""

    call: CallId
    room: str
    customer: str
    transfer_id: str
    attempt: Attempt
    human_name: str
    ring_seconds: int
    #: None: watch only; somebody else has made the API call, or nobody knows.
    order: DialOrder | None


class Lost(Enum):
    """The API call came back without telling how the dial ended."""

    LOST = "lost"


@dataclass(frozen=True, slots=True)
class Answered:
    """A person is on the line."""

    sip_call_id: str | None


@dataclass(frozen=True, slots=True)
class Seen:
    """A look at the room."""

    #: None: LiveKit could not be asked.
    legs: Legs | None


News = Answered | DialRefused | Lost | Seen


@dataclass(slots=True)
class Watch:
    """What the task has seen so far; times are the clock's monotonic seconds."""

    began: float
    #: The API call has not come back yet.
    pending: bool
    last: LegStatus | None = None
    rang: bool = False
    answered: Answered | None = None
    #: The exchange has said that the dial is over: nothing rings any more.
    silent: bool = False
    #: Since when the leg, or the caller, cannot be seen.
    leg_absent: float | None = None
    caller_absent: float | None = None
    #: LiveKit could not be asked at some time.
    outage: bool = False
    #: The outcome is written and is not ours: since when the phone should be silent.
    stopping: float | None = None
    ended: bool = False
    news: asyncio.Queue[News] = field(default_factory=asyncio.Queue)

    def look_at(self, dial: DialTask, seen: Seen, tempo: Tempo, *, now: float, age_s: float) -> Verdict | None:
        """Take in what is seen in the room; a verdict when that is enough to say how the dial ended.

        Args:
            dial: whose leg is looked for.
            seen: the look.
            tempo: how patient we are.
            now: the clock's monotonic seconds.
            age_s: since ``transfer.dialing`` was written.
        """
        if seen.legs is None:
            self.outage, self.leg_absent, self.caller_absent = True, None, None
            return None
        if dial.customer in seen.legs:
            self.caller_absent = None
        elif self.caller_absent is None:
            self.caller_absent = now
        leg = seen.legs.get(dial.attempt.identity)
        if leg is not None and leg.status is not LegStatus.HANGUP:
            self.leg_absent = None
            self.last = leg.status or self.last
            self.rang = self.rang or leg.status is LegStatus.RINGING
            if leg.status is LegStatus.ACTIVE:
                self.answered = self.answered or Answered(leg.sip_call_id)
            elif age_s > dial.ring_seconds + tempo.overtime:
                return self._vanished("the leg was still there long after its ringing time", rang_out=True)
            return None
        if self.leg_absent is None:
            self.leg_absent = now
        patience = tempo.absent_after_outage if self.outage else tempo.absent
        if self.pending or now - self.leg_absent < patience:
            return None
        return self._vanished("the leg was gone, and nobody could say why", rang_out=age_s >= dial.ring_seconds)

    def _vanished(self, why: str, *, rang_out: bool) -> Verdict:
        return vanished(last=self.last, rang=self.rang, rang_out=rang_out, why=why)
