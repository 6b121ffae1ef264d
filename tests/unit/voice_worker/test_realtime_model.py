"""A model's session that is opened before anybody needs it: it is used once, and never if it failed."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from livekit.agents.utils import http_context

from voice_worker.adapters.realtime_model import ModelAccess, TappedModel, realtime_model


@pytest.fixture
async def model() -> AsyncIterator[TappedModel]:
    async with http_context.open():
        nowhere = ModelAccess("http://127.0.0.1:9/v1", "key", "gpt-realtime", "transcribe")
        made = realtime_model(nowhere, voice="marin", language="en-GB")
        made.open_early()
        yield made
        await made.close_unused()


async def test_the_first_session_is_the_one_that_was_opened_early(model: TappedModel) -> None:
    early = model._early
    first = model.session()
    try:
        assert first is early
        second = model.session()
        assert second is not first
        await second.aclose()
    finally:
        await first.aclose()


async def test_a_session_that_failed_early_is_not_handed_out(model: TappedModel) -> None:
    """Its error came when nobody listened: the caller would hear nothing for ever."""
    assert model._early is not None
    early = model._early
    early.emit("error", "fatal")
    session = model.session()
    assert session is not early
    await session.aclose()


async def test_every_raw_event_reaches_the_voice_that_took_the_model(model: TappedModel) -> None:
    heard: list[dict[str, Any]] = []
    model.tap = heard.append
    session = model.session()
    session.emit("openai_server_event_received", {"type": "session.created"})
    await session.aclose()
    assert heard == [{"type": "session.created"}]


async def test_closing_what_was_never_used_is_harmless_twice(model: TappedModel) -> None:
    await model.close_unused()
    await model.close_unused()
    assert model._early is None
