"""A call as a person reads it."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from call_events.fold import CallState, fold
from call_events.ids import call_id
from call_events.terminal import plain_json
from call_events.timeline import STYLES
from call_events.timeline import timeline as lines_of
from callweave import replayed
from callweave.commands.options import ArchiveAt, AsJson, Call, From, Why, ask, say
from callweave.files import write_new
from callweave.page.page import page
from callweave.shown import heading, row
from callweave.sources.opening import Calls
from callweave.sources.record import Record

TABLE_WIDTH = 200


def calls(
    limit: Annotated[int, typer.Option(help="At most so many, newest first.", min=1)] = 20,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object per line.")] = False,
) -> None:
    """List the calls in the log, newest first. `search` also looks into the archive."""
    states = ask(lambda calls: _states(calls, limit))
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


def timeline(
    call: Call,
    *,
    everything: Annotated[
        bool,
        typer.Option("--all", help="Also arguments of tools, summaries, evidence, ends of speech and usage."),
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="The events as they stand in the log, one JSON object per line.")
    ] = False,
    source: From = None,
    archive: ArchiveAt = None,
    why: Why = None,
) -> None:
    """Show one call as a person reads it: what happened, when, and who said what. The reading is recorded."""
    known = call_id(call)
    record = ask(lambda calls: _read(calls, "timeline", known, why), archive=archive, only=source)
    if as_json:
        for stored in record.stored:
            print(plain_json(stored))
        return
    say(heading(record.events), "bold")
    for line in lines_of(record.events, everything=everything):
        say(f"{line.seq:>4}  {line.at_s:>8.3f} s  {line.who:<14} {line.text}", STYLES[line.kind])


def replay(
    call: Call,
    *,
    as_json: AsJson = False,
    until: Annotated[int | None, typer.Option(help="Only events up to this number.", min=1)] = None,
    html: Annotated[
        Path | None,
        typer.Option(help="Write a page that any browser shows without a network; an existing file is not replaced."),
    ] = None,
    source: From = None,
    archive: ArchiveAt = None,
    why: Why = None,
) -> None:
    """Rebuild the state of one call by folding its events, up to any moment. The reading is recorded."""
    known = call_id(call)
    record = ask(lambda calls: _read(calls, "replay", known, why), archive=archive, only=source)
    if html is not None:
        write_new(html, page(record, until=until))
        say(f"{html}: {record.call} as a page; open it in a browser")
        return
    state = fold(event for event in record.events if until is None or event.seq <= until)
    if as_json:
        print(plain_json(state.model_dump(mode="json"), indent=True))
        return
    for line in replayed.lines(state):
        say(line, "" if line.startswith(" ") else "bold")


async def _states(calls: Calls, limit: int) -> list[CallState]:
    states: list[CallState] = []
    assert calls.live is not None
    async for call, _ in calls.live.ids():
        record = await calls.live.load(call)
        states.append(fold(record.events) if record is not None and record.entries else CallState(call=call))
        if len(states) == limit:
            break
    return states


async def _read(calls: Calls, command: str, call: str, why: str | None) -> Record:
    record = await calls.readable(call_id(call))
    await calls.note(command, [record.call], why)
    return record
