"""The same random schedules on every kind of server: what one of them answers differently would be found here."""

import pytest
from redis.asyncio import Redis

from support.log_model import Schedule

STEPS = 60
SEEDS = range(5000, 5030)


@pytest.mark.parametrize("seeds", [SEEDS[:15], SEEDS[15:]], ids=["first", "second"])
async def test_every_promise_holds_on_every_server(backend: Redis, seeds: range) -> None:
    for seed in seeds:
        try:
            await Schedule(backend, seed).run(STEPS)
        except AssertionError as error:
            raise AssertionError(f"seed {seed}: {error}") from error
