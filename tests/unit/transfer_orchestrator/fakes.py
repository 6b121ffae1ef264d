"""The surroundings of an orchestrator: a log, a LiveKit, and processes that live and die."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from call_events.catalogue import DialOutcome, LegLeft, Role, TransferRequested
from call_events.clock import SystemClock
from call_events.envelope import Event, EventData
from call_events.errors import LogUnavailable
from call_events.ids import CallId
from call_events.ports import AnyEvent, Appended, CallView, Clock, Progress
from call_events.retrying import check
from call_events.testing import InMemoryEventLog, started
from support.waiting import wait_until
from transfer_orchestrator.domain.destination import Destination, Destinations, Target
from transfer_orchestrator.errors import ExchangeUnreachable
from transfer_orchestrator.handlers.dials import Dials
from transfer_orchestrator.handlers.recorder import Recorder
from transfer_orchestrator.handlers.transfers import Transfers
from transfer_orchestrator.handlers.watch import Tempo
from unit.transfer_orchestrator.fake_dialler import CUSTOMER, FakeDialler

CALL = CallId("call-1")
#: All patience cut short, so that a test waits for milliseconds.
QUICK = Tempo(
    poll=0.01, absent=0.06, absent_after_outage=0.15, caller_absent=0.06, overtime=0.1, stopping=0.2, log_retry=0.01
)
DESK = Destination("billing-desk", "Billing desk", (Target("billing-phone", "7001", 1, "Maria Weber"),))
LADDER = Destination(
    "support-desk",
    "Support desk",
    (Target("first", "7003", 1, "Amina Diallo"), Target("second", "7013", 1, "Peter Novak")),
)
DESTINATIONS: Destinations = {DESK.key: DESK, LADDER.key: LADDER}


@dataclass
class FakeGauges:
    """Counts in lists."""

    endings: list[str] = field(default_factory=list)
    failed_attempts: list[DialOutcome] = field(default_factory=list)
    to_dial_s: list[float] = field(default_factory=list)
    running: int = 0

    def dial_sent(self, seconds_since_asked: float) -> None:
        self.to_dial_s.append(seconds_since_asked)

    def attempt_ended(self, outcome: DialOutcome) -> None:
        self.failed_attempts.append(outcome)

    def transfer_ended(self, ending: str) -> None:
        self.endings.append(ending)

    def dials_running(self, number: int) -> None:
        self.running = number


class ShakyLog(InMemoryEventLog):
    """The log in memory, with moments at which others write first or Redis cannot serve."""

    def __init__(self) -> None:
        super().__init__()
        self.unavailable = False
        #: Appends of ours that found it so.
        self.turned_away = 0
        #: Called before an append of ours is taken, once each.
        self.before_append: list[Callable[[AnyEvent], EventData | None]] = []

    async def append(
        self,
        event: AnyEvent,
        *,
        expected_tail: int | None = None,
        epoch: int | None = None,
        first_wins: bool = False,
    ) -> Appended:
        if self.unavailable and event.producer.startswith("transfer-orchestrator"):
            self.turned_away += 1
            raise LogUnavailable("Redis cannot serve now")
        if self.before_append and event.producer.startswith("transfer-orchestrator"):
            intruder = self.before_append[0](event)
            if intruder is not None:
                self.before_append.pop(0)
                await super().append(Event[EventData](data=intruder, call=event.call, producer="voice-worker/1"))
        return await super().append(event, expected_tail=expected_tail, epoch=epoch, first_wins=first_wins)

    def lose(self) -> None:
        """As when Redis comes back empty."""
        self._calls.clear()


class Instance:
    """One orchestrator process without a process: the handler, its dials, and a consumer in memory."""

    def __init__(self, world: "World", name: str, tasks: asyncio.TaskGroup) -> None:
        self._world = world
        self.gauges = FakeGauges()
        self.name = f"transfer-orchestrator/{name}"
        #: What the handler keeps between turns.
        self.memory: dict[str, Any] = {}
        recorder = Recorder(world.log, world.clock, self.gauges, instance=self.name)
        self.dials = Dials(world.dialler, recorder, world.clock, self.gauges, QUICK)
        self.handler = Transfers(
            destinations=DESTINATIONS,
            dialler=world.dialler,
            recorder=recorder,
            dials=self.dials,
            clock=world.clock,
            gauges=self.gauges,
            tasks=tasks,
        )

    async def handle(self) -> Progress:
        """One turn, as the consumer gives it: never two at once for a call, over all instances."""
        async with self._world.lease:
            events = await self._world.log.read(CALL)
            memory, self.memory = self.memory, {}  # lost with a turn that fails
            view = CallView(call=CALL, events=events, cursor=self._world.cursor, receipts=(), memory=memory)
            progress = await self.handler(view)
            self.memory = memory
            check(progress, view)
            self._world.cursor = progress.through
            self._world.seen = len(events)
            self._world.wake_at = progress.wake_at
            return progress


class World:
    """A log, a LiveKit, and the group's cursor for the one call."""

    def __init__(self, clock: Clock | None = None) -> None:
        self.log = ShakyLog()
        self.dialler = FakeDialler()
        self.clock = clock or SystemClock()
        self.lease = asyncio.Lock()
        self.cursor = 0
        self.seen = 0
        self.wake_at: datetime | None = None

    async def write(self, data: EventData) -> None:
        """Somebody else's event."""
        await self.log.append(Event[EventData](data=data, call=CALL, producer="voice-worker/1"))

    async def call_begins(self) -> None:
        await self.log.append(started(CALL))
        self.dialler.customer_joins(str(CALL))

    async def ask(self, destination: str = DESK.key, transfer_id: str = "t1") -> None:
        await self.write(
            TransferRequested(
                transfer_id=transfer_id, destination=destination, reason="asks", summary="Invoice 7", agent="billing"
            )
        )

    async def customer_leaves(self) -> None:
        self.dialler.customer_leaves(str(CALL))
        await self.write(LegLeft(identity=CUSTOMER, role=Role.CUSTOMER, reason="CLIENT_INITIATED"))

    @asynccontextmanager
    async def instance(self, name: str = "a", *, consuming: bool = True) -> AsyncIterator[Instance]:
        """A living process; leaving the context kills it: nothing is finished, phones go on ringing."""
        async with asyncio.TaskGroup() as tasks:
            instance = Instance(self, name, tasks)
            loop = tasks.create_task(self._consume(instance)) if consuming else None
            try:
                yield instance
            finally:
                if loop is not None:
                    loop.cancel()
                await instance.dials.drain(0)

    async def _consume(self, instance: Instance) -> None:
        while True:
            due = self.wake_at is not None and self.clock.now() >= self.wake_at
            if due or len(await self.log.read(CALL)) > self.seen:
                with contextlib.suppress(LogUnavailable, ExchangeUnreachable):
                    await instance.handle()
            await asyncio.sleep(0.002)

    async def types(self, transfer_id: str = "t1") -> list[str]:
        """The transfer's events, without prefix and version."""
        events = await self.log.read(CALL)
        mine = [e for e in events if getattr(e.data, "transfer_id", None) == transfer_id]
        return [e.type.removeprefix("transfer.").removesuffix(".v1") for e in mine]

    async def outcomes(self, transfer_id: str = "t1") -> list[str]:
        """The events that ended the transfer."""
        return [kind for kind in await self.types(transfer_id) if kind in OUTCOMES]

    async def looked_at(self, times: int = 3) -> None:
        """Wait until the room has been looked at so often from now on: what was to be seen before has been taken in."""
        before = self.dialler.looks
        await wait_until(lambda: self.dialler.looks >= before + times, what=f"{times} looks at the room")

    async def until(self, kind: str, transfer_id: str = "t1", within_s: float = 5.0) -> AnyEvent:
        """Wait for an event of the transfer."""

        async def there() -> bool:
            return kind in await self.types(transfer_id)

        await wait_until(there, within_s=within_s, what=f"transfer.{kind}")
        events = await self.log.read(CALL)
        return next(
            e for e in events if e.type == f"transfer.{kind}.v1" and getattr(e.data, "transfer_id", "") == transfer_id
        )


#: For readers of tests: which events end a transfer.
OUTCOMES: Mapping[str, str] = {"connected": "connected", "failed": "failed", "cancelled": "cancelled"}
