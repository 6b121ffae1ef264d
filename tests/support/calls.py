"""Reads one call from the log and from CCM, and waits for what must come."""

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from typing import TypeVar

from call_events import catalogue as c
from call_events.envelope import Event, EventData
from call_events.ids import CallId
from call_events.ports import AnyEvent
from standins.demo.deliveries import delivery
from standins.demo.verdict import Delivery, Finding
from standins.stack.stack import Stack

D = TypeVar("D", bound=EventData)
DEADLINE_S = 30.0


class Reading:
    """The log and CCM's side of one call."""

    def __init__(self, stack: Stack, call: CallId) -> None:
        self.call = call
        self._stack = stack

    async def wait_for(self, schema: type[D], deadline_s: float = DEADLINE_S) -> Event[D]:
        """The first event of this type, as soon as it is in the log."""
        async with asyncio.timeout(deadline_s):
            async for event in self._stack.log.follow(self.call):
                if isinstance(event.data, schema):
                    return event  # type: ignore[return-value]  # narrowed by its data
        raise AssertionError(f"the call ended without {schema.__name__}")

    async def whole(self, deadline_s: float = DEADLINE_S) -> list[AnyEvent]:
        """All events, once the log is closed."""
        async with asyncio.timeout(deadline_s):
            return [event async for event in self._stack.log.follow(self.call)]

    async def nth_ai_utterance(self, count: int, deadline_s: float = DEADLINE_S) -> str:
        """Id of the n-th thing an AI says in this call, as soon as it begins to say it."""
        seen = 0
        async with asyncio.timeout(deadline_s):
            async for event in self.follow():
                if isinstance(event.data, c.UtteranceStarted) and event.data.speaker.role is c.Role.AI:
                    seen += 1
                    if seen == count:
                        return event.data.utterance_id
        raise AssertionError(f"the call ended and an AI had spoken {seen} times")

    def follow(self) -> AsyncIterator[AnyEvent]:
        """Every event from the first on, as it comes."""
        return self._stack.log.follow(self.call)

    async def now(self) -> Sequence[AnyEvent]:
        """The events so far."""
        return await self._stack.log.read(self.call)

    def delivered(self) -> list[Delivery]:
        """What CCM has so far, repeats included."""
        assert self._stack.ccm is not None
        return [delivery(arrival) for arrival in self._stack.ccm.record.taken(self.call)]

    async def delivered_through(self, seq: int, deadline_s: float = DEADLINE_S) -> list[Delivery]:
        """What CCM has once it has the message about this place."""
        give_up = time.monotonic() + deadline_s
        while not any(one.seq == seq for one in self.delivered()):
            assert time.monotonic() < give_up, f"CCM never got #{seq}; it has {[d.seq for d in self.delivered()]}"
            await asyncio.sleep(0.02)
        return self.delivered()


def all_hold(findings: Sequence[Finding]) -> None:
    """Every promise held, or the test says which did not."""
    assert [f"{f.promise}: {f.seen}" for f in findings if not f.holds] == []
