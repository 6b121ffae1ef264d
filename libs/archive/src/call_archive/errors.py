"""What can go wrong with the archive.

    ArchiveError
    ├── NotThere           nothing is kept under this name
    ├── AlreadyThere       something is, and the archive never writes over anything
    ├── BadObject          what is kept there is not what was written: edited, cut short, of an unknown format
    ├── SealRefused        this log cannot be sealed as a whole call; a person has to look
    ├── ChainBroken        the chain does not end where it must; nothing is linked until a person has looked: `retry`
    ├── ErasureRefused     this call's content must not or cannot be removed now
    └── StoreUnavailable   the store cannot be reached, is full, or refuses; `retry` is true

Adapters translate the errors of their libraries. The texts name paths and calls, never what is in them.
"""

from typing import ClassVar

from call_events.errors import CallEventsError


class ArchiveError(CallEventsError):
    """Base of everything this package raises on purpose."""


class NotThere(ArchiveError):
    """Nothing is kept under this name."""


class AlreadyThere(ArchiveError):
    """Something is kept under this name already, and stays."""


class BadObject(ArchiveError):
    """What is kept there is not what the archive writes."""


class SealRefused(ArchiveError):
    """This log cannot be sealed as a whole call."""


class ChainBroken(ArchiveError):
    """The chain does not end where it must: for all calls, so each waits in Redis until somebody has mended it."""

    retry: ClassVar[bool] = True


class ErasureRefused(ArchiveError):
    """The content of this call must not, or cannot, be removed now."""


class StoreUnavailable(ArchiveError):
    """The store cannot be reached, is full, or refuses."""

    retry: ClassVar[bool] = True
