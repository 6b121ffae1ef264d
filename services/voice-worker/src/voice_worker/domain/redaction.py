"""Taking personal data out of what tools were given, before it is written anywhere."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

_EMAIL = re.compile(r"[^\s@]+@[^\s@]+\.[^\s@]+")
#: Seven or more digits, possibly grouped: telephone, card and account numbers. Order and invoice numbers are shorter
#: and are what an auditor needs to see.
_DIGITS = re.compile(r"\+?\d(?:[\s().-]?\d){6,}")
_DAY = re.compile(r"\d{4}-\d{2}-\d{2}")
#: The least number of seven digits.
_LONG = 10**6

#: Arguments that hold what a caller said in his own words.
FREE_TEXT = frozenset({"reason", "summary", "details", "subject"})
#: Arguments by which a caller proves who they are.
SECRET = frozenset({"service_pin", "pin", "password", "passphrase"})
_LONGEST = 200
#: No tool takes anything that lies deeper.
_DEEPEST = 8


def redact(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """A copy fit for the log: e-mail addresses and long numbers are masked, however they are written and wherever they
    lie; secrets are left out, long texts are cut, free text is only measured."""
    return _redact_all(arguments, "", 0)


def _redact_all(arguments: Mapping[str, Any], around: str, depth: int) -> dict[str, Any]:
    """``around``: the free text they are a part of, if they are; no name of theirs makes them less free."""
    return {
        mask(name)[:_LONGEST]: _redact(name if name in SECRET else around or name, value, depth + 1)
        for name, value in arguments.items()
    }


def _redact(name: str, value: Any, depth: int) -> Any:
    if name in SECRET:
        return "[secret]"
    match value:
        case Mapping() | list() | tuple():
            return _redact_inside(name, value, depth) if depth <= _DEEPEST else "[nested too deep]"
        case str():
            return f"[text, {len(value)} characters]" if name in FREE_TEXT else mask(value)[:_LONGEST]
        case int() | float() if _is_long(value):
            return "[number]"
        case _:
            return value


def _redact_inside(name: str, value: Mapping[str, Any] | Sequence[Any], depth: int) -> Any:
    if isinstance(value, Mapping):
        return _redact_all(value, name if name in FREE_TEXT else "", depth)
    return [_redact(name, item, depth + 1) for item in value]


def _is_long(number: float) -> bool:
    return abs(number) >= _LONG or mask(str(number)) != str(number)


def mask(text: str) -> str:
    """The same text with e-mail addresses and long numbers masked."""
    return _DIGITS.sub(_mask_number, _EMAIL.sub("[email]", text))


def _mask_number(found: re.Match[str]) -> str:
    return found[0] if _DAY.fullmatch(found[0]) else "[number]"
