"""Producers and consumers at work on one log while something happens to its server; then, whether all is well."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from call_events.connection import connect
from call_events.consumer import Consumer, ConsumerOptions
from call_events.ids import CallId, EventId
from call_events.ports import AnyEvent, CallView, Progress
from call_events.redis_log import RedisEventLog
from call_events.testing import speaking, started
from support.waiting import wait_until

GROUP = "witness"
_PACE_S = 0.01
OPTIONS = ConsumerOptions(lease_s=1.0, sweep_s=0.5, slots=16, stop_budget_s=5.0)


@dataclass
class Traffic:
    """What was acknowledged and what was handled."""

    log: RedisEventLog
    calls: Sequence[CallId]
    #: In the order of the answers.
    acknowledged: dict[CallId, list[tuple[int, EventId]]] = field(default_factory=dict)
    #: In the order in which handlers saw them for the first time, by place, with the id they saw there.
    handled: dict[CallId, list[tuple[int, EventId]]] = field(default_factory=dict)
    repeats: int = 0
    #: Producers go on while it is set.
    gate: asyncio.Event = field(default_factory=asyncio.Event)
    on_their_way: int = 0

    @asynccontextmanager
    async def held(self) -> AsyncIterator[None]:
        """No append is on its way in the block."""
        self.gate.clear()
        await wait_until(lambda: not self.on_their_way, what="every append is answered")
        yield
        self.gate.set()

    async def grows(
        self, by: int = 20, *, calls: Sequence[CallId] | None = None, handled: bool = False, within_s: float = 30.0
    ) -> None:
        """Wait until every call (of these) has got ``by`` events more, or so many more were handled."""
        notes, of = self.handled if handled else self.acknowledged, calls or self.calls
        want = {call: len(notes.get(call, ())) + by for call in of}
        await wait_until(
            lambda: all(len(notes.get(call, ())) >= want[call] for call in of),
            within_s=within_s,
            what="every call goes on",
        )

    async def check(self) -> None:
        """Wait until everything is handled; then: no gap, no double, no reorder, nothing acknowledged is missing."""
        for call in self.calls:
            logged = [(event.seq, event.id) for event in await self.log.read(call)]
            assert [seq for seq, _ in logged] == list(range(1, len(logged) + 1)), f"{call} has a gap"
            assert len({event_id for _, event_id in logged}) == len(logged), f"{call} has a double"
            acknowledged = self.acknowledged[call]
            assert acknowledged == logged[: len(acknowledged)], f"{call} lacks what was acknowledged, or moved it"
            assert len(logged) <= len(acknowledged) + 1, f"{call} has what nobody sent"  # one append was cut off
            await wait_until(
                lambda call=call, logged=logged: len(self.handled.get(call, ())) >= len(logged),
                within_s=20,
                what=f"{call} is handled to its end",
            )
            assert self.handled[call] == logged, f"{call} was handled in another order"

    async def produce(self, call: CallId, stop: asyncio.Event) -> None:
        """Append, no faster than consumers can follow on a busy machine."""
        event: AnyEvent = started(call)
        while not stop.is_set():
            await self.gate.wait()
            self.on_their_way += 1
            answer = await self.log.append(event)
            self.on_their_way -= 1
            self.acknowledged.setdefault(call, []).append((answer.seq, event.id))
            event = speaking(call, f"u{answer.seq}")
            await asyncio.sleep(_PACE_S)

    async def handle(self, view: CallView) -> Progress:
        """A consumer's handler that notes what it is given."""
        seen = self.handled.setdefault(view.call, [])
        for event in view.new:
            if event.seq <= len(seen):
                assert seen[event.seq - 1] == (event.seq, event.id), f"{view.call} has another event at {event.seq}"
                self.repeats += 1
            else:
                assert event.seq == len(seen) + 1, f"{view.call}: {event.seq} is handled before {len(seen) + 1}"
                seen.append((event.seq, event.id))
        return Progress(through=len(view.events))


@asynccontextmanager
async def traffic(url: str, calls: Sequence[CallId], *, consumers: int = 2) -> AsyncIterator[Traffic]:
    """Run it in the block; at its end producers stop, and all is checked before the consumers do."""
    async with connect(url, max_connections=100) as redis, connect(url, max_connections=100) as theirs:
        flow = Traffic(RedisEventLog(redis, deadline_s=30), calls)
        flow.gate.set()
        stop = asyncio.Event()
        workers = [
            Consumer(theirs, group=GROUP, worker=f"w{number}", handler=flow.handle, options=OPTIONS)
            for number in range(consumers)
        ]
        async with asyncio.TaskGroup() as tasks:
            for worker in workers:
                tasks.create_task(worker.run())
            async with asyncio.TaskGroup() as producing:
                for call in calls:
                    producing.create_task(flow.produce(call, stop))
                await flow.grows()
                yield flow
                stop.set()
            await flow.check()
            for worker in workers:
                worker.stop()
