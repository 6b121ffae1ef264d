"""Where everything lies in the archive.

    calls/<xx>/<call>.jsonl.zst             one sealed call; xx = first two hex digits of SHA-256 of the call id
    chain/<nnn>/<nnn>/<nnnnnnnnn>.jsonl     one link; the folders are the first six digits of its number

A link's place follows from its number alone: two archivers that both write the next link want the same name, and only
one of them can have it. No folder holds more than a thousand links.
"""

import hashlib

from call_events.errors import BadCallId
from call_events.ids import CallId, call_id

CALLS = "calls"
CHAIN = "chain"
#: At one link a second, thirty years.
LAST_NUMBER = 999_999_999
_CALL_SUFFIX = ".jsonl.zst"
_LINK_SUFFIX = ".jsonl"


def call_path(call: CallId) -> str:
    """Where a call is sealed."""
    return f"{CALLS}/{hashlib.sha256(call.encode()).hexdigest()[:2]}/{call}{_CALL_SUFFIX}"


def call_of(name: str) -> CallId | None:
    """The call whose sealed file has this name; ``None`` for a file that is none."""
    if not name.endswith(_CALL_SUFFIX):
        return None
    try:
        return call_id(name.removesuffix(_CALL_SUFFIX))
    except BadCallId:
        return None


def link_path(number: int) -> str:
    """Where the link of this number is."""
    digits = f"{number:09d}"
    return f"{CHAIN}/{digits[:3]}/{digits[3:6]}/{digits}{_LINK_SUFFIX}"


def number_of(name: str) -> int | None:
    """The number of the link that has this name; ``None`` for a file that is none."""
    digits = name.removesuffix(_LINK_SUFFIX)
    is_link = name.endswith(_LINK_SUFFIX) and len(digits) == len(str(LAST_NUMBER)) and digits.isdecimal()
    return int(digits) if is_link and digits.isascii() else None
