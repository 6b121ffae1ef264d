"""The real media server for laptops and tests: finds or builds, runs and provisions LiveKit."""

from standins.media.binaries import SERVER_VERSION, SIP_VERSION, Binary, find_livekit_server, find_livekit_sip
from standins.media.errors import MediaError
from standins.media.provision import OUTBOUND_TRUNK, Provisioned, provision
from standins.media.server import Media

__all__ = [
    "OUTBOUND_TRUNK",
    "SERVER_VERSION",
    "SIP_VERSION",
    "Binary",
    "Media",
    "MediaError",
    "Provisioned",
    "find_livekit_server",
    "find_livekit_sip",
    "provision",
]
