"""What is named in the environment is asked first: a wrong address is told as such, soon, with the mend."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from aiohttp import web

from standins.media import MediaError
from standins.stack.named import check_livekit, check_model

DEAD = "127.0.0.1:1"
PAIR = {"LIVEKIT_API_KEY": "key", "LIVEKIT_API_SECRET": "s" * 32}


@asynccontextmanager
async def server(status: int) -> AsyncIterator[str]:
    """Answers everything with this status; yields host and port."""

    async def answer(_: web.Request) -> web.Response:
        return web.json_response({"code": "whatever", "msg": "whatever"}, status=status)

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        host, port = runner.addresses[0][:2]
        yield f"{host}:{port}"
    finally:
        await runner.cleanup()


@pytest.mark.parametrize(
    ("environment", "told"),
    [
        ({"LIVEKIT_URL": f"ws://{DEAD}"}, "LIVEKIT_URL: nothing answers at ws://127.0.0.1:1 "),
        ({"LIVEKIT_URL": "nonsense"}, "LIVEKIT_URL: this is no URL"),
        ({"LIVEKIT_URL": "ws://[::1"}, "LIVEKIT_URL: this is no URL"),
        ({"LIVEKIT_URL": f"ws://me:short@{DEAD}"}, "LIVEKIT_URL: this is no URL"),
        ({"LIVEKIT_URL": f"ws://{DEAD}", "LIVEKIT_API_SECRET": "short"}, "LIVEKIT_API_SECRET: needs at least 32"),
    ],
)
async def test_a_livekit_server_that_cannot_be_used_is_told_by_its_variable(
    environment: dict[str, str], told: str
) -> None:
    with pytest.raises(MediaError) as refused:
        await check_livekit(PAIR | environment)
    assert str(refused.value).startswith(told)
    assert "\n" not in str(refused.value)
    assert "short" not in str(refused.value)


@pytest.mark.parametrize(
    ("status", "told"),
    [(401, "LIVEKIT_API_KEY and LIVEKIT_API_SECRET: "), (502, "LIVEKIT_URL: ws://{} answers HTTP 502")],
)
async def test_a_livekit_server_that_refuses_is_told_by_what_it_refuses(status: int, told: str) -> None:
    async with server(status) as address:
        with pytest.raises(MediaError) as refused:
            await check_livekit(PAIR | {"LIVEKIT_URL": f"ws://{address}"})
    assert str(refused.value).startswith(told.format(address))


@pytest.mark.parametrize(
    ("environment", "told"),
    [
        ({"OPENAI_BASE_URL": "nonsense"}, "OPENAI_BASE_URL: this is no URL"),
        ({"OPENAI_BASE_URL": f"http://{DEAD}/v1"}, "OPENAI_BASE_URL: nothing answers at http://127.0.0.1:1/v1 "),
    ],
)
async def test_a_model_that_cannot_be_asked_is_told_by_its_variable(environment: dict[str, str], told: str) -> None:
    with pytest.raises(MediaError) as refused:
        await check_model(environment)
    assert str(refused.value).startswith(told)


@pytest.mark.parametrize(
    ("status", "told"),
    [
        (401, "OPENAI_API_KEY: the provider at http://{}/v1 refuses it (HTTP 401)"),
        (503, "OPENAI_BASE_URL: http://{}/v1 answers HTTP 503"),
    ],
)
async def test_a_provider_that_refuses_is_told_by_what_it_refuses(status: int, told: str) -> None:
    async with server(status) as address:
        with pytest.raises(MediaError) as refused:
            await check_model({"OPENAI_BASE_URL": f"http://{address}/v1", "OPENAI_API_KEY": "sk-1"})
    assert str(refused.value).startswith(told.format(address))


@pytest.mark.parametrize("status", [200, 404])
async def test_whoever_answers_is_used(status: int) -> None:
    """Not every server that speaks the protocols lists its models."""
    async with server(status) as address:
        await check_model({"OPENAI_BASE_URL": f"http://{address}/v1/"})


async def test_where_nothing_is_named_nothing_is_asked() -> None:
    await check_model({})
    await check_livekit({})
