"""A SIP party as LiveKit shows it: a participant of kind SIP with an audio track, attributes, a reason for leaving."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping

import numpy as np
import structlog
from livekit import api, rtc

from standins.exchange.crew import Crew
from standins.exchange.handset import FRAME, RATE, Handset

log = structlog.get_logger()

JOIN_DEADLINE_S = 10.0
LEAVE_DEADLINE_S = 5.0
UPDATE_DEADLINE_S = 3.0
FRAME_S = FRAME / RATE
#: Sound kept ahead in LiveKit's source, so that a busy event loop is not heard as a gap.
LEAD_S = 0.06
SOURCE_QUEUE_MS = 240
#: A phone that fell further behind than this (a suspended machine) skips rather than hurries.
LAG_LIMIT_S = 0.5


class LegError(Exception):
    """The leg could not join its room."""


class Leg:
    """One participant of kind SIP, from joining to leaving."""

    def __init__(self, *, identity: str, room_name: str, crew: Crew, handset: Handset) -> None:
        self.identity = identity
        self.room_name = room_name
        self.ended = asyncio.Event()
        self.reason: rtc.DisconnectReason.ValueType | None = None
        #: Set as soon as somebody else in the room publishes sound, or another telephone is in it.
        self.company = asyncio.Event()
        self.media_open = False
        self._changed: dict[str, str] = {}
        self._crew = crew
        self._handset = handset
        self._room = rtc.Room()
        self._source = rtc.AudioSource(RATE, 1, queue_size_ms=SOURCE_QUEUE_MS)
        self._tracks: dict[str, rtc.Track] = {}
        self._ears: dict[str, asyncio.Task[None]] = {}
        self._mouth: asyncio.Task[None] | None = None
        self._closing = False
        self._closed = asyncio.Event()

    @property
    def sid(self) -> str:
        """LiveKit's id of the participant."""
        return self._room.local_participant.sid

    async def join(self, url: str, token: str) -> None:
        """Join the room and publish the track.

        Raises:
            LegError: the room could not be joined.
        """
        self._listen()
        try:
            async with asyncio.timeout(JOIN_DEADLINE_S):
                await self._room.connect(url, token, rtc.RoomOptions(auto_subscribe=True))
                track = rtc.LocalAudioTrack.create_audio_track(self.identity, self._source)
                options = rtc.TrackPublishOptions(source=rtc.TrackSource.SOURCE_MICROPHONE, dtx=False)
                await self._room.local_participant.publish_track(track, options)
        except (rtc.ConnectError, rtc.participant.PublishTrackError, TimeoutError) as error:
            await self.close()
            raise LegError(f"the leg could not join room {self.room_name}: {error}") from error
        for participant in self._room.remote_participants.values():
            self._notice(participant)

    def _listen(self) -> None:
        room = self._room

        def on_subscribed(
            track: rtc.Track, publication: rtc.RemoteTrackPublication, _who: rtc.RemoteParticipant
        ) -> None:
            if track.kind == rtc.TrackKind.KIND_AUDIO:
                self._tracks[publication.sid] = track
                self._open_ear(publication.sid)

        def on_unsubscribed(_track: rtc.Track, publication: rtc.RemoteTrackPublication, _who: object) -> None:
            self._tracks.pop(publication.sid, None)
            if ear := self._ears.pop(publication.sid, None):
                ear.cancel()

        def on_disconnected(reason: rtc.DisconnectReason.ValueType) -> None:
            if not self.ended.is_set():
                self.reason = reason
                self.ended.set()

        room.on("track_subscribed", on_subscribed)
        room.on("track_unsubscribed", on_unsubscribed)
        room.on("disconnected", on_disconnected)
        room.on("track_published", lambda _publication, participant: self._notice(participant))
        room.on("participant_connected", self._notice)
        room.on("sip_dtmf_received", lambda tone: self._handset.hear_digit(tone.digit))

    def _notice(self, participant: rtc.RemoteParticipant) -> None:
        sounds = any(p.kind == rtc.TrackKind.KIND_AUDIO for p in participant.track_publications.values())
        if sounds or participant.kind == rtc.ParticipantKind.PARTICIPANT_KIND_SIP:
            self.company.set()

    async def set_attributes(self, attributes: Mapping[str, str]) -> None:
        """Change attributes; nothing happens once the leg has left."""
        if self.ended.is_set():
            return
        # The client library sends the attributes it last heard of along; what we changed meanwhile must win.
        self._changed.update(attributes)
        try:
            async with asyncio.timeout(UPDATE_DEADLINE_S):
                await self._room.local_participant.set_attributes(self._changed)
        except TimeoutError:
            # Best effort, as livekit-sip's are: the room may be going away at this very moment.
            log.debug("exchange.attributes_not_set", call=self.room_name)

    async def set_status(self, status: str) -> None:
        """Change `sip.callStatus`."""
        await self.set_attributes({"sip.callStatus": status})

    def open_media(self) -> None:
        """Sound flows both ways from now on."""
        if self.media_open or self.ended.is_set():
            return
        self.media_open = True
        self._mouth = self._crew.start(self._speak(), name=f"mouth {self.identity}")
        for sid in tuple(self._tracks):
            self._open_ear(sid)

    def _open_ear(self, sid: str) -> None:
        if self.media_open and not self.ended.is_set() and sid not in self._ears:
            self._ears[sid] = self._crew.start(self._listen_to(sid, self._tracks[sid]), name=f"ear {self.identity}")

    async def _listen_to(self, sid: str, track: rtc.Track) -> None:
        stream = rtc.AudioStream(track, sample_rate=RATE, num_channels=1, frame_size_ms=int(FRAME_S * 1000))
        try:
            async for event in stream:
                self._handset.hear(sid, np.frombuffer(event.frame.data, dtype=np.int16), time.monotonic())
        finally:
            await stream.aclose()

    async def _speak(self) -> None:
        due = time.monotonic() - LEAD_S
        while not self.ended.is_set():
            frame = self._handset.next_frame()
            if frame is not None:
                await self._source.capture_frame(
                    rtc.AudioFrame(data=frame.tobytes(), sample_rate=RATE, num_channels=1, samples_per_channel=FRAME)
                )
            due += FRAME_S
            now = time.monotonic()
            if now - due > LAG_LIMIT_S:
                due = now - LEAD_S
            elif due > now:
                await asyncio.sleep(due - now)

    async def press(self, code: int, digit: str) -> None:
        """Send one DTMF digit to everybody in the room."""
        await self._room.local_participant.publish_dtmf(code=code, digit=digit)

    async def leave(self, reason: rtc.DisconnectReason.ValueType, *, status: str | None = None) -> None:
        """Leave the room for `reason`, having set the last `sip.callStatus` if one is given; idempotent."""
        if not self.ended.is_set():
            if status is not None:
                await self.set_status(status)
            self.reason = reason
            self.ended.set()
        await self.close(reason)

    async def close(self, reason: rtc.DisconnectReason.ValueType = rtc.DisconnectReason.CLIENT_INITIATED) -> None:
        """Give back everything that the leg holds; idempotent."""
        self.ended.set()
        if self._closing:
            await self._closed.wait()
            return
        self._closing = True
        for task in (self._mouth, *self._ears.values()):
            if task is not None:
                task.cancel()
        self._ears.clear()
        try:
            async with asyncio.timeout(LEAVE_DEADLINE_S):
                await self._room.disconnect(reason=reason)
        except TimeoutError:
            log.warning("exchange.leave_timed_out", call=self.room_name)
        finally:
            await self._source.aclose()
            self._closed.set()


def leg_token(
    key: str,
    secret: str,
    *,
    identity: str,
    name: str,
    room_name: str,
    metadata: str,
    attributes: Mapping[str, str],
    adjust: Callable[[api.AccessToken], object] = lambda _token: None,
) -> str:
    """The token of a participant of kind SIP, which may change its own attributes as livekit-sip's do."""
    token = (
        api.AccessToken(key, secret)
        .with_kind("sip")
        .with_identity(identity)
        .with_name(name)
        .with_metadata(metadata)
        .with_attributes(dict(attributes))
        .with_grants(api.VideoGrants(room_join=True, room=room_name, can_update_own_metadata=True))
    )
    adjust(token)
    return token.to_jwt()
