"""How a service starts: settings or one clear line, exit codes, a signal that becomes a stop.

Exit codes: 0 stopped as told, 1 a fault of ours (with a traceback), 2 a setting it cannot start with, 3 something it
needs cannot be reached. For 2 and 3 there is exactly one line on standard error, which names the setting and the
mend.
"""

import asyncio
import gc
import json
import os
import signal
import sys
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, NoReturn, TypeVar, get_origin

import structlog
import uvloop
from pydantic import AliasChoices, ValidationError
from pydantic_settings import BaseSettings
from pydantic_settings.exceptions import SettingsError

from call_events.errors import BadSetting, CallEventsError, LogUnavailable

log = structlog.get_logger()

S = TypeVar("S", bound=BaseSettings)

EXIT_BAD_SETTING = 2
EXIT_CANNOT_REACH = 3

#: Of the three generations; Python's are 700, 10, 10.
_GC_THRESHOLDS = (20_000, 20, 50)
#: Input, output, errors: 0, 1, 2.
_LAST_STANDARD_STREAM = 2


class CannotReach(CallEventsError):
    """Something a service needs cannot be reached at its start; the text names the setting and the mend."""


def load_settings(settings: type[S], *, name: str | None = None) -> S:
    """Read the settings from the environment, or say in one line which variable is wrong and end with code 2.

    Args:
        settings: a frozen pydantic-settings class; its fields' descriptions serve as the mend.
        name: what stands before the line; the program's name unless given.

    Raises:
        SystemExit: code 2.
    """
    try:
        return settings()
    except ValidationError as error:
        first, *others = error.errors(include_url=False, include_input=False)
        complain(f"{_explain(settings, first)}{_also(settings, others)}", name=name)
    except SettingsError as error:
        complain(_unreadable(settings, error), name=name)
    except BadSetting as error:
        complain(str(error), name=name)
    raise SystemExit(EXIT_BAD_SETTING)


def run_service(name: str, main: Callable[[asyncio.Event], Coroutine[Any, Any, None]]) -> NoReturn:
    """Run ``main(stop)`` on uvloop until it returns; SIGTERM and SIGINT set ``stop``. A second one ends at once.

    Raises:
        SystemExit: with the code described above.
    """
    code = 0
    _settle_memory()
    _fill_standard_streams()
    try:
        with asyncio.Runner(loop_factory=new_event_loop) as runner:
            runner.run(_until_stopped(main))
    except* (BadSetting, CannotReach, LogUnavailable) as errors:
        leaf = _first_leaf(errors)
        complain(str(leaf), name=name)
        code = EXIT_BAD_SETTING if isinstance(leaf, BadSetting) else EXIT_CANNOT_REACH
    raise SystemExit(code)


def new_event_loop() -> asyncio.AbstractEventLoop:
    """The kind of event loop that every service runs on."""
    return uvloop.new_event_loop()


def _settle_memory() -> None:
    """Leave out of garbage collection what was imported, and collect the rest less often.

    A consumer keeps thousands of events, none of them in cycles: Python's own thresholds make it walk over all of them
    again and again, tens of milliseconds each time, and whatever comes in meanwhile is late by that much.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(*_GC_THRESHOLDS)


def _fill_standard_streams() -> None:
    """Open on /dev/null whichever of the three the one who started us has closed.

    A socket would get its number else, and uvloop ends the process when it closes one of these three.
    """
    while (free := os.open(os.devnull, os.O_RDWR)) <= _LAST_STANDARD_STREAM:
        os.set_inheritable(free, True)
    os.close(free)


def complain(text: str, *, name: str | None = None) -> None:
    """One line on standard error."""
    line = " ".join(text.split())
    print(f"{name}: {line}" if name else line, file=sys.stderr, flush=True)


async def _until_stopped(main: Callable[[asyncio.Event], Coroutine[Any, Any, None]]) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    task = asyncio.current_task()

    def told(which: signal.Signals) -> None:
        log.info("service.stopping", signal=which.name)
        if stop.is_set() and task is not None:
            task.cancel()
        stop.set()

    for one in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(one, told, one)
    try:
        await main(stop)
    except asyncio.CancelledError:
        if not stop.is_set():
            raise
        log.warning("service.stopped_at_once")
    finally:
        for one in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(one)


def _explain(settings: type[BaseSettings], error: Any) -> str:
    name = _field(settings, error)
    field = settings.model_fields[name] if name else None
    variable = _variable(settings, error)
    what = _what(error)
    mend = f"; {field.description}" if field is not None and field.description else "; set it in the environment"
    return f"{variable} {what}{mend}" if what == "is missing" else f"{variable}: {what}{mend}"


def _what(error: Any) -> str:
    if error["type"] == "missing":
        return "is missing"
    if error["type"] == "too_short" and error["ctx"]["field_type"] == "Value":  # a secret, which pydantic cannot name
        least = error["ctx"]["min_length"]
        return f"needs at least {least} character{'' if least == 1 else 's'}"
    return str(error["msg"]).removeprefix("Value error, ")


def _unreadable(settings: type[BaseSettings], error: SettingsError) -> str:
    """About a variable whose text cannot be taken apart; pydantic-settings names only the field, in quotes.

    A field of several values is read from JSON before anything is validated. The text itself is not repeated.
    """
    name = next((name for name in settings.model_fields if f'"{name}"' in str(error)), None)
    if name is None:
        return f"the environment cannot be read: {error}; correct it"
    cause = error.__cause__
    place = f" ({cause.msg}, character {cause.pos + 1})" if isinstance(cause, json.JSONDecodeError) else ""
    field = settings.model_fields[name]
    example = '{"name": "value"}' if get_origin(field.annotation) is dict else '["value", "value"]'
    mend = field.description or f"write it as in {example}"
    return f"{_variables(settings, name)[0]}: is not JSON{place}; {mend}"


def _also(settings: type[BaseSettings], errors: Sequence[Any]) -> str:
    """The other variables by name, so that all can be mended at once."""
    text = ""
    for what, missing in (("missing", True), ("wrong", False)):
        names = [_variable(settings, error) for error in errors if (error["type"] == "missing") is missing]
        if names:
            text += f"; also {what}: {', '.join(dict.fromkeys(names))}"
    return text


def _field(settings: type[BaseSettings], error: Any) -> str | None:
    place = str(error["loc"][0]) if error["loc"] else None
    if place in settings.model_fields:
        return place
    # pydantic reports the alias where there is one
    return next((name for name in settings.model_fields if place in _variables(settings, name)), None)


def _variable(settings: type[BaseSettings], error: Any) -> str:
    name = _field(settings, error)
    return _variables(settings, name)[0] if name else "the environment"


def _variables(settings: type[BaseSettings], name: str) -> list[str]:
    """The environment variables a field is read from, first the one to name."""
    alias = settings.model_fields[name].validation_alias
    if isinstance(alias, str):
        return [alias.upper()]
    if isinstance(alias, AliasChoices):
        return [str(choice).upper() for choice in alias.choices]
    return [f"{settings.model_config.get('env_prefix', '')}{name}".upper()]


def _first_leaf(errors: BaseExceptionGroup[Any]) -> BaseException:
    first = errors.exceptions[0]
    return _first_leaf(first) if isinstance(first, BaseExceptionGroup) else first
