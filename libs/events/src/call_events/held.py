"""A call that this process drains now: its lease, its doorbells, and the deadline of whoever works on it."""

import asyncio
import math
from dataclasses import dataclass, field

from call_events.ids import CallId


@dataclass(slots=True)
class Held:
    """A call this process drains now."""

    call: CallId
    token: str
    epoch: int = 0
    #: Run-id of the server that granted it; another one may not know of it.
    server: str | None = None
    cursor: int = 0
    #: Commits of this claim that were answered.
    step: int = 0
    attempts: int = 0
    #: Its last holder's lease ran out, and nobody has been asked since.
    taken_over: bool = False
    #: Stream id of the last receipt that was written under this claim.
    last_receipt: bytes | None = None
    #: Doorbells of this call that came while it was held; acknowledged with it.
    later: dict[str, None] = field(default_factory=dict)
    #: Event loop's seconds after which the call must not be worked on: the lease may then end before the work does.
    lease_until: float = 0.0
    #: Event loop's seconds at which the handler's own time is up.
    patience_until: float = math.inf
    #: Another worker may have the call.
    lost: bool = False
    #: This worker stops; the call goes back.
    released: bool = False
    #: Around the handler while it runs.
    scope: asyncio.Timeout | None = None

    def keep_until(self, when: float) -> None:
        """The lease was granted or renewed: the handler's deadline moves with it."""
        self.lease_until = when
        if self.scope is not None and not (self.lost or self.released or self.scope.expired()):
            self.scope.reschedule(self.ends_at())

    def ends_at(self) -> float:
        """When the handler is cancelled: by its own time or by the lease, whichever is first."""
        return min(self.lease_until, self.patience_until)

    def is_gone(self) -> bool:
        """Whether this worker must not go on with the call: the lease was lost or has run out, or the worker stops."""
        if not self.released and self.lease_until < self.patience_until:
            ran_out = asyncio.get_running_loop().time() >= self.lease_until
            self.lost = self.lost or ran_out or (self.scope is not None and self.scope.expired())
        return self.lost or self.released

    def lose(self) -> None:
        """Cancel the handler: the lease could not be kept."""
        self.lost = True
        self._cut()

    def let_go(self) -> None:
        """Cancel the handler: this worker stops."""
        self.released = True
        self._cut()

    def _cut(self) -> None:
        if self.scope is not None and not self.scope.expired():
            self.scope.reschedule(asyncio.get_running_loop().time())
