"""What several commands take, and how they ask."""

import asyncio
from collections.abc import Awaitable, Callable
from enum import StrEnum
from typing import Annotated, TypeVar

import typer
from rich.console import Console
from rich.text import Text

from callweave.settings import Settings
from callweave.sources.opening import Calls, open_calls
from callweave.sources.record import Where

T = TypeVar("T")


class Source(StrEnum):
    """Of a call that is in both."""

    LIVE = "live"
    ARCHIVE = "archive"


AUDITING = "For auditors"
OPERATING = "For operators"

Call = Annotated[str, typer.Argument(help="The call's id.")]
AsJson = Annotated[bool, typer.Option("--json", help="For programs: JSON instead of text.")]
From = Annotated[
    Source | None, typer.Option("--from", help="Only from here; otherwise the log first, then the archive.")
]
ArchiveAt = Annotated[
    str | None, typer.Option("--archive", help="Directory or s3:// URL of the archive [CALLWEAVE_ARCHIVE].")
]
Why = Annotated[
    str | None, typer.Option("--why", help="Why you read this; it is recorded, with who and when [CALLWEAVE_WHY].")
]


def ask(question: Callable[[Calls], Awaitable[T]], *, archive: str | None = None, only: Source | None = None) -> T:
    """Open what is needed, ask, close."""

    async def asked() -> T:
        where = None if only is None else Where(only.value)
        async with open_calls(Settings(), archive=archive, only=where) as calls:
            return await question(calls)

    return asyncio.run(asked())


def console() -> Console:
    """For people; a line is never cut to the width of the window."""
    return Console(soft_wrap=True, highlight=False)


def say(line: str, style: str = "") -> None:
    """One line for people, without markup."""
    console().print(Text(line, style=style))
