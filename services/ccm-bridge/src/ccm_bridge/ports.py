"""What the bridge needs of the world, named by role."""

from typing import Protocol

from ccm_bridge.domain.delivery import Waiting
from ccm_bridge.domain.message import Message
from ccm_bridge.domain.retry import Reaction, Reply


class ConversationSink(Protocol):
    """Where the conversation is shown: CCM."""

    async def post(self, message: Message) -> Reply:
        """Make one attempt, within a deadline, and tell what came of it.

        The same message is the same bytes under the same id at every attempt, in every process. Never raises for what
        the other side does or fails to do.
        """
        ...


class DeliveryMeter(Protocol):
    """What is counted. No call ids, no personal data."""

    def settled(self, reaction: Reaction, message: Message, *, age_s: float, held: bool, first_attempt: bool) -> None:
        """A message is CCM's, or was refused by it; ``age_s`` since the event that completed it, until the request."""
        ...

    def passed_over(self, reason: str) -> None:
        """A place was finished without a message."""
        ...

    def waiting(self, reason: Waiting) -> None:
        """A call was put off for a text or for the outcome of a transfer."""
        ...

    def hold_timed_out(self) -> None:
        """A transfer had no outcome in time, and the hold was given up."""
        ...

    def failed(self, reaction: Reaction, reason: str) -> None:
        """An attempt failed and will be repeated."""
        ...
