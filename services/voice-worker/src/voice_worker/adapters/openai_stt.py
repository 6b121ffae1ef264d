"""Speech-to-text of one leg on livekit-plugins-openai, for as long as it takes.

Each leg has its own recogniser and its own socket, whose raw events are tapped: the plugin's own events come without
the ids and failures that keep utterances apart when texts arrive out of order. When the provider fails or cannot be
reached, what it still owed is given up and a new stream is opened; nobody on the call notices. What may have been said
meanwhile is marked as one utterance without a text, so that an outage never passes for silence.
"""

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from typing import Any

import aiohttp
import orjson
import structlog
from livekit import rtc
from livekit.agents import APIConnectOptions, APIError
from livekit.agents import stt as speech_to_text
from livekit.plugins import openai
from openai import AsyncOpenAI, DefaultAsyncHttpxClient

from call_events.catalogue import Speaker
from voice_worker.adapters.provider_events import TYPES, read_fact
from voice_worker.adapters.realtime_model import ModelAccess
from voice_worker.domain.facts import RecogniserLost, SpeechEnded, SpeechStarted, TextArrived, TextFailed
from voice_worker.ports import Hear

log = structlog.get_logger()

SAMPLE_RATE = 24_000
#: Fed in at the end, so that the provider notices that somebody has stopped speaking.
_SILENCE = rtc.AudioFrame.create(SAMPLE_RATE, 1, SAMPLE_RATE // 10)
_SILENT_FRAMES = 10
FIRST_PAUSE, LONGEST_PAUSE = 0.1, 5.0
CLOSE_SECONDS = 2.0
#: For one attempt to reach the provider, TLS and the WebSocket's handshake included.
CONNECT_SECONDS = 5.0
#: A shorter outage is bridged: the plugin keeps the audio while it opens the next socket.
GAP_SECONDS = 0.5
#: A socket that lives this long, or that tells of speech, works. Some providers accept one only to refuse on it.
STEADY_SECONDS = 2.0

#: What a lost or unreachable provider looks like. The plugin (1.8.9) translates neither a refused connection or
#: handshake nor a connection that takes too long.
LOST = (APIError, aiohttp.ClientError, TimeoutError, OSError)

Frames = Callable[[], AsyncIterator[rtc.AudioFrame]]


class _TappedSTT(openai.STT):
    """Speech-to-text on an HTTP session of our own."""

    http: aiohttp.ClientSession | None = None
    connected: Callable[[], None] | None = None

    async def _connect_ws(self, timeout: float) -> aiohttp.ClientWebSocketResponse:  # noqa: ASYNC109 - the plugin's
        socket = await super()._connect_ws(timeout)
        if self.connected:
            self.connected()
        return socket

    def _ensure_session(self) -> aiohttp.ClientSession:
        assert self.http is not None
        return self.http


def _tapped_response(tap: Callable[[dict[str, Any]], None]) -> type[aiohttp.ClientWebSocketResponse]:
    class Tapped(aiohttp.ClientWebSocketResponse):
        async def receive(self, timeout: float | None = None) -> aiohttp.WSMessage:  # noqa: ASYNC109 - aiohttp's
            message = await super().receive(timeout)
            if message.type is aiohttp.WSMsgType.TEXT and any(kind in message.data for kind in TYPES):
                with contextlib.suppress(orjson.JSONDecodeError):
                    tap(orjson.loads(message.data))
            return message

    return Tapped


class OpenAIEar:
    """Listens to one leg."""

    def __init__(
        self,
        *,
        frames: Frames,
        release: Callable[[], None] = lambda: None,
        speaker: Speaker,
        source: str,
        hear: Hear,
        access: ModelAccess,
        language: str,
        tls: ssl.SSLContext,
        connect_s: float = CONNECT_SECONDS,
    ) -> None:
        """``frames`` gives the leg's audio, anew as often as it is asked; ``release`` tells that nobody asks again."""
        self._frames = frames
        self._release = release
        self._speaker = speaker
        self._source = source
        self._hear = hear
        self._access = access
        self._language = language
        self._tls = tls
        self._connect_s = connect_s
        self._stream: speech_to_text.RecognizeStream | None = None
        self._owed: set[str] = set()
        self._settled = asyncio.Event()
        self._settled.set()
        self._stopping = asyncio.Event()
        self._closed = asyncio.Event()
        #: Since when the provider is away, and when a socket stood again that has yet to prove itself.
        self._down: datetime | None = None
        self._up: datetime | None = None
        self._gaps = 0
        self._steady: asyncio.TimerHandle | None = None

    @property
    def source(self) -> str:
        """Name of the recogniser."""
        return self._source

    async def run(self) -> None:
        """Listen until :meth:`stop`."""
        connector = aiohttp.TCPConnector(ssl=self._tls)
        # Never used on a socket, but made by the plugin where it is not given, with CA certificates of its own: that
        # held up the whole call for 60 ms a leg, just as the person came on the line.
        client = AsyncOpenAI(
            base_url=self._access.base_url,
            api_key=self._access.api_key,
            http_client=DefaultAsyncHttpxClient(verify=self._tls),
        )
        try:
            async with (
                client,
                aiohttp.ClientSession(connector=connector, ws_response_class=_tapped_response(self._on_event)) as http,
            ):
                recogniser = _TappedSTT(
                    model=self._access.stt_model, language=self._language, client=client, use_realtime=True
                )
                recogniser.http, recogniser.connected = http, self._on_connected
                recogniser.on("error", self._on_error)
                try:
                    await self._listen(recogniser)
                finally:
                    await recogniser.aclose()
        finally:
            self._release()
            self._closed.set()

    async def stop(self, within: float) -> None:
        """Take no more audio, wait for texts that are still owed, and close."""
        self._stopping.set()
        self._tell_gap()
        if (stream := self._stream) is not None and within > 0:
            with contextlib.suppress(RuntimeError):  # the stream ended by itself
                for _ in range(_SILENT_FRAMES):
                    stream.push_frame(_SILENCE)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(within):
                    await self._settled.wait()
        if stream is not None:
            await stream.aclose()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(CLOSE_SECONDS):
                    await self._closed.wait()

    async def _listen(self, recogniser: _TappedSTT) -> None:
        pause = FIRST_PAUSE
        while not self._stopping.is_set():
            stream = recogniser.stream(conn_options=APIConnectOptions(timeout=self._connect_s))
            self._stream = stream
            try:
                async with asyncio.TaskGroup() as group:
                    feeding = group.create_task(self._feed(stream), name=f"{self._source}-feed")
                    async for _ in stream:
                        pause = FIRST_PAUSE  # it works: the events themselves come through the tap
                    feeding.cancel()
            except* LOST as errors:
                log.warning("stt.failed", source=self._source, why=type(errors.exceptions[0]).__name__, retry_s=pause)
            finally:
                await stream.aclose()
            if not self._stopping.is_set():
                self._lose()
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(pause):
                        await self._stopping.wait()
                pause = min(pause * 2, LONGEST_PAUSE)

    async def _feed(self, stream: speech_to_text.RecognizeStream) -> None:
        async for frame in self._frames():
            if self._stopping.is_set():
                return
            with contextlib.suppress(RuntimeError):  # the stream has just ended; the reader sees to it
                stream.push_frame(frame)

    def _on_event(self, event: dict[str, Any]) -> None:
        fact = read_fact(event, source=self._source, speaker=self._speaker, at=datetime.now(UTC))
        match fact:
            case None:
                return
            case SpeechStarted() | SpeechEnded():
                self._owed.add(fact.item)
                self._settled.clear()
            case TextArrived() | TextFailed():
                self._owed.discard(fact.item)
            case _:
                pass
        self._tell_gap()  # first: it lies before
        self._hear(fact)
        if not self._owed:
            self._settled.set()

    def _on_error(self, _error: Any) -> None:
        # A socket that broke takes the segment with it, whether or not the plugin opens the next one by itself.
        self._lose()

    def _on_connected(self) -> None:
        if self._down is not None and not self._stopping.is_set():
            self._up = datetime.now(UTC)
            self._steady = asyncio.get_running_loop().call_later(STEADY_SECONDS, self._tell_gap)

    def _lose(self) -> None:
        if self._owed:
            log.warning("stt.gap", source=self._source, utterances=len(self._owed))
        self._owed.clear()
        self._settled.set()
        at = datetime.now(UTC)
        self._hear(RecogniserLost(source=self._source, at=at))
        if self._stopping.is_set():
            return
        self._down, self._up = self._down or at, None
        self._cancel_steady()

    def _tell_gap(self) -> None:
        """The outage is over, or the listening is: what was said in it has no text."""
        self._cancel_steady()
        if (down := self._down) is None:
            return
        up = self._up or datetime.now(UTC)
        self._down = self._up = None
        if (up - down).total_seconds() < GAP_SECONDS:
            return
        self._gaps += 1
        log.warning("stt.outage", source=self._source, seconds=round((up - down).total_seconds(), 1))
        item = f"gap{self._gaps}"
        self._hear(SpeechStarted(source=self._source, item=item, speaker=self._speaker, at=down))
        self._hear(SpeechEnded(source=self._source, item=item, speaker=self._speaker, at=up))
        self._hear(TextFailed(source=self._source, item=item, at=up))

    def _cancel_steady(self) -> None:
        if self._steady is not None:
            self._steady.cancel()
            self._steady = None
