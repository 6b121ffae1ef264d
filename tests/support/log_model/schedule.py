"""One seeded run from start to rest."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, ClassVar

from redis.asyncio import Redis

from support.log_model.promises import Promises
from support.log_model.stage import Mutate

STEPS = 80


class Schedule(Promises):
    """Everything a log goes through."""

    #: Drawn from, step by step.
    operations: ClassVar[Sequence[Callable[..., Awaitable[Any]]]]

    def __init__(
        self,
        redis: Redis,
        seed: int,
        *,
        mutate: Mutate | None = None,
        groups: int | None = None,
        lenient: bool = False,
        fails_over: bool | None = None,
    ) -> None:
        """See :class:`Stage`; ``fails_over``: whether the server is replaced by one that lacks the last steps."""
        super().__init__(redis, seed, mutate=mutate, groups=groups, lenient=lenient)
        self.fails_over = self.dice.random() < 0.5 if fails_over is None else fails_over

    async def run(self, steps: int = STEPS) -> None:
        """Play the schedule with a check after every step; then let all come to rest and check that nothing is left."""
        await self.start()
        forgets_after = self.dice.randrange(20) if self.fails_over else steps
        fails_at = steps
        for step in range(steps):
            if step == forgets_after:
                await self.remember()
                fails_at = step + self.dice.randint(1, 15)
            if step == fails_at:
                await self.fail_over()
                forgets_after = step + self.dice.randint(1, 20)
            else:
                await getattr(self, self.dice.choice(self.operations).__name__)()
            await self.check()
        await self.come_to_rest()


_S = Schedule
Schedule.operations = (
    *(_S.append,) * 7,
    *(_S.read, _S.claim) * 5,
    *(_S.commit,) * 5,
    *(_S.pause, _S.rival, _S.pass_time, _S.wake, _S.crash, _S.replay_some) * 2,
    *(_S.own,) * 3,
    *(_S.park, _S.unpark, _S.release, _S.sweep, _S.renew, _S.reclaim, _S.commit_unanswered),
    *(_S.trim, _S.retire, _S.expire, _S.discard, _S.pass_on),
)
