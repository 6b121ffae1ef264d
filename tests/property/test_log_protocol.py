"""The log's promises (``call_events.protocol``) under seeded random schedules on the real server.

More of them: ``./dev soak log``.
"""

import re
from pathlib import Path

import pytest
from redis.asyncio import Redis

from call_events.protocol import PROMISES
from support.log_model import Schedule
from support.log_model.mutants import (
    BACKED_UP,
    BACKED_UP_BY_MEMORY,
    FAULTS,
    MET_AT,
    THEMES,
    TrimsForOneGroup,
    TrimsPending,
)

MODEL = Path(__file__).parents[1] / "support" / "log_model"
#: A fault must be met within so many schedules; most are within ten.
BOUND = 400


def test_every_promise_of_the_log_is_checked() -> None:
    """All but that of the archive, which is checked by spoiling one."""
    checked = {number for file in MODEL.glob("*.py") for number in re.findall(r"\bI\d+\b", file.read_text())}
    assert checked == PROMISES.keys() - {"I11"}


@pytest.mark.parametrize("batch", range(8))
async def test_every_promise_holds_after_every_step_of_any_schedule(redis: Redis, batch: int) -> None:
    for seed in range(batch * 50, batch * 50 + 50):
        try:
            await Schedule(redis, seed).run()
        except AssertionError as error:
            raise AssertionError(f"seed {seed}: {error}") from error


@pytest.mark.parametrize("fault", FAULTS)
async def test_a_fault_in_a_script_is_found(redis: Redis, fault: str) -> None:
    """The schedules are worth something only if they catch what would break the log."""
    first = MET_AT.get(fault, 1000)
    for seed in range(first, first + BOUND):
        try:
            await THEMES.get(fault, Schedule)(redis, seed, mutate=FAULTS[fault]).run()
        except AssertionError:
            return
    pytest.fail(f"{BOUND} schedules did not notice: {fault}")


@pytest.mark.parametrize("trims", [TrimsPending, TrimsForOneGroup])
async def test_a_trimmer_that_takes_too_much_is_found(redis: Redis, trims: type[Schedule]) -> None:
    for seed in range(1000, 1000 + BOUND):
        try:
            await trims(redis, seed).run()
        except AssertionError as error:
            assert "I6" in str(error) or "I7" in str(error) or "I13" in str(error)  # noqa: PT017 - any of several
            return
    pytest.fail(f"{BOUND} schedules did not notice it")


@pytest.mark.parametrize("guard", BACKED_UP)
async def test_a_guard_that_another_backs_up_only_limits_repeats(redis: Redis, guard: str) -> None:
    for seed in range(2000, 2030):
        await Schedule(redis, seed, mutate=BACKED_UP[guard], lenient=True).run()


@pytest.mark.parametrize("guard", BACKED_UP_BY_MEMORY)
async def test_a_guard_against_a_server_that_forgets_is_backed_up_while_it_does_not(redis: Redis, guard: str) -> None:
    for seed in range(3000, 3030):
        await Schedule(redis, seed, mutate=BACKED_UP_BY_MEMORY[guard], lenient=True, fails_over=False).run()
