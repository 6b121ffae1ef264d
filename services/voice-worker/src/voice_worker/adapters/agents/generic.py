"""The agent that answers the phone."""

from voice_worker.adapters.agents.base import CallAgent


class GenericAgent(CallAgent):
    """Greets, finds out what the call is about, and hands over to the one who can help."""
