"""What waits on this machine's disk because Redis could not be reached: only counted, never opened."""

import time
from dataclasses import dataclass
from pathlib import Path

from call_events.errors import BadSetting

#: Where a spool keeps what the log has refused for good.
REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class Spool:
    """A spool directory at one moment."""

    directory: str
    files: int
    size_bytes: int
    #: Seconds since the file that has waited longest was last written to.
    oldest_s: float
    #: Files with events that the log has refused, kept for a person.
    refused: int


def look(directory: Path) -> Spool:
    """Count what is there. A directory that does not exist is an empty spool: a worker makes it when it needs one.

    Raises:
        BadSetting: it cannot be read.
    """
    waiting, oldest, total, refused = 0, time.time(), 0, 0
    try:
        for path in directory.rglob("*") if directory.is_dir() else ():
            try:
                found = path.stat()
            except FileNotFoundError:  # replayed and removed just now
                continue
            if not path.is_file() or found.st_size == 0:
                continue
            if REFUSED in path.relative_to(directory).parts[:-1]:
                refused += 1
                continue
            waiting, total, oldest = waiting + 1, total + found.st_size, min(oldest, found.st_mtime)
    except OSError as error:
        raise BadSetting(
            f"CALLWEAVE_SPOOL_DIR ({directory}): cannot be read ({error.strerror}); run this as the worker's user"
        ) from error
    return Spool(str(directory), waiting, total, time.time() - oldest if waiting else 0.0, refused)
