"""What may be said about an error in a log line or a dead letter: never a value that went through it.

The text of a foreign error repeats what it was about, and that is often what somebody said or dialled. Our own errors
are written to be shown; of all others only the kind and the place are told.
"""

import traceback
from collections.abc import Iterable, Iterator
from pathlib import PurePath
from types import FrameType
from typing import Any

from pydantic import ValidationError

from call_events.errors import CallEventsError


def told(error: BaseException, *, ours: Iterable[str] = ()) -> str:
    """One line about an error, without anything personal.

    Args:
        error: whatever was raised; the members of a group are told one by one.
        ours: top-level packages whose innermost frame is the place to name, besides this one.
    """
    if isinstance(error, BaseExceptionGroup):
        return "; ".join(told(one, ours=ours) for one in error.exceptions)
    kind = type(error).__name__
    if isinstance(error, CallEventsError):
        return f"{kind}: {error}"
    packages = {*ours, __name__.partition(".")[0]}
    frames = list(traceback.walk_tb(error.__traceback__))
    where = next(
        (frame for frame in reversed(frames) if _package(frame[0]) in packages), frames[-1] if frames else None
    )
    place = f" at {_place(*where)}" if where else ""
    if isinstance(error, ValidationError):
        return f"{kind} of {error.title}{place}: {', '.join(_fields(error))}"
    return f"{kind}{place}"


def way(error: BaseException) -> list[str]:
    """The frames an error came through, outermost first: a traceback without the error's text."""
    return [f"{_place(frame, line)} {frame.f_code.co_name}" for frame, line in traceback.walk_tb(error.__traceback__)]


def package_of(handler: Any) -> str:
    """The top-level package in which a handler (function, method or object) is written."""
    module: str = getattr(handler, "__module__", None) or type(handler).__module__
    return module.partition(".")[0]


def _fields(error: ValidationError) -> Iterator[str]:
    for one in error.errors(include_url=False, include_input=False, include_context=False):
        yield f"{'.'.join(map(str, one['loc'])) or 'the whole'} ({one['type']})"


def _package(frame: FrameType) -> str:
    return str(frame.f_globals.get("__name__", "")).partition(".")[0]


def _place(frame: FrameType, line: int) -> str:
    return f"{'/'.join(PurePath(frame.f_code.co_filename).parts[-2:])}:{line}"
