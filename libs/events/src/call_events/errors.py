"""What can go wrong with events and their log.

    CallEventsError
    ├── OurMistake                 the caller broke the contract; repeating cannot help
    │   ├── BadCallId              a call id that must not become a key
    │   ├── BadEvent               bytes or fields that are no event of ours, or too large a one
    │   │   └── CannotLift         an older version's data is not what it promised (``registry``)
    │   ├── BadProgress            a handler's answer would strand or spin its call
    │   └── BadSetting             a setting a service cannot start with
    ├── AppendRefused              the log understood the append and said no
    │   ├── CallUnknown            the call has no log yet and the event does not open one
    │   ├── CallClosed             the call's log has ended
    │   ├── TailMoved              somebody else appended first (optimistic concurrency)
    │   ├── IdTaken                another event is in the log under this id
    │   └── StaleOwner             the call belongs to a newer owner; stop speaking and leave
    ├── LogDamaged                 a call's log lacks events that were in it; a person has to look
    └── LogUnavailable             Redis cannot be reached or cannot serve; `retry` is true
        ├── LogInUse               another process keeps a server on this embedded log
        └── ServerChanged          another server answers now; look what it knows first

Whether to try again is data (`retry`); who tries, and how often, is the caller's policy.
"""

from typing import ClassVar


class CallEventsError(Exception):
    """Base of everything this package raises on purpose."""

    retry: ClassVar[bool] = False


class OurMistake(CallEventsError):
    """The caller broke the contract."""


class BadCallId(OurMistake):
    """A call id must be 1 to 128 letters, digits or any of _ . : + @ - and begin with a letter or digit."""


class BadEvent(OurMistake):
    """These are not the bytes or fields of an event."""


class BadProgress(OurMistake):
    """A handler's answer would strand or spin its call."""


class BadSetting(OurMistake):
    """A setting with which a service cannot start; the text names the setting and the mend."""


class AppendRefused(CallEventsError):
    """The log refused an append and changed nothing."""


class CallUnknown(AppendRefused):
    """The call has no log and this event does not open one."""


class CallClosed(AppendRefused):
    """The call's log has ended; nothing can follow ``call.ended``, also when the call has been retired since."""


class TailMoved(AppendRefused):
    """The log is longer than the writer believed."""


class IdTaken(AppendRefused):
    """Another event is in the log under this id: an id stands for one fact, and for its bytes."""


class StaleOwner(AppendRefused):
    """A newer owner has taken the call over."""

    #: Who holds the call, where the log has told.
    holder: str | None = None


class LogDamaged(CallEventsError):
    """A call's log is not numbered 1 to its end any more."""


class LogUnavailable(CallEventsError):
    """Redis cannot be reached, or answers that it cannot serve now."""

    retry: ClassVar[bool] = True


class LogInUse(LogUnavailable):
    """Another process keeps a server on this directory; two must not write one append-only file."""


class ServerChanged(LogUnavailable):
    """Another server answers now than the one this was meant for. It has not been sent there."""
