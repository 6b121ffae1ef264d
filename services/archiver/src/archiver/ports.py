"""What the core needs from outside, named by role."""

from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum
from typing import Protocol

from archiver.domain.ripeness import GroupProgress, Wait
from call_archive.model import LinkedCall, StoredLink
from call_archive.seal import FinishedCall
from call_events.ids import CallId

#: Receipts of the group ``archive``: the end was seen; the call is sealed and linked.
ENDED_SEEN, SEALED = "ended_seen", "sealed"


class FinishedCalls(Protocol):
    """Ended calls as the log holds them."""

    async def progress(self, call: CallId) -> Sequence[GroupProgress]:
        """How far those are that must have finished.

        Raises:
            LogUnavailable: could not be asked.
        """
        ...

    async def read(self, call: CallId) -> FinishedCall:
        """All of it, byte for byte.

        Raises:
            SealRefused: it is no whole call.
            LogUnavailable: could not be asked.
        """
        ...


class Going(StrEnum):
    """What became of letting a call go."""

    GONE = "gone"
    OPEN = "open"
    #: Ended, and somebody has not finished with it.
    WAITS = "waits"


class Leaving(Protocol):
    """Lets calls go from Redis."""

    async def let_go(self, call: CallId) -> Going:
        """Have it forgotten after the grace, if we have sealed it and every group has finished with it.

        Raises:
            LogUnavailable: could not be asked.
        """
        ...

    async def waits_for(self, call: CallId) -> Sequence[str]:
        """The groups that have not finished with a call.

        Raises:
            LogUnavailable: could not be asked.
        """
        ...

    async def remaining(self) -> Sequence[CallId]:
        """The calls that have not been let go yet, open ones too, oldest first of each shard.

        Raises:
            LogUnavailable: could not be asked.
        """
        ...

    async def last_at(self, call: CallId) -> datetime | None:
        """When the last event of a call happened; absent if it cannot be told.

        Raises:
            LogUnavailable: could not be asked.
        """
        ...


class Linker(Protocol):
    """Puts sealed calls into the chain."""

    async def link(self, sealed: LinkedCall) -> StoredLink:
        """Its link, once it is durable.

        Raises:
            StoreUnavailable, LogUnavailable, ChainBroken: not known to be linked; do it again.
        """
        ...


class Bookmark(Protocol):
    """Remembers how far retention has come; to lose it costs time only."""

    async def get(self) -> int:
        """Number of the last link whose calls are all removed; 0 if not known."""
        ...

    async def set(self, number: int) -> None:
        """As far as this."""
        ...


class Gauges(Protocol):
    """Numbers for those who run the service. Labels are names from closed lists, never a call or a person."""

    def sealed(self, *, seconds_since_end: float | None, size: int, again: bool) -> None:
        """A call is sealed and linked; ``again`` if an earlier attempt had written the file."""
        ...

    def refused(self) -> None:
        """A call could not be sealed and was parked."""
        ...

    def store_failed(self) -> None:
        """The store could not be asked, or refused."""
        ...

    def waits(self, wait: Wait) -> None:
        """An ended call was looked at and is not ripe."""
        ...

    def let_go(self) -> None:
        """Redis will forget a call after the grace."""
        ...

    def removed(self, calls: int) -> None:
        """So many contents were removed because their time was over."""
        ...

    def remaining(self, *, open_calls: int, ended: int, oldest_ended_s: float) -> None:
        """What is in Redis: open calls, ended ones that were not let go, and how long ago the oldest of those ended."""
        ...
