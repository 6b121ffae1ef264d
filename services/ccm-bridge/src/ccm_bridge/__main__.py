"""``python -m ccm_bridge``: deliver every call to CCM until SIGTERM."""

import asyncio

import structlog

from call_events.logs import configure_logging
from call_events.startup import load_settings, run_service
from ccm_bridge.bootstrap import build
from ccm_bridge.entrypoints.stream import follow_calls
from ccm_bridge.settings import Settings

NAME = "ccm-bridge"

log = structlog.get_logger()


def main() -> None:
    """The process."""
    settings = load_settings(Settings, name=NAME)
    configure_logging(NAME, format=settings.log_format, level=settings.log_level)

    async def serve(stop: asyncio.Event) -> None:
        async with build(settings) as bridge:
            log.info("service.started", http_port=bridge.health.port)
            await follow_calls(bridge.consumer, stop)

    run_service(NAME, serve)


if __name__ == "__main__":
    main()
