"""A stand-in for OpenAI's Realtime and speech-to-text servers that answers what it really heard."""

from standins.realtime.misbehaviour import Misbehaviour, Transcripts
from standins.realtime.server import RealtimeStandIn

__all__ = ["Misbehaviour", "RealtimeStandIn", "Transcripts"]
