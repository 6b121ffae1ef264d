"""Which class an agent of a profile is, and making one."""

import importlib
from datetime import date

from livekit.agents import Agent
from livekit.agents.llm import ChatContext

from voice_worker.adapters.agents.base import CallAgent
from voice_worker.adapters.agents.billing import BillingAgent
from voice_worker.adapters.agents.generic import GenericAgent
from voice_worker.adapters.agents.sales import SalesAgent
from voice_worker.adapters.agents.support import SupportAgent
from voice_worker.adapters.foreign import FOREIGN_FAULTS, PLACE, in_one_line
from voice_worker.domain.profile import Profile
from voice_worker.errors import BadProfile
from voice_worker.ports import CustomerBook, Desk

BUILT_IN: dict[str, type[CallAgent]] = {
    agent.__name__: agent for agent in (GenericAgent, SalesAgent, SupportAgent, BillingAgent)
}


def agent_class(name: str) -> type[CallAgent]:
    """The class of that name: a built-in, or ``package.module:Class``.

    Raises:
        BadProfile: there is none, or it is no ``CallAgent``.
    """
    if name in BUILT_IN:
        return BUILT_IN[name]
    if not PLACE.fullmatch(name):
        raise BadProfile(f"there is no agent class {name!r}; use {', '.join(BUILT_IN)}, or package.module:Class")
    module, _, attribute = name.partition(":")
    try:
        found = getattr(importlib.import_module(module), attribute)
    except FOREIGN_FAULTS as error:
        raise BadProfile(f"agent class {name!r} cannot be imported ({in_one_line(error)})") from None
    if not (isinstance(found, type) and issubclass(found, CallAgent)):
        raise BadProfile(f"agent class {name!r} is not a voice_worker.adapters.agents.base.CallAgent")
    return found


class ProfileCast:
    """Makes the agents of one call as its profile says."""

    def __init__(self, profile: Profile, desk: Desk, book: CustomerBook, today: date) -> None:
        self._profile = profile
        self._desk = desk
        self._book = book
        self._today = today

    def make(self, key: str, *, chat_ctx: ChatContext | None, reason: str, introduce: bool) -> Agent:
        """A new agent of that key."""
        spec = self._profile.agent(key)
        return agent_class(spec.agent_class)(
            spec,
            desk=self._desk,
            book=self._book,
            cast=self,
            destinations=self._profile.destinations,
            others=[self._profile.agent(other) for other in spec.hands_over_to],
            instructions=f"{spec.prompt}\n\nToday is {self._today:%A, %d %B %Y}. {self._desk.state.situation}",
            chat_ctx=chat_ctx,
            reason=reason,
            introduction=self._profile.introduction if introduce else None,
        )
