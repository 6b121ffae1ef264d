"""Which calls there are, who has read them, and what differs between two."""

import re
from dataclasses import asdict
from datetime import UTC, date, datetime, time
from typing import Annotated

import typer

from call_events.errors import BadSetting
from call_events.ids import call_id
from call_events.ports import AnyEvent
from call_events.terminal import plain, plain_json
from callweave.commands.options import ArchiveAt, AsJson, From, Source, Why, ask, say
from callweave.differing import Difference, difference, lines
from callweave.readings import Reading
from callweave.searching import LEAST_DIGITS, Criteria, Hit
from callweave.searching import search as matching
from callweave.shown import moment
from callweave.sources.opening import Calls
from callweave.sources.record import Where

_SIDE = re.compile(r"(?:(live|archive):)?(.+?)(?:@(\d+))?")


def search(
    *,
    customer: Annotated[str | None, typer.Option(help="The customer's id, or the identity of their leg.")] = None,
    number: Annotated[str | None, typer.Option(help="The last digits of the caller's or the dialled number.")] = None,
    since: Annotated[
        str | None, typer.Option(help="Begun then or later: 2026-11-25, or 2026-11-25T09:30 (UTC).")
    ] = None,
    until: Annotated[str | None, typer.Option(help="Begun before then.")] = None,
    agent: Annotated[str | None, typer.Option(help="An AI agent by its key, or a human by name.")] = None,
    outcome: Annotated[
        str | None,
        typer.Option(help="Who or what ended it (customer, CLIENT_INITIATED, open), or a transfer's outcome (busy)."),
    ] = None,
    limit: Annotated[int, typer.Option(help="At most so many, newest first.", min=1, max=10_000)] = 20,
    as_json: AsJson = False,
    source: From = None,
    archive: ArchiveAt = None,
    why: Why = None,
) -> None:
    """Find calls in the log and in the archive, newest first. What is shown of them is recorded as a reading.

    Exit code: 0, also when none matches; 2 could not look.
    """
    if number is not None and sum(map(str.isdecimal, number)) < LEAST_DIGITS:
        raise BadSetting(f"--number: give at least its last {LEAST_DIGITS} digits")
    criteria = Criteria(customer, number, _instant(since, "--since"), _instant(until, "--until"), agent, outcome)

    async def run(calls: Calls) -> list[Hit]:
        hits = await matching(calls, criteria, limit=limit)
        await calls.note("search", [hit.call for hit in hits], why)
        return hits

    hits = ask(run, archive=archive, only=source)
    for hit in hits:
        if as_json:
            found = {
                "call": hit.call,
                "from": hit.where,
                "opened_at": hit.opened_at,
                **hit.summary.model_dump(mode="json"),
            }
            print(plain_json(found))
        else:
            say(hit.line)
    if not hits and not as_json:
        say("no call matches")


def reads(
    call: Annotated[str | None, typer.Argument(help="Only readings of this call.")] = None,
    *,
    limit: Annotated[int, typer.Option(help="At most so many, newest first.", min=1)] = 100,
    as_json: AsJson = False,
    archive: ArchiveAt = None,
) -> None:
    """List who has read which call, when, with which command and why, newest first."""
    known = None if call is None else call_id(call)

    async def run(calls: Calls) -> list[Reading]:
        books = [calls.book]
        if calls.archive is not None and calls.redis is not None:
            books.append(calls.archive.readings)  # of readers who had only the archive
        found: list[Reading] = []
        for book in books:
            count = 0
            async for one in book.readings():
                if known is None or known in one.calls:
                    found.append(one)
                    count += 1
                if count == limit:
                    break
        return sorted(found, key=lambda one: one.at, reverse=True)[:limit]

    readings = ask(run, archive=archive)
    for one in readings:
        if as_json:
            print(plain_json(asdict(one)))
        else:
            of = known or (", ".join(one.calls) or "no call")
            say(plain(f"{moment(one.at)}  {one.who}  {one.command}  {of}  {one.why}"))
    if not readings and not as_json:
        say("nobody has read it" if known else "nobody has read a call")


def diff(
    one: Annotated[str, typer.Argument(metavar="A", help="CALL, CALL@NUMBER, live:CALL or archive:CALL.")],
    other: Annotated[str, typer.Argument(metavar="B", help="The same or another call, or moment, or copy.")],
    as_json: AsJson = False,
    archive: ArchiveAt = None,
    why: Why = None,
) -> None:
    """Compare two replays: two calls, one call at two moments (CALL@12 CALL@40), or its live and archived copies.

    The reading is recorded.

    Exit code: 0 the same, 1 they differ, 2 could not look.
    """
    sides = [_side(one), _side(other)]

    async def run(calls: Calls) -> list[list[AnyEvent]]:
        records = [await calls.readable(call_id(call), only=where) for where, call, _ in sides]
        await calls.note("diff", list(dict.fromkeys(record.call for record in records)), why)
        return [
            [event for event in record.events if until is None or event.seq <= until]
            for record, (_, _, until) in zip(records, sides, strict=True)
        ]

    found = difference(*ask(run, archive=archive))
    _tell(found, one, other, as_json=as_json)
    if not found.is_none:
        raise typer.Exit(1)


def _tell(found: Difference, one: str, other: str, *, as_json: bool) -> None:
    if as_json:
        print(plain_json({"a": one, "b": other, "same": found.is_none, **asdict(found)}, indent=True))
        return
    if found.is_none:
        say(plain(f"{one} and {other}: no difference"))
        return
    say(plain(f"- {one}"), "bold")
    say(plain(f"+ {other}"), "bold")
    for line in lines(found):
        style = {"- ": "red", "+ ": "green"}.get(line[2:4], "") if line.startswith("  ") else "bold"
        say(line, style)


def _side(text: str) -> tuple[Where | None, str, int | None]:
    """``live:call-7@12`` → live, call-7, 12. The id itself may hold colons and at-signs."""
    found = _SIDE.fullmatch(text)
    if found is None:
        return None, text, None
    source, call, until = found.groups()
    return Where(Source(source).value) if source else None, call, int(until) if until else None


def _instant(text: str | None, option: str) -> datetime | None:
    if text is None:
        return None
    try:
        if len(text) == len("2026-11-25"):
            return datetime.combine(date.fromisoformat(text), time(), UTC)
        moment_ = datetime.fromisoformat(text)
    except ValueError:
        raise BadSetting(f"{option}: write the time as 2026-11-25 or 2026-11-25T09:30") from None
    return moment_ if moment_.tzinfo else moment_.replace(tzinfo=UTC)
