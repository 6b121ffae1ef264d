"""What each leg says, whatever track it comes on.

A leg's track is replaced when livekit-server was restarted: everybody rejoins and publishes anew. The stream of the
old track then gives nothing more and never ends by itself (rtc 1.1.21), so it is closed as the new one opens, and
whoever reads goes on with that.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable

import structlog
from livekit import rtc

log = structlog.get_logger()

SAMPLE_RATE = 24_000
FRAME_MS = 20
#: Audio that is kept while nobody reads it: two seconds, from a human's picking up to our hearing of it.
KEPT_FRAMES = 100
CLOSE_SECONDS = 5.0


def open_stream(track: rtc.Track) -> rtc.AudioStream:
    """What comes on this track, from now on."""
    return rtc.AudioStream.from_track(
        track=track, sample_rate=SAMPLE_RATE, num_channels=1, frame_size_ms=FRAME_MS, capacity=KEPT_FRAMES
    )


class LegAudio:
    """The audio of a call's legs, for those who transcribe it."""

    def __init__(self, open_stream: Callable[[rtc.Track], rtc.AudioStream] = open_stream) -> None:
        self._open_stream = open_stream
        self._streams: dict[str, rtc.AudioStream] = {}
        self._kept: set[str] = set()
        self._ended = False
        self._closing: asyncio.Queue[rtc.AudioStream] = asyncio.Queue()
        self._changed = asyncio.Event()

    def keep(self, identity: str, track: rtc.Track | None) -> None:
        """Keep this leg's audio from now on, on this track and on those that replace it, until :meth:`release`."""
        self._kept.add(identity)
        if track is not None and identity not in self._streams:
            self._open(identity, track)

    def release(self, identity: str) -> None:
        """Nobody reads this leg any more; what would be kept from now on would be old when somebody does."""
        self._kept.discard(identity)
        self._retire(identity)

    def on_track(self, identity: str, track: rtc.Track) -> None:
        """A leg has this track now."""
        if identity in self._kept:
            self._open(identity, track)

    async def frames(self, identity: str) -> AsyncIterator[rtc.AudioFrame]:
        """A leg's audio for as long as it is kept."""
        while identity in self._kept and not self._ended:
            if (stream := self._streams.get(identity)) is None:
                self._changed.clear()
                await self._changed.wait()
                continue
            async for event in stream:
                yield event.frame
            if self._streams.get(identity) is stream:
                self._retire(identity)

    async def tidy(self) -> None:
        """Close streams that were replaced or released; runs beside the call, until cancelled."""
        while True:
            await _close(await self._closing.get())

    async def close(self) -> None:
        """Give back what was opened."""
        self._ended = True
        self._kept.clear()
        for identity in list(self._streams):
            self._retire(identity)
        while not self._closing.empty():
            await _close(self._closing.get_nowait())

    def _open(self, identity: str, track: rtc.Track) -> None:
        self._retire(identity)
        self._streams[identity] = self._open_stream(track)
        self._changed.set()

    def _retire(self, identity: str) -> None:
        if (stream := self._streams.pop(identity, None)) is not None:
            self._closing.put_nowait(stream)
        self._changed.set()


async def _close(stream: rtc.AudioStream) -> None:
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(CLOSE_SECONDS):
            await stream.aclose()
            return
    log.warning("leg.stream_not_closed", seconds=CLOSE_SECONDS)
