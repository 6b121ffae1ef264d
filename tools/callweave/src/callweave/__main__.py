"""``callweave``: the command line of operators and auditors. It reads the log and nothing else."""

import asyncio
import sys
from typing import Annotated

import orjson
import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from call_events.errors import CallEventsError
from call_events.fold import CallState, fold
from call_events.ids import call_id
from call_events.ports import AnyEvent
from call_events.timeline import STYLES
from call_events.timeline import timeline as lines_of
from callweave import replayed
from callweave.log_access import open_log
from callweave.settings import Settings

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, help=__doc__)

TABLE_WIDTH = 200


@app.command()
def calls(
    limit: Annotated[int, typer.Option(help="At most so many, newest first.", min=1)] = 20,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object per line.")] = False,
) -> None:
    """List calls, newest first."""
    states = asyncio.run(_states(limit))
    if as_json:
        for state in states:
            print(state.model_dump_json())
        return
    table = Table(box=None, pad_edge=False)
    for column in ("call", "started", "lasted", "state", "owner", "agent", "events", "utterances", "transfers"):
        table.add_column(
            column, justify="right" if column in {"lasted", "events", "utterances"} else "left", no_wrap=True
        )
    for state in states:
        table.add_row(*_row(state))
    # A table that is squeezed into the window cuts the very id one looks for: let the terminal wrap.
    Console(width=TABLE_WIDTH).print(table if states else "no calls in this log")


@app.command()
def timeline(
    call: Annotated[str, typer.Argument(help="The call's id.")],
    everything: Annotated[bool, typer.Option("--all", help="Also ends of speech and usage.")] = False,
) -> None:
    """Show one call as a person reads it: what happened, when, and who said what."""
    console = Console(soft_wrap=True, highlight=False)
    for line in lines_of(asyncio.run(_events(call)), everything=everything):
        console.print(Text(f"{line.seq:>4}  {line.at_s:>8.3f} s  {line.who:<14} {line.text}", style=STYLES[line.kind]))


@app.command()
def replay(
    call: Annotated[str, typer.Argument(help="The call's id.")],
    as_json: Annotated[bool, typer.Option("--json", help="The state as one JSON object.")] = False,
    until: Annotated[int | None, typer.Option(help="Only events up to this number.", min=1)] = None,
) -> None:
    """Rebuild the state of one call by folding its events, up to any moment."""
    events = asyncio.run(_events(call))
    state = fold(events if until is None else events[:until])
    if as_json:
        print(orjson.dumps(state.model_dump(mode="json"), option=orjson.OPT_INDENT_2).decode())
        return
    console = Console(soft_wrap=True, highlight=False)
    for line in replayed.lines(state):
        console.print(Text(line, style="" if line.startswith(" ") else "bold"))


async def _states(limit: int) -> list[CallState]:
    async with open_log(Settings()) as log:
        return [fold(await log.read(call)) for call in await log.calls(limit)]


async def _events(call: str) -> list[AnyEvent]:
    checked = call_id(call)
    async with open_log(Settings()) as log:
        events = list(await log.read(checked))
    if not events:
        raise UnknownCall(f"the log has no call {checked}; `callweave calls` lists those it has")
    return events


class UnknownCall(CallEventsError):
    """The log has no such call."""


def _row(state: CallState) -> tuple[str, ...]:
    return (
        str(state.call),
        state.started_at.astimezone().strftime("%Y-%m-%d %H:%M:%S") if state.started_at else "?",
        f"{state.duration_ms / 1000:.1f} s" if state.duration_ms is not None else "",
        "open" if state.is_open else "ended",
        str(state.owner),
        state.agent or "",
        str(state.seq),
        str(len(state.utterances)),
        ", ".join(str(t.stage) for t in state.transfers),
    )


def main() -> None:
    """Run; what can be expected to go wrong is one line on stderr and exit code 2."""
    try:
        app()
    except CallEventsError as error:
        print(f"callweave: {error}", file=sys.stderr)
        raise SystemExit(2) from None


if __name__ == "__main__":
    main()
