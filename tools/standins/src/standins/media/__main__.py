"""`python -m standins.media check` says what is at hand; `up` runs it until Ctrl-C."""

from __future__ import annotations

import asyncio
import os
import secrets
import signal
import sys
import tempfile
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Annotated

import structlog
import typer

from standins.media.binaries import SERVER_VERSION, SIP_VERSION, find_livekit_server, find_livekit_sip
from standins.media.errors import MediaError
from standins.media.provision import provision
from standins.media.server import Media

app = typer.Typer(add_completion=False, help=__doc__, no_args_is_help=True)


@app.command()
def check() -> None:
    """Say which livekit-server and livekit-sip would be used; builds livekit-server if only Go is at hand."""
    raise typer.Exit(asyncio.run(_check()))


async def _check() -> int:
    status = 0
    if os.environ.get("LIVEKIT_URL"):
        typer.echo(f"livekit-server: the running one at {os.environ['LIVEKIT_URL']} (LIVEKIT_URL)")
    else:
        try:
            typer.echo(f"livekit-server v{SERVER_VERSION}: {await find_livekit_server(say=typer.echo)}")
        except MediaError as error:
            typer.echo(f"livekit-server: {error}", err=True)
            # On a laptop the media tests are skipped; where CI is true they are compulsory.
            status = 1 if os.environ.get("CI") == "true" else 0
    try:
        sip = await find_livekit_sip(say=typer.echo)
    except MediaError as error:
        typer.echo(f"livekit-sip: {error}", err=True)
        return 1
    typer.echo(f"livekit-sip v{SIP_VERSION}: {sip or 'not at hand: the phones of the exchange are used'}")
    return status


@app.command()
def up(
    directory: Annotated[Path | None, typer.Option(help="Where configuration and logs go.")] = None,
    sip: Annotated[bool, typer.Option(help="Start livekit-sip too, where it is at hand.")] = True,
) -> None:
    """Start Redis, livekit-server and livekit-sip on free loopback ports; print what to export; stop on Ctrl-C."""
    raise typer.Exit(asyncio.run(_up(directory, sip=sip)))


async def _up(directory: Path | None, *, sip: bool) -> int:
    # Standard output is for the lines to export.
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    async with AsyncExitStack() as stack:
        if directory is None:
            directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="callweave-media-")))
        redis_url = os.environ.get("REDIS_URL") or await _embedded_redis(stack)
        try:
            media = await stack.enter_async_context(
                Media(redis_url, directory, sip=sip, say=lambda line: typer.echo(line, err=True))
            )
        except MediaError as error:
            typer.echo(f"media: {error}", err=True)
            return 1
        typer.echo(f"export REDIS_URL={redis_url}")
        typer.echo(f"export LIVEKIT_URL={media.url}")
        typer.echo(f"export LIVEKIT_API_KEY={media.api_key}")
        typer.echo(f"export LIVEKIT_API_SECRET={media.api_secret}")
        if media.server is not None:  # trunks of a server that somebody else runs are not ours to change
            password = secrets.token_urlsafe(12)
            await provision(media.url, media.api_key, media.api_secret, username="callweave", password=password)
            typer.echo(f"# trunks and the rule are set up; SIP user callweave, password {password}")
        if media.sip_address:
            typer.echo(f"# livekit-sip takes calls at {media.sip_address}")
        typer.echo(f"# logs are in {directory}; Ctrl-C stops everything", err=True)
        await stop.wait()
    return 0


async def _embedded_redis(stack: AsyncExitStack) -> str:
    from call_events.embedded import EmbeddedRedis  # noqa: PLC0415 - only this command needs it

    return (await stack.enter_async_context(EmbeddedRedis())).url


if __name__ == "__main__":
    app()
