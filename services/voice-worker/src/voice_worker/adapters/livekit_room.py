"""The room and who is in it, on the LiveKit client.

What is known of real calls and shapes this module: a leg that vanishes without a reason is usually back within
seconds (the server was restarted), so it is given time, and we are thrown out as well; after such a restart
``sip.callStatus`` lies (``ringing`` again), so "was active once" is kept; a livekit-sip leg exists and may send audio
before it is answered.
"""

import asyncio
import contextlib
from collections.abc import Callable
from datetime import UTC, datetime

import aiohttp
import structlog
from livekit import api, rtc

from voice_worker.adapters.absences import Absences
from voice_worker.adapters.leg_audio import LegAudio
from voice_worker.domain.signals import CustomerGone, HumanGone, RoomGone, Signal
from voice_worker.ports import CustomerLeg

log = structlog.get_logger()

HUMAN_PREFIX = "human-"
DELETE_SECONDS = 5.0
#: Out of the room for longer than this, we do not come back. The SDK gives up by itself after ten attempts: in 20 to
#: 33 s where nothing listens on livekit-server's port (measured), later where something listens and does not answer.
AWAY_SECONDS = 120.0
UNREACHABLE = "UNREACHABLE"


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
        self._missing = Absences(rejoin_s, lambda identity, last_seen: self._is_gone(identity, "VANISHED", last_seen))
        #: While we are out of the room: when we stop coming back. And how often we have come back.
        self._away: asyncio.TimerHandle | None = None
        self._returns = 0
        self._changed = asyncio.Event()
        #: What the legs say.
        self.audio = LegAudio()

    def watch(self, signal: Callable[[Signal], None], on_track: Callable[[str, str], None]) -> None:
        """Begin to tell who leaves, and which audio tracks there are (identity, track sid). The room is connected."""
        self._signal, self._on_track = signal, on_track
        self._room.on("participant_connected", self._on_joined)
        self._room.on("participant_disconnected", self._on_left)
        self._room.on("participant_attributes_changed", self._on_attributes)
        self._room.on("track_subscribed", self._on_subscribed)
        self._room.on("reconnecting", self._on_reconnecting)
        self._room.on("reconnected", self._on_reconnected)
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
        """Whether that leg is in the room, may be back in a moment, or comes in time.

        Time in which we are out of the room ourselves does not count.
        """
        while True:
            returns = self._returns
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(within):
                    while identity not in self._room.remote_participants and identity not in self._missing:
                        if identity in self._gone or self._ended:
                            return False
                        await self._change()
                    return True
            if self._away is None and self._returns == returns:
                return False

    def listen_to(self, identity: str) -> None:
        """Begin to keep a leg's audio."""
        participant = self._room.remote_participants.get(identity)
        publications = participant.track_publications.values() if participant else ()
        tracks = [one.track for one in publications if one.track is not None and one.kind == rtc.TrackKind.KIND_AUDIO]
        self.audio.keep(identity, tracks[-1] if tracks else None)

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
        self._missing.close()
        self._is_back()
        self._wake()
        await self.audio.close()

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
        if self._missing.end(participant.identity):
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
        elif identity not in self._missing:
            log.warning("leg.vanished", customer=identity == self._customer, waiting_s=self._rejoin_s)
            self._missing.begin(identity, datetime.now(UTC))

    def _is_gone(self, identity: str, reason: str, at: datetime) -> None:
        """``at``: when the leg was last seen."""
        self._missing.end(identity)
        if identity in self._gone:
            return
        self._gone.add(identity)
        self.audio.release(identity)
        if identity == self._customer:
            self._signal(CustomerGone(reason=reason, at=at))
        else:
            self._signal(HumanGone(identity=identity, reason=reason, at=at))
        self._wake()

    def _on_reconnecting(self) -> None:
        self._missing.pause()
        if self._away is None:
            log.warning("room.lost", giving_up_after_s=AWAY_SECONDS)
            self._away = asyncio.get_running_loop().call_later(AWAY_SECONDS, self._room_is_gone, UNREACHABLE)

    def _on_reconnected(self) -> None:
        self._is_back()
        self._returns += 1
        log.info("room.entered_again")
        self._missing.resume()

    def _is_back(self) -> None:
        if self._away is not None:
            self._away.cancel()
            self._away = None

    def _on_disconnected(self, reason: rtc.DisconnectReason.ValueType) -> None:
        given_up = self._away is not None and reason == rtc.DisconnectReason.UNKNOWN_REASON
        self._is_back()
        self._room_is_gone(UNREACHABLE if given_up else rtc.DisconnectReason.Name(reason))

    def _room_is_gone(self, reason: str) -> None:
        self._ended = True
        self._signal(RoomGone(reason=reason, at=datetime.now(UTC)))
        self._wake()

    def _on_subscribed(
        self, track: rtc.Track, publication: rtc.RemoteTrackPublication, participant: rtc.RemoteParticipant
    ) -> None:
        if publication.kind != rtc.TrackKind.KIND_AUDIO:
            return
        self._on_track(participant.identity, publication.sid)
        if participant.identity.startswith(HUMAN_PREFIX):
            # They may speak at once: the first two seconds are kept until somebody listens.
            self.audio.keep(participant.identity, None)
        self.audio.on_track(participant.identity, track)
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
