"""The Lua scripts of the log: every change of a call is one of them, whole or not at all; see ``protocol``.

They lie beside this module as files with their contract in the first lines. They are sent by digest (``EVALSHA``); a
server that does not know one (fresh, restarted, flushed, or a slot's new home) answers NOSCRIPT and gets the text.
"""

import hashlib
from dataclasses import dataclass
from functools import cache
from importlib import resources

NAMES = (
    *(
        "append",
        "claim",
        "commit",
        "discard",
        "forget",
        "own",
        "park",
        "pass_on",
        "release",
        "renew",
        "retire",
        "ring",
        "standing",
    ),
    *("unpark", "wake"),
)


@dataclass(frozen=True, slots=True)
class Script:
    """One script, by text and by digest."""

    name: str
    text: str
    sha: str


def make(name: str, text: str) -> Script:
    """A script from its text. Redis names scripts by SHA-1; nothing is protected by it."""
    return Script(name, text, hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest())


@cache
def load(name: str) -> Script:
    """The shipped script of that name."""
    return make(name, (resources.files("call_events") / "lua" / f"{name}.lua").read_text(encoding="utf-8"))
