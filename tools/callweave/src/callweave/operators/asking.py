"""Opens the log for one command of an operator, and shows an answer once or again and again."""

import asyncio
import sys
from collections.abc import Awaitable, Callable
from typing import TypeVar

from redis.asyncio import Redis
from rich.console import Console, RenderableType
from rich.live import Live
from rich.text import Text

from call_events.errors import LogUnavailable
from callweave.log_access import open_redis
from callweave.settings import Settings

T = TypeVar("T")
#: A table that is squeezed into the window cuts the very id one looks for: let the terminal wrap.
WIDTH = 200


async def ask(question: Callable[[Redis], Awaitable[T]]) -> T:
    """The answer of the log at REDIS_URL, or of the one that the demo left."""
    async with open_redis(Settings()) as redis:
        return await question(redis)


def console() -> Console:
    """Standard output, for the answer and nothing else."""
    return Console(width=WIDTH, soft_wrap=True, highlight=False)


def watch(question: Callable[[Redis], Awaitable[RenderableType]], every_s: float) -> None:
    """Show the answer anew every so many seconds, until Ctrl-C. An outage is shown and waited for."""
    try:
        asyncio.run(_watch(question, every_s))
    except KeyboardInterrupt:
        return


async def _watch(question: Callable[[Redis], Awaitable[RenderableType]], every_s: float) -> None:
    async with open_redis(Settings()) as redis:
        shown = Console(highlight=False) if sys.stdout.isatty() else console()
        with Live(console=shown, auto_refresh=False, screen=sys.stdout.isatty()) as live:
            while True:
                try:
                    answer = await question(redis)
                except LogUnavailable as error:
                    answer = Text(f"cannot look now: {error}", style="red")
                live.update(answer, refresh=True)
                if not sys.stdout.isatty():
                    shown.print(answer)
                await asyncio.sleep(every_s)
