"""One call as it is kept somewhere, byte for byte, with what was done about it. All else is worked out from this."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property

from call_events.codec import as_stored
from call_events.entries import decode_entry
from call_events.ids import CallId
from call_events.ports import AnyEvent
from callweave.proof.findings import Finding

_NUMBERED = re.compile(r"0-([1-9][0-9]*)")


class Where(StrEnum):
    """The kinds of places where a call may be."""

    LIVE = "live"
    ARCHIVE = "archive"
    FILE = "file"


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry of a call stream."""

    #: The entry's id, ``0-7`` for number 7.
    at: str
    #: The bytes of field ``e``.
    raw: bytes

    @property
    def seq(self) -> int | None:
        """The number; ``None`` for an id that no append has given."""
        numbered = _NUMBERED.fullmatch(self.at)
        return int(numbered[1]) if numbered else None


@dataclass(frozen=True, slots=True)
class StoredReceipt:
    """One receipt of a group."""

    #: The entry's id: milliseconds of its time, and a count.
    at: str
    raw: bytes


@dataclass(frozen=True, slots=True)
class Standing:
    """How far a group is with the call."""

    #: Finished at least so far when the receipts were read, and at most so far.
    cursor: int
    at_most: int
    #: The reason while the call is parked.
    parked: str | None = None


@dataclass(frozen=True)
class Record:
    """A call out of one source."""

    call: CallId
    where: Where
    entries: tuple[Entry, ...]
    receipts: Mapping[str, tuple[StoredReceipt, ...]] = field(default_factory=dict)
    groups: Mapping[str, Standing] = field(default_factory=dict)
    #: Event id → place, as the log keeps it to know a repeat; only of a live log.
    index: Mapping[str, int] | None = None
    #: The last place, if the log is marked as ended.
    closed_at: int | None = None
    #: Of the chain over all lines, if it is sealed.
    head: str | None = None
    #: What reading it has found already.
    findings: tuple[Finding, ...] = ()

    @cached_property
    def events(self) -> list[AnyEvent]:
        """Decoded; what cannot be is passed on as such. An entry without a number of its own gets its position's."""
        return [
            decode_entry(self.call, entry.seq or position, entry.raw)
            for position, entry in enumerate(self.entries, start=1)
        ]

    @property
    def stored(self) -> list[dict[str, object]]:
        """The events as they stand there, with their numbers."""
        return [as_stored(entry.raw, seq=entry.seq or position) for position, entry in enumerate(self.entries, start=1)]

    @property
    def receipt_count(self) -> int:
        """Of all groups."""
        return sum(map(len, self.receipts.values()))
