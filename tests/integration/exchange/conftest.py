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
from standins.media.binaries import NO_SIP
from standins.phones import ExchangePhones, SipPhones
from support.switchboard import Board

# It decides which half of the suite can run.
SIP_AT_HAND = os.environ.get("LIVEKIT_SIP_BIN", "") not in {"", NO_SIP}  # noqa: TID251
USERNAME, PASSWORD = "switch", "let-me-in"


@pytest_asyncio.fixture
async def media(tmp_path: Path) -> AsyncIterator[Media]:
    """A livekit-server, or a skipped test on a laptop that has none."""
    async with AsyncExitStack() as stack:
        redis = await stack.enter_async_context(EmbeddedRedis())
        try:
            running = await stack.enter_async_context(
                Media(redis.url, tmp_path / "media", sip=SIP_AT_HAND, environment=_environment())
            )
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
async def board(
    request: pytest.FixtureRequest, media: Media, exchange: Exchange, tmp_path: Path
) -> AsyncIterator[Board]:
    """Trunks, a rule and phones: of the exchange, or real SIP phones on livekit-sip (see `drivers` in the suite)."""
    over_sip = getattr(request, "param", "exchange") == "sip"
    url = media.url if over_sip else exchange.url
    recordings = tmp_path / "recordings"
    phones = (
        SipPhones(str(media.sip_address), recordings, username=USERNAME, password=PASSWORD)
        if over_sip
        else ExchangePhones(exchange, recordings, username=USERNAME, password=PASSWORD)
    )

    async def reprovision(**changes: Any) -> Provisioned:
        settings = {"username": USERNAME, "password": PASSWORD, "agent_name": "nobody-in-particular", **changes}
        if isinstance(phones, SipPhones):
            settings["outbound_address"] = phones.address
        return await provision(url, media.api_key, media.api_secret, **settings)

    async with api.LiveKitAPI(url, media.api_key, media.api_secret) as livekit, phones:
        address = phones.address if isinstance(phones, SipPhones) else "127.0.0.1:5060"
        yield Board(url, media, livekit, phones, await reprovision(), reprovision, f"sip:queue@{address}")


def _environment() -> dict[str, str]:
    """The shell's, without LIVEKIT_URL: these tests start and stop their own server."""
    return {name: value for name, value in os.environ.items() if name != "LIVEKIT_URL"}  # noqa: TID251


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """The contract suite runs once for each driver; real SIP phones need livekit-sip."""
    if "board" in metafunc.fixturenames and metafunc.module.__name__.endswith("test_phone_contract"):
        no_sip = pytest.mark.skipif(not SIP_AT_HAND, reason="LIVEKIT_SIP_BIN names no livekit-sip")
        drivers = ["exchange", pytest.param("sip", marks=[pytest.mark.sip, no_sip])]
        metafunc.parametrize("board", drivers, indirect=True)
