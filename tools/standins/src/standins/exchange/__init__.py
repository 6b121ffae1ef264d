"""The telephone exchange stand-in: LiveKit's SIP API in front of a real livekit-server."""

from standins.exchange.handset import Ending, Final, Handset, Invitation, Line, Referral
from standins.exchange.inbound import CallRefused
from standins.exchange.server import Exchange

__all__ = ["CallRefused", "Ending", "Exchange", "Final", "Handset", "Invitation", "Line", "Referral"]
