"""What a test of telephones needs, whatever kind of telephone it is."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from livekit import api
from livekit.protocol import sip as proto

from standins.media import Media, Provisioned
from standins.phones import Phones
from support.room_client import RoomClient


@dataclass
class Board:
    """Everything a test needs: the URL product code gets, the API, the phones."""

    url: str
    media: Media
    livekit: api.LiveKitAPI
    phones: Phones
    provisioned: Provisioned
    reprovision: Callable[..., Awaitable[Provisioned]]
    #: Where the phone "queue" is found by a REFER.
    transfer_target: str

    def client(self, room_name: str, identity: str = "ai") -> RoomClient:
        """A LiveKit client for this room; enter it to connect."""
        return RoomClient(self.url, self.media.api_key, self.media.api_secret, room_name, identity)

    async def dial(
        self, number: str, room_name: str, identity: str, *, ringing_s: int = 10, wait: bool = True, **more: Any
    ) -> proto.SIPParticipantInfo:
        """CreateSIPParticipant as the orchestrator calls it."""
        request = proto.CreateSIPParticipantRequest(
            sip_trunk_id=self.provisioned.outbound_trunk_id,
            sip_call_to=number,
            room_name=room_name,
            participant_identity=identity,
            wait_until_answered=wait,
            **more,
        )
        request.ringing_timeout.seconds = ringing_s
        return await self.livekit.sip.create_sip_participant(request, timeout=ringing_s + 10)
