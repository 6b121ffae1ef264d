"""What can go wrong in the bridge on purpose.

BridgeError
└── CcmUnreachableError     nothing answers at CCM_URL as the service starts
"""


class BridgeError(Exception):
    """Base of everything the bridge raises on purpose."""


class CcmUnreachableError(BridgeError):
    """CCM cannot be reached as the service starts; the text names the setting and the mend."""
