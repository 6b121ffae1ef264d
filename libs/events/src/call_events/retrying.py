"""Whether and when to ask a handler again: pure functions of the error and the number of failures."""

import random

from call_events.errors import BadProgress
from call_events.ports import CallView, Progress


def may_pass(error: BaseException) -> bool:
    """Errors that time mends: those that say so (``retry``), time-outs and lost connections."""
    return bool(getattr(error, "retry", False)) or isinstance(error, TimeoutError | ConnectionError)


def pause_s(failures: int, *, first: float, longest: float) -> float:
    """Seconds before the next attempt: doubling, bounded, and scattered so that many calls do not come back at once."""
    whole: float = min(longest, first * 2 ** min(failures - 1, 30))
    return whole * random.uniform(0.8, 1.2)  # noqa: S311 - jitter is no secret


def check(progress: Progress, view: CallView) -> None:
    """Refuse an answer that would strand or spin the call.

    Raises:
        BadProgress: with what was wrong.
    """
    seen = len(view.events)
    if not view.cursor <= progress.through <= seen:
        raise BadProgress(
            f"through={progress.through} is not between the cursor {view.cursor} and the last event {seen}"
        )
    if progress.through < seen and progress.through == view.cursor and progress.wake_at is None:
        raise BadProgress(f"events after {view.cursor} are unfinished, but neither was one finished nor a time named")
