"""Text for a terminal.

What was said, typed into a switch or answered by another system is foreign, and a terminal obeys the control characters
in it: it would clear the screen, or show a line that nobody has written.
"""

import re
from typing import Any

import orjson

#: C0, DEL and C1; the separators that end a line; what turns the direction of reading around.
_OBEYED = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")
_DELETE = 0x7F
#: The first of the characters that show a control character by its name: ␀ ␁ … ␡.
_PICTURES = 0x2400


def plain(text: str) -> str:
    """The text on one line, each character that a terminal would obey replaced by one that shows it."""
    return _OBEYED.sub(_picture, text)


def plain_json(value: Any, *, indent: bool = False) -> str:
    """The value as JSON, where such characters are written as ``\\u009b``."""
    lines = orjson.dumps(value, option=orjson.OPT_INDENT_2 if indent else 0).decode().split("\n")
    return "\n".join(_OBEYED.sub(_escape, line) for line in lines)


def _picture(found: re.Match[str]) -> str:
    code = ord(found[0])
    if code < ord(" "):
        return chr(_PICTURES + code)
    return "\N{SYMBOL FOR DELETE}" if code == _DELETE else "\N{REPLACEMENT CHARACTER}"


def _escape(found: re.Match[str]) -> str:
    return f"\\u{ord(found[0]):04x}"
