"""Whoever listens to a leg hears it on whatever track it comes, and never what was said before they asked."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import cast

import pytest
from livekit import rtc

from support.waiting import wait_until
from voice_worker.adapters.leg_audio import LegAudio


@dataclass(frozen=True)
class Frame:
    frame: str


class FakeStream:
    """As the SDK's: it does not end by itself when its track is replaced, only when it is closed."""

    def __init__(self) -> None:
        self.closed = False
        self._frames: asyncio.Queue[Frame | None] = asyncio.Queue()

    def gives(self, frame: str) -> None:
        self._frames.put_nowait(Frame(frame))

    async def aclose(self) -> None:
        self.closed = True
        self._frames.put_nowait(None)

    def __aiter__(self) -> "FakeStream":
        return self

    async def __anext__(self) -> Frame:
        if (frame := await self._frames.get()) is None:
            raise StopAsyncIteration
        return frame


def track(name: FakeStream) -> rtc.Track:
    return cast("rtc.Track", name)


@pytest.fixture
def opened() -> list[FakeStream]:
    """Every stream that was opened."""
    return []


@pytest.fixture
async def audio(opened: list[FakeStream]) -> AsyncIterator[LegAudio]:
    """Streams come from the tracks themselves."""

    def open_stream(one: rtc.Track) -> rtc.AudioStream:
        opened.append(cast("FakeStream", one))
        return cast("rtc.AudioStream", one)

    made = LegAudio(open_stream)
    tidying = asyncio.get_running_loop().create_task(made.tidy())
    yield made
    tidying.cancel()
    await made.close()


@asynccontextmanager
async def reading(audio: LegAudio, identity: str) -> AsyncIterator[list[str]]:
    heard: list[str] = []

    async def read() -> None:
        async for frame in audio.frames(identity):
            heard.append(cast("str", frame))  # noqa: PERF401 - one by one, as they come

    task = asyncio.get_running_loop().create_task(read())
    yield heard
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


async def test_a_reader_goes_on_with_the_track_that_replaces_another(audio: LegAudio) -> None:
    """After a restart of livekit-server the old track gives nothing more and does not end: the reader would wait."""
    old, new = FakeStream(), FakeStream()
    audio.keep("sip_1", track(old))
    async with reading(audio, "sip_1") as heard:
        old.gives("before")
        await wait_until(lambda: heard == ["before"])
        audio.on_track("sip_1", track(new))
        new.gives("after")
        await wait_until(lambda: heard == ["before", "after"])
    assert old.closed


async def test_a_leg_that_is_listened_to_before_it_has_a_track_is_heard_on_its_first(audio: LegAudio) -> None:
    stream = FakeStream()
    audio.keep("sip_1", None)
    async with reading(audio, "sip_1") as heard:
        audio.on_track("sip_1", track(stream))
        stream.gives("hello")
        await wait_until(lambda: heard == ["hello"])


async def test_the_audio_of_a_leg_that_nobody_asked_for_is_not_kept(audio: LegAudio, opened: list[FakeStream]) -> None:
    """A stream keeps audio as soon as it is open, also when nobody reads it."""
    audio.on_track("sip_1", track(FakeStream()))
    assert opened == []
    asked_for = FakeStream()
    audio.keep("sip_1", track(asked_for))
    assert opened == [asked_for]


async def test_a_leg_that_was_released_is_heard_anew_and_not_from_where_it_was_left(audio: LegAudio) -> None:
    """Between two humans the AI listens: what the customer told it must not be transcribed once more."""
    first, second = FakeStream(), FakeStream()
    audio.keep("sip_1", track(first))
    audio.release("sip_1")
    first.gives("to the AI")
    await wait_until(lambda: first.closed)
    audio.keep("sip_1", track(second))
    async with reading(audio, "sip_1") as heard:
        second.gives("to the human")
        await wait_until(lambda: heard == ["to the human"])


async def test_closing_ends_the_readers_and_closes_every_stream(audio: LegAudio) -> None:
    streams = FakeStream(), FakeStream()
    audio.keep("sip_1", track(streams[0]))
    audio.keep("human-1", track(streams[1]))
    read = asyncio.get_running_loop().create_task(anext(audio.frames("sip_1"), None))
    await asyncio.sleep(0)
    await audio.close()
    async with asyncio.timeout(1):
        assert await read is None
    assert all(stream.closed for stream in streams)
