"""``ports.Dialler`` on LiveKit's server API: SIP and rooms. The only code of Callweave that makes phones ring.

Facts of livekit-server v1.13.5 it rests on:

* A dial that waits for the answer raises ``SipCallError`` when a callee spoke and ``ServerError`` when none did.
* The server ends such a dial after 80 s; the client gives up at ``timeout``, or 2 s after the ringing time where that
  is longer. We wait 10 s longer than the phone may ring, so that a slow join of the room is no dial of unknown outcome.
* Giving up does not end the dial.
* Trunks live in LiveKit's Redis only and may be provisioned anew at any time under another id: ours has a name.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
import structlog
from google.protobuf.duration_pb2 import Duration
from livekit import api
from livekit.protocol.models import ParticipantInfo
from livekit.protocol.room import ListParticipantsRequest, RoomParticipantIdentity
from livekit.protocol.sip import CreateSIPParticipantRequest, ListSIPOutboundTrunkRequest

from call_events.errors import BadSetting
from call_events.service import CannotReach
from transfer_orchestrator.domain.dialling import DialOrder, Leg, Legs
from transfer_orchestrator.domain.outcome import LegStatus
from transfer_orchestrator.errors import DialRefused, ExchangeUnreachable

log = structlog.get_logger()

#: Beyond the ringing time; see above.
_DIAL_MARGIN_S = 10
#: LiveKit says after 3.0 s that a room is gone.
_ASK_S = 4.0
_WATCH_S = 10.0
#: HTTP status of a wrong key or secret, and of a key without the grants.
_NOT_LET_IN = (401, 403)
_TRANSPORT = (aiohttp.ClientError, TimeoutError, OSError)


@asynccontextmanager
async def livekit_sip(url: str, key: str, secret: str, *, trunk_name: str) -> AsyncIterator["LiveKitSip"]:
    """A dialler with its own connections. Says nothing to the server by itself."""
    # No limit on connections: every dial holds one for as long as the phone rings.
    connector = aiohttp.TCPConnector(limit=0, keepalive_timeout=60)
    async with aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout(total=_ASK_S)) as session:
        yield LiveKitSip(api.LiveKitAPI(url, key, secret, session=session, failover=False), trunk_name=trunk_name)


class LiveKitSip:
    """Rings phones into rooms through one named outbound trunk."""

    def __init__(self, livekit: api.LiveKitAPI, *, trunk_name: str) -> None:
        self._livekit = livekit
        self._trunk_name = trunk_name
        self._trunk_id: str | None = None
        #: Whether LiveKit answered when it was asked last, and has our trunk.
        self.reachable = False

    @property
    def has_trunk(self) -> bool:
        """Whether our trunk was there when it was looked for last."""
        return self._trunk_id is not None

    async def check(self, url: str) -> None:
        """At the start: is LiveKit there, and does it take our key? A missing trunk is told, for it may still come.

        Raises:
            BadSetting: it does not take our key.
            CannotReach: it is not there, or cannot serve.
        """
        try:
            await self._look_up_trunk()
        except api.ServerError as error:
            if error.status in _NOT_LET_IN:
                raise BadSetting(
                    f"LIVEKIT_API_KEY and LIVEKIT_API_SECRET: LiveKit at {url} refuses them ({error.code}); set "
                    "them to a key and its secret from livekit-server's 'keys'"
                ) from error
            raise CannotReach(
                f"LIVEKIT_URL ({url}): LiveKit cannot serve ({error.code}); is its Redis there, and is SIP enabled?"
            ) from error
        except _TRANSPORT as error:
            reason = str(error) or type(error).__name__
            raise CannotReach(
                f"LIVEKIT_URL ({url}): LiveKit cannot be reached ({reason}); is it running there?"
            ) from error
        if self._trunk_id is None:
            log.warning("livekit.trunk_missing", trunk=self._trunk_name, mend="create it; until then no transfer works")

    async def keep_watch(self) -> None:
        """Ask for the trunk every ten seconds: health tells the truth and the connection stays warm. Runs for ever."""
        while True:
            await asyncio.sleep(_WATCH_S)
            try:
                await self._look_up_trunk()
            except (api.ServerError, *_TRANSPORT) as error:
                if self.reachable:
                    log.warning("livekit.unreachable", error=type(error).__name__)
                self.reachable = False

    async def dial(self, order: DialOrder) -> str | None:
        """See ``ports.Dialler.dial``."""
        trunk_id = self._trunk_id or await self._trunk_now()
        try:
            return await self._create(order, trunk_id)
        except DialRefused as refused:
            if refused.code != "not_found" or refused.sip_status is not None:
                raise
            anew = await self._trunk_now()
            if anew == trunk_id:
                raise
            return await self._create(order, anew)  # no leg has joined: the identity is still unused

    async def legs(self, room: str) -> Legs:
        """See ``ports.Dialler.legs``."""
        try:
            answer = await self._livekit.room.list_participants(ListParticipantsRequest(room=room))
        except api.ServerError as error:
            if _no_such_room(error):
                return {}
            raise ExchangeUnreachable(f"LiveKit did not list a room ({error.code})") from error
        except _TRANSPORT as error:
            raise ExchangeUnreachable(f"LiveKit did not answer ({type(error).__name__})") from error
        return {
            one.identity: Leg(one.identity, _status(one), one.attributes.get("sip.callID"))
            for one in answer.participants
            if one.state != ParticipantInfo.State.DISCONNECTED
        }

    async def remove(self, room: str, identity: str) -> None:
        """See ``ports.Dialler.remove``."""
        try:
            await self._livekit.room.remove_participant(RoomParticipantIdentity(room=room, identity=identity))
        except api.ServerError as error:
            if not _no_such_room(error):
                raise ExchangeUnreachable(f"LiveKit did not remove a leg ({error.code})") from error
        except _TRANSPORT as error:
            raise ExchangeUnreachable(f"LiveKit did not answer ({type(error).__name__})") from error

    async def _create(self, order: DialOrder, trunk_id: str) -> str | None:
        request = CreateSIPParticipantRequest(
            sip_trunk_id=trunk_id,
            sip_call_to=order.number,
            room_name=order.room,
            participant_identity=order.identity,
            participant_name=order.display_name,
            participant_attributes={"dial_id": order.dial_id, "transfer_id": order.transfer_id},
            headers=dict(order.headers),
            ringing_timeout=Duration(seconds=order.ring_seconds),
            wait_until_answered=True,
        )
        try:
            info = await self._livekit.sip.create_sip_participant(request, timeout=order.ring_seconds + _DIAL_MARGIN_S)
        except api.SipCallError as error:
            raise DialRefused(
                error.code, sip_status=error.sip_status_code, sip_text=error.sip_status or "", message=error.message
            ) from error
        except api.ServerError as error:
            if error.code == "unknown":  # a proxy's page, not LiveKit's word
                raise ExchangeUnreachable(f"the dial was answered with HTTP {error.status}") from error
            raise DialRefused(error.code, message=error.message) from error
        except aiohttp.ClientConnectorError as error:
            raise DialRefused("unavailable", message="no connection to LiveKit") from error  # nothing was sent
        except _TRANSPORT as error:
            raise ExchangeUnreachable(f"the dial's answer was lost ({type(error).__name__})") from error
        return info.sip_call_id or None

    async def _trunk_now(self) -> str:
        try:
            await self._look_up_trunk()
        except api.ServerError as error:
            raise DialRefused(error.code, message="the trunks could not be listed") from error
        except _TRANSPORT as error:
            raise DialRefused("unavailable", message="no connection to LiveKit") from error
        if self._trunk_id is None:
            raise DialRefused("not_found", message=f"there is no outbound trunk named {self._trunk_name}; create it")
        return self._trunk_id

    async def _look_up_trunk(self) -> None:
        answer = await self._livekit.sip.list_outbound_trunk(ListSIPOutboundTrunkRequest())
        ours = (trunk.sip_trunk_id for trunk in answer.items if trunk.name == self._trunk_name)
        self._trunk_id = next(ours, None)
        self.reachable = True


def _no_such_room(error: api.ServerError) -> bool:
    """Room or leg gone. A LiveKit that asks the live room says that of a gone one nobody has responded."""
    return error.code == "not_found" or (error.code == "unavailable" and "no response" in error.message)


def _status(participant: ParticipantInfo) -> LegStatus | None:
    try:
        return LegStatus(participant.attributes["sip.callStatus"])
    except (KeyError, ValueError):
        return None
