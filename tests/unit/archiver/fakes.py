"""What the archiver's ports answer in unit tests."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from archiver.domain.ripeness import GroupProgress, Wait
from archiver.ports import Going
from call_archive.errors import SealRefused
from call_archive.seal import FinishedCall
from call_events.errors import LogUnavailable
from call_events.ids import CallId
from support.archives import finished


@dataclass
class FakeCalls:
    """``FinishedCalls`` and ``Leaving``: one call of six events, finished by everybody unless told otherwise."""

    groups: list[GroupProgress] = field(default_factory=lambda: [at("ccm"), at("transfer")])
    refused: str | None = None
    going: dict[CallId, Going] = field(default_factory=dict)
    away: bool = False
    ended_at: datetime | None = None
    asked: list[CallId] = field(default_factory=list)

    async def progress(self, call: CallId) -> Sequence[GroupProgress]:
        """See ``ports.FinishedCalls``."""
        self.asked.append(call)
        return self.groups

    async def read(self, call: CallId) -> FinishedCall:
        """See ``ports.FinishedCalls``."""
        if self.refused is not None:
            raise SealRefused(self.refused)
        return finished(call)

    async def let_go(self, call: CallId) -> Going:
        """See ``ports.Leaving``."""
        if self.away:
            raise LogUnavailable("Redis cannot serve now")
        return self.going[call]

    async def waits_for(self, call: CallId) -> Sequence[str]:
        """See ``ports.Leaving``."""
        self.asked.append(call)
        return ["ccm"]

    async def remaining(self) -> Sequence[CallId]:
        """See ``ports.Leaving``."""
        return list(self.going)

    async def last_at(self, call: CallId) -> datetime | None:
        """See ``ports.Leaving``."""
        self.asked.append(call)
        return self.ended_at


def at(group: str, cursor: int = 6, *, parked: bool = False, busy: bool = False) -> GroupProgress:
    """How far a group is with a call of six events."""
    return GroupProgress(group, cursor, parked, busy)


@dataclass
class FakeGauges:
    """``Gauges`` that remember."""

    told: list[str] = field(default_factory=list)
    seconds: float | None = None
    size: int = 0
    left: tuple[int, int, float] | None = None

    def sealed(self, *, seconds_since_end: float | None, size: int, again: bool) -> None:
        """See ``ports.Gauges``."""
        self.told.append("sealed again" if again else "sealed")
        self.seconds, self.size = seconds_since_end, self.size + size

    def refused(self) -> None:
        """See ``ports.Gauges``."""
        self.told.append("refused")

    def store_failed(self) -> None:
        """See ``ports.Gauges``."""
        self.told.append("store failed")

    def waits(self, wait: Wait) -> None:
        """See ``ports.Gauges``."""
        self.told.append(f"waits: {wait}")

    def let_go(self) -> None:
        """See ``ports.Gauges``."""
        self.told.append("let go")

    def removed(self, calls: int) -> None:
        """See ``ports.Gauges``."""
        self.told.append(f"removed {calls}")

    def remaining(self, *, open_calls: int, ended: int, oldest_ended_s: float) -> None:
        """See ``ports.Gauges``."""
        self.left = (open_calls, ended, oldest_ended_s)


@dataclass
class FakeBookmark:
    """``Bookmark`` in memory."""

    number: int = 0

    async def get(self) -> int:
        """See ``ports.Bookmark``."""
        return self.number

    async def set(self, number: int) -> None:
        """See ``ports.Bookmark``."""
        self.number = number
