"""Views under the random schedules of the log: what they keep is what is there, and the schedules would tell if not.

That a view equals a fresh read is checked by the schedules themselves, at every view (I16 in ``support.log_model``).
"""

import pytest
from redis.asyncio import Redis

from call_events.claims import Claim, GroupClaims
from call_events.errors import LogDamaged
from call_events.ids import CallId
from call_events.testing import speaking, started
from call_events.views import Known, Views
from support.log_model import CALLS, MEMORY_BYTES, Schedule

STEPS = 150


class TakesEveryClaimForTheNext(Views):
    """Another worker may have written receipts in between."""

    async def load(self, call: CallId, claim: Claim) -> Known:
        if (known := self._calls.get(call)) is not None and known.settled:
            known.epoch, known.cursor = claim.epoch - 1, claim.cursor
        return await super().load(call, claim)


class TrustsACommitWithoutAnswer(Views):
    """It may have been done, or may not."""

    def keep(self, known: Known) -> bool:
        known.settled = True
        return super().keep(known)


class KeepsWhatFollowsFromNothing(Views):
    """Its handler has noted receipts that were never written."""

    async def load(self, call: CallId, claim: Claim) -> Known:
        memory = dict(known.memory) if (known := self._calls.get(call)) is not None else {}
        known = await super().load(call, claim)
        known.memory |= memory
        return known


class ForgetsWhichReceiptsAreItsOwn(Views):
    """They are read again behind themselves."""

    def keep(self, known: Known) -> bool:
        known.last_receipt = None
        return super().keep(known)


FAULTS = [
    TakesEveryClaimForTheNext,
    TrustsACommitWithoutAnswer,
    KeepsWhatFollowsFromNothing,
    ForgetsWhichReceiptsAreItsOwn,
]


class Busy(Schedule):
    """Calls that go on and on, handed from worker to worker: more turns than the schedules of the protocol have."""

    #: Makes the mistake that is looked for.
    views_of: type[Views] = Views

    def views(self, claims: GroupClaims) -> Views:
        max_bytes = self.dice.choice(MEMORY_BYTES)
        return self.views_of(claims, clock=self.clock, max_bytes=max_bytes, dice=self.dice)

    async def happen(self) -> None:
        call = self.dice.choice(CALLS)
        producer = self.producers[self.dice.choice(list(self.producers))]
        self.serial += 1
        event = speaking(call, f"u{self.serial}") if self.calls[call].accepted else started(call)
        if producer.replay[call]:
            await self.replay(producer, call)
        elif await self.send(producer, event.model_copy(update={"producer": producer.name})) is not None:
            self.note(producer, self.calls[call].accepted[-1])

    async def turn(self) -> None:
        await self.read()
        worker = self.dice.choice(self.workers)
        await self.claim(worker)
        await self.commit(worker)


Busy.operations = (
    *(Busy.happen, Busy.turn) * 8,
    *(Busy.commit, Busy.reclaim, Busy.claim, Busy.wake, Busy.pass_time) * 2,
    *(Busy.commit_unanswered, Busy.pause, Busy.release, Busy.crash),
)


async def test_a_view_shows_the_log_and_each_receipt_once_whoever_had_the_call_before(redis: Redis) -> None:
    for seed in range(30):
        try:
            await Busy(redis, seed).run(STEPS)
        except AssertionError as error:
            raise AssertionError(f"seed {seed}: {error}") from error


@pytest.mark.parametrize("fault", FAULTS)
async def test_a_mistake_in_what_is_kept_is_found(redis: Redis, fault: type[Views]) -> None:
    for seed in range(60):
        schedule = Busy(redis, 1000 + seed, groups=1)
        schedule.views_of = fault
        schedule.workers = [schedule.worker(one.name, one.group) for one in schedule.workers]
        try:
            await schedule.run(STEPS)
        except (AssertionError, LogDamaged):
            return
    pytest.fail(f"60 schedules did not notice: {fault.__name__}")
