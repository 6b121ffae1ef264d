"""When a call that has ended may be sealed: pure.

Sealed is final, so nothing may be able to change the call any more. Two things could: a group that still works on it
(its receipts belong into the file), and a fail-over of Redis, after which producers replay what they appended in the
last seconds. So every required group must have finished, and the end must have been in the log for longer than any
producer looks back.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

#: A call that waits for others is looked at again after a quarter of its age, within these bounds; seconds.
_SOONEST_S, _LATEST_S = 1.0, 60.0
#: The same while a group has it parked: a person has to act.
_PARKED_SOONEST_S, _PARKED_LATEST_S = 10.0, 600.0


@dataclass(frozen=True, slots=True)
class GroupProgress:
    """How far another group is with the call."""

    group: str
    cursor: int
    parked: bool
    #: A worker has it in hand, or it waits for a time.
    busy: bool

    def has_finished(self, last: int) -> bool:
        """Whether this group will not come back to the call."""
        return self.cursor == last and not self.parked and not self.busy


class Wait(StrEnum):
    """What an ended call waits for."""

    SETTLING = "settling"
    GROUP = "group"
    PARKED = "parked"


@dataclass(frozen=True, slots=True)
class NotYet:
    """Look again at this time."""

    wait: Wait
    until: datetime
    #: Whom it waits for.
    groups: tuple[str, ...] = ()


def not_yet(
    groups: Sequence[GroupProgress], *, last: int, ended_seen_at: datetime, settle: timedelta, now: datetime
) -> NotYet | None:
    """What an ended call still waits for; ``None`` when it is ripe.

    Args:
        groups: those that must have finished.
        last: number of the event that ended the call.
        ended_seen_at: when an archiver first saw that event.
        settle: how long it must have been in the log.
        now: by the same kind of clock.
    """
    if now < ended_seen_at + settle:
        return NotYet(Wait.SETTLING, ended_seen_at + settle)
    age_s = (now - ended_seen_at).total_seconds()
    if parked := tuple(one.group for one in groups if one.parked):
        return NotYet(Wait.PARKED, now + _pause(age_s, _PARKED_SOONEST_S, _PARKED_LATEST_S), parked)
    if behind := tuple(one.group for one in groups if not one.has_finished(last)):
        return NotYet(Wait.GROUP, now + _pause(age_s, _SOONEST_S, _LATEST_S), behind)
    return None


def _pause(age_s: float, soonest_s: float, latest_s: float) -> timedelta:
    return timedelta(seconds=max(soonest_s, min(latest_s, age_s / 4)))
