"""A directory for files that nobody needs once this process has ended, however it ends.

It goes at the end of the block. A process that is killed leaves its directory behind, and the next one of its kind
removes it. That one knows it by its lock, which the kernel takes from a dead process: two containers that share the
place may have the same pids, so a pid would tell nothing. It is in the name only for people.
"""

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def private_directory(prefix: str, place: Path) -> Iterator[Path]:
    """A new directory in ``place`` that only this user may enter; first those of killed processes are removed.

    Args:
        prefix: of its name; processes with the same one tidy up after each other.
        place: where. Others may have directories there.

    Raises:
        OSError: none can be made.
    """
    for left in place.glob(f"{prefix}*"):
        _remove_abandoned(left)
    lock = None
    while lock is None:  # somebody who tidies up may take ours for abandoned before it is locked
        directory = Path(tempfile.mkdtemp(prefix=f"{prefix}{os.getpid()}-", dir=place))
        lock = _locked(directory)
    try:
        yield directory
    finally:
        shutil.rmtree(directory, ignore_errors=True)  # what cannot be removed now the next one removes
        os.close(lock)


def _locked(directory: Path) -> int | None:
    """Take the directory's lock for as long as the descriptor is open; absent: it is another's, or has gone."""
    try:
        handle = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        is_there = os.fstat(handle).st_ino == directory.stat().st_ino
    except OSError:
        is_there = False
    if not is_there:
        os.close(handle)
        return None
    return handle


def _remove_abandoned(directory: Path) -> None:
    if (handle := _locked(directory)) is not None:
        shutil.rmtree(directory, ignore_errors=True)
        os.close(handle)
