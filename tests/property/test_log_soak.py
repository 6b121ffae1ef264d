"""``./dev soak log``: what it says and with which code it ends."""

import subprocess
import sys
from pathlib import Path

from redis.asyncio import Redis

TESTS = Path(__file__).parents[1]
#: A model whose 12th seed breaks a promise.
BREAKS_ONE = """
import sys
from support.log_model import soak

class Breaks(soak.Schedule):
    def __init__(self, redis, seed):
        super().__init__(redis, seed)
        self.seed = seed

    async def run(self, steps):
        assert self.seed != 12, "I6: forgotten at 1 of 2"

soak.Schedule = Breaks
sys.exit(soak.main())
"""


def soaked(*arguments: str, program: tuple[str, ...] = ("-m", "support.log_model.soak")) -> tuple[int, str]:
    ended = subprocess.run(
        [sys.executable, *program, *arguments],
        cwd=TESTS,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return ended.returncode, ended.stdout + ended.stderr


def test_schedules_that_keep_every_promise_end_it_well() -> None:
    code, said = soaked("--schedules", "4", "--steps", "20")
    assert code == 0, said
    assert said.endswith("4 schedules of 20 steps: every promise of the log held\n")


def test_a_broken_promise_is_told_with_what_plays_it_again() -> None:
    code, said = soaked("--seed", "10", "--schedules", "10", program=("-c", BREAKS_ONE))
    assert code == 1
    assert "seed 12: I6: forgotten at 1 of 2\n" in said
    assert "I6: A call with unfinished events is parked, or has a doorbell" in said
    assert "again: ./dev soak log --seed 12 --schedules 1\n" in said


async def test_no_database_is_emptied_that_holds_something(redis: Redis, redis_url: str) -> None:
    await redis.set("somebody's", "data")
    code, said = soaked("--schedules", "1", "--redis-url", redis_url)
    assert code == 1
    assert "that database is not empty" in said
    assert await redis.get("somebody's") == b"data"
