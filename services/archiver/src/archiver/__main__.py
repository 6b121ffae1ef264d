"""``python -m archiver``: seals calls until SIGTERM."""

import asyncio

from archiver.bootstrap import archiver
from archiver.settings import Settings
from call_events.service import configure_logging, load_settings, run_service

NAME = "archiver"


def main() -> None:
    """Read settings, run, exit with a code that tells what happened."""
    settings = load_settings(Settings, name=NAME)
    configure_logging(NAME, format=settings.log_format, level=settings.log_level)

    async def serve(stop: asyncio.Event) -> None:
        async with archiver(settings) as service:
            await service.run(stop)

    run_service(NAME, serve)


if __name__ == "__main__":
    main()
