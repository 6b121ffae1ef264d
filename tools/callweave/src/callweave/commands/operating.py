"""What is stuck, and how it is given back."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import asdict
from typing import Annotated, TypeVar

import typer
from redis.asyncio import Redis

from call_events.ids import call_id
from call_events.terminal import plain_json
from callweave import stuck
from callweave.commands.options import Call, say
from callweave.log_access import open_redis
from callweave.settings import Settings
from callweave.who import person

T = TypeVar("T")


def parked(
    group: Annotated[str | None, typer.Option(help="Only of this group, e.g. ccm or transfer.")] = None,
    limit: Annotated[int, typer.Option(help="At most so many of each kind, the newest of each group.", min=1)] = 100,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object per line.")] = False,
) -> None:
    """List what is stuck: calls that a service has put aside, and messages that were refused, with the reason.

    The short form of dlq list. A parked call waits, for that group only, until it is given back. A refused message is
    not sent again: the call has gone on without it.
    """
    letters = _asked(lambda redis: stuck.put_aside(redis, group, limit=limit))
    if as_json:
        for letter in letters:
            print(plain_json(asdict(letter)))
        return
    for letter in letters:
        say(stuck.line(letter), "yellow" if letter.kind == "parked" else "")
    if not letters:
        say("no call is parked and no message was refused")


def unpark(
    call: Call,
    group: Annotated[str, typer.Option(help="The group that has parked it, as `callweave parked` tells.")],
    wait: Annotated[float, typer.Option(help="Seconds to watch what becomes of it.", min=0)] = 5.0,
) -> None:
    """Give a parked call back to the group that has put it aside; it goes on where it stopped, and nothing is lost.

    The short form of dlq requeue. Mend first what the reason names: else the group parks it again.
    """
    known, who = call_id(call), person(Settings().user)
    for line in _asked(lambda redis: stuck.unpark(redis, group, known, wait_s=wait, who=who)):
        say(line)


def _asked(question: Callable[[Redis], Awaitable[T]]) -> T:
    async def asked() -> T:
        async with open_redis(Settings()) as redis:
            return await question(redis)

    return asyncio.run(asked())
