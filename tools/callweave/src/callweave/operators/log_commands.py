"""``callweave log``: how the log and those who read it do."""

import asyncio
import time
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from redis.asyncio import Redis
from rich.console import RenderableType

from call_events.terminal import plain_json
from callweave.operators import status as statuses
from callweave.operators import top as tops
from callweave.operators.asking import ask, console, watch
from callweave.operators.judging import Finding, findings
from callweave.operators.status_text import page
from callweave.settings import Settings

#: Longer than the bridge holds a call back for a transfer, and than the orchestrator lets phones ring.
OLD_S = 300.0

log_app = typer.Typer(no_args_is_help=True, help="See how the log and the services that read it do. Only reads.")

Json = Annotated[bool, typer.Option("--json", help="One JSON object.")]
Every = Annotated[float, typer.Option(help="Seconds between two looks.", min=0.2)]
Watch = Annotated[bool, typer.Option("--watch", help="Look again and again, until Ctrl-C.")]
SpoolDir = Annotated[
    Path | None, typer.Option("--spool", help="Spool directory of the voice-workers here [CALLWEAVE_SPOOL_DIR].")
]


@log_app.command()
def status(
    older_than: Annotated[
        float, typer.Option(help="Seconds for which an event may be unhandled before it needs a person.", min=0)
    ] = OLD_S,
    spool: SpoolDir = None,
    again: Watch = False,
    every: Every = 2.0,
    as_json: Json = False,
) -> None:
    """Tell whether all is well: the server, the calls, and for every group what waits, since when, and who works.

    Exit code 0: healthy. 1: something needs a person, each in a line that begins with ! and says what to do.
    2: cannot look.
    """
    spool_dir = spool or Settings().spool_dir
    if again:
        watch(lambda redis: _page(redis, spool_dir, older_than), every)
        return
    seen, found = asyncio.run(ask(lambda redis: _look(redis, spool_dir, older_than)))
    if as_json:
        print(plain_json({**asdict(seen), "findings": [asdict(one) for one in found], "healthy": not found}))
    else:
        console().print(page(seen, found))
    raise typer.Exit(1 if found else 0)


@log_app.command()
def top(
    *,
    by: Annotated[
        tops.By, typer.Option(help="age: oldest unhandled event; lag: most unhandled events; length: most events.")
    ] = "age",
    limit: Annotated[int, typer.Option("--limit", "-n", help="So many calls.", min=1)] = 20,
    group: Annotated[str | None, typer.Option(help="Only of this group, e.g. ccm or transfer.")] = None,
    once: Annotated[bool, typer.Option("--once", help="Look once and end.")] = False,
    every: Every = 2.0,
    as_json: Annotated[bool, typer.Option("--json", help="Look once; one JSON object per line.")] = False,
) -> None:
    """Show the calls that are furthest behind, with each group: what waits, since when, who has it.

    Looks again and again until Ctrl-C, or once with --once or --json.
    """
    if not (once or as_json):
        watch(lambda redis: _top_page(redis, by, group, limit), every)
        return
    rows = asyncio.run(ask(lambda redis: _top(redis, by, group, limit)))
    if as_json:
        for row in rows:
            print(plain_json(asdict(row)))
        return
    console().print(tops.page(rows, now_s=time.time()))


async def _look(redis: Redis, spool_dir: Path | None, older_than_s: float) -> tuple[statuses.LogStatus, list[Finding]]:
    seen = await statuses.look(redis, spool_dir, now_s=time.time())
    return seen, findings(seen, older_than_s=older_than_s)


async def _page(redis: Redis, spool_dir: Path | None, older_than_s: float) -> RenderableType:
    return page(*await _look(redis, spool_dir, older_than_s))


async def _top(redis: Redis, by: tops.By, group: str | None, limit: int) -> list[tops.Row]:
    return await tops.look(redis, by=by, group=group, limit=limit)


async def _top_page(redis: Redis, by: tops.By, group: str | None, limit: int) -> RenderableType:
    return tops.page(await _top(redis, by, group, limit), now_s=time.time())
