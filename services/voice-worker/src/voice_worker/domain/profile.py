"""A profile as the worker needs it: who may speak, with which words, and where calls may be transferred to."""

from pydantic import BaseModel, ConfigDict, Field


class Part(BaseModel):
    """Base: frozen, closed."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class AgentSpec(Part):
    """One AI personality."""

    #: Key in the profile, e.g. ``billing``.
    key: str
    #: Built-in class name, or ``package.module:Class`` of a deployer.
    agent_class: str
    #: For people to read, e.g. ``Billing AI``.
    name: str
    prompt: str
    hands_over_to: tuple[str, ...] = ()


class Destination(Part):
    """A place a call may be transferred to, as the model sees it. Where it really rings is the orchestrator's
    business."""

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9-]{0,62}$")
    description: str = Field(min_length=1)


class Profile(Part):
    """A service line."""

    name: str
    language: str
    #: The model's voice. One realtime session speaks with one voice, whoever has the floor.
    voice: str
    first_agent: str
    #: What the first agent is told when the call is answered.
    greeting: str
    #: What an agent is told when it takes over.
    introduction: str
    #: What the AI is told when the human has left and the customer is still there.
    human_left: str
    agents: tuple[AgentSpec, ...]
    destinations: tuple[Destination, ...]
    #: Where a call goes whose model provider died; absent: it is ended.
    fallback_destination: str | None = None
    #: SHA-256 over the profile's files.
    hash: str

    def agent(self, key: str) -> AgentSpec:
        """The agent of that key; loading has made sure that every key in use exists."""
        return next(agent for agent in self.agents if agent.key == key)
