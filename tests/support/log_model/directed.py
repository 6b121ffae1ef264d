"""Schedules by hand: the same stage and the same judge, and every step of it written down."""

from typing import Any

from redis.asyncio import Redis

from call_events.claims import Claim
from call_events.held import Held
from call_events.ids import CallId
from call_events.ports import AnyEvent
from call_events.testing import speaking, started
from support.log_model.schedule import Schedule
from support.log_model.stage import CALLS, PRODUCERS, Mutate, Worker

CALL, OTHER_CALL, _ = CALLS
GROUP = "g"


class Directed(Schedule):
    """The steps of a schedule by hand."""

    def __init__(self, redis: Redis, mutate: Mutate | None = None) -> None:
        super().__init__(redis, 0, mutate=mutate, groups=1)

    async def doorbell(self, worker: Worker) -> bytes:
        """The next doorbell, given to this worker."""
        answer: Any = await self.redis.xreadgroup(GROUP, worker.name, {self.bell: ">"}, count=1)
        ((entries,),) = answer.values()
        return bytes(entries[0][0])

    async def accept(self, name: str, call: CallId = CALL, producer: str = PRODUCERS[0]) -> AnyEvent:
        event = speaking(call, name) if self.calls[call].accepted else started(call)
        event = event.model_copy(update={"producer": producer})
        assert await self.send(self.producers[producer], event) is not None
        self.note(self.producers[producer], event)
        return event

    async def takes(self, worker: Worker, call: CallId = CALL) -> Held:
        """The worker reads the next doorbell and claims its call with it."""
        token = (await self.doorbell(worker)).decode()
        claim = await worker.claims.claim(call, token)
        assert isinstance(claim, Claim)
        return Held(call, token, epoch=claim.epoch, cursor=claim.cursor)

    async def elapse(self, milliseconds: int) -> None:
        self.now_ms += milliseconds
        await self.set_clock()

    async def cursor(self) -> int:
        return int((await self.state(GROUP, CALL)).get(b"cur", 0))


async def playing(redis: Redis, mutate: Mutate | None = None) -> Directed:
    play = Directed(redis, mutate)
    await play.start()
    return play
