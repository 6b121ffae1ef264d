"""A deployer's own classes, which settings and profiles name as ``package.module:Class``."""

import re

PLACE = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*", re.ASCII)

#: How a module that is not ours fails to be imported, and a class that is not ours to be made: it is missing, it is not
#: what it was taken for, or something that it reads at its start (a setting, a file, a server) is not there or wrong.
FOREIGN_FAULTS = (
    ImportError,
    SyntaxError,
    NameError,
    AttributeError,
    TypeError,
    ValueError,
    LookupError,
    AssertionError,
    OSError,
    RuntimeError,
)


def in_one_line(error: BaseException) -> str:
    """Kind and first line: what follows may repeat values that were read."""
    said = str(error).strip().partition("\n")[0].strip()
    return f"{type(error).__name__}: {said[:200]}" if said else type(error).__name__
