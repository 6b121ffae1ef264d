"""The room and who is in it, on the LiveKit client.

What is known of real calls and shapes this module: a leg that vanishes without a reason is usually back within
seconds (the server was restarted), so it is given time; after such a restart ``sip.callStatus`` lies (``ringing``
again), so "was active once" is kept; a livekit-sip leg exists and may send audio before it is answered.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime

import aiohttp
import structlog
from livekit import api, rtc

from voice_worker.domain.signals import CustomerGone, HumanGone, RoomGone, Signal
from voice_worker.ports import CustomerLeg

log = structlog.get_logger()

HUMAN_PREFIX = "human-"
SAMPLE_RATE = 24_000
#: Audio of a human's leg that is kept while nobody listens yet: from picking up to our hearing of it.
_KEPT_FRAMES = 100
FRAME_MS = 20
DELETE_SECONDS = 5.0


class LiveKitLegs:
    """The legs of one call."""

    def __init__(self, room: rtc.Room, client: api.LiveKitAPI, *, rejoin_s: float) -> None:
        self._room = room
        self._client = client
        self._rejoin_s = rejoin_s
        self._signal: Callable[[Signal], None] = lambda _: None
        self._on_track: Callable[[str, str], None] = lambda _identity, _sid: None
        self._customer: str | None = None
        self._active: set[str] = set()
        self._gone: set[str] = set()
        self._ended = False
        self._returning: dict[str, asyncio.TimerHandle] = {}
        self._changed = asyncio.Event()
        self._streams: dict[str, rtc.AudioStream] = {}

    def watch(self, signal: Callable[[Signal], None], on_track: Callable[[str, str], None]) -> None:
        """Begin to tell who leaves, and which audio tracks there are (identity, track sid). The room is connected."""
        self._signal, self._on_track = signal, on_track
        self._room.on("participant_connected", self._on_joined)
        self._room.on("participant_disconnected", self._on_left)
        self._room.on("participant_attributes_changed", self._on_attributes)
        self._room.on("track_subscribed", self._on_subscribed)
        self._room.on("disconnected", self._on_disconnected)
        for participant in self._room.remote_participants.values():
            self._on_joined(participant)
            for publication in participant.track_publications.values():
                if publication.track is not None:
                    self._on_subscribed(publication.track, publication, participant)

    @property
    def identity(self) -> str:
        """Our own identity."""
        return self._room.local_participant.identity

    async def customer(self, within: float) -> CustomerLeg | None:
        """Wait for the customer: the first telephone that is not a human agent's."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(within):
                while (found := self._find_customer()) is None:
                    await self._change()
                self._customer = found.identity
                return _leg(found, self._room.name)
        return None

    async def answered(self, leg: CustomerLeg, within: float) -> bool:
        """Wait until the customer's phone is through to us."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(within):
                while leg.identity not in self._active:
                    if leg.identity in self._gone or self._ended:
                        return False
                    await self._change()
                return True
        return False

    async def joined(self, identity: str, within: float) -> bool:
        """Whether that leg is in the room, may be back in a moment, or comes in time."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(within):
                while identity not in self._room.remote_participants and identity not in self._returning:
                    if identity in self._gone or self._ended:
                        return False
                    await self._change()
                return True
        return False

    async def frames(self, identity: str) -> AsyncIterator[rtc.AudioFrame]:
        """A leg's audio for as long as it is in the call; when its track is replaced the new one is taken."""
        while not self._ended and identity not in self._gone:
            if (stream := self._streams.get(identity)) is None:
                await self._change()
                continue
            async for event in stream:
                yield event.frame
            if self._streams.get(identity) is stream:
                del self._streams[identity]
            await stream.aclose()

    def keep(self, identity: str) -> None:
        """Begin to keep a leg's audio now, unless it is being kept; :meth:`frames` gives it from here on."""
        if identity in self._streams:
            return
        participant = self._room.remote_participants.get(identity)
        for publication in participant.track_publications.values() if participant else ():
            if publication.track is not None and publication.kind == rtc.TrackKind.KIND_AUDIO:
                self._open(identity, publication.track)

    async def end_room(self) -> None:
        """Send everybody home."""
        try:
            async with asyncio.timeout(DELETE_SECONDS):
                await self._client.room.delete_room(api.DeleteRoomRequest(room=self._room.name))
        except api.TwirpError as error:
            if error.code != api.TwirpErrorCode.NOT_FOUND:
                log.warning("room.delete_failed", why=error.code, mend="see that the worker's key has roomCreate")
        except (TimeoutError, aiohttp.ClientError) as error:
            log.warning("room.delete_failed", why=type(error).__name__)

    async def close(self) -> None:
        """Give back what was opened."""
        self._ended = True
        for handle in self._returning.values():
            handle.cancel()
        self._returning.clear()
        self._wake()
        for stream in self._streams.values():
            await stream.aclose()
        self._streams.clear()

    # ------------------------------------------------------------------------------------------------------------------

    def _find_customer(self) -> rtc.RemoteParticipant | None:
        for participant in self._room.remote_participants.values():
            phone = participant.kind == rtc.ParticipantKind.PARTICIPANT_KIND_SIP
            if phone and not participant.identity.startswith(HUMAN_PREFIX):
                return participant
        return None

    async def _change(self) -> None:
        self._changed.clear()
        await self._changed.wait()

    def _wake(self) -> None:
        self._changed.set()

    def _on_joined(self, participant: rtc.RemoteParticipant) -> None:
        if handle := self._returning.pop(participant.identity, None):
            handle.cancel()
            log.info("leg.rejoined", customer=participant.identity == self._customer)
        self._gone.discard(participant.identity)
        self._note_status(participant)
        self._wake()

    def _on_attributes(self, _changed: dict[str, str], participant: rtc.Participant) -> None:
        self._note_status(participant)
        self._wake()

    def _note_status(self, participant: rtc.Participant) -> None:
        # Only livekit-sip tells a status, and lets a phone in that still rings. Any other gateway that joins telephones
        # has answered them before: such a leg is there, so it is through.
        if participant.attributes.get("sip.callStatus", "active") == "active":
            self._active.add(participant.identity)

    def _on_left(self, participant: rtc.RemoteParticipant) -> None:
        identity, reason = participant.identity, participant.disconnect_reason
        if identity != self._customer and not identity.startswith(HUMAN_PREFIX):
            self._wake()
            return
        known = reason is not None and reason != rtc.DisconnectReason.UNKNOWN_REASON
        if known or self._rejoin_s == 0:
            name = rtc.DisconnectReason.Name(reason) if reason else "UNKNOWN_REASON"
            self._is_gone(identity, name, datetime.now(UTC))
        elif identity not in self._returning:
            log.warning("leg.vanished", customer=identity == self._customer, waiting_s=self._rejoin_s)
            loop = asyncio.get_running_loop()
            seen = datetime.now(UTC)
            self._returning[identity] = loop.call_later(self._rejoin_s, self._is_gone, identity, "VANISHED", seen)

    def _is_gone(self, identity: str, reason: str, at: datetime) -> None:
        """``at``: when the leg was last seen."""
        self._returning.pop(identity, None)
        if identity in self._gone:
            return
        self._gone.add(identity)
        if identity == self._customer:
            self._signal(CustomerGone(reason=reason, at=at))
        else:
            self._signal(HumanGone(identity=identity, reason=reason, at=at))
        self._wake()

    def _on_disconnected(self, reason: rtc.DisconnectReason.ValueType) -> None:
        self._ended = True
        name = rtc.DisconnectReason.Name(reason)
        self._signal(RoomGone(reason=name, at=datetime.now(UTC)))
        self._wake()

    def _on_subscribed(
        self, track: rtc.Track, publication: rtc.RemoteTrackPublication, participant: rtc.RemoteParticipant
    ) -> None:
        if publication.kind != rtc.TrackKind.KIND_AUDIO:
            return
        self._on_track(participant.identity, publication.sid)
        # A human may speak at once: keep the last two seconds until somebody listens. The customer is with the AI; if a
        # stream of theirs is open already it continues on the new track.
        if participant.identity.startswith(HUMAN_PREFIX) or participant.identity in self._streams:
            self._open(participant.identity, track)
        self._wake()

    def _open(self, identity: str, track: rtc.Track) -> None:
        self._streams[identity] = rtc.AudioStream.from_track(
            track=track, sample_rate=SAMPLE_RATE, num_channels=1, frame_size_ms=FRAME_MS, capacity=_KEPT_FRAMES
        )
        self._wake()


def _leg(participant: rtc.RemoteParticipant, room: str) -> CustomerLeg:
    # livekit-sip takes the trunk's number from the To header, which is the call's id where the switch dials the room.
    attributes = {
        name: value for name, value in participant.attributes.items() if (name, value) != ("sip.trunkPhoneNumber", room)
    }
    headers = {name.removeprefix("sip.h."): value for name, value in attributes.items() if name.startswith("sip.h.x-")}

    def first(*names: str) -> str | None:
        return next((attributes[name] for name in names if attributes.get(name)), None)

    return CustomerLeg(
        identity=participant.identity,
        number=first("call.ani", "sip.phoneNumber", "sip.h.x-ani"),
        customer_id=first("call.customer", "sip.h.x-customer-id"),
        dialled_number=first("call.dnis", "sip.h.x-dnis", "sip.trunkPhoneNumber"),
        sip_call_id=first("sip.callIDFull", "sip.callID"),
        sip_headers=headers,
        # livekit-sip writes the dispatch rule that let an inbound call in; an outbound leg has none.
        direction="inbound" if "sip.ruleID" in attributes or "sip.callID" not in attributes else "outbound",
    )
