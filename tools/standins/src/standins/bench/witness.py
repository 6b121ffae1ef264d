"""What a consumer did, event by event, written down so that not even ``kill -9`` takes it back.

Nothing but the standard library: the peers' programs use it too, in an environment that has none of our packages.
"""

import os
import time
from collections.abc import Iterator
from pathlib import Path
from struct import Struct
from typing import NamedTuple

_RECORD = Struct("<?IIdd")
#: Bytes of one record; an event that was handled once has two.
RECORD_BYTES = _RECORD.size


class Record(NamedTuple):
    """One line of the book; times are seconds of the wall clock, the same for all processes of a machine."""

    ends: bool
    call: int
    seq: int
    #: When the producer handed the event to its log.
    appended: float
    #: When the handler began with it, or was through with it.
    at: float


class Witness:
    """One process's book. Every record is one write: what was written stays when the process is killed."""

    def __init__(self, path: Path) -> None:
        """``path`` is made; it tells that the process has come so far."""
        self._book = os.open(path, os.O_CREAT | os.O_WRONLY | os.O_APPEND, 0o600)

    def begins(self, call: int, seq: int, appended: float) -> None:
        """The handler turns to this event."""
        os.write(self._book, _RECORD.pack(False, call, seq, appended, time.time()))

    def ends(self, call: int, seq: int, appended: float) -> None:
        """The handler is through with it."""
        os.write(self._book, _RECORD.pack(True, call, seq, appended, time.time()))


def records(path: Path) -> Iterator[Record]:
    """All records of one process, in the order in which it wrote them."""
    raw = path.read_bytes()
    return map(Record._make, _RECORD.iter_unpack(raw[: len(raw) // RECORD_BYTES * RECORD_BYTES]))
