"""What a check of a call can find: stable codes, each with its meaning and what to do. ``docs/auditing.md`` lists them.

A *fault* means that something is not proven: exit code 1. A *note* names what an auditor should know and is no error of
the log: an event of a newer release, a text that came late, a call that still runs.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

from call_archive.findings import Code as ArchiveCode
from call_archive.findings import Finding as ArchiveFinding
from call_events.terminal import plain

Level = Literal["fault", "note"]


class Code(StrEnum):
    """Stable names: scripts and runbooks are written against them."""

    GAP = "gap"
    NUMBERING = "numbering"
    ORDER = "order"
    EVENT_TWICE = "event-twice"
    FOREIGN_EVENT = "foreign-event"
    NOT_OPENED = "not-opened"
    NOT_CLOSED = "not-closed"
    AFTER_END = "after-end"
    INDEX_WRONG = "index-wrong"
    RECEIPT_WRONG = "receipt-wrong"
    RECEIPT_ORDER = "receipt-order"
    RECEIPT_BEYOND = "receipt-beyond"
    CURSOR_BEYOND = "cursor-beyond"
    STREAM_MISSING = "stream-missing"
    CALL_MISSING = "call-missing"
    DIFFERS = "differs"
    OVERWRITTEN = "overwritten"
    CALLS_UNSEEN = "calls-unseen"
    END_UNPROVEN = "end-unproven"
    UNDECODABLE = "undecodable"
    UNKNOWN_TYPE = "unknown-type"
    UNKNOWN_VERSION = "unknown-version"
    PARKED = "parked"
    UNDELIVERED = "undelivered"
    NEVER_SENT = "never-sent"
    NO_SUCH_EVENT = "no-such-event"
    WRONG_MESSAGE = "wrong-message"
    SENT_TWICE = "sent-twice"
    REFUSED = "refused"
    DISCARDED = "discarded"
    LATE = "late"
    PENDING = "pending"
    NOT_ARCHIVED = "not-archived"


@dataclass(frozen=True, slots=True)
class Meaning:
    """What a code means and what to do about it."""

    level: Level
    means: str
    mend: str


MEANINGS: Mapping[Code, Meaning] = {
    Code.GAP: Meaning(
        "fault",
        "numbers are missing between two entries, or before the first",
        "The log was cut by hand or by a damaged append-only file. Restore the missing entries from a replica, a "
        "backup or the archive; until then the call is not proven from there on.",
    ),
    Code.NUMBERING: Meaning(
        "fault",
        "an entry whose id is not of the form 0-n",
        "Something other than the append script wrote to this stream. Find out who has the password of that Redis.",
    ),
    Code.ORDER: Meaning(
        "fault",
        "an entry stands behind one with the same or a higher number (only in files)",
        "The file was put together by hand. Export the call again.",
    ),
    Code.EVENT_TWICE: Meaning(
        "fault",
        "one event id stands at two places",
        "The log doubled an event: consumers saw it twice. Keep an export and report it as a defect.",
    ),
    Code.FOREIGN_EVENT: Meaning(
        "fault",
        "an entry says that it belongs to another call",
        "It was written past the append script. Compare with the call it names.",
    ),
    Code.NOT_OPENED: Meaning(
        "fault",
        "the first event is not call.started",
        "Only call.started can open a log: the beginning is missing or was replaced.",
    ),
    Code.NOT_CLOSED: Meaning(
        "fault",
        "the log is marked as ended, and its last event is not call.ended, or is another one than the mark says",
        "The end is missing or was replaced.",
    ),
    Code.AFTER_END: Meaning(
        "fault", "an event stands behind call.ended, or a second call.started", "It was written past the append script."
    ),
    Code.INDEX_WRONG: Meaning(
        "fault",
        "the log's index of event ids and its entries do not agree",
        "A repeat of an event would now be stored twice or not at all. Keep an export and report it as a defect.",
    ),
    Code.RECEIPT_WRONG: Meaning(
        "fault",
        "a receipt that cannot be read, or that is about a place the log does not have",
        "It was not written by a service of this release; look who else writes there.",
    ),
    Code.RECEIPT_ORDER: Meaning(
        "fault",
        "a receipt goes back to a place that was finished before, and no text had been waited for there",
        "The group did something out of order. Keep an export and report it as a defect.",
    ),
    Code.RECEIPT_BEYOND: Meaning(
        "fault",
        "a receipt is about a place that its group has not reached",
        "Receipts are written with the cursor; one of the two was changed by hand, or the server lost a part.",
    ),
    Code.CURSOR_BEYOND: Meaning(
        "fault",
        "a group has finished more events than there are",
        "Events were lost after a group had seen them. Restore them from a replica, a backup or the archive.",
    ),
    Code.STREAM_MISSING: Meaning(
        "fault",
        "the call is on the list of live calls, and it has no events",
        "Its stream was deleted. Restore it from a replica or a backup.",
    ),
    Code.CALL_MISSING: Meaning(
        "fault",
        "the log let the call go, and it is neither in the archive nor recorded as removed",
        "Look whether --archive names the archive that this log is sealed into. If so, the call is lost: restore it.",
    ),
    Code.DIFFERS: Meaning(
        "fault",
        "the live log and the archive hold different bytes at this place",
        "One of them was changed after the call was sealed. `verify --all` tells if the archive's chain holds.",
    ),
    Code.OVERWRITTEN: Meaning(
        "fault",
        "an entry that is no event, and the index has the id of one there, or a receipt says it was sent",
        "Its bytes were changed after it was appended. Restore the event from a replica, a backup or the archive.",
    ),
    Code.CALLS_UNSEEN: Meaning(
        "fault",
        "the log has let calls go, and no archive was named in which they could be looked for",
        "Name it: --archive, or CALLWEAVE_ARCHIVE.",
    ),
    Code.END_UNPROVEN: Meaning(
        "note",
        "nothing outside of the archive was asked which link is the newest, so links missing at the end do not show",
        "Name the log beside it (REDIS_URL), which remembers the newest link; or compare with your own notes.",
    ),
    Code.UNDECODABLE: Meaning(
        "note",
        "an entry that is no event of any release; it keeps its place",
        "Look at it with `callweave timeline CALL --json`; find who wrote it.",
    ),
    Code.UNKNOWN_TYPE: Meaning(
        "note", "an event of a type this release does not know", "Read the call with a newer callweave."
    ),
    Code.UNKNOWN_VERSION: Meaning(
        "note",
        "an event of a known type in a version this release does not know",
        "Read the call with a newer callweave.",
    ),
    Code.PARKED: Meaning(
        "note", "a group has put the call aside", "Mend what the reason names, then `callweave unpark`."
    ),
    Code.UNDELIVERED: Meaning(
        "fault",
        "CCM should have a message about this event, the bridge has gone past it, and there is no receipt",
        "Keep an export and report it as a defect; CCM lacks this message.",
    ),
    Code.NEVER_SENT: Meaning(
        "fault",
        "the text came after its place had been passed over, and was not sent afterwards",
        "Keep an export and report it as a defect; CCM lacks this text.",
    ),
    Code.NO_SUCH_EVENT: Meaning(
        "fault",
        "CCM has a message about a place where the log has no event that CCM is told of",
        "The log lost the event after it was delivered, or the receipt is not the bridge's.",
    ),
    Code.WRONG_MESSAGE: Meaning(
        "fault",
        "the receipt tells of another kind of message than the event at its place",
        "The log and what CCM was told do not agree. Keep an export and report it as a defect.",
    ),
    Code.SENT_TWICE: Meaning(
        "fault",
        "two receipts say that the same message was delivered, or two messages bear one id",
        "CCM takes a message id once. Keep an export and report it as a defect.",
    ),
    Code.REFUSED: Meaning(
        "fault",
        "CCM refused the message, the call went on without it",
        "The reason is in the receipt (`callweave parked`). CCM lacks this message for good.",
    ),
    Code.DISCARDED: Meaning(
        "fault",
        "a person decided that the group passes over this event",
        "The reason and the name are in the receipt. CCM lacks this message for good.",
    ),
    Code.LATE: Meaning(
        "note", "the message reached CCM after later ones, marked late", "Nothing: its text was not there in time."
    ),
    Code.PENDING: Meaning(
        "note",
        "CCM has not been told yet: the bridge is not there, or it waits",
        "Nothing if the call runs or CCM is down. Otherwise `callweave parked`.",
    ),
    Code.NOT_ARCHIVED: Meaning(
        "note",
        "the call has ended and is not in the archive yet",
        "Nothing if it ended just now; else see the archiver.",
    ),
}


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that a check has found. Nothing that was said, no numbers, no names."""

    #: One of :class:`Code`, or of ``call_archive.findings.Code``.
    code: str
    #: Absent for a finding about the chain of an archive.
    call: str | None
    #: ``event 7``, ``receipt 12 of ccm``, a line of a file, a path in an archive.
    place: str
    text: str
    level: Level

    @property
    def is_fault(self) -> bool:
        """Something is not proven."""
        return self.level == "fault"

    @property
    def line(self) -> str:
        """One line for people: what, where."""
        return plain(f"{self.call or 'chain'}: {self.level} {self.code}: {self.place}: {self.text}")


def found(code: Code, call: str | None, place: str, text: str) -> Finding:
    """A finding of one of our own checks."""
    return Finding(code.value, call, place, text, MEANINGS[code].level)


def of_archive(one: ArchiveFinding) -> Finding:
    """A finding of the archive's own checks. An entry that no release knows was sealed as it was, which is right."""
    is_note = not one.is_fault or one.code is ArchiveCode.UNDECODABLE
    return Finding(one.code.value, one.call, one.place, one.text, "note" if is_note else "fault")


def numbers(values: Iterable[int]) -> str:
    """``3, 5 to 9``."""
    runs: list[list[int]] = []
    for value in values:
        if runs and value == runs[-1][-1] + 1:
            runs[-1] = [runs[-1][0], value]
        else:
            runs.append([value])
    return ", ".join(" to ".join(map(str, run)) for run in runs)
