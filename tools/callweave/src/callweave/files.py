"""Files that are written for people: never over another, whole or not at all, readable by their owner alone."""

import os
from pathlib import Path

from call_events.errors import CallEventsError


class NotWritten(CallEventsError):
    """The file could not be written, or is there already."""


def write_new(path: Path, content: str | bytes) -> None:
    """Write a file that does not exist yet. What is in it was said by somebody, so only its owner may read it.

    Raises:
        NotWritten: it exists, or the disk or the directory does not permit it; nothing is left behind.
    """
    data = content.encode() if isinstance(content, str) else content
    part = path.with_name(f"{path.name}.part-{os.getpid()}")
    try:
        with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(data)
        try:
            path.hardlink_to(part)
        finally:
            part.unlink()
    except FileExistsError:
        raise NotWritten(f"{path} exists already and was not touched; name another file, or remove it") from None
    except OSError as error:
        part.unlink(missing_ok=True)
        raise NotWritten(f"{path} cannot be written: {error.strerror}") from None
