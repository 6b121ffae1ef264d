"""``callweave dlq``: what is stuck, and what a person decides about it."""

import asyncio
from dataclasses import asdict
from typing import Annotated

import typer
from rich.text import Text

from call_events.ids import call_id
from call_events.terminal import plain_json
from callweave import stuck
from callweave.commands.options import Source, Why
from callweave.commands.options import ask as read
from callweave.operators import letters
from callweave.operators.asking import ask, console
from callweave.settings import Settings
from callweave.sources.opening import Calls
from callweave.who import person

HELP = """See what services have put aside, give it back to them, or let them go on without it.

A parked call waits, for one group alone, until somebody requeues or discards it. A refused message is not sent again:
its call has gone on; discard it to say that somebody has looked after it. Every decision is kept: who, when, why.
"""

dlq = typer.Typer(no_args_is_help=True, help=HELP)

OneGroup = Annotated[str | None, typer.Option("--group", help="Only of this group, e.g. ccm or transfer.")]
Json = Annotated[bool, typer.Option("--json", help="One JSON object per line.")]


@dlq.command("list")
def list_letters(
    group: OneGroup = None,
    everything: Annotated[
        bool, typer.Option("--all", help="Also what is settled, and who decided what, newest first.")
    ] = False,
    limit: Annotated[int, typer.Option(help="At most so many of each kind and group, the newest.", min=1)] = 100,
    as_json: Json = False,
) -> None:
    """List calls that are parked and messages that were refused, with the reason, newest first."""
    found = asyncio.run(ask(lambda redis: letters.listed(redis, group, everything=everything, limit=limit)))
    if as_json:
        for letter in found:
            print(plain_json(asdict(letter)))
        return
    shown = console()
    for letter in found:
        told = stuck.line(letter) + (f"  ({letter.id})" if letter.kind == "refused" else "")
        shown.print(Text(told, style="yellow" if letter.kind == "parked" else ""))
    if not found:
        shown.print("nothing was ever put aside" if everything else "no call is parked and no message was refused")


@dlq.command()
def show(
    what: Annotated[str, typer.Argument(help="A call's id, or the id of a letter.")],
    *,
    group: OneGroup = None,
    content: Annotated[
        bool, typer.Option("--content", help="Also the event as it stands in the log. The reading is recorded.")
    ] = False,
    why: Why = None,
    as_json: Json = False,
) -> None:
    """Show all that is known of a call that was put aside: why, how often, which event, who decided what.

    Of the event its kind and place are told, and only with --content what is in it.
    """
    if content:
        cases = read(lambda calls: _with_content(calls, what, group, why), only=Source.LIVE)
    else:
        cases = asyncio.run(ask(lambda redis: letters.about(redis, what, group)))
    if as_json:
        for case in cases:
            print(plain_json(asdict(case)))
        return
    shown = console()
    for case in cases:
        first, *more = letters.lines(case)
        shown.print(Text(first, style="bold"))
        for line in more:
            shown.print(Text(line))


async def _with_content(calls: Calls, what: str, group: str | None, why: str | None) -> list[letters.Case]:
    assert calls.redis is not None  # only the log has dead letters
    cases = await letters.about(calls.redis, what, group, content=True)
    await calls.note("dlq show", [cases[0].call], why)
    return cases


@dlq.command()
def requeue(
    call: Annotated[str, typer.Argument(help="The call's id.")],
    group: Annotated[str, typer.Option(help="The group that has parked it, as `callweave dlq list` tells.")],
    why: Annotated[str, typer.Option(help="Kept with the decision. No personal data.")] = "",
    wait: Annotated[float, typer.Option(help="Seconds to watch what becomes of it.", min=0)] = 5.0,
) -> None:
    """Give a parked call back to the group that has put it aside; it goes on where it stopped, and nothing is lost.

    Mend first what the reason names: else the group parks it again.
    """
    known, who = call_id(call), person(Settings().user)
    shown = console()
    for line in asyncio.run(ask(lambda redis: stuck.unpark(redis, group, known, wait_s=wait, who=who, why=why))):
        shown.print(Text(line))


@dlq.command()
def discard(
    what: Annotated[str, typer.Argument(help="The id of a parked call, or of the letter of a refused message.")],
    why: Annotated[str, typer.Option(help="Kept with the decision, and in the receipts. No personal data.")],
    group: Annotated[str | None, typer.Option(help="The group that has parked the call.")] = None,
    one: Annotated[
        bool, typer.Option("--one", help="Pass over only the event that stands in the way, and go on behind it.")
    ] = False,
) -> None:
    """Let a group pass over what it cannot get past. The log keeps every event; the receipts tell of the decision.

    A parked call: the group passes over the rest of it for good, events still to come included; with --one over the one
    event that stands in the way. A refused message: it is marked as seen and counts no more.
    """
    if not why.strip():
        raise letters.BadUse("say why (--why TEXT): it is all that will be known about it")
    who = person(Settings().user)
    if "/" in what:
        if group or one:
            raise letters.BadUse("a refused message is named by its id alone, without --group and --one")
        print(asyncio.run(ask(lambda redis: letters.discard_message(redis, what, who=who, why=why))))
        return
    if group is None:
        raise letters.BadUse("name the group that has parked the call (--group G); `callweave dlq list` tells it")
    known = call_id(what)
    line = asyncio.run(
        ask(lambda redis: letters.discard_call(redis, group, known, "one" if one else "rest", who=who, why=why))
    )
    print(line)
