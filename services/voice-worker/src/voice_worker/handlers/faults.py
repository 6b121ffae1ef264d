"""What is written into the service's log when a call fails for a reason that nobody foresaw."""

import traceback
from collections.abc import Iterator
from pathlib import Path

import structlog

log = structlog.get_logger()

_FRAMES = 6


def report(faults: BaseException) -> None:
    """Log each fault: its kind and where it came from. Not its text, which may hold what somebody said."""
    for fault in _leaves(faults):
        frames = traceback.extract_tb(fault.__traceback__)[-_FRAMES:]
        log.error(
            "call.fault",
            why=type(fault).__name__,
            where=[f"{Path(frame.filename).name}:{frame.lineno} {frame.name}" for frame in frames],
            mend="a mistake in the worker: the call's log is ended with WORKER_FAULT; report these lines",
        )


def _leaves(fault: BaseException) -> Iterator[BaseException]:
    if isinstance(fault, BaseExceptionGroup):
        for inner in fault.exceptions:
            yield from _leaves(inner)
    else:
        yield fault
