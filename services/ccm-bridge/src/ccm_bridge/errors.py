"""What can go wrong in the bridge on purpose.

    CannotReach (call_events)
    └── CcmUnreachable     nothing answers at CCM_URL as the service starts: exit code 3

What CCM answers, or fails to answer, to a message is no error: it is a ``Reply``, and ``domain.retry`` says what it
means.
"""

from call_events.startup import CannotReach


class CcmUnreachable(CannotReach):
    """CCM cannot be reached as the service starts; the text names the setting and the mend."""
