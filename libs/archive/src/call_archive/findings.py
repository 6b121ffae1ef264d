"""What a check finds: always which call, where, and in one sentence what."""

from dataclasses import dataclass
from enum import StrEnum

from call_events.ids import CallId


class Code(StrEnum):
    """Stable names: scripts and runbooks are written against them."""

    #: The file of a call.
    UNREADABLE = "unreadable"
    OBJECT_MISSING = "object-missing"
    OBJECT_EDITED = "object-edited"
    CONTENT_EDITED = "content-edited"
    MANIFEST_WRONG = "manifest-wrong"
    MISPLACED = "misplaced"
    #: The numbering and the events.
    GAP = "gap"
    DOUBLE = "double"
    ORDER = "order"
    NOT_OPENED = "not-opened"
    NOT_CLOSED = "not-closed"
    EVENT_TWICE = "event-twice"
    FOREIGN_EVENT = "foreign-event"
    UNDECODABLE = "undecodable"
    RECEIPT_WRONG = "receipt-wrong"
    #: The chain.
    LINK_MISSING = "link-missing"
    LINK_UNREADABLE = "link-unreadable"
    LINK_EDITED = "link-edited"
    LINK_DISORDER = "link-disorder"
    SIGNATURE_MISSING = "signature-missing"
    SIGNATURE_WRONG = "signature-wrong"
    CHAIN_CUT = "chain-cut"
    LINKED_TWICE = "linked-twice"
    NOT_LINKED = "not-linked"
    STILL_THERE = "still-there"
    #: No fault: its content was removed on purpose, and the chain tells when and why.
    REMOVED = "removed"


#: Findings that tell of something that is as it should be.
_NOTES = frozenset({Code.REMOVED})


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that a check has found."""

    code: Code
    #: Absent for a finding about the chain itself.
    call: CallId | None
    #: A path in the archive with a line or an event number, or the key of a stream.
    place: str
    #: What is wrong there, for a person; nothing that was said, no numbers, no names.
    text: str

    @property
    def is_fault(self) -> bool:
        """Whether something is wrong, or merely worth telling."""
        return self.code not in _NOTES

    def __str__(self) -> str:
        """One line."""
        return f"{self.code}: {self.call or 'chain'}: {self.place}: {self.text}"
