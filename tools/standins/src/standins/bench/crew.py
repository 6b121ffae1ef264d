"""Consumer and producer processes of one run, and what their books prove afterwards."""

import asyncio
import os
import signal
import sys
import time
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

from redis.asyncio import Redis

from call_events.connection import connect
from standins.bench.evidence import Evidence, judge
from standins.bench.roles import GO_KEY, Work, counts_beside
from standins.bench.table import NotMeasured
from standins.bench.witness import RECORD_BYTES, records
from standins.media.processes import ChildProcess
from standins.stack.services import passed_on

#: A Python process that imports everything, on a busy machine.
START_DEADLINE_S = 60.0
GLANCE_S = 0.02
#: For everything a run appends.
PRODUCE_DEADLINE_S = 180.0
STOP_S = 12.0
#: This package, for programs in other environments: the peers use its modules that need nothing else.
_SOURCES = Path(__file__).parents[2]


class NotStarted(NotMeasured):
    """A program under comparison ended or hung before it could be measured; the text carries its last words."""


@dataclass(frozen=True)
class Program:
    """One way to produce and consume."""

    name: str
    #: What starts it; ``consume`` or ``produce`` and their arguments follow.
    command: tuple[str, ...] = (sys.executable, "-m", "standins.bench.ours")
    at_once: int = 64
    #: Set where a killed consumer is started again under its name, as a supervisor does, because there is no other.
    restarted_after_s: float | None = None
    environment: dict[str, str] = field(default_factory=dict)


OURS = Program("Callweave")


class Crew:
    """``async with Crew(program, url, directory)``: its consumers are killed or stopped at the end."""

    def __init__(self, program: Program, url: str, directory: Path, *, lease_s: float = 0.0) -> None:
        """``directory`` takes the books and what the processes say. ``lease_s`` 0 = as the program has it."""
        self._program = program
        self._lease_s = lease_s
        self._url = url
        self._directory = directory
        self._stack = AsyncExitStack()
        self._consumers: list[ChildProcess] = []
        self.books: list[Path] = []

    async def __aenter__(self) -> Self:
        directory = self._directory
        directory.mkdir(parents=True, exist_ok=True)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stack.aclose()

    async def consumers(self, count: int, work: Work) -> None:
        """Start so many; they wait for :meth:`go`.

        Raises:
            NotStarted: one of them did not come so far.
        """
        for number in range(count):
            await self._consumer(f"consumer-{number}", work)
        for consumer, book in zip(self._consumers, self.books, strict=True):
            await self._until_there(consumer, book)

    async def go(self, redis: Redis) -> float:
        """Let the consumers begin; the moment, seconds of the wall clock."""
        await redis.set(GO_KEY, 1)
        return time.time()

    async def produce(self, calls: int, each: int, rate: float = 0.0, burst: int = 1) -> None:
        """Append from a process of its own, until all is appended.

        Raises:
            NotStarted: it ended with an error.
        """
        arguments = ("--calls", str(calls), "--each", str(each), "--rate", str(rate), "--burst", str(burst))
        producer = self._child("producer", "produce", *arguments)
        async with producer:
            code = await producer.ended(PRODUCE_DEADLINE_S)
        if code:
            raise NotStarted(f"{self._program.name}: the producer failed: {producer.last_words()}")

    def pid(self, number: int) -> int:
        """Process id of a consumer."""
        return self._consumers[number].pid

    async def until_at_work(self, number: int) -> None:
        """Return while a consumer has begun with an event and is not through with it.

        Raises:
            NotStarted: it never has.
        """
        give_up = time.monotonic() + START_DEADLINE_S
        while sum(-1 if record.ends else 1 for record in records(self.books[number])) <= 0:
            if time.monotonic() > give_up:
                raise NotStarted(f"{self._program.name}: consumer {number} has never had anything in hand")
            await asyncio.sleep(0.001)

    async def stop_one(self, within_s: float) -> int:
        """SIGTERM to the first consumer; its exit code.

        Raises:
            MediaError: it has not ended within ``within_s`` seconds.
        """
        os.kill(self._consumers[0].pid, signal.SIGTERM)
        return await self._consumers[0].ended(within_s)

    async def end(self, within_s: float) -> list[int]:
        """SIGTERM to every consumer that is left; the exit codes of all.

        Raises:
            MediaError: one has not ended within ``within_s`` seconds.
        """
        for consumer in self._consumers:
            if consumer.running:
                os.kill(consumer.pid, signal.SIGTERM)
        return [await consumer.ended(within_s) for consumer in self._consumers]

    def counts(self) -> list[Path]:
        """Where consumers that end by themselves leave what they have counted."""
        return [counts_beside(book) for book in self.books]

    async def kill_one(self, work: Work) -> None:
        """``kill -9`` the first consumer; start it again if the program wants it."""
        os.kill(self._consumers[0].pid, signal.SIGKILL)
        if self._program.restarted_after_s is not None:
            await asyncio.sleep(self._program.restarted_after_s)
            await self._consumer("consumer-0", work)

    async def evidence(self, calls: int, each: int, *, patience_s: float, warm_up_s: float = 0.0) -> Evidence:
        """What the books prove, once all events were handled or nothing has moved for ``patience_s``."""
        expected = dict.fromkeys(range(calls), each)
        size, moved = -1, time.monotonic()
        while True:
            now = sum(book.stat().st_size for book in self._written())
            if now != size:
                size, moved = now, time.monotonic()
            elif now >= 2 * RECORD_BYTES * calls * each:
                found = judge(self._written(), expected, warm_up_s=warm_up_s)
                if not found.lost:
                    return found
            if time.monotonic() - moved > patience_s:
                return judge(self._written(), expected, warm_up_s=warm_up_s)
            await asyncio.sleep(GLANCE_S)

    def _written(self) -> list[Path]:
        """A consumer that was started again may not have come so far."""
        return [book for book in self.books if book.exists()]

    async def _consumer(self, name: str, work: Work) -> None:
        book = self._directory / f"{len(self.books)}.book"
        arguments: tuple[str, ...] = (
            "--name",
            name,
            "--book",
            str(book),
            "--work",
            str(work),
            "--at-once",
            str(self._program.at_once),
        )
        arguments += ("--lease", str(self._lease_s)) if self._lease_s else ()
        child = self._child(f"{name}-{len(self.books)}", "consume", *arguments)
        self._consumers.append(await self._stack.enter_async_context(child))
        self.books.append(book)

    def _child(self, name: str, role: str, *arguments: str) -> ChildProcess:
        return ChildProcess(
            name,
            [*self._program.command, role, "--url", self._url, *arguments],
            log=self._directory / f"{name}.log",
            environment=passed_on() | {"PYTHONPATH": str(_SOURCES)} | self._program.environment,
            patience_s=STOP_S,
        )

    async def _until_there(self, consumer: ChildProcess, book: Path) -> None:
        give_up = time.monotonic() + START_DEADLINE_S
        while not book.exists():  # noqa: ASYNC240 - a look at a folder of this machine
            if not consumer.running or time.monotonic() > give_up:
                raise NotStarted(f"{self._program.name}: {consumer.name} did not start: {consumer.last_words()}")
            await asyncio.sleep(GLANCE_S)


@dataclass(frozen=True)
class Run:
    """One run of one program."""

    evidence: Evidence
    #: From the word to go until the last event was handled for the first time, in seconds.
    seconds: float


async def from_backlog(program: Program, url: str, directory: Path, *, processes: int, calls: int, each: int) -> Run:
    """Everything is appended before the consumers begin; their handler does nothing."""
    async with connect(url) as redis, Crew(program, url, directory) as crew:
        await crew.consumers(processes, Work())
        await crew.produce(calls, each)
        began = await crew.go(redis)
        found = await crew.evidence(calls, each, patience_s=10.0)
        return Run(found, found.last_at - began)


async def steadily(
    program: Program,
    url: str,
    directory: Path,
    *,
    processes: int,
    calls: int,
    rate: float,
    seconds: float,
    work: Work,
    burst: int = 1,
    warm_up_s: float = 2.0,
    kill_after_s: float | None = None,
    patience_s: float = 3.0,
) -> Run:
    """Events come at a steady rate over all calls; one consumer may be killed on the way.

    Args:
        rate: events a second.
        burst: events of a call that follow each other at once.
        seconds: how long they come, the warm-up included.
        patience_s: how long nothing may move at the end before the rest is taken for lost.
    """
    each = max(2, round(rate * seconds / calls))
    async with connect(url) as redis, Crew(program, url, directory) as crew:
        await crew.consumers(processes, work)
        began = await crew.go(redis)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(crew.produce(calls, each, rate, burst))
            if kill_after_s is not None:
                await asyncio.sleep(kill_after_s)
                await crew.kill_one(work)
        found = await crew.evidence(calls, each, patience_s=patience_s, warm_up_s=warm_up_s)
        return Run(found, found.last_at - began)
