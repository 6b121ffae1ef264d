"""``callweave``: the command line of operators and auditors. It reads; only people's decisions change anything."""

import asyncio
import sys
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import asdict
from typing import Annotated, Any, TypeVar

import typer
from redis.asyncio import Redis
from rich.console import Console
from rich.table import Table
from rich.text import Text

from call_events.errors import CallEventsError
from call_events.fold import CallState, fold
from call_events.ids import CallId, call_id
from call_events.logs import configure_logging
from call_events.ports import AnyEvent
from call_events.redis_log import RedisEventLog
from call_events.terminal import plain_json
from call_events.timeline import STYLES
from call_events.timeline import timeline as lines_of
from callweave import replayed, stuck
from callweave.log_access import open_redis
from callweave.operators.dlq_commands import dlq
from callweave.operators.log_commands import log_app
from callweave.operators.who import person
from callweave.settings import Settings
from callweave.shown import heading, row

HELP = """Read the calls in the event log, and give back to the services what has got stuck.

All commands but dlq requeue (or unpark) and dlq discard only read. The log is the Redis at REDIS_URL, or else the one
that ./dev demo left here.
"""

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, help=HELP)
app.add_typer(log_app, name="log")
app.add_typer(dlq, name="dlq")

TABLE_WIDTH = 200

T = TypeVar("T")
Call = Annotated[str, typer.Argument(help="The call's id.")]


@app.command()
def calls(
    limit: Annotated[int, typer.Option(help="At most so many, newest first.", min=1)] = 20,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object per line.")] = False,
) -> None:
    """List calls, newest first."""
    states = asyncio.run(_states(limit))
    if as_json:
        for state in states:
            print(plain_json(state.model_dump(mode="json")))
        return
    table = Table(box=None, pad_edge=False)
    for column in ("call", "started", "lasted", "state", "owner", "agent", "events", "utterances", "transfers"):
        table.add_column(
            column, justify="right" if column in {"lasted", "events", "utterances"} else "left", no_wrap=True
        )
    for state in states:
        table.add_row(*map(Text, row(state)))
    # A table that is squeezed into the window cuts the very id one looks for: let the terminal wrap.
    Console(width=TABLE_WIDTH).print(table if states else "no calls in this log")


@app.command()
def timeline(
    call: Call,
    everything: Annotated[
        bool,
        typer.Option("--all", help="Also arguments of tools, summaries, evidence, ends of speech and usage."),
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="The events as they stand in the log, one JSON object per line.")
    ] = False,
) -> None:
    """Show one call as a person reads it: what happened, when, and who said what."""
    if as_json:
        for stored in asyncio.run(_stored(call_id(call))):
            print(plain_json(stored))
        return
    console = Console(soft_wrap=True, highlight=False)
    events = asyncio.run(_events(call_id(call)))
    console.print(Text(heading(events), style="bold"))
    for line in lines_of(events, everything=everything):
        console.print(Text(f"{line.seq:>4}  {line.at_s:>8.3f} s  {line.who:<14} {line.text}", style=STYLES[line.kind]))


@app.command()
def replay(
    call: Call,
    as_json: Annotated[bool, typer.Option("--json", help="The state as one JSON object.")] = False,
    until: Annotated[int | None, typer.Option(help="Only events up to this number.", min=1)] = None,
) -> None:
    """Rebuild the state of one call by folding its events, up to any moment."""
    events = asyncio.run(_events(call_id(call)))
    state = fold(events if until is None else events[:until])
    if as_json:
        print(plain_json(state.model_dump(mode="json"), indent=True))
        return
    console = Console(soft_wrap=True, highlight=False)
    for line in replayed.lines(state):
        console.print(Text(line, style="" if line.startswith(" ") else "bold"))


@app.command()
def parked(
    group: Annotated[str | None, typer.Option(help="Only of this group, e.g. ccm or transfer.")] = None,
    limit: Annotated[int, typer.Option(help="At most so many of each kind, the newest of each group.", min=1)] = 100,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object per line.")] = False,
) -> None:
    """List what is stuck: calls that a service has put aside, and messages that were refused, with the reason.

    The short form of dlq list. A parked call waits, for that group only, until it is given back. A refused message is
    not sent again: the call has gone on without it.
    """
    letters = asyncio.run(_asked(lambda redis: stuck.put_aside(redis, group, limit=limit)))
    if as_json:
        for letter in letters:
            print(plain_json(asdict(letter)))
        return
    console = Console(soft_wrap=True, highlight=False)
    for letter in letters:
        console.print(Text(stuck.line(letter), style="yellow" if letter.kind == "parked" else ""))
    if not letters:
        console.print("no call is parked and no message was refused")


@app.command()
def unpark(
    call: Call,
    group: Annotated[str, typer.Option(help="The group that has parked it, as `callweave parked` tells.")],
    wait: Annotated[float, typer.Option(help="Seconds to watch what becomes of it.", min=0)] = 5.0,
) -> None:
    """Give a parked call back to the group that has put it aside; it goes on where it stopped, and nothing is lost.

    The short form of dlq requeue. Mend first what the reason names: else the group parks it again.
    """
    known = call_id(call)
    console = Console(soft_wrap=True, highlight=False)
    who = person(Settings().user)
    for line in asyncio.run(_asked(lambda redis: stuck.unpark(redis, group, known, wait_s=wait, who=who))):
        console.print(Text(line))


async def _asked(question: Callable[[Redis], Awaitable[T]]) -> T:
    async with open_redis(Settings()) as redis:
        return await question(redis)


async def _states(limit: int) -> list[CallState]:
    async with open_redis(Settings()) as redis:
        log = RedisEventLog(redis)
        return [fold(await log.read(call)) for call in await log.calls(limit)]


async def _events(call: CallId) -> list[AnyEvent]:
    return list(_found(call, await _asked(lambda redis: RedisEventLog(redis).read(call))))


async def _stored(call: CallId) -> Sequence[dict[str, Any]]:
    return _found(call, await _asked(lambda redis: RedisEventLog(redis).stored(call)))


def _found(call: CallId, events: Sequence[T]) -> Sequence[T]:
    if not events:
        raise UnknownCall(f"the log has no call {call}; `callweave calls` lists those it has")
    return events


class UnknownCall(CallEventsError):
    """The log has no such call."""


def main() -> None:
    """Run; what can be expected to go wrong is one line on stderr and exit code 2.

    Standard output is for the answer alone, which another program may read. What the library would log is either in
    the answer or the business of the services, so only errors are shown, on stderr.
    """
    configure_logging("callweave", format="console", level="error", stream=sys.stderr)
    try:
        app()
    except CallEventsError as error:
        print(f"callweave: {error}", file=sys.stderr)
        raise SystemExit(2) from None


if __name__ == "__main__":
    main()
