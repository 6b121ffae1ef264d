"""A livekit-server of its own for each test, telephones in front of it, and the API as product code uses it."""

import os
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from livekit import api

from call_events.embedded import EmbeddedRedis
from standins.exchange import Exchange
from standins.media import Media, MediaError, Provisioned, provision
from standins.phones import ExchangePhones
from support.switchboard import Board

USERNAME, PASSWORD = "switch", "let-me-in"


@pytest_asyncio.fixture
async def media(tmp_path: Path) -> AsyncIterator[Media]:
    """A livekit-server, or a skipped test on a laptop that has none."""
    async with AsyncExitStack() as stack:
        redis = await stack.enter_async_context(EmbeddedRedis())
        try:
            running = await stack.enter_async_context(Media(redis.url, tmp_path / "media", environment=_environment()))
        except MediaError as error:
            if os.environ.get("CI") == "true":  # noqa: TID251 - where CI is true nothing may be skipped
                raise
            pytest.skip(str(error))
        yield running


@pytest_asyncio.fixture
async def exchange(media: Media) -> AsyncIterator[Exchange]:
    """The exchange in front of it."""
    async with Exchange(media.url, media.api_key, media.api_secret) as running:
        yield running


@pytest_asyncio.fixture
async def board(media: Media, exchange: Exchange, tmp_path: Path) -> AsyncIterator[Board]:
    """The exchange with trunks, a rule and phones."""

    async def reprovision(**changes: Any) -> Provisioned:
        return await provision(
            exchange.url,
            media.api_key,
            media.api_secret,
            username=USERNAME,
            password=PASSWORD,
            agent_name="nobody-in-particular",
            **changes,
        )

    async with (
        api.LiveKitAPI(exchange.url, media.api_key, media.api_secret) as livekit,
        ExchangePhones(exchange, tmp_path / "recordings", username=USERNAME, password=PASSWORD) as phones,
    ):
        yield Board(exchange.url, media, livekit, phones, await reprovision(), reprovision)


def _environment() -> dict[str, str]:
    """The shell's, without LIVEKIT_URL: these tests start and stop their own server."""
    return {name: value for name, value in os.environ.items() if name != "LIVEKIT_URL"}  # noqa: TID251
