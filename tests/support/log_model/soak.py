"""Schedule after schedule, on all cores, until one fails or their number is reached: ``./dev soak log``.

A failed schedule is played again by its seed alone: ``./dev soak log --seed SEED --schedules 1``.
"""

import argparse
import asyncio
import multiprocessing
import queue
import re
import sys
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from redis.asyncio import Redis

from call_events.connection import connect
from call_events.embedded import EmbeddedRedis
from call_events.protocol import PROMISES
from support.log_model.schedule import STEPS, Schedule

if TYPE_CHECKING:
    from multiprocessing.queues import Queue
    from multiprocessing.synchronize import Event

SCHEDULES = 20_000
#: Seeds of ``./dev test`` lie below.
FIRST_SEED = 100_000
#: A schedule takes a tenth of a second; one that takes so long stands still.
STANDS_STILL_S = 60.0
TELL_EVERY_S = 5.0


@dataclass(frozen=True)
class Told:
    """By a process: how a schedule went; without a seed: that none can go on."""

    seed: int | None
    problem: str | None


@dataclass(frozen=True)
class Part:
    """What one process plays: every ``step``-th seed, on a database of its own."""

    first: int
    end: int
    step: int
    steps: int
    redis_url: str | None


def main() -> int:
    """Play, tell, and return the exit code: 0 = every promise held, 1 = one was broken."""
    wanted = arguments()
    processes = min(wanted.processes, wanted.schedules)
    end = wanted.seed + wanted.schedules
    told: Queue[Told] = multiprocessing.Queue()
    enough = multiprocessing.Event()
    parts = [
        Part(wanted.seed + n, end, processes, wanted.steps, database(wanted.redis_url, n)) for n in range(processes)
    ]
    players = [multiprocessing.Process(target=play, args=(part, told, enough)) for part in parts]
    for player in players:
        player.start()
    try:
        failed = listen(told, players, wanted.schedules)
    finally:
        enough.set()
        for player in players:
            player.join(STANDS_STILL_S)
            if player.is_alive():
                player.kill()
    if failed is None:
        print(f"{wanted.schedules} schedules of {wanted.steps} steps: every promise of the log held")
        return 0
    if failed.seed is None:
        print(f"./dev soak log: {failed.problem}", file=sys.stderr)
        return 1
    print(f"seed {failed.seed}: {failed.problem}", file=sys.stderr)
    for number in re.findall(r"\bI\d+\b", str(failed.problem)):
        print(f"{number}: {PROMISES.get(number)}", file=sys.stderr)
    steps = "" if wanted.steps == STEPS else f" --steps {wanted.steps}"
    print(f"again: ./dev soak log --seed {failed.seed} --schedules 1{steps}", file=sys.stderr)
    return 1


def arguments() -> argparse.Namespace:
    """What was asked for."""
    parser = argparse.ArgumentParser(prog="./dev soak log", description=__doc__)
    parser.add_argument("--schedules", type=positive, default=SCHEDULES, help="how many (default %(default)s)")
    parser.add_argument("--seed", type=int, default=FIRST_SEED, help="of the first one (default %(default)s)")
    parser.add_argument("--steps", type=positive, default=STEPS, help="of each (default %(default)s)")
    parser.add_argument("--processes", type=positive, default=multiprocessing.cpu_count(), help="default: all cores")
    parser.add_argument("--redis-url", help="play there, in one empty database per process, counted from the one named")
    return parser.parse_args()


def positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("must be at least 1")
    return number


def database(url: str | None, number: int) -> str | None:
    """The next database for each process."""
    if url is None:
        return None
    head, slash, last = url.rpartition("/")
    return f"{head}{slash}{int(last) + number}" if last.isdigit() else f"{url.rstrip('/')}/{number}"


def listen(told: "Queue[Told]", players: list[multiprocessing.Process], schedules: int) -> Told | None:
    """Count until all have been played; the first that failed, if one did."""
    done, began, next_line = 0, time.monotonic(), time.monotonic() + TELL_EVERY_S
    while done < schedules:
        try:
            one = told.get(timeout=STANDS_STILL_S)
        except queue.Empty:
            return Told(
                None, f"no schedule has ended for {STANDS_STILL_S:g} s; {sum(p.is_alive() for p in players)} play"
            )
        if one.problem is not None:
            return one
        done += 1
        if time.monotonic() >= next_line:
            next_line = time.monotonic() + TELL_EVERY_S
            rate = done / (time.monotonic() - began)
            print(f"{done} of {schedules} schedules, {rate:.0f}/s, {(schedules - done) / rate:.0f} s to go", flush=True)
    return None


def play(part: Part, told: "Queue[Told]", enough: "Event") -> None:
    """One process."""
    asyncio.run(_play(part, told, enough))


async def _play(part: Part, told: "Queue[Told]", enough: "Event") -> None:
    if part.redis_url is not None:
        async with connect(part.redis_url) as redis:
            if await redis.dbsize():
                told.put(Told(None, "--redis-url: that database is not empty; name one that may be emptied"))
                return
            await _play_on(redis, part, told, enough)
        return
    async with EmbeddedRedis() as server, connect(server.url) as redis:
        await _play_on(redis, part, told, enough)


async def _play_on(redis: Redis, part: Part, told: "Queue[Told]", enough: "Event") -> None:
    for seed in range(part.first, part.end, part.step):
        if enough.is_set():
            return
        problem = None
        try:
            await Schedule(redis, seed).run(part.steps)
        except AssertionError as error:
            problem = str(error)
        except Exception as error:  # noqa: BLE001 - whatever it is, the seed is told with it
            problem = f"{type(error).__name__}: {error}"
        told.put(Told(seed, problem))


if __name__ == "__main__":
    sys.exit(main())
