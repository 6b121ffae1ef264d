"""`python -m standins.realtime --port 0`: run the stand-in and print the URL for OPENAI_BASE_URL."""

import asyncio
import signal
import sys
from pathlib import Path
from typing import Annotated

import structlog
import typer
from pydantic import ValidationError

from standins.realtime.brain import DEFAULT_DIALOGUE
from standins.realtime.misbehaviour import Misbehaviour
from standins.realtime.server import RealtimeStandIn


async def _run(stand_in: RealtimeStandIn) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with stand_in:
        print(stand_in.base_url, flush=True)
        await stand_in.warm_up(stop)
        await stop.wait()


def main(
    port: Annotated[int, typer.Option(help="port on 127.0.0.1; 0 takes a free one")] = 0,
    dialogue: Annotated[Path, typer.Option(help="rules of the model's mind")] = DEFAULT_DIALOGUE,
    misbehave: Annotated[str, typer.Option(help='faults as JSON, e.g. {"transcript_delay_s": 3}')] = "{}",
) -> None:
    """Stand in for OpenAI's Realtime and speech-to-text servers."""
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    try:
        misbehaviour = Misbehaviour.model_validate_json(misbehave)
    except ValidationError as wrong:
        print(f"--misbehave: {wrong.errors()[0]['msg']}; see standins.realtime.Misbehaviour", file=sys.stderr)
        raise typer.Exit(2) from None
    try:
        asyncio.run(_run(RealtimeStandIn(port=port, dialogue=dialogue, misbehaviour=misbehaviour)))
    except OSError as taken:
        print(f"--port {port}: cannot listen: {taken.strerror}; use --port 0 for a free one", file=sys.stderr)
        raise typer.Exit(3) from None


if __name__ == "__main__":
    typer.run(main)
