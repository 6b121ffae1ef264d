"""Logging, set up once as a process starts.

Personal data may only stand under keys that begin with ``pii.`` or ``pii_``; one processor drops those unless the
process was told to keep them. Another one tells of an error its kind and its way and not its text, whoever logs it:
libraries log the errors of the code they call, and the text of an error repeats what it was about. So a log line is
safe by its making, not by everybody's care.
"""

import logging
import sys
from collections.abc import Mapping
from typing import Any, Literal, TextIO

import structlog
from structlog.typing import EventDict, WrappedLogger

from call_events.telling import told, way

Format = Literal["json", "console"]

#: The last is what the agents SDK calls them.
_PERSONAL = ("pii.", "pii_", "lk.pii.")


def drop_personal(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Remove personal data, however deep in mappings and lists."""
    return {key: _without_personal(value) for key, value in event.items() if not key.startswith(_PERSONAL)}


def tell_errors(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Put in the place of a traceback, whose last line is the error's text, what kind of error it is and its way."""
    error = event.pop("exc_info", None)
    if error is True:
        error = sys.exc_info()[1]
    elif isinstance(error, tuple):
        error = error[1]
    if isinstance(error, BaseException):
        event["error"], event["way"] = told(error), way(error)
    return event


def configure_logging(
    service: str,
    *,
    format: Format,  # noqa: A002 - it is what the setting is called
    level: str,
    allow_personal: bool = False,
    stream: TextIO | None = None,
) -> None:
    """Configure structlog, and send what libraries say through the standard library the same way.

    Args:
        service: stands in every line.
        format: ``json`` for machines, ``console`` for a person at a terminal.
        level: ``debug``, ``info``, ``warning`` or ``error``.
        allow_personal: keep ``pii.*`` keys and the texts of errors; only where the law and the profile allow it.
        stream: standard output unless given.
    """
    number = logging.getLevelNamesMapping()[level.upper()]

    def add_service(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
        event.setdefault("service", service)
        return event

    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        add_service,
    ]
    if not allow_personal:
        shared += [tell_errors, drop_personal]
    render: list[Any] = (
        [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
        if format == "json"
        else [
            # Local variables of a traceback hold transcripts, numbers and keys: structlog's default would print them.
            structlog.dev.ConsoleRenderer(
                colors=(stream or sys.stdout).isatty(), exception_formatter=structlog.dev.plain_traceback
            )
        ]
    )
    structlog.configure(
        processors=[*shared, *render],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=structlog.PrintLoggerFactory(file=stream or sys.stdout),
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(stream or sys.stdout)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *render],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    # Libraries speak of payloads and URLs below warning; ours speak through structlog.
    root.setLevel(max(number, logging.WARNING))


def _without_personal(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _without_personal(inner) for key, inner in value.items() if not str(key).startswith(_PERSONAL)}
    if isinstance(value, list | tuple):
        return [_without_personal(inner) for inner in value]
    return value
