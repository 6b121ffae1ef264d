"""Speech-to-text whose provider cannot be reached: the ear waits for it, and the call does not notice."""

import asyncio
import contextlib
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
from aiohttp import web
from livekit import rtc

from call_events.catalogue import Role, Speaker
from integration.worker.provider import Provider
from support.waiting import wait_until
from voice_worker.adapters import openai_stt
from voice_worker.adapters.openai_stt import OpenAIEar
from voice_worker.adapters.realtime_model import ModelAccess
from voice_worker.domain.facts import Fact, RecogniserLost, SpeechEnded, SpeechStarted, TextFailed

CUSTOMER = Speaker(role=Role.CUSTOMER, name="Customer", identity="sip_1")


@pytest.fixture(autouse=True)
def provider_behaves() -> None:
    """No whole world is needed here."""


async def no_audio() -> AsyncIterator[rtc.AudioFrame]:
    await asyncio.Event().wait()
    yield rtc.AudioFrame.create(24_000, 1, 480)


@asynccontextmanager
async def listening(url: str) -> AsyncIterator[tuple[OpenAIEar, list[Fact]]]:
    """An ear that must live until it is stopped."""
    heard: list[Fact] = []
    ear = OpenAIEar(
        frames=no_audio,
        speaker=CUSTOMER,
        source="stt1",
        hear=heard.append,
        access=ModelAccess(base_url=url, api_key="k", realtime_model="m", stt_model="s"),
        language="en",
        tls=ssl.create_default_context(),
        connect_s=0.3,
    )
    async with asyncio.timeout(20), asyncio.TaskGroup() as group:
        running = group.create_task(ear.run())
        yield ear, heard
        assert not running.done(), "it ended by itself"
        await ear.stop(0.5)


def lost(heard: list[Fact]) -> int:
    return sum(isinstance(fact, RecogniserLost) for fact in heard)


def free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


@asynccontextmanager
async def answering(answer: Callable[[web.Request], Awaitable[web.StreamResponse]]) -> AsyncIterator[str]:
    app = web.Application()
    app.router.add_get("/v1/realtime", answer)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}/v1"
    finally:
        await runner.cleanup()


async def test_a_provider_that_is_not_there_is_tried_again() -> None:
    async with listening(f"http://127.0.0.1:{free_port()}/v1") as (_, heard):
        await wait_until(lambda: lost(heard) >= 3, within_s=10)


@pytest.mark.parametrize("status", [401, 429, 503])
async def test_a_provider_that_refuses_the_handshake_is_tried_again(status: int) -> None:
    asked: list[str] = []

    async def refuse(request: web.Request) -> web.StreamResponse:
        asked.append(request.path)
        return web.Response(status=status)

    async with answering(refuse) as url, listening(url):
        await wait_until(lambda: len(asked) >= 3, within_s=10)


async def test_a_handshake_that_hangs_is_given_up_and_tried_again() -> None:
    asked: list[str] = []

    async def hang(request: web.Request) -> web.StreamResponse:
        asked.append(request.path)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(30):
                await asyncio.Event().wait()
        return web.Response(status=500)

    async with answering(hang) as url, listening(url):
        await wait_until(lambda: len(asked) >= 2, within_s=10)


def gaps(heard: list[Fact]) -> list[type[Fact]]:
    return [type(fact) for fact in heard if str(getattr(fact, "item", "")).startswith("gap")]


async def test_an_outage_is_marked_as_one_speech_without_text_when_the_provider_is_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(openai_stt, "STEADY_SECONDS", 0.1)
    asked: list[str] = []
    async with Provider(lambda _a, _b: (), {}) as provider:

        async def refuse_at_first(request: web.Request) -> web.StreamResponse:
            asked.append(request.path)
            if len(asked) <= 4:
                return web.Response(status=503)
            return await provider._serve(request)

        async with answering(refuse_at_first) as url, listening(url) as (_, heard):
            await wait_until(lambda: len(gaps(heard)) == 3, within_s=10)
    assert gaps(heard) == [SpeechStarted, SpeechEnded, TextFailed]


async def test_an_outage_that_does_not_end_is_marked_when_the_listening_ends() -> None:
    async with listening(f"http://127.0.0.1:{free_port()}/v1") as (_, heard):
        await wait_until(lambda: lost(heard) >= 8, within_s=10)
        assert gaps(heard) == []
    assert gaps(heard) == [SpeechStarted, SpeechEnded, TextFailed]
