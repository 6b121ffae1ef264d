"""``python -m transfer_orchestrator``: dials people into calls until SIGTERM."""

import asyncio

from call_events.service import configure_logging, load_settings, run_service
from transfer_orchestrator.bootstrap import orchestrator
from transfer_orchestrator.settings import Settings

NAME = "transfer-orchestrator"


def main() -> None:
    """Read settings, run, exit with a code that tells what happened."""
    settings = load_settings(Settings, name=NAME)
    configure_logging(NAME, format=settings.log_format, level=settings.log_level)

    async def serve(stop: asyncio.Event) -> None:
        async with orchestrator(settings) as service:
            await service.run(stop)

    run_service(NAME, serve)


if __name__ == "__main__":
    main()
