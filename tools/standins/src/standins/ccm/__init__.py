"""A strict CCM: refuses malformed CIM messages, keeps what it got, and misbehaves when told to."""

from standins.ccm.behaviour import Behaviour, Mode
from standins.ccm.record import Arrival
from standins.ccm.schema import Malformed, validate
from standins.ccm.server import CcmStandIn

__all__ = ["Arrival", "Behaviour", "CcmStandIn", "Malformed", "Mode", "validate"]
