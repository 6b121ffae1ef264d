"""When the endpoint is down, ask it with one call at a time.

A dead CCM that takes the connection and never answers would otherwise hold a slot of the consumer for a whole
time-out with every call. After ``after`` different calls have failed in a row, no success in between, the breaker
opens: calls are put off without an attempt, except one probe per pause. The first success closes it. One bad call
alone never opens it.

This is advice about the endpoint, not state of any call: losing it costs a few early attempts.
"""

import random
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from call_events.ids import CallId


@dataclass(frozen=True, slots=True)
class Breaker:
    """A value; each method gives the next one."""

    after: int = 3
    first_pause: timedelta = timedelta(milliseconds=500)
    longest_pause: timedelta = timedelta(seconds=15)
    #: A probe that has not come back by then is forgotten (its process slot may be gone).
    probe_timeout: timedelta = timedelta(seconds=20)
    failing: frozenset[CallId] = field(default_factory=frozenset)
    #: How often in a row it has opened; 0 = closed.
    opened: int = 0
    until: datetime | None = None
    #: The call that asks for all.
    probe: CallId | None = None

    @property
    def is_open(self) -> bool:
        """Calls are being put off."""
        return self.opened > 0

    def admit(self, call: CallId, now: datetime) -> tuple["Breaker", datetime | None]:
        """May this call try now? Else: when to ask again, spread so that the waiting do not come all at once."""
        if self.until is None:
            return self, None
        if now >= self.until:
            return replace(self, until=now + self.probe_timeout, probe=call), None
        spread = random.Random(f"{call}/{self.until.isoformat()}").random()  # noqa: S311 - jitter, not a secret
        return self, min(self.until, now + self.longest_pause) + self.first_pause * spread

    def succeeded(self) -> "Breaker":
        """The endpoint serves."""
        return replace(self, failing=frozenset(), opened=0, until=None, probe=None)

    def failed(self, call: CallId, now: datetime) -> "Breaker":
        """The endpoint did not serve this call."""
        if self.is_open and call != self.probe:
            return self  # it was on its way when the breaker opened, and tells nothing new
        failing = self.failing if len(self.failing) >= self.after else self.failing | {call}
        if len(failing) < self.after:
            return replace(self, failing=failing)
        pause = min(self.longest_pause, self.first_pause * 2 ** min(self.opened, 10))
        return replace(self, failing=failing, opened=self.opened + 1, until=now + pause, probe=None)
