"""A small LiveKit client for tests: joins a room, speaks tones, hears everybody, and notes what it observes."""

import asyncio
import time
from dataclasses import dataclass, field
from types import TracebackType

import numpy as np
import numpy.typing as npt
from livekit import api, rtc

from standins.phones.sounds import Sound
from support.waiting import wait_until

RATE = 48_000
FRAME = 480


@dataclass(frozen=True)
class Seen:
    """One thing observed: joined, status (of a telephone), left."""

    what: str
    identity: str
    detail: str = ""
    attributes: dict[str, str] = field(default_factory=dict)


class RoomClient:
    """One participant, connected for as long as its context lasts."""

    def __init__(self, url: str, key: str, secret: str, room_name: str, identity: str = "ai") -> None:
        self._url = url
        self._token = (
            api.AccessToken(key, secret)
            .with_identity(identity)
            .with_kind("agent")
            .with_grants(api.VideoGrants(room_join=True, room=room_name))
            .to_jwt()
        )
        self.room = rtc.Room()
        self.seen: list[Seen] = []
        self.heard: dict[str, list[npt.NDArray[np.int16]]] = {}
        self.disconnected = asyncio.Event()
        self._source = rtc.AudioSource(RATE, 1)
        self._group = asyncio.TaskGroup()
        self._ears: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> "RoomClient":
        await self._group.__aenter__()
        room = self.room
        room.on("participant_connected", self._on_joined)
        room.on("participant_attributes_changed", self._on_changed)
        room.on("participant_disconnected", self._on_left)
        room.on("track_subscribed", self._on_track)
        room.on("disconnected", lambda _reason: self.disconnected.set())
        async with asyncio.timeout(10):
            await room.connect(self._url, self._token, rtc.RoomOptions(auto_subscribe=True))
        for participant in room.remote_participants.values():
            self._on_joined(participant)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # Before the room is left: a track that has just come cannot be listened to any more once it is.
        self.room.off("track_subscribed", self._on_track)
        for ear in self._ears:
            ear.cancel()
        async with asyncio.timeout(10):
            await self.room.disconnect()
        await self._group.__aexit__(None, None, None)
        await self._source.aclose()

    async def publish(self) -> None:
        """Publish a track, as an agent that is ready to speak does."""
        track = rtc.LocalAudioTrack.create_audio_track("voice", self._source)
        options = rtc.TrackPublishOptions(source=rtc.TrackSource.SOURCE_MICROPHONE)
        async with asyncio.timeout(10):
            await self.room.local_participant.publish_track(track, options)

    async def say(self, sound: Sound) -> float:
        """Speak in real time; returns when it began (monotonic seconds)."""
        began = time.monotonic()
        pcm = sound.pcm(RATE)
        for start in range(0, len(pcm) - FRAME + 1, FRAME):
            data = pcm[start : start + FRAME].tobytes()
            await self._source.capture_frame(
                rtc.AudioFrame(data=data, sample_rate=RATE, num_channels=1, samples_per_channel=FRAME)
            )
        async with asyncio.timeout(10):
            await self._source.wait_for_playout()
        return began

    def pcm_of(self, identity: str) -> npt.NDArray[np.int16]:
        """Everything heard of one participant, 48 kHz."""
        return np.concatenate(self.heard.get(identity) or [np.zeros(0, dtype=np.int16)])

    def statuses(self, identity: str) -> list[str]:
        """The values of sip.callStatus observed, in order."""
        return [one.detail for one in self.seen if one.what == "status" and one.identity == identity]

    def attributes(self, identity: str) -> dict[str, str]:
        """The attributes that a participant has now."""
        return dict(self.room.remote_participants[identity].attributes)

    async def meets(self, identity: str) -> dict[str, str]:
        """Wait until a participant is in the room; returns the attributes that it has now."""
        await wait_until(lambda: identity in self.room.remote_participants, what=f"{identity} is in the room")
        return self.attributes(identity)

    def left(self, identity: str) -> tuple[str, str] | None:
        """(disconnect reason, last status) of one who left."""
        for one in self.seen:
            if one.what == "left" and one.identity == identity:
                return one.detail, one.attributes.get("sip.callStatus", "")
        return None

    def _on_joined(self, participant: rtc.RemoteParticipant) -> None:
        attributes = dict(participant.attributes)
        self.seen.append(Seen("joined", participant.identity, attributes=attributes))
        if "sip.callStatus" in attributes:
            self.seen.append(Seen("status", participant.identity, attributes["sip.callStatus"]))

    def _on_changed(self, changed: dict[str, str], participant: rtc.Participant) -> None:
        if "sip.callStatus" in changed:
            self.seen.append(Seen("status", participant.identity, changed["sip.callStatus"]))

    def _on_left(self, participant: rtc.RemoteParticipant) -> None:
        reason = participant.disconnect_reason
        name = "" if reason is None else rtc.DisconnectReason.Name(reason)
        self.seen.append(Seen("left", participant.identity, name, dict(participant.attributes)))

    def _on_track(self, track: rtc.Track, _publication: object, participant: rtc.RemoteParticipant) -> None:
        if track.kind == rtc.TrackKind.KIND_AUDIO:
            self._ears.append(self._group.create_task(self._hear(track, participant.identity)))

    async def _hear(self, track: rtc.Track, identity: str) -> None:
        stream = rtc.AudioStream(track, sample_rate=RATE, num_channels=1)
        try:
            async for event in stream:
                self.heard.setdefault(identity, []).append(np.frombuffer(event.frame.data, dtype=np.int16).copy())
        finally:
            await stream.aclose()
