"""Taking personal data out of what tools were given, before it is written anywhere."""

import re
from collections.abc import Mapping
from typing import Any

_EMAIL = re.compile(r"[^\s@]+@[^\s@]+\.[^\s@]+")
#: Seven or more digits, possibly grouped: telephone, card and account numbers. Order and invoice numbers are shorter
#: and are what an auditor needs to see.
_DIGITS = re.compile(r"\+?\d(?:[\s().-]?\d){6,}")
_DAY = re.compile(r"\d{4}-\d{2}-\d{2}")

#: Arguments that hold what a caller said in his own words.
FREE_TEXT = frozenset({"reason", "summary", "details", "subject"})
_LONGEST = 200


def redact(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """A copy fit for the log: e-mail addresses and long numbers are masked, long texts are cut, free text is only
    measured."""
    return {name: _redact(name, value) for name, value in arguments.items()}


def _redact(name: str, value: Any) -> Any:
    if isinstance(value, Mapping):
        return redact(value)
    if isinstance(value, list | tuple):
        return [_redact(name, item) for item in value]
    if not isinstance(value, str):
        return value
    if name in FREE_TEXT:
        return f"[text, {len(value)} characters]"
    return mask(value)[:_LONGEST]


def mask(text: str) -> str:
    """The same text with e-mail addresses and long numbers masked."""
    return _DIGITS.sub(_mask_number, _EMAIL.sub("[email]", text))


def _mask_number(found: re.Match[str]) -> str:
    return found[0] if _DAY.fullmatch(found[0]) else "[number]"
