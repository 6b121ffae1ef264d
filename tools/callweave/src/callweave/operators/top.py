"""The calls that need the most looking at, and who has them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from heapq import nlargest
from typing import Literal

from redis.asyncio import Redis
from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from call_events.admin import Admin
from call_events.runner import ScriptRunner
from call_events.survey import NEVER, CallStanding, GroupStanding, survey
from call_events.terminal import plain
from callweave.operators.words import span

By = Literal["age", "lag", "length"]
COLUMNS = ("call", "events", "state", "group", "behind", "oldest unhandled", "attempts", "in the hands of")


@dataclass(frozen=True, slots=True)
class Row:
    """One call with one group; ``standing`` is absent where every group has finished it."""

    call: str
    events: int
    ended: bool
    standing: GroupStanding | None


async def look(redis: Redis, *, by: By, group: str | None, limit: int) -> list[Row]:
    """The ``limit`` calls with the oldest unhandled event, the most unhandled events, or the most events.

    Raises:
        LogUnavailable: Redis cannot be asked.
    """
    groups = await Admin(redis).groups() if group is None else [group]
    least = 1 if by == "length" else NEVER
    worst: list[Row] = []
    async for page in survey(redis, ScriptRunner(redis), groups, least_events=least):
        rows = [row for one in page.standings for row in _rows(one, by)]
        worst = nlargest(limit, [*worst, *rows], key=lambda row: _weight(row, by))
    return worst


def _rows(call: CallStanding, by: By) -> Iterator[Row]:
    for standing in call.groups:
        yield Row(call.call, call.events, call.ended, standing)
    if by == "length" and not call.groups:
        yield Row(call.call, call.events, call.ended, None)


def _weight(row: Row, by: By) -> tuple[float, float]:
    standing = row.standing
    behind = 0 if standing is None else standing.behind
    age_s = 0.0 if standing is None else standing.age_s or 0.0
    return {"age": (age_s, behind), "lag": (behind, age_s), "length": (row.events, behind)}[by]


def page(rows: Sequence[Row], *, now_s: float) -> RenderableType:
    """All of them, for one screen."""
    if not rows:
        return Text("every group has finished all that is in the log")
    table = Table(box=None, pad_edge=False)
    for column in COLUMNS:
        numbers = column in {"events", "behind", "attempts"}
        table.add_column(column, justify="right" if numbers else "left", no_wrap=True)
    for row in rows:
        table.add_row(*(Text(plain(cell)) for cell in cells(row, now_s=now_s)))
    return table


def cells(row: Row, *, now_s: float) -> tuple[str, ...]:
    """One line."""
    state, one = "ended" if row.ended else "open", row.standing
    if one is None:
        return (row.call, str(row.events), state, "-", "0", "-", "", "")
    age = "?" if one.age_s is None else span(one.age_s)
    oldest = f"{age}  #{one.cursor + 1} {one.event_type or '?'}" if one.behind else "-"
    attempts = str(one.attempts or "")
    return (row.call, str(row.events), state, one.group, str(one.behind), oldest, attempts, _holder(one, now_s))


def _holder(one: GroupStanding, now_s: float) -> str:
    if one.parked is not None:
        return f"nobody: parked: {one.parked}"
    if one.worker is not None:
        return f"{one.worker}, lease {one.lease_left_s:.1f} s, epoch {one.epoch}"
    if one.wake_at is not None:
        left = one.wake_at.timestamp() - now_s
        return f"nobody: waits, again in {span(left)}" if left > 0 else f"nobody: was to be looked at {span(-left)} ago"
    return "nobody yet"
