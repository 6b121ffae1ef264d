"""Who is at the keyboard: for the record of readings, and with what people decide."""

import os
import pwd
import socket


def person(named: str | None) -> str:
    """As they are named in the settings (CALLWEAVE_USER), else the user of this process and its machine."""
    if named is not None and named.strip():
        return named.strip()
    return f"{_account()}@{socket.gethostname()}"


def _account() -> str:
    """By its number, not by the environment, which anybody may set."""
    number = os.getuid()
    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:
        return f"uid {number}"
