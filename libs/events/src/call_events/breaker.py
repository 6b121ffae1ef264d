"""When an endpoint is down, ask it with a few calls only. Pure: a value, what happens to it, and the value after that.

A dead endpoint that takes connections and never answers would hold every slot of a consumer for a whole time-out, and
one that refuses would be asked without pause by thousands of calls. One consumer has one endpoint, and one breaker:

| state | what happens | then |
|---|---|---|
| closed | a call fails | closed; *open* with the ``after``-th different call that fails without a success in between |
| closed | a call asks | it may |
| open | a call asks before ``until`` | it is put off |
| open | a call asks later | *half open*; it may, for all |
| half open | a call asks | it may while fewer than ``probes`` are under way, else it is put off |
| half open | the last probe under way fails | *open* again, for longer |
| half open | a probe was not about the endpoint | half open; its place is free |
| any | a call is served | *closed* |
| open, half open | a call fails that is no probe | nothing: it was on its way before, and tells nothing new |

A single call that fails, however often, never opens it. The state is advice about *when* to ask: losing it costs a few
early attempts, never an event or the order.
"""

from dataclasses import dataclass, field, replace
from enum import StrEnum

from call_events.ids import CallId
from call_events.ports import Endpoint


class State(StrEnum):
    """What a breaker lets through: everything, nothing, a few."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half open"


@dataclass(frozen=True, slots=True, kw_only=True)
class Breaker:
    """A value; each method gives the next one. Times are monotonic seconds."""

    #: So many different calls must fail in a row.
    after: int
    #: So many ask at once while it is half open.
    probes: int
    first_pause_s: float
    longest_pause_s: float
    state: State = State.CLOSED
    failing: frozenset[CallId] = field(default_factory=frozenset)
    #: How often in a row it has opened.
    opened: int = 0
    until: float = 0.0
    #: The calls that ask for all.
    asking: frozenset[CallId] = field(default_factory=frozenset)
    #: Calls put off since it has last opened.
    put_off: int = 0

    @property
    def pause_s(self) -> float:
        """How long it stays open this time: doubling, bounded."""
        whole: float = min(self.longest_pause_s, self.first_pause_s * 2 ** max(0, min(self.opened - 1, 30)))
        return whole

    def admit(self, call: CallId, now: float, *, dice: float) -> tuple["Breaker", float | None]:
        """May this call ask now? Else: when to come again.

        The first calls that are put off come for the probe; the others, spread over the longest pause by ``dice`` (0
        to 1), come only in case nobody tells them sooner.
        """
        if self.state is State.CLOSED:
            return self, None
        ready = self.state is State.HALF_OPEN or now >= self.until
        if ready and len(self.asking) < self.probes:
            return replace(self, state=State.HALF_OPEN, asking=self.asking | {call}), None
        then = max(self.until, now + self.pause_s if ready else now)
        if self.put_off >= self.probes:
            then += dice * self.longest_pause_s
        return replace(self, put_off=self.put_off + 1), then

    def tell(self, call: CallId, what: Endpoint, now: float) -> "Breaker":
        """What came of asking."""
        match what:
            case Endpoint.SERVED:
                return self._closed() if self.opened or self.failing else self
            case Endpoint.NOT_ASKED:
                return replace(self, asking=self.asking - {call}) if call in self.asking else self
            case Endpoint.FAILED:
                return self._failed(call, now)

    def _closed(self) -> "Breaker":
        nobody: frozenset[CallId] = frozenset()
        return replace(self, state=State.CLOSED, failing=nobody, opened=0, until=0.0, asking=nobody, put_off=0)

    def _failed(self, call: CallId, now: float) -> "Breaker":
        if self.state is State.CLOSED:
            failing = self.failing | {call}
            return self._opened(now) if len(failing) >= self.after else replace(self, failing=failing)
        if call not in self.asking:
            return self
        asking = self.asking - {call}
        return replace(self, asking=asking) if asking else self._opened(now)

    def _opened(self, now: float) -> "Breaker":
        nobody: frozenset[CallId] = frozenset()
        again = replace(self, state=State.OPEN, failing=nobody, opened=self.opened + 1, asking=nobody, put_off=0)
        return replace(again, until=now + again.pause_s)
