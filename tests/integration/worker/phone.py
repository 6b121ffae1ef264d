"""A telephone of tones: a real LiveKit participant of kind SIP with the attributes a livekit-sip leg has."""

import asyncio
import time
from datetime import timedelta
from typing import Self

import numpy as np
from livekit import api, rtc

from support.waiting import wait_until

RATE = 24_000
FRAME = RATE // 50
LOUD = 300.0


class Phone:
    def __init__(
        self, media: "MediaAccess", call: str, identity: str, attributes: dict[str, str] | None = None
    ) -> None:
        self.media = media
        self.call = call
        self.identity = identity
        self.attributes = attributes or {}
        self.room = rtc.Room()
        self.source = rtc.AudioSource(RATE, 1, queue_size_ms=200)
        #: (monotonic time, tone in Hz or 0 for silence, whose track) of each 20 ms that was heard.
        self.heard: list[tuple[float, int, str]] = []
        #: How often it has come back into the room after it had lost the server.
        self.rejoined = 0
        self._tone = 0
        self._tasks: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> Self:
        token = (
            api.AccessToken(self.media.api_key, self.media.api_secret)
            .with_identity(self.identity)
            .with_kind("sip")
            .with_ttl(timedelta(minutes=5))
            .with_attributes(self.attributes)
            .with_grants(api.VideoGrants(room_join=True, room=self.call, can_update_own_metadata=True))
        )
        self.room.on("track_subscribed", self._on_track)
        self.room.on("reconnected", self._on_rejoined)
        await self.room.connect(self.media.url, token.to_jwt())
        track = rtc.LocalAudioTrack.create_audio_track(self.identity, self.source)
        await self.room.local_participant.publish_track(
            track, rtc.TrackPublishOptions(source=rtc.TrackSource.SOURCE_MICROPHONE)
        )
        self._tasks.append(asyncio.get_running_loop().create_task(self._talk()))
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.hang_up()

    async def hang_up(self) -> None:
        tasks, self._tasks = self._tasks, []
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)
        await self.room.disconnect()

    async def be_answered(self) -> None:
        await self.room.local_participant.set_attributes({**self.attributes, "sip.callStatus": "active"})

    async def say(self, tone: int, seconds: float = 0.6) -> None:
        self._tone = tone
        await asyncio.sleep(seconds)
        self._tone = 0

    def hears_now(self, who: str = "") -> bool:
        """Whether anything was heard within the last 100 ms."""
        since = time.monotonic() - 0.1
        return any(tone for at, tone, whose in self.heard[-60:] if at >= since and who in whose)

    def first_sound(self, after: float = 0.0) -> float:
        """When the first sound after that moment was heard; infinity if none was."""
        return next((at for at, tone, _ in self.heard if at >= after and tone), float("inf"))

    def last_sound(self, who: str) -> float:
        """When that party's track was last heard."""
        return max((at for at, tone, whose in self.heard if tone and who in whose), default=0.0)

    async def hears(self, within_s: float = 10.0, who: str = "") -> None:
        await wait_until(
            lambda: self.hears_now(who), within_s=within_s, what=f"{self.identity} hears {who or 'anybody'}"
        )

    async def hears_nothing(self, within_s: float = 10.0) -> None:
        await wait_until(lambda: not self.hears_now(), within_s=within_s, what=f"silence at {self.identity}")

    def _on_rejoined(self) -> None:
        self.rejoined += 1

    async def _talk(self) -> None:
        phase = 0.0
        while True:
            tone = self._tone
            at = phase + 2 * np.pi * tone * np.arange(FRAME) / RATE
            phase = float((at[-1] + 2 * np.pi * tone / RATE) % (2 * np.pi)) if tone else 0.0
            samples = (9000 * np.sin(at)).astype(np.int16) if tone else np.zeros(FRAME, dtype=np.int16)
            await self.source.capture_frame(rtc.AudioFrame(samples.tobytes(), RATE, 1, FRAME))

    def _on_track(
        self, track: rtc.Track, _publication: rtc.RemoteTrackPublication, participant: rtc.RemoteParticipant
    ) -> None:
        if track.kind == rtc.TrackKind.KIND_AUDIO:
            self._tasks.append(asyncio.get_running_loop().create_task(self._listen(track, participant.identity)))

    async def _listen(self, track: rtc.Track, who: str) -> None:
        stream = rtc.AudioStream.from_track(track=track, sample_rate=RATE, num_channels=1, frame_size_ms=20)
        try:
            async for event in stream:
                samples = np.frombuffer(event.frame.data, dtype=np.int16).astype(np.float64)
                loud = float(np.sqrt(np.mean(samples**2))) > LOUD
                tone = int(np.argmax(np.abs(np.fft.rfft(samples))) * RATE / len(samples)) if loud else 0
                self.heard.append((time.monotonic(), tone, who))
        finally:
            await stream.aclose()


class MediaAccess:
    def __init__(self, url: str, api_key: str, api_secret: str) -> None:
        self.url = url
        self.api_key = api_key
        self.api_secret = api_secret
