"""The command line that every program under comparison has: ``consume`` or ``produce``.

Nothing but the standard library: the peers' programs use it too, in an environment that has none of our packages.
"""

import argparse
import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

#: What the producer sets when the consumers may begin.
GO_KEY = "bench:go"
GLANCE_S = 0.005


@dataclass(frozen=True)
class Work:
    """How long a handler takes for one event: nothing, or a time between two bounds, the same at every repeat."""

    shortest_ms: float = 0.0
    longest_ms: float = 0.0

    def seconds(self, call: int, seq: int) -> float:
        """For this event."""
        share = (call * 7919 + seq * 104729) % 1000 / 1000
        return (self.shortest_ms + (self.longest_ms - self.shortest_ms) * share) / 1000

    async def do(self, call: int, seq: int) -> None:
        """As a call to another server would: without using the processor."""
        if self.longest_ms:
            await asyncio.sleep(self.seconds(call, seq))

    def __str__(self) -> str:
        return f"{self.shortest_ms:g}-{self.longest_ms:g}"


@dataclass(frozen=True)
class Consuming:
    """One consumer process."""

    url: str
    #: Unique among the consumers of a run.
    name: str
    book: Path
    work: Work
    #: Handlings at once in this process, for those who can be told.
    at_once: int
    #: How long a killed consumer's calls wait, in seconds, for those who can be told.
    lease_s: float = 6.0


@dataclass(frozen=True)
class Producing:
    """One producer process."""

    url: str
    calls: int
    #: Events of every call.
    each: int
    #: Events a second over all calls; 0: as fast as it goes.
    rate: float
    #: Events of a call that follow each other at once, as an utterance begins, ends and gets its text.
    burst: int = 1


def told() -> Consuming | Producing:
    """What the command line asks for."""
    parser = argparse.ArgumentParser()
    roles = parser.add_subparsers(dest="role", required=True)
    one = roles.add_parser("consume")
    one.add_argument("--name", required=True)
    one.add_argument("--book", type=Path, required=True)
    one.add_argument("--work", default="0-0")
    one.add_argument("--at-once", type=int, default=1)
    one.add_argument("--lease", type=float, default=6.0)
    two = roles.add_parser("produce")
    two.add_argument("--calls", type=int, required=True)
    two.add_argument("--each", type=int, required=True)
    two.add_argument("--rate", type=float, default=0.0)
    two.add_argument("--burst", type=int, default=1)
    for role in (one, two):
        role.add_argument("--url", required=True)
    line = parser.parse_args()
    if line.role == "produce":
        return Producing(line.url, line.calls, line.each, line.rate, line.burst)
    shortest, longest = map(float, line.work.split("-"))
    return Consuming(line.url, line.name, line.book, Work(shortest, longest), line.at_once, line.lease)


def counts_beside(book: Path) -> Path:
    """Where a consumer that ends by itself leaves what it has counted, a JSON object."""
    return book.with_suffix(".counts")


async def talk(append: Callable[[int, int], Awaitable[None]], asked: Producing) -> None:
    """Append the events of all calls, each call's one after the other, all calls at once and at a steady rate.

    Args:
        append: appends event ``seq`` of a call; the next one of this call waits for it.
        asked: how many, how fast.
    """
    start = time.monotonic()

    async def speak(call: int) -> None:
        for seq in range(1, asked.each + 1):
            if asked.rate:
                due = start + ((seq - 1) // asked.burst * asked.calls + call) * asked.burst / asked.rate
                await asyncio.sleep(max(0.0, due - time.monotonic()))
            await append(call, seq)

    async with asyncio.TaskGroup() as tasks:
        for call in range(asked.calls):
            tasks.create_task(speak(call))


async def wait_for_go(exists: Callable[[str], Awaitable[object]]) -> None:
    """Return when the consumers may begin, so that all of a run begin at once."""
    while not await exists(GO_KEY):  # noqa: ASYNC110 - it is another process's word
        await asyncio.sleep(GLANCE_S)
