"""What the log has not taken yet, on disk: one file for each call of each process.

A producer that cannot reach Redis goes on, and writes down here what it would have appended. Its file is locked as long
as its process lives, so that any other process on the machine can tell what was left behind
(``call_events.spool_keeper``).

    <directory>/<call>.<random>.spool     one line a record: CRC-32 in eight hex digits, a space, the event's JSON
    <directory>/<call>.<random>.bequest   the same lines: what a process that has ended had in its journal
    <directory>/refused/…                 records that cannot be appended any more, each with the reason; for a person

A record counts as kept when it has been synced to the disk. A crash in the middle of a line leaves a line whose digest
does not fit: it is told from a whole one, and never taken for one.

A bequest is not synced: the log has said that it has those events, and they are lost only if its server forgets them
while this machine falls as well.
"""

import fcntl
import os
import threading
import time
import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

from call_events.errors import CallEventsError
from call_events.ids import CallId

SUFFIX = ".spool"
BEQUEST = ".bequest"
#: Of the directory, over all calls: some 500,000 events, the speech of a hundred lively calls over an hour.
MAX_BYTES = 256 * 2**20
_CRC_DIGITS = 8


class SpoolFull(CallEventsError):
    """The spool directory holds as much as it may; make the log reachable, or allow more."""


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a spool file as it was found."""

    raw: bytes
    #: The digest fits: ``raw`` is the event's JSON. Else it is the whole line.
    whole: bool


class Spool:
    """A directory of spool files, bounded in bytes."""

    def __init__(self, directory: Path, *, max_bytes: int = MAX_BYTES) -> None:
        """Nothing is touched before the first write."""
        self.directory = directory
        self.max_bytes = max_bytes

    def of(self, call: CallId) -> "SpoolFile":
        """A file for one call; there once something is written to it."""
        return SpoolFile(self, call)

    def prepare(self) -> None:
        """Make the directory, for this user alone, and see that files can be written there.

        Raises:
            OSError: they cannot.
        """
        self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        probe = self.directory / f".probe.{uuid4().hex}"
        probe.touch(mode=0o600, exist_ok=False)
        probe.unlink()

    def files(self) -> list[Path]:
        """Spool files that are there now, the oldest first."""
        return [path for _, path in self._aged(SUFFIX)]

    def bequests(self, *, min_age_s: float) -> list[Path]:
        """Bequests that are at least so old, the oldest first."""
        before = time.time() - min_age_s
        return [path for at, path in self._aged(BEQUEST) if at <= before]

    def _aged(self, suffix: str) -> list[tuple[float, Path]]:
        found = []
        for path in self.directory.glob(f"*{suffix}"):
            try:
                found.append((path.stat().st_mtime, path))
            except FileNotFoundError:  # its owner was quicker
                continue
        return sorted(found)

    def size(self) -> int:
        """Bytes in spool files now."""
        total = 0
        for path in self.files():
            try:
                total += path.stat().st_size
            except FileNotFoundError:
                continue
        return total


class SpoolFile:
    """What one call has on disk. Blocks: call it in a thread. Safe to be called from several."""

    def __init__(self, spool: Spool, call: CallId) -> None:
        self._spool = spool
        self._call = call
        self.path = self._new_path()
        self._lock = threading.Lock()
        self._file: int | None = None
        #: What was written is a keeper's now.
        self._left = False
        self._size = 0

    def write(self, events: Sequence[bytes]) -> None:
        """Add records and sync them: all of them are kept when this returns, or none if it raises.

        Raises:
            SpoolFull: the directory's bound is reached.
            OSError: the disk is full, or the directory cannot be written.
        """
        block = _block(events)
        with self._lock:
            if self._spool.size() + len(block) > self._spool.max_bytes:
                raise SpoolFull(str(SpoolFull.__doc__))
            file = self._opened()
            try:
                _write_all(file, block)
                os.fdatasync(file)
            except OSError:
                os.ftruncate(file, self._size)  # half a block must not stand before what is written when there is room
                os.lseek(file, self._size, os.SEEK_SET)
                raise
            self._size += len(block)

    def bequeath(self, events: Sequence[bytes]) -> None:
        """Leave what the log took lately to whoever keeps the spool, for the case that its server forgets it.

        Raises:
            OSError: the disk is full, or the directory cannot be written.
        """
        part = self.path.with_suffix(".part")
        try:
            self._spool.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600), "wb") as file:
                file.write(_block(events))
            part.rename(self.path.with_suffix(BEQUEST))
        except OSError:
            part.unlink(missing_ok=True)
            raise

    def read(self, *, after: int, limit: int) -> list[bytes]:
        """Up to ``limit`` records after the first ``after``; those a file of this process holds are whole."""
        with self._lock:
            lines = []
            for number, line in enumerate(read_lines(self.path)):
                if number >= after + limit:
                    break
                if number >= after:
                    lines.append(line.raw)
            return lines

    def discard(self) -> None:
        """All of it is in the log: remove it. Idempotent."""
        with self._lock:
            if self._file is not None:
                self.path.unlink(missing_ok=True)
            self._close()

    def close(self) -> None:
        """Leave it to whoever keeps the spool. Idempotent; what is written after all gets a file of its own."""
        with self._lock:
            self._left = self._left or self._file is not None
            self._close()

    def _new_path(self) -> Path:
        return self._spool.directory / f"{self._call}.{uuid4().hex[:12]}{SUFFIX}"

    def _opened(self) -> int:
        if self._file is None:
            if self._left:
                self.path, self._left = self._new_path(), False
            self._spool.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            # Locked before it has the name by which keepers know it: one without a lock would be taken for left behind.
            begun = self.path.with_suffix(".begun")
            file = os.open(begun, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                begun.rename(self.path)
                sync_directory(self._spool.directory)
            except OSError:
                os.close(file)
                raise
            self._file = file
        return self._file

    def _close(self) -> None:
        if self._file is not None:
            os.close(self._file)  # and with it goes the lock
            self._file = None
            self._size = 0


def read_lines(path: Path) -> Iterator[Line]:
    """The lines of a spool file in order; one that is torn or was changed is told as such."""
    with path.open("rb") as file:
        for line in file:
            digest, raw = line[:_CRC_DIGITS], line[_CRC_DIGITS + 1 : -1]
            whole = line.endswith(b"\n") and digest == b"%08x" % zlib.crc32(raw)
            yield Line(raw if whole else line, whole)


def sync_directory(directory: Path) -> None:
    """Make the names in a directory survive a power cut."""
    handle = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _block(events: Iterable[bytes]) -> bytes:
    return b"".join(b"%08x %b\n" % (zlib.crc32(event), event) for event in events)


def _write_all(file: int, block: bytes) -> None:
    left = memoryview(block)
    while left:
        left = left[os.write(file, left) :]
