"""Who is at the keyboard, for what is kept of their decisions."""

import getpass
import platform


def person(named: str | None) -> str:
    """The name given in the settings, else the operating system's: ``user@host``."""
    if named:
        return named
    try:
        user = getpass.getuser()
    except (KeyError, OSError, ImportError):  # a container's user without a name
        user = "unknown"
    return f"{user}@{platform.node() or 'unknown'}"
